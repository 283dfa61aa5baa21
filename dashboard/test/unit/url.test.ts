// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { gpuUrl, jobUrl, pageUrl, streamUrl, takeToken, withQuery } from '@/lib/url';

describe('addresses', () => {
  it('leave out what is empty and quote the rest', () => {
    expect(pageUrl('/jobs', { id: '1', tab: null, q: '' })).toBe('/jobs?id=1');
    expect(gpuUrl('GPU-1/2&x')).toBe('/gpus?id=GPU-1%2F2%26x');
    expect(jobUrl(4131, 'logs')).toBe('/jobs?id=4131&tab=logs');
  });
  it('change one part and keep the others', () => {
    expect(withQuery('/gpus', '?by=temp&q=a%20b', { by: null, view: 'table' })).toBe('/gpus?q=a%20b&view=table');
  });
  it('find the stream on the page’s own origin', () => {
    expect(streamUrl({ protocol: 'https:', host: 'a:1' })).toBe('wss://a:1/api/v1/stream');
    expect(streamUrl({ protocol: 'http:', host: '127.0.0.1:3000' })).toBe('ws://127.0.0.1:3000/api/v1/stream');
  });
  it('take only the token out of the hash', () => {
    expect(takeToken('#token=s3cret')).toEqual({ token: 's3cret', hash: '' });
    expect(takeToken('#a=1&token=x')).toEqual({ token: 'x', hash: '#a=1' });
    expect(takeToken('#main')).toEqual({ token: null, hash: '#main' });
    expect(takeToken('#token=')).toEqual({ token: null, hash: '' });
  });
});

describe('the token', () => {
  beforeEach(() => { vi.resetModules(); sessionStorage.clear(); localStorage.clear(); history.replaceState(null, '', '/'); });
  afterEach(() => vi.unstubAllGlobals());
  const answer = (status = 200, body: unknown = {}) => {
    const fetcher = vi.fn((..._args: [string, RequestInit]) => Promise.resolve(new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } })));
    vi.stubGlobal('fetch', fetcher);
    return fetcher;
  };

  it('leaves the address bar, stays in this tab only and travels only as a header', async () => {
    history.replaceState(null, '', '/jobs?id=3#token=s3cret');
    const api = await import('@/api/client');
    api.adoptToken();
    expect(location.href).not.toContain('s3cret');
    expect(location.search).toBe('?id=3');
    expect(Object.values({ ...localStorage })).toEqual([]);
    const fetcher = answer();
    await api.post('/jobs', { gpus: 1 }, { 'Idempotency-Key': 'k' });
    const [url, init] = fetcher.mock.calls[0]!;
    expect(url).toBe('/api/v1/jobs');
    expect(init.headers).toMatchObject({ Authorization: 'Bearer s3cret', 'Content-Type': 'application/json', 'Idempotency-Key': 'k' });
    expect(init.credentials).toBe('omit');
    expect(JSON.stringify([url, init.body])).not.toContain('s3cret');
  });

  it('comes back after a reload of the same tab', async () => {
    sessionStorage.setItem('aether.token', 'kept');
    const api = await import('@/api/client');
    api.adoptToken();
    expect(api.hasToken()).toBe(true);
  });

  it('is not invented', async () => {
    const api = await import('@/api/client');
    api.adoptToken();
    expect(api.hasToken()).toBe(false);
    const fetcher = answer();
    await api.getJson('/fleet');
    expect(fetcher.mock.calls[0]![1].headers).not.toHaveProperty('Authorization');
  });

  it('refusals become errors with title, hint and fields', async () => {
    const api = await import('@/api/client');
    answer(422, { title: 'Too many', hint: 'Ask for fewer', errors: [{ pointer: '/gpus', code: 'x', message: 'at most 8' }] });
    const error = await api.post('/jobs', {}).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(api.ApiError);
    expect(error).toMatchObject({ status: 422, message: 'Too many', hint: 'Ask for fewer', fieldErrors: { gpus: 'at most 8' } });
    answer(401, { title: 'A token is needed' });
    expect(await api.getJson('/x').catch((e: unknown) => (e as { hint: string }).hint)).toContain('aether token');
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('net')));
    expect(await api.getJson('/x').catch((e: unknown) => (e as { status: number }).status)).toBe(0);
  });

  it('keys of submissions differ and look like UUIDs', async () => {
    const { newIdempotencyKey } = await import('@/api/client');
    const keys = new Set(Array.from({ length: 50 }, newIdempotencyKey));
    expect(keys.size).toBe(50);
    for (const k of keys) expect(k).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
