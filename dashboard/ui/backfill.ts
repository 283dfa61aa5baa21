'use client';
import { useEffect } from 'react';
import { getJson } from '@/api/client';
import type { MetricsReply } from '@/api/types';
import { gpuMetrics, type GpuMetric } from '@/lib/store';
import { pageUrl } from '@/lib/url';
import { useApp, useStore } from './hooks';

const backfillLimit = 128;
const atOnce = 3;
const spanMs = 15 * 60_000;
const stepS = 5;

let done = false;

/** Once per page: the last quarter of an hour of each GPU, so that the map's sparklines start with the past instead of a blank. */
export function useBackfill(): void {
  const { store, stream } = useApp();
  const ready = useStore((s) => s.loaded.gpus && s.gpus.size > 0);
  useEffect(() => {
    if (!ready || !stream || done || store.getState().gpus.size > backfillLimit) return;
    done = true;
    const uuids = [...store.getState().gpus.keys()];
    const to = new Date(Date.now() + store.getState().clockOffsetMs);
    const from = new Date(to.getTime() - spanMs);
    const next = async (): Promise<void> => {
      for (let uuid = uuids.shift(); uuid; uuid = uuids.shift()) {
        try {
          const reply = await getJson<MetricsReply>(pageUrl('/metrics/query', { gpu: uuid, metrics: gpuMetrics.join(','), from: from.toISOString(), to: to.toISOString(), step_s: String(stepS) }));
          const repeat = Math.max(1, Math.round(reply.step_s));
          const series: Partial<Record<GpuMetric, (number | null)[]>> = {};
          for (const metric of gpuMetrics) series[metric] = reply.series[metric]?.mean.flatMap((v) => Array<number | null>(repeat).fill(v));
          store.backfill(uuid, series);
        } catch {
          return;
        }
      }
    };
    for (let i = 0; i < atOnce; i++) void next();
  }, [ready, store, stream]);
}
