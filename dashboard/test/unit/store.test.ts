import { describe, expect, it } from 'vitest';
import type { Gpu } from '@/api/types';
import { joined } from '@/ui/gpu_history';
import { bandsOf, byNode, cellValue } from '@/lib/gpu';
import { LogBuffer, bytesFromBase64, lastOverwrite } from '@/lib/logs';
import { ringGpuLimit, Store } from '@/lib/store';
import { fromSnapshot } from '@/lib/topics';

const gpu = (index: number, more: Partial<Gpu> = {}): Gpu => ({ gpu_uuid: `GPU-${index}`, gpu_id: `n-${index}`, node: 'n', gpu_index: index, gpu_name: 'H', source: 'simulated', state: 'busy', state_reason: null, state_since: null, memory_total_mb: 1000, power_limit_w: 500, temperature_slowdown_c: 90, allocated_mb: null, jobs: [], sample: null, ...more });
const at = (second: number, utilization_gpu: number | null) => ({ time: `2026-01-01T00:00:0${second}Z`, utilization_gpu });

describe('Store', () => {
  it('keeps one value per new sample, and a hole where the stream had one', () => {
    const store = new Store();
    const put = (seq: number, sample: Gpu['sample']) => store.topic('gpus', fromSnapshot('gpus', seq, [gpu(0, { sample })]));
    put(1, at(1, 10));
    put(2, at(1, 10));
    put(3, at(2, null));
    store.hole('gpus');
    put(4, at(3, 30));
    expect(store.ring('GPU-0', 'utilization_gpu')!.toArray()).toEqual([10, NaN, NaN, 30]);
  });
  it('keeps no ring for fleets whose cells have no sparkline', () => {
    const store = new Store();
    store.topic('gpus', fromSnapshot('gpus', 1, Array.from({ length: ringGpuLimit + 1 }, (_, i) => gpu(i, { sample: at(1, 1) }))));
    expect(store.ring('GPU-0', 'utilization_gpu')).toBeNull();
  });
  it('turns stale after three ticks of silence and live with the next frame', () => {
    const store = new Store();
    store.heard(0);
    store.welcome({ stream: 's', seq: 1, interval_ms: 1000 });
    store.checkAge(3000);
    expect(store.getState().link).toBe('live');
    store.checkAge(3001);
    expect(store.getState().link).toBe('stale');
    store.heard(3500);
    expect(store.getState().link).toBe('live');
  });
  it('remembers since when it is offline over repeated failures', () => {
    const store = new Store();
    store.down(100);
    store.down(900);
    expect(store.getState()).toMatchObject({ link: 'offline', offlineSince: 100 });
    store.welcome({ stream: 's', seq: 1 });
    expect(store.getState()).toMatchObject({ link: 'live', offlineSince: null });
  });
  it('puts a backfill before what came live', () => {
    const store = new Store();
    store.topic('gpus', fromSnapshot('gpus', 1, [gpu(0, { sample: at(9, 90) })]));
    store.backfill('GPU-0', { utilization_gpu: [1, null, 2] });
    expect(store.ring('GPU-0', 'utilization_gpu')!.toArray()).toEqual([1, NaN, 2, 90]);
  });
});

describe('the fleet map', () => {
  it('shows no reading as a dash', () => {
    for (const metric of ['busy', 'memory', 'temp', 'power'] as const) expect(cellValue(metric, gpu(0))).toMatchObject({ text: '–', pct: null });
    expect(cellValue('memory', gpu(0, { memory_total_mb: null, sample: { time: '', memory_used_mb: 5 } })).pct).toBeNull();
  });
  it('scales each metric by its own limit', () => {
    const g = gpu(0, { sample: { time: '', utilization_gpu: 40, memory_used_mb: 250, temperature_c: 60, power_draw_w: 250 } });
    expect((['busy', 'memory', 'temp', 'power'] as const).map((m) => cellValue(m, g).pct)).toEqual([40, 25, 50, 50]);
  });
  it('draws one band per run of neighbours', () => {
    const job = (n: number) => [{ job_id: String(n), number: n, name: `j${n}` }];
    const row = [gpu(0, { jobs: job(1) }), gpu(1, { jobs: job(1) }), gpu(2), gpu(3, { jobs: job(1) }), gpu(4, { jobs: job(2), state: 'idle' })];
    expect(bandsOf(row).map((b) => [b.number, b.start, b.length, b.idle])).toEqual([[1, 0, 2, false], [1, 3, 1, false], [2, 4, 1, true]]);
  });
  it('orders nodes by number and GPUs by index', () => {
    const groups = byNode([gpu(1, { node: 'node-10' }), gpu(1, { node: 'node-2' }), gpu(0, { node: 'node-2' })]);
    expect([...groups.keys()]).toEqual(['node-2', 'node-10']);
    expect(groups.get('node-2')!.map((g) => g.gpu_index)).toEqual([0, 1]);
  });
});

describe('LogBuffer', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const text = (log: LogBuffer) => log.lines().map((l) => (l.gapBytes === undefined ? l.text : `<${l.gapBytes}>`));
  it('joins pieces however they were cut, also inside a character', () => {
    const whole = bytes('één\ntwee\ndrie');
    for (let cut = 0; cut <= whole.length; cut++) {
      const log = new LogBuffer();
      log.append(0, whole.subarray(0, cut));
      log.append(cut, whole.subarray(cut));
      expect(text(log)).toEqual(['één', 'twee', 'drie']);
    }
  });
  it('takes only what is new of a repeat', () => {
    const log = new LogBuffer();
    log.append(0, bytes('abc\n'));
    expect(log.append(0, bytes('abc\nde'))).toBe(true);
    expect(log.append(2, bytes('c\n'))).toBe(true);
    expect(text(log)).toEqual(['abc', 'de']);
    expect(log.next).toBe(6);
  });
  it('refuses to jump, and marks a hole once told to', () => {
    const log = new LogBuffer();
    log.append(0, bytes('a\n'));
    expect(log.append(10, bytes('z'))).toBe(false);
    log.skipTo(10);
    log.append(10, bytes('z'));
    expect(text(log)).toEqual(['a', '<8>', 'z']);
  });
  it('says how much lies before a tail', () => {
    const log = new LogBuffer();
    log.append(100, bytes('x'));
    expect(log.dropped).toBe(100);
  });
  it('shows what a terminal would: last overwrite, no colour codes', () => {
    expect(lastOverwrite('10%\r50%\r\u001b[32m100%\u001b[0m\r')).toBe('100%');
    expect([...bytesFromBase64('AP8=')]).toEqual([0, 255]);
  });
});

describe('history of a GPU', () => {
  const base = { gpu_uuid: 'g', step_s: 1, level: 'raw', time: [1000, 2000], series: { temperature_c: { mean: [50, 51], min: [50, 51], max: [50, 51] } } };
  const sample = (ms: number, temperature_c: number) => ({ time: new Date(ms).toISOString(), temperature_c });
  it('goes on with live samples and skips those it has', () => {
    const h = joined(base, [sample(2000, 99), sample(3000, 52)], 60_000);
    expect(h.times).toEqual([1000, 2000, 3000]);
    expect(h.series.temperature_c!.mean).toEqual([50, 51, 52]);
  });
  it('draws a pause as a hole', () => {
    expect(joined(base, [sample(20_000, 60)], 60_000).series.temperature_c!.mean).toEqual([50, 51, null, 60]);
  });
  it('drops what is older than the range', () => {
    expect(joined(base, [sample(3000, 52)], 1500).times).toEqual([2000, 3000]);
  });
});
