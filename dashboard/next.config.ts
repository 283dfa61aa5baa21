import type { NextConfig } from 'next';
import { readFileSync } from 'node:fs';

const version: string = JSON.parse(readFileSync('package.json', 'utf8')).version;

const config: NextConfig = {
  output: 'export',
  images: { unoptimized: true },
  poweredByHeader: false,
  trailingSlash: false,
  outputFileTracingRoot: process.cwd(),
  // Fixed per release, so that two builds of one release are byte-identical.
  generateBuildId: async () => version,
  env: { NEXT_PUBLIC_VERSION: version },
};

export default config;
