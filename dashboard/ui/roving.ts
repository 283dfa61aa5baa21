import type { KeyboardEvent } from 'react';

const steps: Record<string, readonly [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Arrow keys move the focus to the nearest `[data-roving]` element in that direction; Home and End to the first and last. One tab stop for all. */
export function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  const all = [...event.currentTarget.querySelectorAll<HTMLElement>('[data-roving]')];
  const from = all.indexOf(document.activeElement as HTMLElement);
  if (from < 0) return;
  const target = event.key === 'Home' ? all[0] : event.key === 'End' ? all[all.length - 1] : nearest(all, all[from]!, steps[event.key]);
  if (!target) return;
  event.preventDefault();
  target.focus();
}

function nearest(all: readonly HTMLElement[], from: HTMLElement, step: readonly [number, number] | undefined): HTMLElement | null {
  if (!step) return null;
  const [dx, dy] = step;
  const start = from.getBoundingClientRect();
  let best: HTMLElement | null = null;
  let bestDistance = Infinity;
  for (const candidate of all) {
    const r = candidate.getBoundingClientRect();
    const x = r.x - start.x;
    const y = r.y - start.y;
    const wrongWay = dx ? x * dx <= 1 || Math.abs(y) > 2 : y * dy <= 1 || Math.abs(x) > start.width;
    if (wrongWay) continue;
    const distance = Math.abs(x) + Math.abs(y);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}
