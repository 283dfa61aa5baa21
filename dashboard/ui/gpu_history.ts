'use client';
import { useEffect, useMemo, useState } from 'react';
import type { ApiError } from '@/api/client';
import type { Gpu, GpuSample, MetricsReply } from '@/api/types';
import { pageUrl } from '@/lib/url';
import { useFetch } from './hooks';

export const ranges = [{ id: '15m', label: '15 min', ms: 900_000 }, { id: '1h', label: '1 h', ms: 3_600_000 }, { id: '24h', label: '24 h', ms: 86_400_000 }, { id: '7d', label: '7 d', ms: 604_800_000 }] as const;
export type RangeId = (typeof ranges)[number]['id'];
export const historyMetrics = ['temperature_c', 'power_draw_w', 'utilization_gpu', 'utilization_memory_controller', 'memory_used_mb', 'clock_gpu_mhz', 'clock_sm_mhz', 'clock_mem_mhz'] as const;
export type HistoryMetric = (typeof historyMetrics)[number];

export interface GpuHistory { times: number[]; series: Partial<Record<HistoryMetric, { mean: (number | null)[]; min?: (number | null)[]; max?: (number | null)[] }>>; level: string; stepS: number }
const targetPoints = 600;

/** History of one GPU from the server, with the live samples of the stream behind it for the short ranges. */
export function useGpuHistory(gpu: Gpu | null, range: RangeId): { history: GpuHistory | null; error: ApiError | null; loading: boolean } {
  const spanMs = ranges.find((r) => r.id === range)!.ms;
  const [startedAt, setStartedAt] = useState(() => Date.now());
  const uuid = gpu?.gpu_uuid ?? null;
  // A long range moves on by asking again; a short one grows from the stream.
  useEffect(() => {
    setStartedAt(Date.now());
    if (spanMs <= 3_600_000) return;
    const timer = setInterval(() => setStartedAt(Date.now()), 60_000);
    return () => clearInterval(timer);
  }, [spanMs, uuid]);
  const path = uuid ? pageUrl('/metrics/query', { gpu: uuid, metrics: historyMetrics.join(','), from: new Date(startedAt - spanMs).toISOString(), to: new Date(startedAt).toISOString(), step_s: String(Math.max(1, Math.round(spanMs / 1000 / targetPoints))) }) : null;
  const reply = useFetch<MetricsReply>(path);
  const [held, setHeld] = useState<{ key: string; reply: MetricsReply } | null>(null);
  const key = `${uuid}/${range}`;
  useEffect(() => {
    if (reply.data) setHeld({ key, reply: reply.data });
  }, [reply.data, key]);
  const base = held?.key === key ? held.reply : null;

  const [live, setLive] = useState<{ uuid: string | null; samples: GpuSample[] }>({ uuid: null, samples: [] });
  const sample = gpu?.sample ?? null;
  useEffect(() => {
    setLive((old) => {
      const samples = old.uuid === uuid ? old.samples : [];
      return sample ? { uuid, samples: [...samples, sample].slice(-3600) } : { uuid, samples };
    });
  }, [sample, uuid]);

  const history = useMemo(() => (base ? joined(base, live.uuid === uuid && spanMs <= 3_600_000 ? live.samples : [], spanMs) : null), [base, live, uuid, spanMs]);
  return { history, error: base ? null : reply.error, loading: base === null && reply.error === null };
}

/** A pause longer than this many steps is a hole and drawn as one. */
const holeSteps = 4;

export function joined(base: MetricsReply, live: readonly GpuSample[], spanMs: number): GpuHistory {
  const lastBase = base.time[base.time.length - 1] ?? 0;
  const stepMs = Math.max(1, base.step_s) * 1000;
  const added: { t: number; s: GpuSample | null }[] = [];
  let before = lastBase;
  for (const s of live) {
    const t = Date.parse(s.time);
    if (!(t > before)) continue;
    if (before > 0 && t - before > holeSteps * Math.max(stepMs, 1000)) added.push({ t: before + 1, s: null });
    added.push({ t, s });
    before = t;
  }
  const times = [...base.time, ...added.map((a) => a.t)];
  const from = (times[times.length - 1] ?? 0) - spanMs;
  const skip = times.findIndex((t) => t >= from);
  const cut = <T,>(list: T[]): T[] => list.slice(Math.max(0, skip));
  const series: GpuHistory['series'] = {};
  for (const metric of historyMetrics) {
    const s = base.series[metric];
    if (!s) continue;
    const tail = added.map((a) => a.s?.[metric] ?? null);
    series[metric] = { mean: cut([...s.mean, ...tail]), ...(s.min && s.max ? { min: cut([...s.min, ...tail]), max: cut([...s.max, ...tail]) } : {}) };
  }
  return { times: cut(times), series, level: base.level, stepS: base.step_s };
}
