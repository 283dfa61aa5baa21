import type uPlot from 'uplot';

/** Time series over uPlot: mean as a line, lowest and highest as a soft band, so that a long range never hides a spike. */
export type LineColor = 'accent' | 'info' | 'warn';
export interface Line { label: string; color: LineColor; /** One of several equal lines: its colour and dashes. */ number?: number; mean: readonly (number | null)[]; min?: readonly (number | null)[]; max?: readonly (number | null)[] }
export interface PlotOptions { lines: readonly Line[]; unit: string; limit: { value: number; label: string } | null; low?: number; high?: number; heightPx: number; ahead: boolean; syncKey: string | null; bridged?: boolean }

/** Eight lines that stay apart without colour: each pair of hue and dashes is used once. */
export const lineDashes: readonly number[][] = [[], [6, 3], [2, 2], [8, 3, 2, 3], [], [6, 3], [2, 2], [8, 3, 2, 3]];

export function plotData(times: readonly number[], lines: readonly Line[]): (readonly (number | null)[])[] {
  return [times.map((t) => t / 1000), ...lines.flatMap((l) => (l.min && l.max ? [l.mean, l.max, l.min] : [l.mean]))];
}

export function areaRange(line: Line): { last: number | null; low: number | null; mean: number | null; high: number | null } {
  let low: number | null = null;
  let high: number | null = null;
  let sum = 0;
  let n = 0;
  let last: number | null = null;
  line.mean.forEach((v, i) => {
    if (v === null || v === undefined) return;
    const lo = line.min?.[i] ?? v;
    const hi = line.max?.[i] ?? v;
    low = low === null ? lo : Math.min(low, lo);
    high = high === null ? hi : Math.max(high, hi);
    sum += v;
    n += 1;
    last = v;
  });
  return { last, low, high, mean: n ? sum / n : null };
}

export function buildPlot(UPlot: typeof uPlot, host: HTMLElement, options: PlotOptions, data: (readonly (number | null)[])[]): uPlot {
  const css = getComputedStyle(document.documentElement);
  const token = (name: string): string => css.getPropertyValue(name).trim();
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const line of options.lines) {
    const stroke = token(line.number === undefined ? `--${line.color}` : `--series-${line.number}`);
    const dash = options.ahead ? [3, 3] : line.number === undefined ? undefined : lineDashes[line.number % lineDashes.length];
    series.push({ label: line.label, stroke, width: 1.5, spanGaps: options.bridged ?? false, points: { show: false }, dash: dash?.length ? dash : undefined });
    if (line.min && line.max) {
      const at = series.length;
      series.push({ label: `${line.label} highest`, stroke: 'transparent', points: { show: false } }, { label: `${line.label} lowest`, stroke: 'transparent', points: { show: false } });
      bands.push({ series: [at, at + 1], fill: `${stroke}26` });
    }
  }
  const axis: uPlot.Axis = { stroke: token('--text-3'), font: '11px Inter, sans-serif', grid: { stroke: token('--line'), width: 1 }, ticks: { show: false } };
  const { limit, low, high } = options;
  return new UPlot(
    {
      width: Math.max(120, host.clientWidth), height: options.heightPx, series, bands, legend: { show: false }, padding: [8, 8, 0, 0],
      cursor: { drag: { x: false, y: false }, points: { size: 6 }, ...(options.syncKey ? { sync: { key: options.syncKey } } : {}) },
      scales: { y: { range: (_u, dataMin, dataMax) => yRange(dataMin, dataMax, low, high, limit?.value) } },
      axes: [{ ...axis, space: 70, size: 26, values: (_u, splits) => splits.map(axisTime) }, { ...axis, size: 44, space: 28 }],
      hooks: { draw: limit ? [(u) => drawLimit(u, limit, token('--text-3'))] : [] },
    },
    data as uPlot.AlignedData, host,
  );
}

function yRange(dataMin: number | null, dataMax: number | null, low?: number, high?: number, limit?: number): [number, number] {
  const bottom = low ?? dataMin ?? 0;
  let top = high ?? Math.max(dataMax ?? 1, limit ?? -Infinity);
  if (!(top > bottom)) top = bottom + 1;
  const room = (top - bottom) * 0.06;
  return [low ?? bottom - room, high ?? top + room];
}

function axisTime(seconds: number): string {
  const d = new Date(seconds * 1000);
  const two = (n: number): string => String(n).padStart(2, '0');
  const time = `${two(d.getHours())}:${two(d.getMinutes())}`;
  return d.getHours() === 0 && d.getMinutes() === 0 ? `${two(d.getMonth() + 1)}-${two(d.getDate())}` : d.getSeconds() ? `${time}:${two(d.getSeconds())}` : time;
}

function drawLimit(u: uPlot, limit: { value: number; label: string }, color: string): void {
  const y = u.valToPos(limit.value, 'y', true);
  const { left, width, top, height } = u.bbox;
  if (y < top || y > top + height) return;
  const g = u.ctx;
  g.save();
  g.strokeStyle = color;
  g.setLineDash([3, 4]);
  g.beginPath();
  g.moveTo(left, y);
  g.lineTo(left + width, y);
  g.stroke();
  g.fillStyle = color;
  g.font = `${11 * devicePixelRatio}px Inter, sans-serif`;
  g.textAlign = 'right';
  g.fillText(limit.label, left + width - 4, y - 4);
  g.restore();
}
