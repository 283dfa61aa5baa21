'use client';
import { useMemo, useState } from 'react';
import type { Candidate, Job, Placement } from '@/api/types';
import { decimal, featureWords, instant, missing, parseTime, plural } from '@/lib/format';
import { jobGroup } from '@/lib/reasons';
import { gpuUrl } from '@/lib/url';
import { useNow } from './hooks';
import { Icon } from './Icon';
import { EntityLink } from './navigation';
import { Empty } from './parts';

const rejectedShown = 40;

/** The decision as it was taken: what was chosen, what else could have been, and what ruled the rest out. */
export function PlacementView({ placement, job }: { placement: Placement | null; job: Job }) {
  const now = useNow(10_000);
  const [picked, setPicked] = useState<string | null>(null);
  const parts = useMemo(() => split(placement?.candidates ?? []), [placement]);
  if (!placement) return <Empty><p>{jobGroup(job.state) === 'waiting' ? 'Not placed yet; the reason is under Why.' : 'No placement is recorded for this job.'}</p></Empty>;
  const shown = parts.fit.find((c) => c.gpu_uuid === picked) ?? parts.fit[0] ?? null;
  return (
    <div className="placement">
      <p className="ans">{placement.summary}</p>
      <p className="eta num">
        {placement.policy === 'model' && placement.model ? <>Ranked by model <b>{placement.model.name} {placement.model.version}</b></> : <>Ranked by <b>heuristic</b>{placement.fallback_reason ? `: ${placement.fallback_reason}` : ''}</>}
        {' · '}{instant(parseTime(placement.decided_at), now)}, cycle {placement.cycle} · {plural(placement.candidates.length, 'candidate')}
      </p>
      <div className="placement-cols">
        <div>
          <h3>Could take it</h3>
          <ul className="cands">
            {parts.fit.map((c) => (
              <li key={c.gpu_uuid} className={c === shown ? 'sel' : ''}>
                <button type="button" aria-pressed={c === shown} onClick={() => setPicked(c.gpu_uuid)}>
                  {c.chosen ? <Icon name="yes" size={13} /> : <span className="no-icon" />}
                  <span className="mono">{c.gpu_id}</span>
                  <span className="score-bar" aria-hidden="true"><span style={{ width: `${(100 * (c.score ?? 0)) / (parts.best || 1)}%` }} /></span>
                  <span className="num">{decimal(c.score, 3)}</span>{c.chosen ? <span className="vh"> chosen</span> : null}
                </button>
              </li>
            ))}
          </ul>
          {parts.fit.length === 0 ? <p className="d">None was recorded.</p> : null}
        </div>
        <div>{shown ? <Why candidate={shown} /> : null}</div>
      </div>
      {parts.rejected.length ? (
        <details className="twin" open={parts.rejected.length <= 12}>
          <summary>Ruled out ({parts.rejected.length})</summary>
          <ul className="lines">{parts.rejected.slice(0, rejectedShown).map((c) => <li key={c.gpu_uuid}><Icon name="no" size={12} /><EntityLink className="mono row-link" href={gpuUrl(c.gpu_uuid)}>{c.gpu_id}</EntityLink><span>{c.rejected_text || (c.rejected_by ?? '').toLowerCase().replace(/_/g, ' ')}</span></li>)}</ul>
          {parts.rejected.length > rejectedShown ? <p className="pad d">and {parts.rejected.length - rejectedShown} more</p> : null}
        </details>
      ) : null}
    </div>
  );
}

function split(candidates: readonly Candidate[]): { fit: Candidate[]; rejected: Candidate[]; best: number } {
  const fit = candidates.filter((c) => !c.rejected_by).sort((a, b) => Number(b.chosen) - Number(a.chosen) || (b.score ?? 0) - (a.score ?? 0));
  return { fit, rejected: candidates.filter((c) => c.rejected_by), best: Math.max(0, ...fit.map((c) => c.score ?? 0)) };
}

function Why({ candidate }: { candidate: Candidate }) {
  const contributions = [...(candidate.contributions ?? [])].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const top = Math.max(1e-9, ...contributions.map((c) => Math.abs(c.contribution)));
  const terms = candidate.terms ?? [];
  return (
    <>
      <h3>What made the score of <EntityLink className="link mono" href={gpuUrl(candidate.gpu_uuid)}>{candidate.gpu_id}</EntityLink></h3>
      {contributions.length ? (
        <ul className="contrib num">{contributions.map((c) => (
          <li key={c.feature}><span>{featureWords(c.feature)}</span><span className="d">{c.value === null ? missing : decimal(c.value, Number.isInteger(c.value) ? 0 : 2)}</span>
            <span className="two-way" aria-hidden="true"><span className={c.contribution < 0 ? 'neg' : 'pos'} style={{ width: `${(50 * Math.abs(c.contribution)) / top}%` }} /></span>
            <span className="r">{c.contribution > 0 ? '+' : c.contribution < 0 ? '−' : ''}{Math.abs(c.contribution).toFixed(3)}</span></li>
        ))}</ul>
      ) : null}
      {terms.length ? (
        <table className="plain"><thead><tr><th scope="col">Term</th><th scope="col">Value</th><th scope="col">Weight</th></tr></thead><tbody>{terms.map((t) => <tr key={t.name}><th scope="row">{featureWords(t.name)}</th><td className="num">{decimal(t.value, 3)}</td><td className="num">{decimal(t.weight, 2)}</td></tr>)}</tbody></table>
      ) : null}
      {contributions.length + terms.length === 0 ? <p className="d">The record holds no details of this score.</p> : null}
    </>
  );
}
