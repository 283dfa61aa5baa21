import type { Alert, Fleet, FleetNode, Gpu, Job } from '@/api/types';

/** Topics of the stream that hold objects by id, and how each object names itself. */
export interface TopicItems { fleet: Fleet; nodes: FleetNode; gpus: Gpu; jobs: Job; alerts: Alert }
export type Topic = keyof TopicItems;
export const topics: readonly Topic[] = ['fleet', 'nodes', 'gpus', 'jobs', 'alerts'];

const idOf: { [T in Topic]: (item: TopicItems[T]) => string } = {
  fleet: () => 'fleet',
  nodes: (n) => n.node,
  gpus: (g) => g.gpu_uuid,
  jobs: (j) => j.job_id,
  alerts: (a) => a.alert_id,
};

/** One topic as of `seq`; null before its first snapshot and after a hole. Values are never changed in place. */
export interface TopicState<T> { seq: number; items: ReadonlyMap<string, T> }

export interface SnapshotMessage { type: 'snapshot'; topic: Topic; seq: number; items: unknown[]; part?: number; of?: number; inventory?: number }
export interface DeltaMessage { type: 'delta'; topic: Topic; prev: number; seq: number; upsert?: unknown[]; remove?: string[] }

export const isTopic = (name: unknown): name is Topic => typeof name === 'string' && (topics as readonly string[]).includes(name);

export function fromSnapshot<T extends Topic>(topic: T, seq: number, items: readonly unknown[]): TopicState<TopicItems[T]> {
  const map = new Map<string, TopicItems[T]>();
  for (const item of items as TopicItems[T][]) map.set(idOf[topic](item), item);
  return { seq, items: map };
}

/** The topic after `delta`, the same object when the delta is already in it, or 'resync' when it builds on a state that is not held. */
export function applyDelta<T extends Topic>(
  topic: T,
  state: TopicState<TopicItems[T]> | null,
  delta: DeltaMessage,
): TopicState<TopicItems[T]> | 'resync' {
  if (!state) return 'resync';
  if (delta.seq <= state.seq) return state;
  if (delta.prev !== state.seq) return 'resync';
  const items = new Map(state.items);
  for (const id of delta.remove ?? []) items.delete(id);
  for (const item of (delta.upsert ?? []) as TopicItems[T][]) {
    const id = idOf[topic](item);
    items.set(id, topic === 'fleet' ? keepHistory(items.get(id) as Fleet | undefined, item as Fleet) as TopicItems[T] : item);
  }
  return { seq: delta.seq, items };
}

/** Deltas of the fleet leave the history out; the one from the snapshot stays. */
function keepHistory(old: Fleet | undefined, next: Fleet): Fleet {
  return next.history || !old?.history ? next : { ...next, history: old.history };
}
