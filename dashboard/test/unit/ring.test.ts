import { describe, expect, it } from 'vitest';
import { areaPath, linePath, range } from '@/lib/draw/spark';
import { Ring } from '@/lib/ring';

describe('Ring', () => {
  it('keeps the newest values in order', () => {
    const ring = new Ring(3);
    for (const v of [1, 2, 3, 4, 5]) ring.push(v);
    expect(ring.toArray()).toEqual([3, 4, 5]);
    expect(ring.last()).toBe(5);
    expect(ring.length).toBe(3);
  });
  it('holds a missing sample as a hole, never as 0', () => {
    const ring = new Ring(4);
    ring.push(7);
    ring.push(null);
    ring.push(undefined);
    expect(ring.toArray()).toEqual([7, NaN, NaN]);
  });
  it('answers NaN outside of what it holds', () => {
    const ring = new Ring(2);
    expect(ring.last()).toBeNaN();
    ring.push(1);
    expect(ring.at(1)).toBeNaN();
    expect(ring.at(-1)).toBeNaN();
  });
  it('averages equal parts and leaves an empty part empty', () => {
    const ring = new Ring(6);
    for (const v of [1, 3, null, null, 10, null]) ring.push(v);
    expect(ring.downsample(3)).toEqual([2, NaN, 10]);
    expect(ring.downsample(10)).toHaveLength(6);
    const late = new Ring(4);
    for (const v of [null, null, 5, 6]) late.push(v);
    expect(late.downsample(2)).toEqual([5, 6]);
  });
  it('refuses a capacity that holds nothing', () => {
    expect(() => new Ring(0)).toThrow(RangeError);
  });
});

describe('sparkline paths', () => {
  const box = { width: 10, height: 10, low: 0, high: 10, pad: 0 };
  it('break at a hole instead of bridging it', () => {
    expect(linePath([0, 10, NaN, 5, 5], box)).toBe('M0.0 10.0L2.5 0.0M7.5 5.0L10.0 5.0');
  });
  it('close one area per run', () => {
    expect(areaPath([1, 1, NaN, 2, 2], box).match(/Z/g)).toHaveLength(2);
  });
  it('clamp values to the box', () => {
    expect(linePath([-5, 25], box)).toBe('M0.0 10.0L10.0 0.0');
  });
  it('do not blow small noise up to the full height', () => {
    const { low, high } = range([50, 50.2], 20);
    expect(high - low).toBeGreaterThanOrEqual(20);
    expect(range([NaN], 5)).toEqual({ low: 0, high: 5 });
  });
});
