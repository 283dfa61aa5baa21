/** Chips of the waiting list (DASHBOARD.md §3). An unknown code gets "Other" with the record's own text. */
const chips: Record<string, readonly string[]> = {
  Fit: ['INSUFFICIENT_GPUS', 'INSUFFICIENT_VRAM', 'FRAGMENTATION', 'TOPOLOGY', 'FOREIGN_PROCESS', 'INFEASIBLE'],
  Turn: ['PRIORITY', 'RESERVATION', 'WAITING_PREEMPTION'],
  Quota: ['QUOTA', 'BUDGET_ENERGY', 'BUDGET_GPU_HOURS'],
  Power: ['POWER_BUDGET', 'THERMAL'],
  Carbon: ['CARBON_WINDOW'],
  After: ['DEPENDENCY', 'DEPENDENCY_NEVER', 'BEGIN_TIME'],
  Hold: ['HELD_BY_USER', 'HELD_BY_ADMIN'],
  Fault: ['GPU_QUARANTINED', 'NODE_DRAINED', 'NODE_STALE', 'RETRY_BACKOFF'],
  Soon: ['NOT_YET_EVALUATED', 'SCHEDULER_PAUSED'],
};
const chipOfCode = new Map(Object.entries(chips).flatMap(([chip, codes]) => codes.map((code) => [code, chip] as const)));

export const reasonChip = (code: string | null | undefined): string => (code && chipOfCode.get(code)) || 'Other';

const stateWords: Record<string, string> = {
  PENDING: 'waiting', HELD: 'on hold', ASSIGNED: 'starting', STARTING: 'starting', RUNNING: 'running', SUSPENDED: 'suspended',
  STOPPING: 'stopping', COMPLETING: 'finishing', COMPLETED: 'completed', FAILED: 'failed', CANCELLED: 'cancelled', TIMEOUT: 'timed out',
  OUT_OF_MEMORY: 'out of memory', PREEMPTED: 'preempted', NODE_FAIL: 'node failed', DEADLINE: 'missed its deadline',
  LAUNCH_FAILED: 'launch failed', LOST: 'lost',
};
export const stateWord = (state: string): string => stateWords[state] ?? state.toLowerCase().replace(/_/g, ' ');

export type JobGroup = 'waiting' | 'running' | 'finished';
const waiting = new Set(['PENDING', 'HELD']);
const running = new Set(['ASSIGNED', 'STARTING', 'RUNNING', 'SUSPENDED', 'STOPPING', 'COMPLETING']);
export const jobGroup = (state: string): JobGroup => (waiting.has(state) ? 'waiting' : running.has(state) ? 'running' : 'finished');
export const isFailure = (state: string): boolean => jobGroup(state) === 'finished' && state !== 'COMPLETED' && state !== 'CANCELLED';

/** The part of a reason that a row has room for: what is asked stands in its own column already. The whole text stays in the title. */
export function reasonShort(summary: string): string {
  const rest = /^It (?:needs|asks for) [^;]+; (.+)$/.exec(summary)?.[1];
  return rest ? rest.charAt(0).toUpperCase() + rest.slice(1) : summary;
}
