import type { Carbon } from '@/api/types';
import { parseTime } from './format';

/** What a start at another hour would change, from the source's forecast alone: an estimate, never a measurement. */
export interface Shift {
  hours: number;
  /** Mean intensity of a job that starts now, g/kWh. */
  now: number;
  /** The same for its cleanest start that still ends inside the forecast. */
  best: number;
  startMs: number;
}

const hourMs = 3_600_000;

/** Null when the forecast is shorter than the job, or no start is cleaner than now. Steps hold from their time to the next one's. */
export function bestStart(carbon: Carbon | null, hours: number, nowMs: number): Shift | null {
  const points = (carbon?.forecast ?? []).flatMap((f) => { const t = parseTime(f.time); return t === null ? [] : [{ t, v: f.intensity_g_per_kwh }]; });
  if (points.length < 2) return null;
  const end = points[points.length - 1]!.t + (points[points.length - 1]!.t - points[points.length - 2]!.t);
  const mean = (from: number): number | null => {
    const to = from + hours * hourMs;
    if (from < points[0]!.t || to > end) return null;
    let sum = 0;
    for (let i = 0; i < points.length; i++) {
      const upTo = points[i + 1]?.t ?? end;
      sum += Math.max(0, Math.min(to, upTo) - Math.max(from, points[i]!.t)) * points[i]!.v;
    }
    return sum / (to - from);
  };
  const now = mean(nowMs);
  if (now === null) return null;
  let best: Shift | null = null;
  for (const { t } of points) {
    const there = t > nowMs ? mean(t) : null;
    if (there !== null && there < (best?.best ?? now)) best = { hours, now, best: there, startMs: t };
  }
  return best;
}

export const savedPct = (shift: Shift): number => Math.round((1 - shift.best / shift.now) * 100);

/** Intensity of what was really used, g/kWh; null without both figures. */
export const realised = (energyJ: number | null | undefined, carbonG: number | null | undefined): number | null => (energyJ && carbonG != null ? carbonG / (energyJ / 3.6e6) : null);
