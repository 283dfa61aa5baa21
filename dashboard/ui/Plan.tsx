'use client';
import { useEffect, useState } from 'react';
import { ApiError, request } from '@/api/client';
import type { DryRun } from '@/api/types';
import type { Spec } from '@/lib/spec';
import { clock, instant, parseTime } from '@/lib/format';
import { Icon } from './Icon';
import { Skeleton } from './parts';

const pauseMs = 400;
const againMs = 5000;
const shownGpus = 8;

export interface PlanState { reply: DryRun | null; error: ApiError | null; at: number; pending: boolean }

/** Asks the server what the next cycle would do with this job: after each pause in typing, and every 5 s. Nothing is stored. */
export function usePlan(spec: Spec | null, allowed: boolean): PlanState {
  const [state, setState] = useState<PlanState>({ reply: null, error: null, at: 0, pending: false });
  const key = spec && allowed ? JSON.stringify(spec) : null;
  useEffect(() => {
    if (key === null) {
      setState({ reply: null, error: null, at: 0, pending: false });
      return;
    }
    const abort = new AbortController();
    const ask = async (): Promise<void> => {
      try {
        const response = await request('/jobs?dry_run=true', { method: 'POST', body: JSON.parse(key), signal: abort.signal });
        setState({ reply: (await response.json()) as DryRun, error: null, at: Date.now(), pending: false });
      } catch (e) {
        if (!abort.signal.aborted) setState({ reply: null, error: e instanceof ApiError ? e : new ApiError(0, { title: String(e) }), at: Date.now(), pending: false });
      }
    };
    setState((old) => ({ ...old, pending: true }));
    const first = setTimeout(() => void ask(), pauseMs);
    const timer = setInterval(() => void ask(), againMs);
    return () => { abort.abort(); clearTimeout(first); clearInterval(timer); };
  }, [key]);
  return state;
}

export function PlanView({ plan, complete, blocked }: { plan: PlanState; complete: boolean; blocked: boolean }) {
  const { reply, error } = plan;
  if (blocked) return <p className="plan d">The server answers this with the token only.</p>;
  if (!complete) return <p className="plan d">Fill in the form and the scheduler says it here.</p>;
  if (error) return <p className="plan bad" role="status"><Icon name="no" size={13} /> {error.problem.detail ?? error.problem.title ?? error.message}</p>;
  if (!reply) return <p className="plan" role="status" aria-label="Asking the scheduler"><Skeleton className="sk-row" /></p>;
  const found = reply.plan;
  if (!found) return <p className="plan" role="status"><Icon name="yes" size={13} /> The server accepts this job; it gives no plan.</p>;
  const eta = found.wait?.start_eta;
  const ids = found.placement?.gpu_ids ?? [];
  return (
    <div className={`plan ${plan.pending ? 'old' : ''}`} role="status">
      <p><Icon name={found.starts_now ? 'yes' : 'na'} size={13} /> <b>{found.starts_now ? `Starts now on ${found.placement?.node || 'no GPU'}` : 'Would wait'}</b></p>
      <p>{found.summary}</p>
      {ids.length ? <p className="mono d">{ids.slice(0, shownGpus).join(', ')}{ids.length > shownGpus ? ` and ${ids.length - shownGpus} more` : ''}</p> : null}
      {!found.starts_now ? <p className="num">{eta?.p50 ? `≈ ${instant(parseTime(eta.p50), plan.at)}` : eta?.latest ? `by ${instant(parseTime(eta.latest), plan.at)} at the latest` : 'no estimate of the start'}</p> : null}
      {found.wait?.counterfactuals?.slice(0, 2).map((c, i) => <p key={i} className="d">sooner if {c.text ?? JSON.stringify(c.change)}: {c.starts === 'now' ? 'now' : c.starts ? instant(parseTime(c.starts), plan.at) : ''}</p>)}
      <p className="d">{found.placement?.fallback_reason ? `Ranked without the model: ${found.placement.fallback_reason}. ` : ''}As of {clock(plan.at)}; nothing is reserved.</p>
    </div>
  );
}
