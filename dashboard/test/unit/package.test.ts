import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

describe('the package', () => {
  it('has a lock file without addresses', () => {
    const lock = readFileSync('package-lock.json', 'utf8');
    expect(lock).not.toMatch(/"resolved"|https?:\/\//);
  });
  it('pins every version exactly', () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    for (const version of Object.values({ ...dependencies, ...devDependencies })) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(Object.keys(dependencies).sort()).toEqual(['next', 'react', 'react-dom', 'uplot']);
  });
  it('keeps lib free of React and Next', () => {
    const files = ['lib', 'lib/draw'].flatMap((d) => readdirSync(d).filter((f) => f.endsWith('.ts')).map((f) => join(d, f)));
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) expect(readFileSync(file, 'utf8'), file).not.toMatch(/from '(react|next)/);
  });
  it('sets the same theme key before the first paint as later', () => {
    expect(existsSync('public/theme.js')).toBe(true);
    expect(readFileSync('public/theme.js', 'utf8')).toContain(/themeKey = '([^']+)'/.exec(readFileSync('lib/theme.ts', 'utf8'))![1]);
  });
});
