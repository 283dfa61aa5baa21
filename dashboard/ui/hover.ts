'use client';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

const leaveMs = 250;

export interface HoverCard<T> {
  shown: T | null;
  /** What the pointer or the focus is on now; null when it left. */
  point: (target: T | null) => void;
  hide: () => void;
  /** For the card itself: while the pointer is on it, it stays. */
  card: { onMouseEnter: () => void; onMouseLeave: () => void };
}

/** What appears on hover or focus: Escape dismisses it, the pointer can move onto it, and it stays until it is left (WCAG 1.4.13). */
export function useHoverCard<T>(same: (a: T, b: T) => boolean): HoverCard<T> {
  const [shown, setShown] = useState<T | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const dismissed = useRef<T | null>(null);
  const isSame = useRef(same);
  isSame.current = same;
  const stay = useCallback(() => {
    if (timer.current !== null) clearTimeout(timer.current);
    timer.current = null;
  }, []);
  const hide = useCallback(() => { stay(); setShown(null); }, [stay]);
  const leave = useCallback(() => {
    stay();
    timer.current = setTimeout(() => { dismissed.current = null; setShown(null); }, leaveMs);
  }, [stay]);
  const point = useCallback((target: T | null) => {
    if (target === null) return leave();
    stay();
    if (dismissed.current !== null && isSame.current(dismissed.current, target)) return undefined;
    dismissed.current = null;
    return setShown((old) => (old !== null && isSame.current(old, target) ? old : target));
  }, [leave, stay]);
  const isShown = shown !== null;
  useEffect(() => {
    if (!isShown) return;
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape') return;
      setShown((old) => { dismissed.current = old; return null; });
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [isShown]);
  useEffect(() => stay, [stay]);
  return useMemo(() => ({ shown, point, hide, card: { onMouseEnter: stay, onMouseLeave: leave } }), [shown, point, hide, stay, leave]);
}
