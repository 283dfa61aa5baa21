'use client';
import { useEffect, useRef, useState } from 'react';
import { useNavigate } from './navigation';
import { Dialog } from './parts';

const goTo: Record<string, string> = { o: '/', g: '/gpus', j: '/jobs', t: '/timeline', a: '/anomalies', c: '/carbon', n: '/nodes' };
export const offKey = 'aether.keys.off';
const chordMs = 1500;

/** Single-key shortcuts, which a person can switch off (WCAG 2.1.4), and the list of them. */
export function Keys() {
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const [off, setOff] = useState(false);
  const chordUntil = useRef(0);
  useEffect(() => {
    try { setOff(localStorage.getItem(offKey) === '1'); } catch { setOff(false); }
  }, []);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement | null;
      if (off || event.ctrlKey || event.metaKey || event.altKey || target?.closest('input, textarea, select, dialog[open]')) return;
      if (Date.now() < chordUntil.current && goTo[event.key]) {
        chordUntil.current = 0;
        event.preventDefault();
        navigate(goTo[event.key]!);
      } else if (event.key === 'g') {
        chordUntil.current = Date.now() + chordMs;
      } else if (event.key === '?') {
        setOpen(true);
      } else if (event.key === 'T') {
        // The chart the focus is in or beside: its table twin.
        const twin = target?.closest('.chart, .panel')?.querySelector<HTMLDetailsElement>('details.twin');
        if (twin) twin.open = !twin.open;
      } else if (event.key === '/') {
        const filter = document.querySelector<HTMLElement>('[data-filter]');
        if (filter) {
          event.preventDefault();
          filter.focus();
        }
      }
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [navigate, off]);
  const toggle = (): void => {
    setOff(!off);
    try { localStorage.setItem(offKey, off ? '0' : '1'); } catch { return; }
  };
  return (
    <Dialog open={open} onClose={() => setOpen(false)} title="Keys">
      <dl className="facts">
        <dt><kbd>Ctrl K</kbd></dt><dd>find a GPU, job, node or page</dd>
        <dt><kbd>/</kbd></dt><dd>filter of this page</dd>
        <dt><kbd>g</kbd> then <kbd>o</kbd> <kbd>g</kbd> <kbd>j</kbd> <kbd>t</kbd> <kbd>a</kbd> <kbd>c</kbd> <kbd>n</kbd></dt><dd>Overview, GPUs, Jobs, Timeline, Anomalies, Carbon, Nodes</dd>
        <dt>arrows, <kbd>Enter</kbd></dt><dd>move inside a map or table, open</dd>
        <dt><kbd>Space</kbd></dt><dd>pin a GPU for comparison</dd>
        <dt><kbd>T</kbd></dt><dd>the focused chart as a table</dd>
        <dt><kbd>W</kbd> <kbd>A</kbd> <kbd>S</kbd> <kbd>D</kbd></dt><dd>zoom and pan the timeline</dd>
        <dt><kbd>?</kbd></dt><dd>this list</dd>
      </dl>
      <label className="check"><input type="checkbox" checked={!off} onChange={toggle} /> Single-key shortcuts are on</label>
    </Dialog>
  );
}
