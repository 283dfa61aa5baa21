'use client';
import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError, getJson } from '@/api/client';
import type { Job, Page } from '@/api/types';

const pollMs = 30_000;

export interface JobPages { items: readonly Job[]; error: ApiError | null; loading: boolean; reload: () => void; more: (() => void) | null }

/** Jobs that the stream does not hold, page by page from the server: the first page at once and again every 30 s, further ones when asked for. */
export function useJobPages(path: string | null): JobPages {
  const [held, setHeld] = useState<{ path: string | null; items: Job[]; next: string | null; error: ApiError | null; ready: boolean }>({ path: null, items: [], next: null, error: null, ready: false });
  const [turn, setTurn] = useState(0);
  const busy = useRef(false);
  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    const ask = async (): Promise<void> => {
      try {
        const page = await getJson<Page<Job>>(path, abort.signal);
        setHeld((old) => {
          // Pages behind the first stay; a job that moved is in the newer answer.
          const further = old.path === path ? old.items.filter((j) => !page.items.some((n) => n.job_id === j.job_id)) : [];
          const keep = old.path === path && further.length > 0;
          return { path, items: [...page.items, ...further], next: keep ? old.next : page.next_page_token, error: null, ready: true };
        });
      } catch (e) {
        if (!abort.signal.aborted) setHeld((old) => ({ ...(old.path === path ? old : { path, items: [], next: null, ready: false }), error: asError(e) }));
      }
    };
    void ask();
    const timer = setInterval(() => void ask(), pollMs);
    return () => { abort.abort(); clearInterval(timer); };
  }, [path, turn]);
  const more = useCallback(() => {
    if (path === null || held.next === null || busy.current) return;
    busy.current = true;
    getJson<Page<Job>>(`${path}&page_token=${encodeURIComponent(held.next)}`).then(
      (page) => setHeld((old) => (old.path === path ? { ...old, items: [...old.items, ...page.items], next: page.next_page_token, error: null } : old)),
      (e: unknown) => setHeld((old) => ({ ...old, error: asError(e) })),
    ).finally(() => { busy.current = false; });
  }, [path, held.next]);
  const current = held.path === path;
  return {
    items: current ? held.items : none, error: current ? held.error : null, loading: path !== null && (!current || (!held.ready && held.error === null)),
    reload: useCallback(() => setTurn((t) => t + 1), []), more: current && held.next !== null ? more : null,
  };
}

const none: readonly Job[] = [];
const asError = (e: unknown): ApiError => (e instanceof ApiError ? e : new ApiError(0, { title: String(e) }));
