import type { Job } from '@/api/types';

/** Energy and carbon of jobs by a key. Null where no job of the key has a figure; those without one are counted. */
export interface Usage { key: string; jobs: number; unmeasured: number; energyJ: number | null; carbonG: number | null }

export function usageOf(jobs: readonly Job[], keyOf: (job: Job) => string): Usage[] {
  const all = new Map<string, Usage>();
  for (const job of jobs) {
    const key = keyOf(job);
    const usage = all.get(key) ?? { key, jobs: 0, unmeasured: 0, energyJ: null, carbonG: null };
    usage.jobs += 1;
    if (job.energy_j === null || job.energy_j === undefined) usage.unmeasured += 1;
    else usage.energyJ = (usage.energyJ ?? 0) + job.energy_j;
    if (job.carbon_g !== null && job.carbon_g !== undefined) usage.carbonG = (usage.carbonG ?? 0) + job.carbon_g;
    all.set(key, usage);
  }
  return [...all.values()].sort((a, b) => (b.energyJ ?? -1) - (a.energyJ ?? -1) || a.key.localeCompare(b.key));
}
