import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { StreamClient, type Socket } from '@/lib/stream';
import { Store } from '@/lib/store';

const example = JSON.parse(readFileSync('../schema/examples/columns_v1.json', 'utf8')) as { full: string; delta: string };
const bytes = (hex: string): ArrayBuffer => Uint8Array.from(hex.match(/../g)!, (h) => parseInt(h, 16)).buffer;
const gpu = (i: number, state = 'busy') => ({ gpu_uuid: `GPU-${i}`, gpu_id: `n1-${i}`, node: 'n1', gpu_index: i, state, memory_total_mb: 100_000, jobs: [], power_limit_w: 700 });

let sent: { type: string; [k: string]: unknown }[];
let socket: Socket;
let store: Store;
let client: StreamClient;
const say = (message: object): void => socket.onmessage!({ data: JSON.stringify(message) });
const frame = (hex: string): void => socket.onmessage!({ data: bytes(hex) });
const snapshot = (seq = 5, inventory = 1): void => say({ type: 'snapshot', topic: 'gpus', seq, inventory, items: [gpu(0), gpu(1), gpu(2)] });
const busy = (): (number | null | undefined)[] => [...store.getState().gpus.values()].map((g) => g.sample?.utilization_gpu);

beforeEach(() => {
  sent = [];
  store = new Store();
  client = new StreamClient({
    connect: () => { socket = { send: (t: string) => { sent.push(JSON.parse(t)); }, close() {}, onopen: null, onmessage: null, onclose: null, onerror: null }; return socket; },
    now: () => 0, random: () => 1, setTimer: () => 1, clearTimer: () => {},
  }, store);
  client.start();
  socket.onopen!();
  say({ type: 'welcome', stream: 's', seq: 1, epoch: 7, interval_ms: 1000, resumed: false });
});

describe('readings as columns', () => {
  it('are asked for first, with JSON as the other choice', () => {
    expect(sent[0]).toMatchObject({ encodings: ['columns-v1', 'json'], rate_hz: 1 });
    expect((socket as { binaryType?: string }).binaryType).toBe('arraybuffer');
  });

  it('become part of the GPUs of a small fleet', () => {
    snapshot();
    expect(busy()).toEqual([undefined, undefined, undefined]);
    frame(example.full);
    expect(busy()).toEqual([97, undefined, 3]);
    frame(example.delta);
    expect(busy()).toEqual([97, undefined, 88]);
    expect(store.getState().gpus.get('GPU-2')!.sample!.power_draw_w).toBe(540);
    expect(store.ring('GPU-2', 'utilization_gpu')!.toArray().slice(-2)).toEqual([3, 88]);
    expect(sent.filter((m) => m.type === 'resync')).toEqual([]);
  });

  it('a delta without its frame before asks for a resync once and shows nothing mixed', () => {
    snapshot();
    frame(example.delta);
    frame(example.delta);
    expect(sent.filter((m) => m.type === 'resync')).toEqual([{ type: 'resync', topic: 'gpus' }]);
    snapshot(20);
    frame(example.full);
    expect(busy()).toEqual([97, undefined, 3]);
  });

  it('frames of another epoch or another order of slots are never written', () => {
    snapshot(5, 2);
    frame(example.full);
    expect(busy()).toEqual([undefined, undefined, undefined]);
    expect(sent.filter((m) => m.type === 'resync')).toHaveLength(1);
  });

  it('a repeated frame changes nothing and asks for nothing', () => {
    snapshot();
    frame(example.full);
    frame(example.delta);
    frame(example.delta);
    expect(busy()).toEqual([97, undefined, 88]);
    expect(sent.filter((m) => m.type === 'resync')).toEqual([]);
  });

  it('a change of state arrives between frames', () => {
    snapshot();
    frame(example.full);
    say({ type: 'delta', topic: 'gpus', prev: 5, seq: 11, upsert: [gpu(1, 'lost')], remove: [] });
    expect(store.getState().gpus.get('GPU-1')!.state).toBe('lost');
    expect(busy()[0]).toBe(97);
  });

  it('a state this page does not know is shown by its own name', () => {
    snapshot();
    say({ type: 'delta', topic: 'gpus', prev: 5, seq: 6, upsert: [gpu(1, 'resetting')], remove: [] });
    frame(example.full.replace(/.{8}$/, '02ff0100'));
    expect(store.getState().gpus.get('GPU-1')!.state).toBe('resetting');
  });

  it('readings inside the objects go on working where a server gives no columns', () => {
    say({ type: 'snapshot', topic: 'gpus', seq: 5, items: [{ ...gpu(0), sample: { time: '2026-01-01T00:00:00Z', utilization_gpu: 12 } }] });
    expect(busy()).toEqual([12]);
    expect(store.readingColumns()).toBeNull();
  });

  it('a hidden page asks for fewer readings and says so again when it connects again', () => {
    client.setHidden(true);
    expect(sent.at(-1)).toEqual({ type: 'subscribe', topics: [], rate_hz: 0.1 });
    client.setHidden(false);
    expect(sent.at(-1)).toMatchObject({ rate_hz: 1 });
  });
});
