import { describe, expect, it } from 'vitest';
import type { Attempt, Gpu, Job } from '@/api/types';
import { blocksOf, cellAt, cellBox, gridOf, lookOf, type SlotFacts } from '@/lib/draw/fleet';
import { axisTicks, barsOf, lanesOf } from '@/lib/gantt';
import { usageOf } from '@/lib/usage';

const job = (o: Partial<Job>): Job => ({ job_id: 'j', number: 1, name: 'n', user: 'ada', state: 'RUNNING', attempt: 1, attempts: 1, started_at: '2026-01-15T10:00:00Z', ended_at: null, node: 'n1', gpu_ids: ['n1-0', 'n1-1'], gpu_uuids: [], flags: [], energy_j: null, carbon_g: null, ...o } as Job);
const gpu = (node: string, i: number): Gpu => ({ gpu_id: `${node}-${i}`, node, gpu_index: i, jobs: [] } as unknown as Gpu);

describe('timeline', () => {
  it('has a row per GPU, in order of node and index, or a row per node', () => {
    const gpus = [gpu('node-10', 0), gpu('node-2', 1), gpu('node-2', 0)];
    expect(lanesOf(gpus, 'gpu').map((l) => l.id)).toEqual(['node-2-0', 'node-2-1', 'node-10-0']);
    expect(lanesOf(gpus, 'node').map((l) => l.id)).toEqual(['node-2', 'node-10']);
  });
  it('draws every attempt that started, each once', () => {
    const earlier = { attempt: 1, state: 'NODE_FAIL', started_at: '2026-01-15T09:00:00Z', ended_at: '2026-01-15T09:30:00Z', node: 'n2', gpu_ids: ['n2-3'] } as unknown as Attempt;
    const never = { attempt: 2, state: 'LAUNCH_FAILED', started_at: null, ended_at: '2026-01-15T09:40:00Z', node: 'n2', gpu_ids: ['n2-3'] } as unknown as Attempt;
    const bars = barsOf([job({ attempt: 3, attempts: 3 })], new Map([['j', [earlier, never, { ...earlier, attempt: 3 } as Attempt]]]), 'gpu');
    expect(bars.map((b) => [b.attempt, b.lanes, b.to === null, b.failed])).toEqual([[1, ['n2-3'], false, true], [3, ['n1-0', 'n1-1'], true, false]]);
  });
  it('leaves out a job that never started, and one whose clock knows nothing', () => {
    expect(barsOf([job({ started_at: null }), job({ started_at: '1970-01-01T00:00:00Z' })], new Map(), 'gpu')).toEqual([]);
  });
  it('marks the axis at full steps', () => {
    const ticks = axisTicks(1_700_000_100_000, 1_700_000_100_000 + 3_600_000, 8, 0);
    expect(ticks.length).toBeGreaterThan(3);
    expect(ticks.length).toBeLessThanOrEqual(8);
    expect(new Set(ticks.map((t) => t % 600_000))).toEqual(new Set([0]));
  });
});

describe('canvas map', () => {
  const facts = (slot: number, node: string): SlotFacts => ({ uuid: `u${slot}`, slot, node, powerLimitW: 700, slowdownC: 87, job: null, state: 'busy' });
  const fleet = (nodes: number, each: number): Map<string, SlotFacts[]> => new Map(Array.from({ length: nodes }, (_, n) => [`node-${n}`, Array.from({ length: each }, (_, i) => facts(n * each + i, `node-${n}`))]));
  it('shows every GPU exactly once, whatever the nodes hold', () => {
    for (const [nodes, each] of [[1280, 8], [16, 64], [130, 5], [3, 700]] as const) {
      const slots = blocksOf(fleet(nodes, each)).flatMap((b) => b.strips.flat()).map((f) => f!.slot);
      expect(slots.length).toBe(nodes * each);
      expect(new Set(slots).size).toBe(nodes * each);
    }
  });
  it('finds the cell that is drawn under a point', () => {
    const block = blocksOf(fleet(80, 8))[0]!;
    const grid = gridOf(block, 220, 5);
    for (const [strip, cell] of [[0, 0], [4, 7], [79, 3]] as const) {
      const { x, y } = cellBox(grid, strip, cell);
      expect(cellAt(block, grid, x + grid.cellWidth / 2, y + 2)).toEqual({ strip, cell });
    }
    expect(cellAt(block, grid, -1, 0)).toBeNull();
    expect(cellAt(block, grid, 10, 5000)).toBeNull();
  });
  it('gives a state its own look even without readings', () => {
    const looks = ['free', 'out', 'lost', 'quarantined', 'throttling', 'slow', 'something new'].map((state) => lookOf({ ...facts(0, 'n'), state }, null, 'busy'));
    expect(new Set(looks).size).toBe(looks.length);
  });
});

describe('usage', () => {
  it('adds up what was measured and counts what was not', () => {
    const usage = usageOf([job({ user: 'a', energy_j: 10 }), job({ user: 'a', energy_j: 5, carbon_g: 2 }), job({ user: 'a' }), job({ user: 'b' })], (j) => j.user!);
    expect(usage).toEqual([{ key: 'a', jobs: 3, unmeasured: 1, energyJ: 15, carbonG: 2 }, { key: 'b', jobs: 1, unmeasured: 1, energyJ: null, carbonG: null }]);
  });
});
