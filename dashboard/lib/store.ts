import type { Alert, Fleet, FleetNode, Gpu, GpuSample, Job } from '@/api/types';
import { readingAt, stateCode, stateNames, none8, type Columns } from './columns';
import { sameItems, waitingInOrder } from './queue';
import { Ring } from './ring';
import type { LogMessage, StreamEvents, Welcome } from './stream';
import type { Topic, TopicItems, TopicState } from './topics';

/** Everything the pages show from the stream. `State` is replaced, never changed, so selectors may compare by identity. */
export type Link = 'connecting' | 'live' | 'stale' | 'offline';
export interface State {
  link: Link;
  /** Browser time in ms of the last frame, null before the first. */
  heardAt: number | null;
  /** Browser time in ms since when the link is down. */
  offlineSince: number | null;
  intervalMs: number;
  /** Server time minus browser time, ms. */
  clockOffsetMs: number;
  serverVersion: string | null;
  fleet: Fleet | null;
  nodes: ReadonlyMap<string, FleetNode>;
  gpus: ReadonlyMap<string, Gpu>;
  jobs: ReadonlyMap<string, Job>;
  /** Those that wait, in the order of the queue; the same list while none of them changes, whatever running jobs do. */
  waiting: readonly Job[];
  alerts: ReadonlyMap<string, Alert>;
  /** Topics whose first snapshot has come. */
  loaded: Readonly<Record<Topic, boolean>>;
  /** Grows whenever the rings got a value, so that sparklines know when to redraw. */
  tick: number;
}

export const gpuMetrics = ['utilization_gpu', 'memory_used_mb', 'temperature_c', 'power_draw_w'] as const;
export type GpuMetric = (typeof gpuMetrics)[number];

export const ringSamples = 900;
/** Above this many GPUs no cell has a sparkline and no ring is kept. */
export const ringGpuLimit = 512;
/** Ticks without a frame before numbers count as old. */
const staleTicks = 3;

export const emptyState: State = {
  link: 'connecting', heardAt: null, offlineSince: null, intervalMs: 1000, clockOffsetMs: 0, serverVersion: null, fleet: null,
  nodes: new Map(), gpus: new Map(), jobs: new Map(), waiting: [], alerts: new Map(),
  loaded: { fleet: false, nodes: false, gpus: false, jobs: false, alerts: false }, tick: 0,
};

export class Store implements StreamEvents {
  private state: State;
  private readonly listeners = new Set<() => void>();
  private readonly rings = new Map<string, Record<GpuMetric, Ring>>();
  private readonly sampleTimes = new Map<string, string>();
  private readonly logListeners = new Set<(message: LogMessage) => void>();
  private readonly readingListeners = new Set<() => void>();
  private pending = false;
  private columns: Columns | null = null;
  /** GPUs as the stream gave them, without readings, while columns carry those. */
  private bare: ReadonlyMap<string, Gpu> = new Map();

  /** `schedule` runs the notification; the browser gives one that fires once per frame, tests run it at once. */
  constructor(private readonly schedule: (run: () => void) => void = (run) => run(), initial: Partial<State> = {}) {
    this.state = { ...emptyState, ...initial };
    if (initial.jobs && !initial.waiting) this.state = { ...this.state, waiting: waitingInOrder([...initial.jobs.values()]) };
  }

  readonly getState = (): State => this.state;
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  onLog(listener: (message: LogMessage) => void): () => void {
    this.logListeners.add(listener);
    return () => this.logListeners.delete(listener);
  }

  /** Called after each frame of readings, outside React: canvases draw from the columns. */
  onReadings(listener: () => void): () => void {
    this.readingListeners.add(listener);
    return () => this.readingListeners.delete(listener);
  }
  /** Readings by slot; null while they come inside the objects. */
  readingColumns(): Columns | null {
    return this.columns;
  }
  /** Latest reading of a GPU, null without one. */
  sampleOf(gpu: Gpu): GpuSample | null {
    return gpu.sample ?? (this.columns ? this.sampleAt(gpu, this.columns) : null);
  }

  ring(gpuUuid: string, metric: GpuMetric): Ring | null {
    return this.rings.get(gpuUuid)?.[metric] ?? null;
  }

  topic<T extends Topic>(topic: T, topicState: TopicState<TopicItems[T]>): void {
    const loaded = this.state.loaded[topic] ? this.state.loaded : { ...this.state.loaded, [topic]: true };
    if (topic === 'fleet') {
      this.set({ fleet: (topicState.items.get('fleet') as Fleet | undefined) ?? null, loaded });
      return;
    }
    if (topic === 'gpus' && this.columns) {
      this.adoptBare(topicState.items as ReadonlyMap<string, Gpu>, loaded);
      return;
    }
    if (topic === 'jobs') {
      const jobs = topicState.items as ReadonlyMap<string, Job>;
      const waiting = waitingInOrder([...jobs.values()]);
      this.set({ jobs, waiting: sameItems(waiting, this.state.waiting) ? this.state.waiting : waiting, loaded });
      return;
    }
    if (topic === 'gpus') this.record(topicState.items as ReadonlyMap<string, Gpu>);
    this.set({ [topic]: topicState.items, loaded, tick: this.state.tick + (topic === 'gpus' ? 1 : 0) } as Partial<State>);
  }

  hole(topic: Topic): void {
    if (topic !== 'gpus') return;
    for (const rings of this.rings.values()) for (const metric of gpuMetrics) rings[metric].push(null);
  }

  slots(columns: Columns | null): void {
    this.columns = columns;
    this.bare = new Map();
  }

  readings(): void {
    const columns = this.columns;
    if (!columns) return;
    if (columns.size <= ringGpuLimit) {
      // Small fleets: readings become part of the objects, which every view reads.
      const gpus = this.withSamples(columns);
      this.record(gpus);
      this.set({ gpus, tick: this.state.tick + 1 });
    } else {
      this.set({ tick: this.state.tick + 1 });
    }
    for (const listener of this.readingListeners) listener();
  }

  private adoptBare(items: ReadonlyMap<string, Gpu>, loaded: State['loaded']): void {
    const columns = this.columns!;
    for (const [uuid, gpu] of items) {
      if (this.bare.get(uuid) === gpu) continue;
      const slot = columns.slotOf(uuid);
      if (slot !== null) columns.state[slot] = stateCode(gpu.state);
    }
    this.bare = items;
    const small = columns.size <= ringGpuLimit && columns.seq > 0;
    this.set({ gpus: small ? this.withSamples(columns) : items, loaded, tick: this.state.tick + 1 });
    for (const listener of this.readingListeners) listener();
  }

  private withSamples(columns: Columns): Map<string, Gpu> {
    const gpus = new Map<string, Gpu>();
    for (const [uuid, gpu] of this.bare) {
      const slot = columns.slotOf(uuid);
      const code = slot === null ? none8 : columns.state[slot]!;
      gpus.set(uuid, { ...gpu, state: stateNames[code] ?? gpu.state, sample: this.sampleAt(gpu, columns) });
    }
    return gpus;
  }

  private sampleAt(gpu: Gpu, columns: Columns): GpuSample | null {
    const slot = columns.slotOf(gpu.gpu_uuid);
    if (slot === null || columns.seq === 0) return null;
    const read = (metric: Parameters<typeof readingAt>[1]): number | null => {
      const value = readingAt(columns, metric, slot, gpu.memory_total_mb);
      return value === value ? Math.round(value) : null;
    };
    const sample: GpuSample = {
      time: new Date(columns.timeMs).toISOString(), utilization_gpu: read('utilization_gpu'), memory_used_mb: read('memory_used_mb'),
      temperature_c: read('temperature_c'), power_draw_w: read('power_draw_w'), clock_sm_mhz: read('clock_sm_mhz'),
    };
    const empty = sample.utilization_gpu === null && sample.memory_used_mb === null && sample.temperature_c === null && sample.power_draw_w === null;
    return empty ? null : sample;
  }

  welcome(message: Welcome): void {
    const server = message.server_time ? Date.parse(message.server_time) : NaN;
    this.set({
      link: 'live', offlineSince: null, intervalMs: message.interval_ms ?? 1000, serverVersion: message.version ?? this.state.serverVersion,
      clockOffsetMs: Number.isNaN(server) || this.state.heardAt === null ? 0 : server - this.state.heardAt,
    });
  }

  heard(now: number): void {
    const back = this.state.link === 'stale';
    this.state = { ...this.state, heardAt: now, link: back ? 'live' : this.state.link };
    if (back) this.notify();
  }

  down(now: number): void {
    this.set({ link: 'offline', offlineSince: this.state.offlineSince ?? now });
  }

  log(message: LogMessage): void {
    for (const listener of this.logListeners) listener(message);
  }

  /** Called about once a second: a link that is open but silent turns stale. */
  checkAge(now: number): void {
    const { link, heardAt, intervalMs } = this.state;
    if (link === 'live' && heardAt !== null && now - heardAt > staleTicks * intervalMs) this.set({ link: 'stale' });
  }

  /** Puts older samples in front of what the stream has brought: the history of one GPU from the server. */
  backfill(gpuUuid: string, series: Partial<Record<GpuMetric, readonly (number | null)[]>>): void {
    const rings = this.rings.get(gpuUuid);
    if (!rings) return;
    for (const metric of gpuMetrics) {
      const older = series[metric];
      if (!older) continue;
      const live = rings[metric].toArray();
      rings[metric].clear();
      for (const value of older) rings[metric].push(value);
      for (const value of live) rings[metric].push(value);
    }
    this.set({ tick: this.state.tick + 1 });
  }

  private record(gpus: ReadonlyMap<string, Gpu>): void {
    if (gpus.size > ringGpuLimit) {
      this.rings.clear();
      return;
    }
    for (const uuid of this.rings.keys()) if (!gpus.has(uuid)) this.rings.delete(uuid);
    for (const gpu of gpus.values()) {
      const time = gpu.sample?.time ?? '';
      if (this.sampleTimes.get(gpu.gpu_uuid) === time) continue;
      this.sampleTimes.set(gpu.gpu_uuid, time);
      let rings = this.rings.get(gpu.gpu_uuid);
      if (!rings) {
        rings = Object.fromEntries(gpuMetrics.map((m) => [m, new Ring(ringSamples)])) as Record<GpuMetric, Ring>;
        this.rings.set(gpu.gpu_uuid, rings);
      }
      for (const metric of gpuMetrics) rings[metric].push(gpu.sample?.[metric]);
    }
  }

  private set(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
    this.notify();
  }

  private notify(): void {
    if (this.pending) return;
    this.pending = true;
    this.schedule(() => {
      this.pending = false;
      for (const listener of this.listeners) listener();
    });
  }
}
