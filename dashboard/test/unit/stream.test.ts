import { beforeEach, describe, expect, it } from 'vitest';
import { lastRetryMs, retryDelayMs, silenceMs, StreamClient, type Socket } from '@/lib/stream';
import { Store } from '@/lib/store';
import { applyDelta, fromSnapshot, type DeltaMessage } from '@/lib/topics';

type Timer = { at: number; run: () => void };

/** A browser with its own clock: sockets are opened and fed by hand. */
class Bench {
  now = 0;
  sockets: (Socket & { sent: { type: string; [k: string]: unknown }[]; closed: boolean })[] = [];
  timers = new Map<number, Timer>();
  private ids = 0;
  store = new Store();
  client = new StreamClient(
    {
      connect: () => {
        const socket = { sent: [] as never[], closed: false, onopen: null, onmessage: null, onclose: null, onerror: null, send(text: string) { (this.sent as unknown[]).push(JSON.parse(text)); }, close() { this.closed = true; } };
        this.sockets.push(socket as never);
        return socket as unknown as Socket;
      },
      now: () => this.now, random: () => 1,
      setTimer: (run, ms) => { this.timers.set(++this.ids, { at: this.now + ms, run }); return this.ids; },
      clearTimer: (id) => { this.timers.delete(id); },
    },
    this.store,
  );
  get socket() { return this.sockets[this.sockets.length - 1]!; }
  open() { this.socket.onopen?.(); }
  say(message: object) { this.socket.onmessage?.({ data: JSON.stringify(message) }); }
  drop() { this.socket.onclose?.(); }
  advance(ms: number) {
    this.now += ms;
    for (const [id, t] of [...this.timers]) if (t.at <= this.now) { this.timers.delete(id); t.run(); }
  }
  welcome(stream = 's1', seq = 1, resumed = false) { this.open(); this.say({ type: 'welcome', stream, seq, interval_ms: 1000, version: '0.1.0', resumed }); }
}

const node = (name: string, power = 0) => ({ node: name, power_draw_w: power });
let b: Bench;
beforeEach(() => { b = new Bench(); b.client.start(); });

describe('StreamClient', () => {
  it('says hello with every topic and no resume at first', () => {
    b.open();
    expect(b.socket.sent[0]).toMatchObject({ type: 'hello', proto: 1, topics: ['fleet', 'nodes', 'gpus', 'jobs', 'alerts'], resume: null });
  });

  it('shows a snapshot and what deltas add, change and remove', () => {
    b.welcome();
    b.say({ type: 'snapshot', topic: 'nodes', seq: 1, items: [node('a'), node('b')] });
    b.say({ type: 'delta', topic: 'nodes', prev: 1, seq: 4, upsert: [node('a', 9), node('c')], remove: ['b'] });
    expect([...b.store.getState().nodes.values()]).toEqual([node('a', 9), node('c')]);
  });

  it('asks for a resync when a delta builds on a state it does not hold, and keeps what it shows until the snapshot', () => {
    b.welcome();
    b.say({ type: 'snapshot', topic: 'nodes', seq: 1, items: [node('a')] });
    b.say({ type: 'delta', topic: 'nodes', prev: 3, seq: 4, upsert: [node('x')] });
    expect(b.socket.sent.filter((m) => m.type === 'resync')).toEqual([{ type: 'resync', topic: 'nodes' }]);
    b.say({ type: 'delta', topic: 'nodes', prev: 4, seq: 5, upsert: [node('y')] });
    expect(b.socket.sent.filter((m) => m.type === 'resync')).toHaveLength(1);
    expect([...b.store.getState().nodes.keys()]).toEqual(['a']);
    b.say({ type: 'snapshot', topic: 'nodes', seq: 6, items: [node('z')] });
    expect([...b.store.getState().nodes.keys()]).toEqual(['z']);
  });

  it('refuses deltas between a gap and the snapshot that follows it', () => {
    b.welcome();
    b.say({ type: 'snapshot', topic: 'nodes', seq: 1, items: [node('a')] });
    b.say({ type: 'gap', topic: 'nodes', from: 1, to: 9, reason: 'slow_client' });
    b.say({ type: 'delta', topic: 'nodes', prev: 1, seq: 2, upsert: [node('x')] });
    b.say({ type: 'snapshot', topic: 'nodes', seq: 9, items: [node('q')] });
    expect([...b.store.getState().nodes.keys()]).toEqual(['q']);
    expect(b.socket.sent.some((m) => m.type === 'resync')).toBe(false);
  });

  it('resumes with the last stream and seq, and goes on when the server resumes', () => {
    b.welcome();
    b.say({ type: 'snapshot', topic: 'nodes', seq: 7, items: [node('a')] });
    b.drop();
    expect(b.store.getState().link).toBe('offline');
    b.advance(500);
    b.open();
    expect(b.socket.sent[0]).toMatchObject({ resume: { stream: 's1', seq: 7 } });
    b.say({ type: 'welcome', stream: 's1', seq: 9, resumed: true });
    b.say({ type: 'delta', topic: 'nodes', prev: 7, seq: 9, upsert: [node('b')] });
    expect([...b.store.getState().nodes.keys()]).toEqual(['a', 'b']);
    expect(b.store.getState().link).toBe('live');
  });

  it('starts over when another stream answers', () => {
    b.welcome();
    b.say({ type: 'snapshot', topic: 'nodes', seq: 7, items: [node('a')] });
    b.drop();
    b.advance(500);
    b.welcome('s2', 1);
    b.say({ type: 'delta', topic: 'nodes', prev: 7, seq: 8, upsert: [node('ghost')] });
    b.say({ type: 'snapshot', topic: 'nodes', seq: 2, items: [node('n')] });
    expect([...b.store.getState().nodes.keys()]).toEqual(['n']);
  });

  it('waits longer after each failure, up to 15 s, and starts small after a welcome', () => {
    expect([0, 1, 2, 9].map((n) => retryDelayMs(n, 1))).toEqual([500, 1000, 2000, lastRetryMs]);
    expect(retryDelayMs(0, 0)).toBe(250);
    for (let n = 0; n < 3; n++) { b.drop(); b.advance(lastRetryMs); }
    expect(b.sockets).toHaveLength(4);
    b.welcome();
    b.drop();
    b.advance(499);
    expect(b.sockets).toHaveLength(4);
    b.advance(1);
    expect(b.sockets).toHaveLength(5);
  });

  it('obeys the pause a leaving server asks for', () => {
    b.welcome();
    b.say({ type: 'bye', retry_after_ms: 4000 });
    b.drop();
    b.advance(3999);
    expect(b.sockets).toHaveLength(1);
    b.advance(1);
    expect(b.sockets).toHaveLength(2);
  });

  it('counts silence as lost', () => {
    b.welcome();
    b.advance(silenceMs - 1);
    b.say({ type: 'noise' });
    b.advance(silenceMs - 1);
    expect(b.socket.closed).toBe(false);
    b.advance(1);
    expect(b.sockets[0]!.closed).toBe(true);
    expect(b.store.getState().link).toBe('offline');
  });

  it('subscribes again after a reconnect and leaves with the last user', () => {
    b.welcome();
    const leaveA = b.client.subscribe('job.1.log');
    const leaveB = b.client.subscribe('job.1.log');
    b.drop();
    b.advance(500);
    b.welcome('s1', 1, true);
    expect(b.socket.sent.filter((m) => m.type === 'subscribe')).toEqual([{ type: 'subscribe', topics: ['job.1.log'] }]);
    leaveA();
    leaveA();
    expect(b.socket.sent.some((m) => m.type === 'unsubscribe')).toBe(false);
    leaveB();
    expect(b.socket.sent.filter((m) => m.type === 'unsubscribe')).toHaveLength(1);
  });

  it('ignores frames that are no JSON', () => {
    b.welcome();
    b.socket.onmessage?.({ data: '{"type":' });
    b.say({ type: 'snapshot', topic: 'nodes', seq: 1, items: [node('a')] });
    expect(b.store.getState().nodes.size).toBe(1);
  });

  it('joins the parts of a large snapshot', () => {
    b.welcome();
    b.say({ type: 'snapshot', topic: 'nodes', seq: 3, items: [node('a')], part: 1, of: 2 });
    expect(b.store.getState().loaded.nodes).toBe(false);
    b.say({ type: 'snapshot', topic: 'nodes', seq: 3, items: [node('b')], part: 2, of: 2 });
    expect(b.store.getState().nodes.size).toBe(2);
  });
});

describe('snapshot and deltas', () => {
  const lcg = (seed: number) => () => (seed = (seed * 1664525 + 1013904223) >>> 0) / 4294967296;

  it('equal a later snapshot under random cuts, losses and repeats', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = lcg(seed);
      const world = new Map<string, ReturnType<typeof node>>();
      let seq = 1;
      const deltas: DeltaMessage[] = [];
      const states: string[] = [];
      const picture = (): string => JSON.stringify([...world.entries()].sort());
      states[1] = picture();
      for (let i = 0; i < 40; i++) {
        const upsert: unknown[] = [];
        const remove: string[] = [];
        for (let k = 0; k < 3; k++) {
          const id = `n${Math.floor(random() * 8)}`;
          if (random() < 0.3 && world.has(id)) { world.delete(id); remove.push(id); } else if (!remove.includes(id)) { const n = node(id, Math.floor(random() * 1000)); world.set(id, n); upsert.push(n); }
        }
        const live = upsert.filter((u) => world.get((u as { node: string }).node) === u);
        deltas.push({ type: 'delta', topic: 'nodes', prev: seq, seq: seq + 1, upsert: live, remove });
        seq += 1;
        states[seq] = picture();
      }
      const cut = Math.floor(random() * 40);
      let state = fromSnapshot('nodes', cut + 1, (JSON.parse(states[cut + 1]!) as [string, object][]).map(([, n]) => n));
      let resyncs = 0;
      for (const delta of deltas) {
        if (random() < 0.1 && delta.prev >= state.seq) continue; // lost on the way
        for (let repeat = random() < 0.2 ? 2 : 1; repeat > 0; repeat--) {
          const next = applyDelta('nodes', state, delta);
          if (next === 'resync') {
            resyncs += 1;
            state = fromSnapshot('nodes', delta.seq, (JSON.parse(states[delta.seq]!) as [string, object][]).map(([, n]) => n));
          } else state = next;
        }
        expect(JSON.stringify([...state.items.entries()].sort())).toBe(states[state.seq]);
      }
      expect(resyncs).toBeLessThanOrEqual(40);
    }
  });

  it('keep the history that only the fleet snapshot carries', () => {
    const state = fromSnapshot('fleet', 1, [{ busy_pct: 1, history: { step_s: 60 } }]);
    const next = applyDelta('fleet', state, { type: 'delta', topic: 'fleet', prev: 1, seq: 2, upsert: [{ busy_pct: 2 }] });
    expect(next === 'resync' ? null : next.items.get('fleet')).toEqual({ busy_pct: 2, history: { step_s: 60 } });
  });

  it('never change an earlier state in place', () => {
    const before = fromSnapshot('nodes', 1, [node('a')]);
    applyDelta('nodes', before, { type: 'delta', topic: 'nodes', prev: 1, seq: 2, upsert: [node('b')] });
    expect(before.items.size).toBe(1);
  });
});
