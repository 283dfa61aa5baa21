'use client';
import { useCallback, useMemo, useSyncExternalStore } from 'react';

/** Alerts that this browser hides until a time. Only a view of this person: the server and other people still show them. */
const key = 'aether.snoozed';
const listeners = new Set<() => void>();
const none: Readonly<Record<string, number>> = {};
let held: { text: string | null; value: Readonly<Record<string, number>> } = { text: null, value: none };

function read(): Readonly<Record<string, number>> {
  let text: string | null = null;
  try { text = localStorage.getItem(key); } catch { return held.value; }
  if (text === held.text) return held.value;
  let value: Record<string, number> = {};
  try {
    const parsed: unknown = JSON.parse(text ?? '{}');
    if (parsed && typeof parsed === 'object') value = Object.fromEntries(Object.entries(parsed).filter((e): e is [string, number] => typeof e[1] === 'number'));
  } catch {
    value = {};
  }
  held = { text, value };
  return value;
}

function write(next: Record<string, number>): void {
  try { localStorage.setItem(key, JSON.stringify(next)); } catch { held = { text: held.text, value: next }; }
  for (const listener of listeners) listener();
}

export function useSnoozed(): { until: (id: string, now: number) => number | null; snooze: (id: string, until: number) => void; wake: (id: string) => void } {
  const subscribe = useCallback((listener: () => void) => {
    listeners.add(listener);
    window.addEventListener('storage', listener);
    return () => { listeners.delete(listener); window.removeEventListener('storage', listener); };
  }, []);
  const all = useSyncExternalStore(subscribe, read, () => none);
  return useMemo(() => ({
    until: (id, now) => { const t = all[id]; return t !== undefined && t > now ? t : null; },
    snooze: (id, until) => write({ ...Object.fromEntries(Object.entries(all).filter(([, t]) => t > Date.now())), [id]: until }),
    wake: (id) => { const { [id]: _gone, ...rest } = all; write(rest); },
  }), [all]);
}
