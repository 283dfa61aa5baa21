'use client';
import { useState, type ReactNode } from 'react';
import { ApiError, hasToken, noTokenHint, post } from '@/api/client';
import { useStore } from './hooks';
import { Dialog, Problem } from './parts';

/** Why a write can't be done now, or null. */
export function useWriteBlock(): string | null {
  const offline = useStore((s) => s.link === 'offline');
  const connected = useStore((s) => s.heardAt !== null);
  if (offline) return 'The server is out of reach; the page keeps trying.';
  if (!connected) return null;
  return hasToken() ? null : noTokenHint;
}

export interface ActionProps {
  label: ReactNode;
  path: string;
  body?: unknown;
  className?: string;
  /** With this, a dialog states the effect first. */
  confirm?: { title: string; effect: ReactNode; reason?: { label: string; placeholder?: string }; button: string; danger?: boolean };
  onDone?: () => void;
}

/** A button that writes. When it may not, it stays reachable and says why on activation; a refusal of the server appears at the control. */
export function Action({ label, path, body, className = 'quiet', confirm, onDone }: ActionProps) {
  const block = useWriteBlock();
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [told, setTold] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [reason, setReason] = useState('');

  const run = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await post(path, confirm?.reason ? { ...(body as object | undefined), reason: reason.trim() } : body ?? {});
      setOpen(false);
      onDone?.();
    } catch (e) {
      setError(e instanceof ApiError ? e : new ApiError(0, { title: String(e) }));
    } finally {
      setBusy(false);
    }
  };
  const press = (): void => {
    if (block) {
      setTold(true);
      return;
    }
    setTold(false);
    if (confirm) setOpen(true);
    else void run();
  };
  return (
    <span className="action">
      <button type="button" className={className} aria-disabled={block ? true : undefined} disabled={busy} onClick={press} title={block ?? undefined}>{label}</button>
      {told && block ? <span className="reason" role="status">{block}</span> : null}
      {error && !open ? <Problem error={error} onRetry={() => void run()} /> : null}
      {confirm ? (
        <Dialog open={open} onClose={() => setOpen(false)} title={confirm.title}>
          <form className="form" onSubmit={(e) => { e.preventDefault(); void run(); }}>
            <p>{confirm.effect}</p>
            {confirm.reason ? (
              <label className="field">
                <span>{confirm.reason.label}</span>
                <input data-autofocus value={reason} onChange={(e) => setReason(e.target.value)} placeholder={confirm.reason.placeholder} required maxLength={200} />
              </label>
            ) : null}
            {error ? <Problem error={error} /> : null}
            <div className="dialog-foot">
              <button type="button" className="quiet" onClick={() => setOpen(false)}>Not now</button>
              <button type="submit" className={confirm.danger ? 'btn danger' : 'btn'} disabled={busy}>{confirm.button}</button>
            </div>
          </form>
        </Dialog>
      ) : null}
    </span>
  );
}
