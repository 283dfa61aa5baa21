import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Columns, memoryParts, readingAt, stateCode, stateNames } from '@/lib/columns';
import { columnIds, decodeFrame, type Frame } from '@/lib/frames';

interface Row { utilization_gpu: number | null; memory_used: number | null; power_draw_w: number | null; temperature_c: number | null; clock_sm: number | null; state: number }
const example = JSON.parse(readFileSync('../schema/examples/columns_v1.json', 'utf8')) as { full: string; delta: string; epoch: number; inventory: number; rows_full: Row[]; rows_after_delta: Row[] };
const bytes = (hex: string): ArrayBuffer => Uint8Array.from(hex.match(/../g)!, (h) => parseInt(h, 16)).buffer;
const decoded = (hex: string): Frame => decodeFrame(bytes(hex))!;
const slots = ['a', 'b', 'c'];
const held = (): Columns => { const c = new Columns(1, slots); expect(c.apply(decoded(example.full))).toBe(true); return c; };
const rows = (c: Columns): Row[] => slots.map((_, i) => ({
  utilization_gpu: c.utilization[i] === 255 ? null : c.utilization[i]!, memory_used: c.memory[i] === 255 ? null : c.memory[i]!, power_draw_w: c.power[i] === 65535 ? null : c.power[i]!,
  temperature_c: c.temperature[i] === 255 ? null : c.temperature[i]!, clock_sm: c.clock[i] === 255 ? null : c.clock[i]!, state: c.state[i]!,
}));

/** A frame by the table of the format, to be broken on purpose. */
function build(options: { kind?: number; prev?: number; seq?: number; inventory?: number; slots?: number[]; values: number[]; id?: number }): ArrayBuffer {
  const { kind = 2, prev = 10, seq = 11, inventory = 1, values, id = columnIds.utilization_gpu } = options;
  const withSlots = options.slots !== undefined;
  const n = withSlots ? 2 : 1;
  const pad = (x: number): number => Math.ceil(x / 4) * 4;
  const head = 48 + 8 * n;
  const slotBytes = withSlots ? pad(options.slots!.length * 2) : 0;
  const buffer = new ArrayBuffer(head + slotBytes + pad(values.length));
  const v = new DataView(buffer);
  v.setUint32(0, 0x31434541, true); v.setUint8(4, kind); v.setUint8(5, 1); v.setUint16(6, n, true); v.setUint32(8, 7, true); v.setUint32(12, inventory, true);
  v.setBigUint64(16, BigInt(prev), true); v.setBigUint64(24, BigInt(seq), true); v.setFloat64(32, 1.7e12, true); v.setUint32(40, values.length, true);
  let at = 48;
  if (withSlots) { v.setUint8(at, 0); v.setUint8(at + 1, 2); v.setUint32(at + 4, head, true); at += 8; options.slots!.forEach((s, i) => v.setUint16(head + 2 * i, s, true)); }
  v.setUint8(at, id); v.setUint8(at + 1, 1); v.setUint32(at + 4, head + slotBytes, true);
  values.forEach((x, i) => v.setUint8(head + slotBytes + i, x));
  return buffer;
}

describe('decodeFrame', () => {
  it('reads the example of the schema, which the server writes byte for byte', () => {
    const full = decoded(example.full);
    expect(full).toMatchObject({ kind: 'full', epoch: example.epoch, inventory: example.inventory, seq: 10, rows: 3, slots: null, timeMs: 1.7e12 });
    expect(rows(held())).toEqual(example.rows_full);
    const c = held();
    expect(c.apply(decoded(example.delta))).toBe(true);
    expect(rows(c)).toEqual(example.rows_after_delta);
    expect(c.seq).toBe(12);
  });

  it('gives null for every shortened frame and never throws', () => {
    for (const hex of [example.full, example.delta]) {
      const whole = new Uint8Array(bytes(hex));
      // The last column may be padded; what is cut off there was no value.
      for (let n = 0; n < whole.length - 3; n++) expect(decodeFrame(whole.slice(0, n).buffer), `${n} bytes`).toBeNull();
    }
  });

  it('never throws and never leaves a mixed state on frames with flipped bytes', () => {
    let seed = 7;
    const random = (below: number): number => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % below; };
    for (let round = 0; round < 4000; round++) {
      const source = new Uint8Array(bytes(round % 2 ? example.full : example.delta));
      for (let flips = 1 + random(4); flips > 0; flips--) source[random(source.length)] = random(256);
      const frame = decodeFrame(source.buffer);
      const c = held();
      const before = JSON.stringify(rows(c));
      if (!frame || !c.apply(frame)) {
        expect(JSON.stringify(rows(c))).toBe(before);
        expect(c.seq).toBe(10);
      } else {
        expect(c.seq).toBe(frame.seq);
      }
    }
  });

  it('refuses slots that do not ascend and columns that leave the buffer', () => {
    expect(decodeFrame(build({ slots: [2, 1], values: [1, 2] }))).toBeNull();
    expect(decodeFrame(build({ slots: [1, 1], values: [1, 2] }))).toBeNull();
    expect(decodeFrame(build({ slots: [0, 1], values: [1, 2] }))).not.toBeNull();
    const outside = build({ slots: [0], values: [1] });
    new DataView(outside).setUint32(48 + 8 + 4, 4000, true);
    expect(decodeFrame(outside)).toBeNull();
    const odd = build({ slots: [0], values: [1] });
    new DataView(odd).setUint32(48 + 8 + 4, 66, true);
    expect(decodeFrame(odd)).toBeNull();
    expect(decodeFrame(build({ kind: 1, slots: [0], values: [1] }))).toBeNull();
    expect(decodeFrame(build({ kind: 2, values: [1, 2, 3] }))).toBeNull();
  });

  it('skips a column it does not know', () => {
    const c = held();
    expect(c.apply(decodeFrame(build({ slots: [1], values: [9], id: 40 }))!)).toBe(true);
    expect(rows(c)).toEqual(example.rows_full);
  });
});

describe('Columns', () => {
  it('takes a delta only on top of the frame it builds on', () => {
    const c = held();
    expect(c.apply(decodeFrame(build({ prev: 9, slots: [1], values: [50] }))!)).toBe(false);
    expect(c.apply(decodeFrame(build({ inventory: 2, slots: [1], values: [50] }))!)).toBe(false);
    expect(c.apply(decodeFrame(build({ slots: [3], values: [50] }))!)).toBe(false);
    expect(rows(c)).toEqual(example.rows_full);
    expect(c.apply(decodeFrame(build({ slots: [1], values: [50] }))!)).toBe(true);
    expect(c.utilization[1]).toBe(50);
    expect(new Columns(1, slots).apply(decodeFrame(build({ prev: 0, slots: [1], values: [50] }))!)).toBe(false);
  });

  it('takes a full frame over whatever it holds, if the number of rows is right', () => {
    const c = held();
    expect(c.apply(decodeFrame(build({ kind: 1, prev: 0, seq: 99, values: [1, 2] }))!)).toBe(false);
    expect(c.apply(decodeFrame(build({ kind: 1, prev: 0, seq: 99, values: [1, 2, 3] }))!)).toBe(true);
    expect([...c.utilization]).toEqual([1, 2, 3]);
  });

  it('is equal to a later full frame after any run of deltas', () => {
    const c = new Columns(1, slots);
    const truth = [10, 20, 30];
    c.apply(decodeFrame(build({ kind: 1, prev: 0, seq: 1, values: truth }))!);
    for (let seq = 2; seq < 60; seq++) {
      const slot = (seq * 7) % 3;
      truth[slot] = (seq * 13) % 101;
      expect(c.apply(decodeFrame(build({ prev: seq - 1, seq, slots: [slot], values: [truth[slot]!] }))!)).toBe(true);
      expect([...c.utilization]).toEqual(truth);
    }
  });

  it('gives readings in their own units and NaN where there is none', () => {
    const c = held();
    expect(readingAt(c, 'power_draw_w', 0, null)).toBe(612);
    expect(readingAt(c, 'clock_sm_mhz', 0, null)).toBe(1984);
    expect(readingAt(c, 'memory_used_mb', 0, 250_000)).toBe((c.memory[0]! * 250_000) / memoryParts);
    expect(readingAt(c, 'memory_used_mb', 0, null)).toBeNaN();
    for (const metric of ['utilization_gpu', 'memory_used_mb', 'temperature_c', 'power_draw_w', 'clock_sm_mhz'] as const) expect(readingAt(c, metric, 1, 1000)).toBeNaN();
  });

  it('knows the codes of the states and marks others as unknown', () => {
    expect(stateNames.map(stateCode)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(stateCode('draining')).toBe(255);
  });
});
