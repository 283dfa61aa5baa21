/** Paths of small charts. A hole (NaN) breaks the line; it is never bridged and never drawn at 0. */
export interface Box { width: number; height: number; low: number; high: number; pad?: number }

const px = (v: number): string => v.toFixed(1);

export function linePath(values: readonly number[], box: Box): string {
  const { width, height, low, high, pad = 1 } = box;
  const span = high - low || 1;
  let d = '';
  let open = false;
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (v !== v) {
      open = false;
      continue;
    }
    const x = values.length > 1 ? (i / (values.length - 1)) * width : width;
    const clamped = Math.min(high, Math.max(low, v));
    d += `${open ? 'L' : 'M'}${px(x)} ${px(height - pad - ((clamped - low) / span) * (height - 2 * pad))}`;
    open = true;
  }
  return d;
}

/** The same line closed down to the bottom, for the soft area under it; one closed part per run without holes. */
export function areaPath(values: readonly number[], box: Box): string {
  let d = '';
  let from = 0;
  while (from < values.length) {
    while (from < values.length && values[from] !== values[from]) from++;
    let to = from;
    while (to < values.length && values[to] === values[to]) to++;
    if (to - from > 1) {
      const masked = values.map((v, i) => (i >= from && i < to ? v : NaN));
      const x = (i: number): string => px((i / (values.length - 1)) * box.width);
      d += `${linePath(masked, box)}L${x(to - 1)} ${box.height}L${x(from)} ${box.height}Z`;
    }
    from = to + 1;
  }
  return d;
}

/** Range that shows the movement of a series without making noise look like an event: at least `least` wide. */
export function range(values: readonly number[], least: number, floor = 0, ceiling = Infinity): { low: number; high: number } {
  let low = Infinity;
  let high = -Infinity;
  for (const v of values) {
    if (v !== v) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (low > high) return { low: floor, high: floor + least };
  const grow = Math.max(0, least - (high - low)) / 2;
  low = Math.max(floor, low - grow - (high - low) * 0.1);
  high = Math.min(ceiling, Math.max(low + least, high + grow + (high - low) * 0.1));
  return { low, high };
}
