import type { ProblemBody } from './types';
import { takeToken } from '@/lib/url';

/** HTTP side of the API on the page's own origin. The token lives in sessionStorage and travels only as the Authorization header. */
const storageKey = 'aether.token';
let token: string | null = null;

/** Removes `#token=` from the address bar before anything else may see it, then keeps the token for this tab. */
export function adoptToken(): void {
  const taken = takeToken(location.hash);
  if (taken.hash !== location.hash) history.replaceState(history.state, '', location.pathname + location.search + taken.hash);
  try {
    if (taken.token) sessionStorage.setItem(storageKey, taken.token);
    token = taken.token ?? sessionStorage.getItem(storageKey);
  } catch {
    token = taken.token;
  }
}

function keep(next: string | null): void {
  token = next;
  try {
    if (next) sessionStorage.setItem(storageKey, next);
    else sessionStorage.removeItem(storageKey);
  } catch {
    // Storage may be forbidden; the token then lives as long as this page.
  }
}
export const setToken = (next: string): void => keep(next);
export const forgetToken = (): void => keep(null);
export const hasToken = (): boolean => token !== null;
export const noTokenHint = 'Needs the token: open the address that `aether up` printed, or run `aether token`.';

/** A refusal of the server (RFC 9457), or a failure to reach it (status 0). */
export class ApiError extends Error {
  constructor(readonly status: number, readonly problem: ProblemBody) {
    super(problem.title ?? `HTTP ${status}`);
  }
  get hint(): string | null {
    return this.problem.hint ?? (this.status === 401 ? noTokenHint : null);
  }
  /** Messages by JSON pointer without its slash: "gpus", "env/KEY". */
  get fieldErrors(): Record<string, string> {
    return Object.fromEntries((this.problem.errors ?? []).map((e) => [e.pointer.replace(/^#?\//, ''), e.message]));
  }
}

export interface RequestOptions { method?: string; body?: unknown; headers?: Record<string, string>; signal?: AbortSignal }

export async function request(path: string, options: RequestOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json, application/problem+json', ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method: options.method ?? 'GET', headers, signal: options.signal, cache: 'no-store', credentials: 'omit',
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
    });
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    throw new ApiError(0, { title: 'The server does not answer', hint: 'The page keeps trying; check that `aether up` is running.' });
  }
  if (!response.ok) throw new ApiError(response.status, await problemOf(response));
  return response;
}

async function problemOf(response: Response): Promise<ProblemBody> {
  try {
    const body: unknown = await response.json();
    if (body && typeof body === 'object') return body as ProblemBody;
  } catch {
    // No JSON: fall through to the status line.
  }
  return { title: `The server answered ${response.status} ${response.statusText}`.trim(), status: response.status };
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request(path, { signal })).json() as Promise<T>;
}

export async function post<T>(path: string, body: unknown = {}, headers?: Record<string, string>): Promise<T | null> {
  const response = await request(path, { method: 'POST', body, headers });
  const text = await response.text();
  return text ? (JSON.parse(text) as T) : null;
}

/** Random key in the form of a UUID; works on plain HTTP too, where crypto.randomUUID is absent. */
export function newIdempotencyKey(): string {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6]! & 0x0f) | 0x40;
  b[8] = (b[8]! & 0x3f) | 0x80;
  const hex = Array.from(b, (v) => v.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export interface LogChunk { offset: number; next: number; complete: boolean; bytes: Uint8Array }
export async function getLog(jobId: string, stream: string, query: string, signal?: AbortSignal): Promise<LogChunk> {
  const response = await request(`/jobs/${encodeURIComponent(jobId)}/logs/${stream}?${query}`, { signal, headers: { Accept: 'application/octet-stream' } });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const offset = Number(response.headers.get('Aether-Log-Offset') ?? 0);
  return {
    offset, bytes, next: Number(response.headers.get('Aether-Log-Next-Offset') ?? offset + bytes.length),
    complete: response.headers.get('Aether-Log-Complete') === 'true',
  };
}
