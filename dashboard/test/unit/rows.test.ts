import { describe, expect, it } from 'vitest';
import { Store } from '@/lib/store';
import { lineAfter, rowsInSight } from '@/lib/rows';
import { applyDelta, fromSnapshot } from '@/lib/topics';
import { BlockPainter, blocksOf, lookOf, type Inks, type SlotFacts } from '@/lib/draw/fleet';
import { Columns } from '@/lib/columns';
import type { Job } from '@/api/types';

const job = (number: number, more: Partial<Job> = {}): Job => ({ job_id: `J${number}`, number, state: 'PENDING', priority: 50, ...more }) as Job;

describe('rowsInSight', () => {
  it('covers the window at every scroll position of 10,000 rows, and little more', () => {
    for (let top = 500; top > -10_000 * 35 - 500; top -= 977) {
      const { from, to } = rowsInSight(10_000, 35, top, 900, 12);
      const first = Math.max(0, Math.floor(-top / 35));
      const last = Math.min(9_999, Math.floor((899 - top) / 35));
      expect(from).toBeLessThanOrEqual(Math.min(first, 9_999));
      if (last >= 0) expect(to).toBeGreaterThan(last);
      expect(to - from).toBeLessThanOrEqual(900 / 35 + 26);
      expect(to).toBeGreaterThan(from);
    }
  });
});

describe('lineAfter', () => {
  const isStop = (line: number): boolean => line % 5 !== 0;
  it('passes over headings and stops at the ends', () => {
    expect(lineAfter('ArrowDown', 4, 20, 8, isStop)).toBe(6);
    expect(lineAfter('ArrowUp', 6, 20, 8, isStop)).toBe(4);
    expect(lineAfter('Home', 7, 20, 8, isStop)).toBe(1);
    expect(lineAfter('End', 7, 20, 8, isStop)).toBe(19);
    expect(lineAfter('PageDown', 15, 20, 8, isStop)).toBe(19);
    expect(lineAfter('PageUp', 3, 20, 8, isStop)).toBe(1);
    expect(lineAfter('ArrowDown', 19, 20, 8, isStop)).toBeNull();
    expect(lineAfter('x', 3, 20, 8, isStop)).toBeNull();
  });
});

describe('the queue in the store', () => {
  it('stays the same list while only running jobs change, and follows those that wait', () => {
    const store = new Store();
    const first = fromSnapshot('jobs', 1, [job(1), job(2, { priority: 70 }), job(3, { state: 'RUNNING' })]);
    store.topic('jobs', first);
    const before = store.getState().waiting;
    expect(before.map((j) => j.number)).toEqual([2, 1]);
    const grown = applyDelta('jobs', first, { type: 'delta', topic: 'jobs', prev: 1, seq: 2, upsert: [job(3, { state: 'RUNNING', energy_j: 5 })] });
    if (grown === 'resync') throw new Error('resync');
    store.topic('jobs', grown);
    expect(store.getState().waiting).toBe(before);
    expect(store.getState().jobs.get('J3')!.energy_j).toBe(5);
    const started = applyDelta('jobs', grown, { type: 'delta', topic: 'jobs', prev: 2, seq: 3, upsert: [job(2, { state: 'RUNNING' })] });
    if (started === 'resync') throw new Error('resync');
    store.topic('jobs', started);
    expect(store.getState().waiting.map((j) => j.number)).toEqual([1]);
  });
});

describe('BlockPainter', () => {
  const ink = '#000000';
  const inks: Inks = { theme: 'dark', surface: ink, line: ink, text3: ink, crit: ink, warn: ink, info: ink, hatch: ink };
  function painted() {
    let fills = 0;
    const g = new Proxy({}, { get: (_t, name) => (name === 'fillRect' ? () => { fills += 1; } : () => {}), set: () => true });
    const canvas = { clientWidth: 400, style: { setProperty: () => {} }, getContext: () => g } as unknown as HTMLCanvasElement;
    const facts: SlotFacts[] = Array.from({ length: 40 }, (_, i) => ({ uuid: `g${i}`, slot: i, node: `n${Math.floor(i / 8)}`, powerLimitW: 700, slowdownC: 90, job: null, state: 'busy' }));
    const nodes = new Map<string, SlotFacts[]>();
    for (const f of facts) nodes.set(f.node, [...(nodes.get(f.node) ?? []), f]);
    const columns = new Columns(1, facts.map((f) => f.uuid));
    columns.seq = 1;
    columns.state.fill(2);
    columns.utilization.fill(50);
    (globalThis as { window?: unknown }).window ??= { devicePixelRatio: 1 };
    const painter = new BlockPainter(canvas, blocksOf(nodes)[0]!, inks, 8);
    return { painter, columns, facts, fills: () => { const n = fills; fills = 0; return n; } };
  }
  it('draws every cell once, then only what changed, and a filled cell over a filled one without clearing', () => {
    const { painter, columns, fills } = painted();
    fills();
    expect(painter.paint(columns, 'busy')).toBe(40);
    expect(fills()).toBe(80);
    expect(painter.paint(columns, 'busy')).toBe(0);
    columns.utilization[3] = 51;
    columns.utilization[9] = 90;
    expect(painter.paint(columns, 'busy')).toBe(2);
    expect(fills()).toBe(2);
    columns.utilization[3] = 2;
    expect(painter.paint(columns, 'busy')).toBe(1);
    expect(fills()).toBe(2);
  });
  it('has a whole number for every reading, and the same look for a missing one', () => {
    const { columns, facts } = painted();
    for (let v = 0; v <= 254; v++) {
      columns.utilization[0] = columns.memory[0] = columns.temperature[0] = v;
      columns.power[0] = v * 4;
      for (const metric of ['busy', 'memory', 'temp', 'power'] as const) {
        const look = lookOf(facts[0]!, columns, metric);
        expect(Number.isInteger(look) && look >= 0 && look <= 100).toBe(true);
      }
    }
    columns.utilization[0] = columns.memory[0] = columns.temperature[0] = 0xff;
    columns.power[0] = 0xffff;
    expect(new Set((['busy', 'memory', 'temp', 'power'] as const).map((m) => lookOf(facts[0]!, columns, m))).size).toBe(1);
  });
});
