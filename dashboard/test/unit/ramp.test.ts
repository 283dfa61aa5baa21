import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { contrast, hexToRgb, inkOn, jobColor, luminance, rampCell, rampColor, rampStops, type Theme } from '@/lib/ramp';

const themes: Theme[] = ['dark', 'light'];
const tokens = readFileSync('styles/tokens.css', 'utf8');
function token(theme: Theme, name: string): string {
  const block = new RegExp(`\\[data-theme="${theme}"\\] \\{([^}]*)\\}`).exec(tokens)![1]!;
  return new RegExp(`--${name}: (#[0-9A-Fa-f]{6})`).exec(block)![1]!;
}

describe('load ramp', () => {
  it.each(themes)('is strictly monotone in lightness (%s)', (theme) => {
    const sign = theme === 'dark' ? 1 : -1;
    for (let u = 1; u <= 100; u++) expect(sign * (luminance(rampColor(theme, u)) - luminance(rampColor(theme, u - 1)))).toBeGreaterThan(0);
  });
  it.each(themes)('keeps its ink at 4.5 : 1 or better everywhere (%s)', (theme) => {
    for (let u = 0; u <= 100; u++) {
      const c = rampColor(theme, u);
      expect(contrast(c, inkOn(c) === 'black' ? [0, 0, 0] : [255, 255, 255])).toBeGreaterThanOrEqual(4.5);
    }
  });
  it('clamps outside of 0 to 100', () => {
    expect(rampColor('dark', -5)).toEqual(hexToRgb(rampStops.dark[0]!));
    expect(rampCell('dark', 140)).toEqual(rampCell('dark', 100));
  });
  it.each(themes)('has the same stops as the style sheet (%s)', (theme) => {
    rampStops[theme].forEach((stop, i) => expect(token(theme, `u${i}`)).toBe(stop));
  });
});

describe('contrast of the tokens', () => {
  it.each(themes)('text, states and the accent reach 4.5 : 1 on every surface (%s)', (theme) => {
    for (const ground of ['bg', 'surface', 'raised']) for (const ink of ['text', 'text-2', 'text-3', 'accent', 'crit', 'warn', 'info']) {
      expect(contrast(hexToRgb(token(theme, ink)), hexToRgb(token(theme, ground))), `${ink} on ${ground}`).toBeGreaterThanOrEqual(4.5);
    }
    expect(contrast(hexToRgb(token(theme, 'on-accent')), hexToRgb(token(theme, 'accent')))).toBeGreaterThanOrEqual(4.5);
  });
  it.each(themes)('edges of fields reach 3 : 1 (%s)', (theme) => {
    expect(contrast(hexToRgb(token(theme, 'field')), hexToRgb(token(theme, 'bg')))).toBeGreaterThanOrEqual(3);
  });
  it('numbers on job colours reach 4.5 : 1', () => {
    for (let n = 0; n < 9; n++) {
      const c = hexToRgb(jobColor(n));
      expect(contrast(c, inkOn(c) === 'black' ? [0, 0, 0] : [255, 255, 255])).toBeGreaterThanOrEqual(4.5);
    }
  });
});
