'use client';
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore, type ReactNode } from 'react';
import { ApiError, getJson } from '@/api/client';
import type { Theme } from '@/lib/ramp';
import { emptyState, Store, type State } from '@/lib/store';
import type { StreamClient } from '@/lib/stream';
import { currentTheme } from '@/lib/theme';

export interface AppValue { store: Store; stream: Pick<StreamClient, 'subscribe' | 'retryNow'> | null }

const idle: AppValue = { store: new Store(), stream: null };
const AppContext = createContext<AppValue>(idle);

/** Gives the pages their store. Without `value` (in the browser) the real one is made after mount, so that the export holds skeletons only. */
export function AppProvider({ value, children }: { value?: AppValue; children: ReactNode }) {
  const [app, setApp] = useState<AppValue>(value ?? idle);
  useEffect(() => {
    if (!value) void import('./app').then((m) => setApp(m.browserApp()));
  }, [value]);
  return <AppContext.Provider value={app}>{children}</AppContext.Provider>;
}

export const useApp = (): AppValue => useContext(AppContext);

/** `select` must return a primitive or a part of the state, never a new object. */
export function useStore<T>(select: (state: State) => T): T {
  const { store } = useApp();
  return useSyncExternalStore(store.subscribe, () => select(store.getState()), () => select(emptyState));
}

/** Browser time in ms, renewed every `everyMs`; 0 while the page is exported and on its first render. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(0);
  useEffect(() => {
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

function subscribeTheme(listener: () => void): () => void {
  const observer = new MutationObserver(listener);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
  return () => observer.disconnect();
}
export const useTheme = (): Theme => useSyncExternalStore(subscribeTheme, currentTheme, () => 'dark');

/** Whether a media query holds; false while the page is exported. */
export function useMedia(query: string): boolean {
  const subscribe = useCallback((listener: () => void) => {
    const list = window.matchMedia?.(query);
    list?.addEventListener('change', listener);
    return () => list?.removeEventListener('change', listener);
  }, [query]);
  return useSyncExternalStore(subscribe, () => window.matchMedia?.(query).matches ?? false, () => false);
}

export interface Fetched<T> { data: T | null; error: ApiError | null; loading: boolean; reload: () => void }

/** GET of `path` (none while null), again every `pollMs` and whenever `version` changes; old data stays while new data is on its way. */
export function useFetch<T>(path: string | null, options: { pollMs?: number; version?: unknown } = {}): Fetched<T> {
  const [state, setState] = useState<{ path: string | null; data: T | null; error: ApiError | null }>({ path: null, data: null, error: null });
  const [turn, setTurn] = useState(0);
  const { pollMs, version } = options;
  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    getJson<T>(path, abort.signal).then(
      (data) => setState({ path, data, error: null }),
      (error: unknown) => {
        if (abort.signal.aborted) return;
        const problem = error instanceof ApiError ? error : new ApiError(0, { title: String(error) });
        setState((old) => ({ path, data: old.path === path ? old.data : null, error: problem }));
      },
    );
    return () => abort.abort();
  }, [path, turn, version]);
  useEffect(() => {
    if (path === null || !pollMs) return;
    const timer = setInterval(() => setTurn((t) => t + 1), pollMs);
    return () => clearInterval(timer);
  }, [path, pollMs]);
  const reload = useCallback(() => setTurn((t) => t + 1), []);
  const current = state.path === path;
  return {
    data: current ? state.data : null, error: current ? state.error : null,
    loading: path !== null && (!current || (state.data === null && state.error === null)), reload,
  };
}

/** Values of a Map as a list, made again only when the Map is another. */
export function useValues<K, V>(map: ReadonlyMap<K, V>): V[] {
  return useMemo(() => [...map.values()], [map]);
}

/** Title of the browser tab for a page whose content is known only at run time. */
export function useTitle(title: string | null): void {
  const before = useRef<string | null>(null);
  useEffect(() => {
    if (title === null) return;
    before.current ??= document.title;
    document.title = `${title} – Aether`;
    return () => {
      if (before.current !== null) document.title = before.current;
      before.current = null;
    };
  }, [title]);
}

/** Whether a person can see this page now: what nobody sees need not be asked for. */
export function useVisible(): boolean {
  return useSyncExternalStore(subscribeVisible, () => !document.hidden, () => true);
}
function subscribeVisible(listener: () => void): () => void {
  document.addEventListener('visibilitychange', listener);
  return () => document.removeEventListener('visibilitychange', listener);
}
