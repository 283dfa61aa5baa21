'use client';
import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import type { ApiError } from '@/api/client';
import { Icon } from './Icon';

export function Panel({ title, note, aside, className = '', children, level = 2 }: { title: ReactNode; note?: ReactNode; aside?: ReactNode; className?: string; children: ReactNode; level?: 2 | 3 }) {
  const id = useId();
  const Heading = level === 2 ? 'h2' : 'h3';
  return (
    <section className={`panel ${className}`} aria-labelledby={id}>
      <div className="ph">
        <Heading id={id}>{title}</Heading>
        {note ? <span className="d">{note}</span> : null}
        <div className="grow" />
        {aside}
      </div>
      {children}
    </section>
  );
}

export const Skeleton = ({ className = '' }: { className?: string }) => <span className={`sk ${className}`} aria-hidden="true" />;

export function SkeletonRows({ rows, label }: { rows: number; label: string }) {
  return (
    <div className="sk-rows" role="status" aria-label={label}>
      {Array.from({ length: rows }, (_, i) => <Skeleton key={i} className="sk-row" />)}
    </div>
  );
}

export const Empty = ({ children }: { children: ReactNode }) => <div className="empty">{children}</div>;

/** A refusal of the server: its title, its hint, and another try. */
export function Problem({ error, onRetry }: { error: ApiError; onRetry?: () => void }) {
  return (
    <div className="problem" role="alert">
      <Icon name="warn" />
      <div>
        <strong>{error.problem.title ?? error.message}</strong>
        {error.problem.detail ? <p>{error.problem.detail}</p> : null}
        {error.hint ? <p>{error.hint}</p> : null}
      </div>
      {onRetry ? <button type="button" className="quiet" onClick={onRetry}>Try again</button> : null}
    </div>
  );
}

export interface TabItem { id: string; label: ReactNode }

/** Tabs with one tab stop; arrows move and select. The panel below carries `role=tabpanel` and the id `${name}-panel`. */
export function Tabs({ name, label, items, value, onChange }: { name: string; label: string; items: readonly TabItem[]; value: string; onChange: (id: string) => void }) {
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = items.findIndex((t) => t.id === value);
    const next = items[(at + step + items.length) % items.length]!;
    onChange(next.id);
    document.getElementById(`${name}-${next.id}`)?.focus();
  };
  return (
    <div className="tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
      {items.map((t) => (
        <button key={t.id} id={`${name}-${t.id}`} type="button" role="tab" aria-selected={t.id === value} aria-controls={`${name}-panel`} tabIndex={t.id === value ? 0 : -1} onClick={() => onChange(t.id)}>
          {t.label}
        </button>
      ))}
    </div>
  );
}

/** A choice of a few values as a segmented control: one tab stop, arrows select. */
export function Segments({ label, items, value, onChange }: { label: string; items: readonly TabItem[]; value: string; onChange: (id: string) => void }) {
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>): void => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = items.findIndex((t) => t.id === value);
    const index = (at + step + items.length) % items.length;
    onChange(items[index]!.id);
    (event.currentTarget.children[index] as HTMLElement | undefined)?.focus();
  };
  return (
    <div className="seg" role="radiogroup" aria-label={label} onKeyDown={onKeyDown}>
      {items.map((t) => (
        <button key={t.id} type="button" role="radio" aria-checked={t.id === value} tabIndex={t.id === value ? 0 : -1} onClick={() => onChange(t.id)}>{t.label}</button>
      ))}
    </div>
  );
}

/** Native modal dialog that follows `open`. */
export function Dialog({ open, onClose, title, children, className = '' }: { open: boolean; onClose: () => void; title: string; children: ReactNode; className?: string }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (!dialog) return;
    if (open && !dialog.open) {
      if (dialog.showModal) dialog.showModal();
      else dialog.setAttribute('open', '');
      // The browser would focus the first control, which is Close.
      dialog.querySelector<HTMLElement>('[data-autofocus]')?.focus();
    } else if (!open && dialog.open) {
      if (dialog.close) dialog.close();
      else dialog.removeAttribute('open');
    }
  }, [open]);
  return (
    <dialog ref={ref} className={`dialog ${className}`} aria-labelledby={id} onClose={onClose} onClick={(e) => { if (e.target === ref.current) onClose(); }}>
      {open ? (
        <div className="dialog-in">
          <div className="dialog-head">
            <h2 id={id}>{title}</h2>
            <button type="button" className="ico" aria-label="Close" onClick={onClose}><Icon name="close" /></button>
          </div>
          {children}
        </div>
      ) : null}
    </dialog>
  );
}

export function CopyButton({ text, children }: { text: string; children: ReactNode }) {
  const [done, setDone] = useState(false);
  return (
    <button type="button" className="quiet" onClick={() => { void copy(text).then(setDone); setTimeout(() => setDone(false), 2000); }}>
      <Icon name="copy" size={14} /> {done ? 'Copied' : children}
    </button>
  );
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** The same view on the command line. */
export function CommandButton({ text }: { text: string }) {
  return <span className="command" title={text}><CopyButton text={text}>Copy as command</CopyButton></span>;
}
