import type { Attempt, Gpu, Job } from '@/api/types';
import { parseTime } from './format';
import { byNode } from './gpu';
import { isFailure } from './reasons';

/** Rows of the timeline and what lies on them: one bar per attempt, from its start to its end. */
export interface Lane { id: string; label: string; node: string; first: boolean }
export interface Bar {
  key: string; jobId: string; number: number; name: string; user: string | null; attempt: number; state: string; failed: boolean;
  /** ms since 1970; `to` is null while it runs. */
  from: number; to: number | null;
  /** Ids of the rows it lies on: GPU ids, or the node. */
  lanes: string[];
}
export interface PlannedStart { job: Job; p10: number | null; p50: number; p90: number; bound: boolean }

export function lanesOf(gpus: Iterable<Gpu>, by: 'gpu' | 'node'): Lane[] {
  const nodes = byNode(gpus);
  if (by === 'node') return [...nodes.keys()].map((node) => ({ id: node, label: node, node, first: true }));
  return [...nodes].flatMap(([node, list]) => list.map((g, i) => ({ id: g.gpu_id, label: i === 0 ? `${node} · ${g.gpu_index}` : String(g.gpu_index), node, first: i === 0 })));
}

/** Attempts that started. The last one is the job's own; earlier ones come from the list of attempts. */
export function barsOf(jobs: readonly Job[], attempts: ReadonlyMap<string, readonly Attempt[]>, by: 'gpu' | 'node'): Bar[] {
  const bars: Bar[] = [];
  for (const job of jobs) {
    const add = (attempt: number, state: string, startedAt: string | null, endedAt: string | null, node: string | null, gpuIds: readonly string[]): void => {
      const from = parseTime(startedAt);
      if (from === null) return;
      const to = parseTime(endedAt);
      bars.push({
        key: `${job.job_id}/${attempt}`, jobId: job.job_id, number: job.number, name: job.name, user: job.user, attempt, state, failed: isFailure(state),
        from, to: to === null ? null : Math.max(to, from), lanes: by === 'node' ? (node ? [node] : []) : [...gpuIds],
      });
    };
    const earlier = attempts.get(job.job_id)?.filter((a) => a.attempt !== job.attempt) ?? [];
    for (const a of earlier) add(a.attempt, a.state, a.started_at, a.ended_at, a.node, a.gpu_ids);
    add(job.attempt, job.state, job.started_at, job.ended_at, job.node, job.gpu_ids);
  }
  return bars;
}

/** Full steps that give at most `most` marks on an axis. */
const steps = [60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800].map((s) => s * 1000);
export function axisTicks(from: number, to: number, most: number, offsetMs: number): number[] {
  const step = steps.find((s) => (to - from) / s <= most) ?? steps[steps.length - 1]!;
  const out: number[] = [];
  for (let t = Math.ceil((from - offsetMs) / step) * step + offsetMs; t <= to; t += step) out.push(t);
  return out;
}
