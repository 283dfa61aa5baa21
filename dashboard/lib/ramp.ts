/** The load ramp: eight stops, linear between them, lightness strictly monotone. Ink is black or white, whichever is stronger. */
export type Theme = 'dark' | 'light';
export type Rgb = readonly [number, number, number];

export const rampStops: Record<Theme, readonly string[]> = {
  dark: ['#171F2B', '#18314B', '#184D6F', '#1A6985', '#2A8791', '#4FA598', '#80C39D', '#BFE3AA'],
  light: ['#EEF3F5', '#D8E9E9', '#B5DAD8', '#84C3C6', '#4FA3B1', '#2C7F99', '#1E5C80', '#183F63'],
};

const black: Rgb = [0, 0, 0];
const white: Rgb = [255, 255, 255];

export function hexToRgb(hex: string): Rgb {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)) as unknown as Rgb;
}

export function rampColor(theme: Theme, pct: number): Rgb {
  const stops = rampStops[theme];
  const x = (Math.min(100, Math.max(0, pct)) / 100) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(x));
  const f = x - i;
  const a = hexToRgb(stops[i]!);
  const b = hexToRgb(stops[i + 1]!);
  return [0, 1, 2].map((k) => Math.round(a[k]! + (b[k]! - a[k]!) * f)) as unknown as Rgb;
}

/** WCAG relative luminance. */
export function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((v) => {
    const c = v / 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export function contrast(a: Rgb, b: Rgb): number {
  const x = luminance(a);
  const y = luminance(b);
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

export function inkOn(rgb: Rgb): 'black' | 'white' {
  return contrast(rgb, black) >= contrast(rgb, white) ? 'black' : 'white';
}

export const css = (rgb: Rgb): string => `rgb(${rgb[0]},${rgb[1]},${rgb[2]})`;

/** Background and ink for every whole per cent, made once per theme. */
const tables = new Map<Theme, { background: string; ink: string }[]>();
export function rampCell(theme: Theme, pct: number): { background: string; ink: string } {
  let table = tables.get(theme);
  if (!table) {
    table = Array.from({ length: 101 }, (_, u) => {
      const rgb = rampColor(theme, u);
      return { background: css(rgb), ink: inkOn(rgb) === 'black' ? '#000' : '#fff' };
    });
    tables.set(theme, table);
  }
  return table[Math.min(100, Math.max(0, Math.round(pct)))]!;
}

/** Identity colours of jobs; they never stand without the job's name. */
const jobColors = ['#7CC0FF', '#C3A6FF', '#FF9CC2', '#F4BE4F', '#9FB4FF', '#7FE0F2', '#D7B98E', '#E0A0F0', '#8FD3A6'];
export const jobColor = (number: number): string => jobColors[Math.abs(number) % jobColors.length]!;
