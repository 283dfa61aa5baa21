'use client';
import type { Check, Explain, Job, Reason } from '@/api/types';
import { clock, duration, instant, parseTime } from '@/lib/format';
import { jobGroup, reasonChip } from '@/lib/reasons';
import { jobUrl } from '@/lib/url';
import { useFetch, useNow, useStore } from './hooks';
import { Icon } from './Icon';
import { EntityLink } from './navigation';
import { Empty, Panel, Problem, SkeletonRows } from './parts';

const pollMs = 5_000;

/** Explain record of one job, renewed while it matters and at every change of the job. */
export function useExplain(job: Job | null) {
  return useFetch<Explain>(job ? `/jobs/${encodeURIComponent(job.job_id)}/explain` : null, {
    pollMs: job && jobGroup(job.state) === 'waiting' ? pollMs : undefined, version: job ? `${job.state}/${job.reason?.code ?? ''}/${job.attempt}` : '',
  });
}

/** Formats the scheduler's own record; it never works out a reason itself. */
export function WhyCard({ job }: { job: Job | null }) {
  const explain = useExplain(job);
  const now = useNow();
  const loaded = useStore((s) => s.loaded.jobs);
  if (!job && !loaded) return <Panel className="why-card" title="Why does it wait?"><SkeletonRows rows={4} label="Loading the reason" /></Panel>;
  if (!job) {
    return <Panel className="why-card" title="Why does it wait?"><Empty><p>Nothing is waiting. When a job has to wait, the scheduler’s reason for it is shown here.</p></Empty></Panel>;
  }
  const waits = jobGroup(job.state) === 'waiting';
  const since = parseTime(waits ? job.submitted_at : job.started_at ?? job.submitted_at);
  return (
    <Panel className="why-card" title={waits ? <>Why is <span className="mono">{job.number}</span> waiting?</> : <>Why is <span className="mono">{job.number}</span> on {job.node ?? 'its node'}?</>}
      aside={<span className="d num">{job.name}{since && now ? ` · ${duration((now - since) / 1000)}` : ''}</span>}>
      {explain.loading ? <SkeletonRows rows={5} label="Loading the reason" /> : null}
      {explain.error && !explain.data ? <div className="why"><Problem error={explain.error} onRetry={explain.reload} /></div> : null}
      {explain.data ? <WhyBody explain={explain.data} job={job} now={now} brief /> : null}
    </Panel>
  );
}

export function WhyBody({ explain, job, now, brief = false }: { explain: Explain; job: Job; now: number; brief?: boolean }) {
  const placement = explain.placement;
  const waits = jobGroup(job.state) === 'waiting';
  const eta = explain.start_eta;
  const checks = orderedChecks(explain);
  return (
    <div className="why">
      <p className="ans">{!waits && placement ? placement.summary : explain.summary}</p>
      {waits ? <p className="eta num">{etaSentence(eta, now, !brief)}{explain.queue_position != null ? ` · ${brief ? 'place' : 'place in the queue:'} ${explain.queue_position}` : ''}</p> : null}
      {!waits && placement ? <p className="eta">Chosen by {placement.policy === 'model' && placement.model ? `model ${placement.model.name} ${placement.model.version}` : `heuristic${placement.fallback_reason ? `: ${placement.fallback_reason}` : ''}`} · <EntityLink className="link" href={jobUrl(job.number, 'placement')}>all candidates</EntityLink></p> : null}
      {checks.length ? <ul className="checks num">{(brief ? checks.slice(0, 7) : checks).map((c, i) => <CheckRow key={`${c.code}-${i}`} check={c} />)}</ul> : null}
      {explain.counterfactuals?.length ? (
        <div className="sooner num">
          <h3>It would start sooner if</h3>
          <ul>{explain.counterfactuals.slice(0, brief ? 3 : undefined).map((c, i) => <li key={i}>{c.text ?? changeWords(c.change)}<span className="t">{c.starts === 'now' ? 'now' : c.starts ? `≈ ${instant(parseTime(c.starts), now)}` : ''}</span></li>)}</ul>
        </div>
      ) : null}
    </div>
  );
}

function CheckRow({ check }: { check: Check }) {
  const icon = check.verdict === 'pass' ? 'yes' : check.verdict === 'fail' ? 'no' : 'na';
  const word = check.verdict === 'pass' ? 'passed' : check.verdict === 'fail' ? 'blocks' : 'does not block';
  const have = Number(check.have);
  const need = Number(check.need);
  const countable = check.verdict === 'fail' && /gpu/i.test(check.unit ?? '') && Number.isInteger(have) && Number.isInteger(need) && need > 0 && need <= 16;
  return (
    <li className={check.verdict}>
      <Icon name={icon} size={13} /><span className="vh">{word}: </span>
      <span>{codeWords(check.code)}</span>
      <span>{countable ? <span className="mini" aria-hidden="true">{Array.from({ length: need }, (_, i) => <i key={i} className={i < have ? '' : 'e'} />)}</span> : null}{check.text}</span>
    </li>
  );
}

/** Blocking first, then what does not block, then what passed. Without checks the reasons stand in. */
export function orderedChecks(explain: Explain): Check[] {
  const order = { fail: 0, na: 1, pass: 2 } as const;
  if (explain.checks?.length) return [...explain.checks].sort((a, b) => order[a.verdict] - order[b.verdict]);
  return explain.reasons.map((r) => ({ code: r.code, verdict: r.blocking ? ('fail' as const) : ('na' as const), have: r.best, need: r.need, unit: r.unit ?? null, text: reasonText(r) }))
    .sort((a, b) => order[a.verdict] - order[b.verdict]);
}

function reasonText(r: Reason): string {
  if (r.text ?? r.summary) return (r.text ?? r.summary)!;
  const parts = [r.need !== undefined ? `needs ${r.need}${r.best !== undefined ? `, best ${r.best}` : ''}${r.unit ? ` ${r.unit}` : ''}` : null, r.until ? `until ${clock(parseTime(r.until))}` : null, r.clears_when?.event ?? null];
  return parts.filter(Boolean).join('; ') || reasonChip(r.code);
}

export function etaSentence(eta: Explain['start_eta'], now: number, withHitRate = false): string {
  const p50 = parseTime(eta?.p50);
  const latest = parseTime(eta?.latest);
  if (p50 === null) return latest === null ? 'no estimate yet' : `starts by ${instant(latest, now)} at the latest`;
  const from = parseTime(eta?.p10);
  const to = parseTime(eta?.p90);
  const spread = from !== null && to !== null ? ` (${clock(from)}–${clock(to)})` : '';
  const hit = withHitRate && eta?.coverage_30d != null ? `, right in ${Math.round(eta.coverage_30d * 100)} % of the last 30 days` : '';
  return `starts ≈ ${instant(p50, now)}${spread}${hit}`;
}

/** Names of checks that read well whether they passed or not. */
const checkNames: Record<string, string> = {
  INFEASIBLE: 'Fits this cluster', INSUFFICIENT_GPUS: 'Free GPUs', INSUFFICIENT_VRAM: 'GPU memory', PRIORITY: 'Turn', POWER_BUDGET: 'Power cap', CARBON_WINDOW: 'Cleaner power',
  THERMAL: 'Cool enough', GPU_QUARANTINED: 'Healthy GPUs', NODE_DRAINED: 'Nodes in service', NODE_STALE: 'Nodes that report', QUOTA: 'Quota', DEPENDENCY: 'Earlier jobs',
};
export function codeWords(code: string): string {
  if (checkNames[code]) return checkNames[code];
  const words = code.toLowerCase().replace(/_/g, ' ').replace(/\bgpus?\b/g, (m) => (m === 'gpu' ? 'GPU' : 'GPUs')).replace(/\bvram\b/g, 'GPU memory');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function changeWords(change: Record<string, unknown>): string {
  return Object.entries(change).map(([key, value]) => {
    if (key === 'gpus') return `it asks for ${value} GPU${value === 1 ? '' : 's'}`;
    if (key === 'time_limit_s') return `its time limit is ${duration(Number(value))}`;
    if (key === 'gpu_mem_mb') return `it asks for ${Math.round(Number(value) / 1024)} GiB per GPU`;
    return `${key.replace(/_/g, ' ')} is ${String(value)}`;
  }).join(' and ');
}
