// The whole build: next build, then finish. Works offline after `npm ci`.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { rmSync } from 'node:fs';

const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NEXT_IGNORE_INCORRECT_LOCKFILE: '1', NODE_ENV: 'production' };
const next = createRequire(import.meta.url).resolve('next/dist/bin/next');

rmSync('out', { recursive: true, force: true });
for (const args of [[next, 'build'], ['scripts/finish.mjs']]) {
  const done = spawnSync(process.execPath, args, { stdio: 'inherit', env });
  if (done.status !== 0) process.exit(done.status ?? 1);
}
