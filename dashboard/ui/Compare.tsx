'use client';
import { useEffect, useMemo, useState } from 'react';
import { getJson } from '@/api/client';
import type { Gpu, MetricsReply } from '@/api/types';
import type { Line } from '@/lib/draw/series';
import { pageUrl } from '@/lib/url';
import { ranges, type RangeId } from './gpu_history';
import { useStore } from './hooks';
import { Icon } from './Icon';
import { useUrlQuery } from './navigation';
import { Empty, Panel, Segments, SkeletonRows } from './parts';
import { TimeChart } from './TimeChart';

export const pinLimit = 8;
const points = 240;
const metrics = [
  { id: 'utilization_gpu', title: 'Busy', unit: '%', low: 0, high: 100, scale: 1, digits: 0 },
  { id: 'temperature_c', title: 'Temperature', unit: '°C', low: 20, high: undefined, scale: 1, digits: 0 },
  { id: 'power_draw_w', title: 'Power', unit: 'W', low: 0, high: undefined, scale: 1, digits: 0 },
  { id: 'memory_used_mb', title: 'Memory used', unit: 'GiB', low: 0, high: undefined, scale: 1 / 1024, digits: 1 },
  { id: 'clock_sm_mhz', title: 'SM clock', unit: 'MHz', low: 0, high: undefined, scale: 1, digits: 0 },
] as const;

/** Pinned GPUs live in the address, so a comparison can be sent to somebody. */
export function usePins(): { pins: string[]; has: (uuid: string) => boolean; toggle: (uuid: string) => void; clear: () => void } {
  const query = useUrlQuery();
  const text = query.get('pin') ?? '';
  return useMemo(() => {
    const pins = text ? text.split(',').slice(0, pinLimit) : [];
    const set = (next: string[]): void => query.change({ pin: next.length ? next.join(',') : null });
    return {
      pins, has: (uuid) => pins.includes(uuid),
      toggle: (uuid) => set(pins.includes(uuid) ? pins.filter((p) => p !== uuid) : [...pins, uuid].slice(-pinLimit)),
      clear: () => set([]),
    };
  }, [text, query]);
}

/** Up to eight GPUs as small multiples on one time axis. Lines differ by colour and by dashes. */
export function CompareTray() {
  const { pins, toggle, clear } = usePins();
  const gpus = useStore((s) => s.gpus);
  const shown = pins.map((id) => gpus.get(id) ?? [...gpus.values()].find((g) => g.gpu_id === id)).filter((g): g is Gpu => g !== undefined);
  const [range, setRange] = useState<RangeId>('15m');
  const replies = useHistories(shown.map((g) => g.gpu_uuid), range);
  if (pins.length === 0) return null;
  return (
    <Panel title="Compare" note={`${shown.length} of at most ${pinLimit}`} aside={<><Segments label="Time range" items={ranges} value={range} onChange={(r) => setRange(r as RangeId)} /><button type="button" className="quiet" onClick={clear}>Clear</button></>}>
      <ul className="pins">
        {shown.map((g, i) => <li key={g.gpu_uuid} className={`line-${i}`}><i aria-hidden="true" /><span className="mono">{g.gpu_id}</span><button type="button" className="ico small" aria-label={`Unpin ${g.gpu_id}`} onClick={() => toggle(pins.includes(g.gpu_uuid) ? g.gpu_uuid : g.gpu_id)}><Icon name="close" size={12} /></button></li>)}
      </ul>
      {replies === null ? <SkeletonRows rows={5} label="Loading histories" /> : replies.size === 0 ? <Empty><p>The server has no history of these GPUs.</p></Empty> : (
        <div className="charts three">{metrics.map((m) => <Multiple key={m.id} metric={m} gpus={shown} replies={replies} />)}</div>
      )}
    </Panel>
  );
}

function Multiple({ metric, gpus, replies }: { metric: (typeof metrics)[number]; gpus: readonly Gpu[]; replies: ReadonlyMap<string, MetricsReply> }) {
  const { times, lines } = useMemo(() => {
    const all = [...new Set([...replies.values()].flatMap((r) => r.time))].sort((a, b) => a - b);
    const at = new Map(all.map((t, i) => [t, i]));
    const made = gpus.flatMap((gpu, i): Line[] => {
      const reply = replies.get(gpu.gpu_uuid);
      const series = reply?.series[metric.id];
      if (!reply || !series) return [];
      const mean: (number | null)[] = Array<number | null>(all.length).fill(null);
      reply.time.forEach((t, k) => { const v = series.mean[k]; mean[at.get(t)!] = v == null ? null : v * metric.scale; });
      return [{ label: gpu.gpu_id, color: 'accent', number: i, mean }];
    });
    return { times: all, lines: made };
  }, [gpus, replies, metric]);
  return <TimeChart title={metric.title} unit={metric.unit} digits={metric.digits} times={times} lines={lines} low={metric.low} high={metric.high} heightPx={150} bridged quietKeys />;
}

function useHistories(uuids: readonly string[], range: RangeId): ReadonlyMap<string, MetricsReply> | null {
  const key = uuids.join(',');
  const [state, setState] = useState<{ key: string; replies: ReadonlyMap<string, MetricsReply> } | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    const spanMs = ranges.find((r) => r.id === range)!.ms;
    const ask = async (): Promise<void> => {
      const to = new Date();
      const from = new Date(to.getTime() - spanMs);
      const found = await Promise.all((key ? key.split(',') : []).map((gpu) => getJson<MetricsReply>(pageUrl('/metrics/query', { gpu, metrics: metrics.map((m) => m.id).join(','), from: from.toISOString(), to: to.toISOString(), step_s: String(Math.max(1, Math.round(spanMs / 1000 / points))) }), abort.signal).then((r) => [gpu, r] as const, () => null)));
      if (!abort.signal.aborted) setState({ key: `${key}/${range}`, replies: new Map(found.filter((f) => f !== null)) });
    };
    void ask();
    const timer = setInterval(() => void ask(), 10_000);
    return () => { abort.abort(); clearInterval(timer); };
  }, [key, range]);
  return state?.key === `${key}/${range}` ? state.replies : null;
}
