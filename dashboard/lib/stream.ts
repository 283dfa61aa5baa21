import { Columns } from './columns';
import { decodeFrame } from './frames';
import { applyDelta, fromSnapshot, isTopic, topics, type DeltaMessage, type SnapshotMessage, type Topic, type TopicItems, type TopicState } from './topics';

/** Client of /api/v1/stream: hello, welcome, snapshots and deltas, gaps, resync, resume, and reconnecting with back-off. */
export interface Socket {
  binaryType?: string;
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
  onerror: (() => void) | null;
}

export interface Welcome { stream: string; seq: number; epoch?: number; interval_ms?: number; server_time?: string; version?: string; resumed?: boolean }
export interface LogMessage { type: 'log'; job: string; stream_name: 'stdout' | 'stderr'; offset: number; data_b64: string; complete?: boolean }

export interface StreamEvents {
  topic<T extends Topic>(topic: T, state: TopicState<TopicItems[T]>, how: 'snapshot' | 'delta'): void;
  hole(topic: Topic): void;
  /** New slots for readings, all without a reading yet; null when readings come inside the objects. */
  slots(columns: Columns | null): void;
  /** A frame was written into the columns of the last `slots`. */
  readings(): void;
  welcome(message: Welcome): void;
  log(message: LogMessage): void;
  /** A frame of any kind came; `now` is the browser's clock in ms. */
  heard(now: number): void;
  down(now: number, retryInMs: number): void;
}

export interface StreamPorts {
  connect(): Socket;
  now(): number;
  random(): number;
  setTimer(run: () => void, ms: number): number;
  clearTimer(id: number): void;
}

export const firstRetryMs = 500;
export const lastRetryMs = 15_000;
/** No frame for this long counts as lost. */
export const silenceMs = 12_000;
/** Readings a second while the page is seen, and while it is hidden. */
export const shownRateHz = 1;
export const hiddenRateHz = 0.1;

/** Delay before attempt `n` (0 first): doubling, capped, spread over its upper half so that many browsers don't return at once. */
export function retryDelayMs(attempt: number, random: number): number {
  const full = Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(attempt, 10));
  return Math.round(full / 2 + (full / 2) * random);
}

export class StreamClient {
  private socket: Socket | null = null;
  private attempt = 0;
  private retryTimer: number | null = null;
  private silenceTimer: number | null = null;
  private stopped = true;
  private byeRetryMs: number | null = null;
  private stream: string | null = null;
  private lastSeq = 0;
  private epoch: number | null = null;
  private columns: Columns | null = null;
  private rateHz = shownRateHz;
  private readonly states = new Map<Topic, TopicState<never>>();
  private readonly parts = new Map<Topic, unknown[]>();
  private readonly awaiting = new Set<Topic>();
  private readonly extra = new Map<string, number>();

  constructor(private readonly ports: StreamPorts, private readonly events: StreamEvents) {}

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.open();
  }

  stop(): void {
    this.stopped = true;
    this.clearTimers();
    this.dropSocket();
  }

  /** Connects now instead of waiting for the next try; does nothing while connected. */
  retryNow(): void {
    if (this.stopped || this.socket) return;
    this.clearTimers();
    this.open();
  }

  /** A hidden page asks for readings every 10 s only; on return the next frame holds all of them. */
  setHidden(hidden: boolean): void {
    this.rateHz = hidden ? hiddenRateHz : shownRateHz;
    this.send({ type: 'subscribe', topics: [], rate_hz: this.rateHz });
  }

  /** Subscriptions are counted: a topic is left when its last user leaves. They survive a reconnect. */
  subscribe(topic: string): () => void {
    const users = this.extra.get(topic) ?? 0;
    this.extra.set(topic, users + 1);
    if (users === 0) this.send({ type: 'subscribe', topics: [topic] });
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const rest = (this.extra.get(topic) ?? 1) - 1;
      if (rest > 0) {
        this.extra.set(topic, rest);
        return;
      }
      this.extra.delete(topic);
      this.send({ type: 'unsubscribe', topics: [topic] });
    };
  }

  private open(): void {
    const socket = this.ports.connect();
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    socket.onopen = () => {
      if (this.socket !== socket) return;
      const resume = this.stream ? { stream: this.stream, seq: this.lastSeq } : null;
      this.send({ type: 'hello', proto: 1, topics: [...topics], encodings: ['columns-v1', 'json'], rate_hz: this.rateHz, resume });
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      if (typeof event.data === 'string') this.receive(event.data);
      else if (event.data instanceof ArrayBuffer) this.receiveFrame(event.data);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.lost();
    };
    socket.onerror = null;
    this.watchSilence();
  }

  private lost(): void {
    this.dropSocket();
    if (this.silenceTimer !== null) this.ports.clearTimer(this.silenceTimer);
    if (this.stopped) return;
    const delay = this.byeRetryMs ?? retryDelayMs(this.attempt, this.ports.random());
    this.byeRetryMs = null;
    this.attempt += 1;
    this.events.down(this.ports.now(), delay);
    this.retryTimer = this.ports.setTimer(() => {
      this.retryTimer = null;
      this.open();
    }, delay);
  }

  private dropSocket(): void {
    const socket = this.socket;
    this.socket = null;
    this.parts.clear();
    this.awaiting.clear();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }

  private clearTimers(): void {
    if (this.retryTimer !== null) this.ports.clearTimer(this.retryTimer);
    if (this.silenceTimer !== null) this.ports.clearTimer(this.silenceTimer);
    this.retryTimer = this.silenceTimer = null;
  }

  private watchSilence(): void {
    if (this.silenceTimer !== null) this.ports.clearTimer(this.silenceTimer);
    this.silenceTimer = this.ports.setTimer(() => {
      this.silenceTimer = null;
      this.lost();
    }, silenceMs);
  }

  private send(message: object): void {
    try {
      this.socket?.send(JSON.stringify(message));
    } catch {
      // Not open yet: hello carries the topics, and subscriptions are sent again after welcome.
    }
  }

  private receive(text: string): void {
    this.watchSilence();
    this.events.heard(this.ports.now());
    let message: { type?: unknown; topic?: unknown };
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    switch (message.type) {
      case 'welcome': return this.onWelcome(message as unknown as Welcome);
      case 'snapshot': return isTopic(message.topic) ? this.onSnapshot(message as unknown as SnapshotMessage) : undefined;
      case 'delta': return isTopic(message.topic) ? this.onDelta(message as unknown as DeltaMessage) : undefined;
      case 'gap': return isTopic(message.topic) ? this.onGap(message.topic) : undefined;
      case 'log': return this.events.log(message as unknown as LogMessage);
      case 'bye': {
        const wait = (message as { retry_after_ms?: unknown }).retry_after_ms;
        this.byeRetryMs = typeof wait === 'number' && wait >= 0 ? wait : null;
        return;
      }
    }
  }

  private receiveFrame(buffer: ArrayBuffer): void {
    this.watchSilence();
    this.events.heard(this.ports.now());
    // Between a gap and its snapshot there are no slots to write to.
    if (this.awaiting.has('gpus')) return;
    const frame = decodeFrame(buffer);
    if (frame && frame.kind === 'delta' && this.columns && frame.seq <= this.columns.seq) return;
    if (!frame || frame.epoch !== this.epoch || !this.columns?.apply(frame)) return this.resync('gpus');
    this.lastSeq = Math.max(this.lastSeq, frame.seq);
    this.events.readings();
  }

  private onWelcome(message: Welcome): void {
    this.attempt = 0;
    this.epoch = message.epoch ?? null;
    if (!message.resumed) {
      // Nothing held may be continued: deltas before the new snapshot would build on another stream.
      this.states.clear();
      for (const topic of topics) this.awaiting.add(topic);
    }
    this.stream = message.stream;
    if (!message.resumed) this.lastSeq = message.seq;
    this.events.welcome(message);
    if (this.extra.size > 0) this.send({ type: 'subscribe', topics: [...this.extra.keys()] });
  }

  private onSnapshot(message: SnapshotMessage): void {
    const { topic } = message;
    const items = [...(message.part && message.part > 1 ? this.parts.get(topic) ?? [] : []), ...message.items];
    if (message.part && message.of && message.part < message.of) {
      this.parts.set(topic, items);
      return;
    }
    this.parts.delete(topic);
    this.awaiting.delete(topic);
    const state = fromSnapshot(topic, message.seq, items);
    if (topic === 'gpus') {
      this.columns = message.inventory === undefined ? null : new Columns(message.inventory, [...state.items.keys()]);
      this.events.slots(this.columns);
    }
    this.commit(topic, state, 'snapshot');
  }

  private onDelta(message: DeltaMessage): void {
    const { topic } = message;
    if (this.awaiting.has(topic)) return;
    const before = (this.states.get(topic) ?? null) as TopicState<never> | null;
    const after = applyDelta(topic, before, message);
    if (after === 'resync') return this.resync(topic);
    if (after !== before) this.commit(topic, after, 'delta');
  }

  private onGap(topic: Topic): void {
    this.states.delete(topic);
    this.awaiting.add(topic);
    this.events.hole(topic);
  }

  private resync(topic: Topic): void {
    this.onGap(topic);
    this.send({ type: 'resync', topic });
  }

  private commit<T extends Topic>(topic: T, state: TopicState<TopicItems[T]>, how: 'snapshot' | 'delta'): void {
    this.states.set(topic, state as unknown as TopicState<never>);
    this.lastSeq = Math.max(this.lastSeq, state.seq);
    this.events.topic(topic, state, how);
  }
}
