import { describe, expect, it, vi } from 'vitest';
import type { Carbon } from '@/api/types';
import { bestStart, realised, savedPct } from '@/lib/carbon';
import { isLoopback, socketWithTicket, TicketRule } from '@/lib/ticket';
import type { Socket } from '@/lib/stream';
import { checkForm, cliOf, emptyForm } from '@/lib/spec';

const start = Date.parse('2026-01-15T09:00:00Z');
const hour = 3_600_000;
const forecast = (...values: number[]): Carbon => ({ forecast: values.map((v, i) => ({ time: new Date(start + i * hour).toISOString(), intensity_g_per_kwh: v })) }) as Carbon;

describe('bestStart', () => {
  it('is the start with the lowest mean over the whole run, not the lowest hour', () => {
    const shift = bestStart(forecast(300, 100, 400, 150, 150, 300), 2, start)!;
    expect(shift.startMs).toBe(start + 3 * hour);
    expect([shift.now, shift.best]).toEqual([200, 150]);
    expect(savedPct(shift)).toBe(25);
  });
  it('counts the part of the present hour that is left', () => {
    expect(bestStart(forecast(300, 100, 100, 90), 1, start + hour / 2)!.now).toBe(200);
  });
  it('gives nothing when now is cleanest, the run is too long, or there is no forecast', () => {
    expect(bestStart(forecast(100, 200, 300), 1, start)).toBeNull();
    expect(bestStart(forecast(300, 200, 100), 4, start)).toBeNull();
    expect(bestStart(forecast(300), 1, start)).toBeNull();
    expect(bestStart(null, 1, start)).toBeNull();
  });
});

describe('realised', () => {
  it('is grams over kilowatt-hours, and absent when one is not known', () => {
    expect(realised(7.2e6, 500)).toBe(250);
    expect(realised(null, 5)).toBeNull();
    expect(realised(0, 0)).toBeNull();
    expect(realised(3.6e6, null)).toBeNull();
  });
});

describe('the form', () => {
  it('takes a time before which the job does not start', () => {
    const form = { ...emptyForm, command: 'true', begin: '2026-01-15T10:30' };
    expect(checkForm(form).spec!.begin).toBe(new Date('2026-01-15T10:30').toISOString());
    expect(cliOf(form)).toContain('--begin 2026-01-15T10:30');
    expect(checkForm({ ...form, begin: 'soon' }).errors.begin).toBeTruthy();
    expect(checkForm({ ...form, begin: '' }).spec!.begin).toBeUndefined();
  });
});

describe('tickets', () => {
  const socket = () => ({ send: vi.fn(), close: vi.fn(), onopen: null, onmessage: null, onclose: null, onerror: null }) as unknown as Socket & { send: ReturnType<typeof vi.fn> };
  it('open the socket with the ticket as a subprotocol, never in the address', async () => {
    const inner = socket();
    const offered: string[][] = [];
    const outer = socketWithTicket(() => Promise.resolve('abc'), (protocols) => { offered.push(protocols); return inner; });
    const opened = vi.fn();
    outer.onopen = opened;
    await Promise.resolve();
    await Promise.resolve();
    expect(offered).toEqual([['aether.v1', 'ticket.abc']]);
    inner.onopen!();
    outer.send('x');
    expect(opened).toHaveBeenCalled();
    expect(inner.send).toHaveBeenCalledWith('x');
  });
  it('close when none is given, and open nothing after a close', async () => {
    const closed = vi.fn();
    const outer = socketWithTicket(() => Promise.reject(new Error('no')), () => { throw new Error('opened'); });
    outer.onclose = closed;
    await new Promise((r) => setTimeout(r, 0));
    expect(closed).toHaveBeenCalledTimes(1);
    const open = vi.fn();
    socketWithTicket(() => Promise.resolve('t'), open).close();
    await new Promise((r) => setTimeout(r, 0));
    expect(open).not.toHaveBeenCalled();
  });
  it('are wanted off loopback, or on it after a try that did not open; never without a token', () => {
    expect(new TicketRule('gpu.example.org', () => true).isWanted()).toBe(true);
    expect(new TicketRule('gpu.example.org', () => false).isWanted()).toBe(false);
    const rule = new TicketRule('127.0.0.1', () => true);
    expect(rule.isWanted()).toBe(false);
    const events = new EventTarget();
    rule.watch(events as unknown as Socket);
    events.dispatchEvent(new Event('open'));
    events.dispatchEvent(new Event('close'));
    expect(rule.isWanted()).toBe(false);
    const refused = new EventTarget();
    rule.watch(refused as unknown as Socket);
    refused.dispatchEvent(new Event('close'));
    expect(rule.isWanted()).toBe(true);
    for (const name of ['localhost', '127.0.0.1', '127.1.2.3', '[::1]']) expect(isLoopback(name)).toBe(true);
    for (const name of ['127.0.0.1.evil.tld', 'localhost.evil', '10.0.0.1']) expect(isLoopback(name)).toBe(false);
  });
});
