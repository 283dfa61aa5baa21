'use client';
import { useMemo } from 'react';
import type { Attempt, Job, Page } from '@/api/types';
import { carbonMass, duration, energy, instant, missing, parseTime } from '@/lib/format';
import { isFailure } from '@/lib/reasons';
import { gpuUrl } from '@/lib/url';
import { useFetch } from './hooks';
import { EntityLink } from './navigation';
import { Empty, Problem, SkeletonRows } from './parts';
import { JobTag } from './StateTag';

/** Every attempt of a job on one time axis: waiting, starting, running, and how it ended. */
export function Attempts({ job, now }: { job: Job; now: number }) {
  const page = useFetch<Page<Attempt>>(`/jobs/${encodeURIComponent(job.job_id)}/attempts`, { version: `${job.state}/${job.attempt}` });
  const attempts = useMemo(() => [...(page.data?.items ?? [])].sort((a, b) => a.attempt - b.attempt), [page.data]);
  if (page.error && !page.data) return <div className="pad"><Problem error={page.error} onRetry={page.reload} /></div>;
  if (!page.data) return <SkeletonRows rows={3} label="Loading attempts" />;
  if (attempts.length === 0) return <Empty><p>It was never given GPUs.</p></Empty>;
  const from = parseTime(job.submitted_at) ?? parseTime(attempts[0]!.assigned_at) ?? now;
  const to = parseTime(job.ended_at) ?? now;
  const at = (ms: number): string => `${Math.min(100, Math.max(0, ((ms - from) / Math.max(1, to - from)) * 100))}%`;
  return (
    <div className="attempts">
      <div className="att-axis num" aria-hidden="true"><span>submitted {instant(from, now)}</span><span>{job.ended_at ? `ended ${instant(to, now)}` : 'now'}</span></div>
      {attempts.map((a) => {
        const assigned = parseTime(a.assigned_at) ?? from;
        const started = parseTime(a.started_at);
        const ended = parseTime(a.ended_at) ?? (job.attempt === a.attempt && !job.ended_at ? now : assigned);
        const parts: [string, number, number][] = [['starting', assigned, started ?? ended], ...(started !== null ? [['ran', started, ended] as [string, number, number]] : [])];
        return (
          <section key={a.attempt} aria-label={`Attempt ${a.attempt}`} className="att">
            <div className="att-head"><b>Attempt {a.attempt}</b><JobTag state={a.state} /><span className="d">{a.node ?? missing}</span></div>
            <div className="att-bar" aria-hidden="true">{parts.map(([kind, x1, x2]) => <span key={kind} className={`att-${kind} ${isFailure(a.state) ? 'bad' : ''}`} style={{ left: at(x1), width: `max(3px, calc(${at(x2)} - ${at(x1)}))` }} />)}</div>
            <dl className="card-facts num">
              <div><dt>Assigned</dt><dd>{instant(assigned, now)}, after {duration((assigned - from) / 1000)}</dd></div>
              <div><dt>Started</dt><dd>{started === null ? 'never' : `${instant(started, now)}, ${duration((started - assigned) / 1000)} later`}</dd></div>
              <div><dt>Ran</dt><dd>{started === null ? missing : duration((ended - started) / 1000)}</dd></div>
              <div><dt>End</dt><dd>{endWords(a)}</dd></div>
              <div><dt>Energy</dt><dd>{energy(a.energy_j)}</dd></div>
              <div><dt>Carbon</dt><dd>{carbonMass(a.carbon_g)}</dd></div>
              <div><dt>Epoch</dt><dd>{a.epoch}</dd></div>
            </dl>
            <p className="att-gpus">{a.gpu_uuids.slice(0, 16).map((u, i) => <EntityLink key={u} className="link mono" href={gpuUrl(u)}>{a.gpu_ids[i] ?? u}</EntityLink>)}{a.gpu_uuids.length > 16 ? <span className="d">and {a.gpu_uuids.length - 16} more</span> : null}</p>
          </section>
        );
      })}
    </div>
  );
}

function endWords(a: Attempt): string {
  if (!a.ended_at) return a.stop_reason ? `stopping: ${a.stop_reason.replace(/_/g, ' ')}` : 'goes on';
  const e = a.exit;
  if (!e) return missing;
  return [e.exit_code !== null && e.exit_code !== undefined ? `code ${e.exit_code}` : null, e.signal ? `signal ${e.signal}` : null, e.cause ? `cause ${e.cause.replace(/_/g, ' ')}` : null, e.message].filter(Boolean).join(', ') || missing;
}
