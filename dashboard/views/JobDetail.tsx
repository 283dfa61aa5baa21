'use client';
import { useState } from 'react';
import type { Explain, Gpu, Job, JobEvent, Page } from '@/api/types';
import { carbonMass, celsius, duration, energy, featureWords, instant, memory, missing, parseTime, percent, power } from '@/lib/format';
import { joinCommand } from '@/lib/argv';
import { linePath } from '@/lib/draw/spark';
import { scaleOf } from '@/lib/gpu';
import { jobGroup, stateWord } from '@/lib/reasons';
import { gpuMetrics, type GpuMetric } from '@/lib/store';
import { gpuUrl, jobUrl } from '@/lib/url';
import { Action } from '@/ui/Action';
import { useBackfill } from '@/ui/backfill';
import { Facts, type Fact as FactRow } from '@/ui/Facts';
import { useApp, useFetch, useNow, useStore, useTitle } from '@/ui/hooks';
import { LogView } from '@/ui/LogView';
import { EntityLink, useUrlQuery } from '@/ui/navigation';
import { CommandButton, Empty, Panel, Problem, SkeletonRows, Tabs } from '@/ui/parts';
import { Attempts } from '@/ui/Attempts';
import { useRoutes } from '@/ui/routes';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { PlacementView } from '@/ui/PlacementView';
import { JobTag } from '@/ui/StateTag';
import { Unknown } from '@/ui/Unknown';
import { etaSentence, useExplain, WhyBody } from '@/ui/WhyCard';

const tabs = [{ id: 'why', label: 'Why' }, { id: 'placement', label: 'Placement' }, { id: 'attempts', label: 'Attempts' }, { id: 'telemetry', label: 'Telemetry' }, { id: 'logs', label: 'Logs' }, { id: 'events', label: 'Events' }, { id: 'spec', label: 'Spec' }];

export function JobDetail({ id }: { id: string }) {
  const jobs = useStore((s) => s.jobs);
  const loaded = useStore((s) => s.loaded.jobs);
  const live = jobs.get(id) ?? [...jobs.values()].find((j) => String(j.number) === id) ?? null;
  const fetched = useFetch<Job>(loaded && !live ? `/jobs/${encodeURIComponent(id)}` : null);
  const job = live ?? fetched.data;
  useTitle(job ? `${job.number} ${job.name}` : null);
  if (job) return <Detail key={job.job_id} job={job} />;
  if (fetched.error) return <Unknown what="job" id={id} error={fetched.error} listHref="/jobs" onRetry={fetched.reload} />;
  return <PageSkeleton title="Job" />;
}

function Detail({ job }: { job: Job }) {
  useBackfill();
  const query = useUrlQuery();
  const now = useNow();
  const link = useStore((s) => s.link);
  const explain = useExplain(job);
  const group = jobGroup(job.state);
  const asked = query.get('tab');
  const [opened] = useState(() => (group === 'waiting' ? 'why' : 'logs'));
  const tab = tabs.some((t) => t.id === asked) ? asked! : opened;
  const path = `/jobs/${encodeURIComponent(job.job_id)}`;
  const routes = useRoutes();
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head">
        <h1><span className="mono">{job.number}</span> {job.name}</h1>
        <JobTag state={job.state} flags={job.flags} />
        <span className="d num">{when(job, explain.data, now)}</span>
        <div className="grow" />
        {!group || group === 'finished' ? null : extraActions.filter((a) => routes.has(`/jobs/{}/${a.verb}`) && a.fits(job.state)).map((a) => <Action key={a.verb} label={a.label} path={`${path}/${a.verb}`} confirm={{ title: `${a.label} job ${job.number}?`, effect: a.effect, button: a.label }} />)}
        {job.state === 'PENDING' ? <Action label="Hold" path={`${path}/hold`} /> : null}
        {job.state === 'HELD' ? <Action label="Release" path={`${path}/release`} /> : null}
        {group !== 'finished' ? <Action label="Cancel" className="quiet danger" path={`${path}/cancel`} confirm={{ title: `Cancel job ${job.number}?`, effect: group === 'running' ? `Its processes get TERM now and KILL after the grace time. ${job.gpu_ids.length} GPU${job.gpu_ids.length === 1 ? ' becomes' : 's become'} free.` : 'It leaves the queue. Nothing was started.', button: 'Cancel the job', danger: true }} /> : null}
        <CommandButton text={tab === 'logs' ? `aether logs${group === 'running' ? ' -f' : ''} ${job.number}` : tab === 'why' || tab === 'placement' ? `aether why ${job.number}` : `aether show ${job.number}`} />
      </div>
      <div className="tiles">
        <Fact label="GPUs" value={String(job.gpus)} note={job.gpu_mem_mb ? `${memory(job.gpu_mem_mb)} each, shared` : 'whole GPUs'} />
        <Fact label="Where" value={job.node ?? missing} note={job.gpu_ids.length ? job.gpu_ids.slice(0, 4).join(', ') + (job.gpu_ids.length > 4 ? ' …' : '') : 'not placed yet'} />
        <Fact label="Time limit" value={job.time_limit_s ? duration(job.time_limit_s) : 'none'} note={job.attempt > 0 ? `attempt ${job.attempt}${job.attempts > 1 ? ` of ${job.attempts}` : ''}` : 'no attempt yet'} />
        <Fact label="Energy" value={energy(job.energy_j)} note={job.carbon_g !== null ? carbonMass(job.carbon_g) : 'no carbon figure'} />
        <Fact label="Priority" value={job.priority === null ? missing : String(job.priority)} note={`queue ${job.queue ?? 'default'}${job.user ? `, ${job.user}` : ''}`} />
      </div>
      <Panel title={<span className="vh">Details</span>} className="tabbed">
        <Tabs name="job" label={`Job ${job.number}`} items={tabs} value={tab} onChange={(t) => query.change({ tab: t }, 'push')} />
        <div role="tabpanel" id="job-panel" aria-labelledby={`job-${tab}`} className="tab-body">
          {tab === 'why' || tab === 'placement' ? <Explained explain={explain} job={job} now={now} tab={tab} /> : null}
          {tab === 'attempts' ? <Attempts job={job} now={now} /> : null}
          {tab === 'telemetry' ? <Telemetry job={job} /> : null}
          {tab === 'logs' ? <LogView job={job} /> : null}
          {tab === 'events' ? <Events job={job} /> : null}
          {tab === 'spec' ? <SpecTab job={job} /> : null}
        </div>
      </Panel>
    </main>
  );
}

/** Offered where the server has the route; the states are those of the job model, unknown ones offer nothing. */
const extraActions: readonly { verb: string; label: string; effect: string; fits: (state: string) => boolean }[] = [
  { verb: 'suspend', label: 'Suspend', effect: 'Its processes stop and keep their GPUs and memory until it is resumed.', fits: (s) => s === 'RUNNING' },
  { verb: 'resume', label: 'Resume', effect: 'Its processes go on where they were.', fits: (s) => s === 'SUSPENDED' },
  { verb: 'requeue', label: 'Requeue', effect: 'This attempt ends and the job waits again, as attempt n + 1.', fits: (s) => s === 'RUNNING' || s === 'SUSPENDED' },
];

const Fact = ({ label, value, note }: { label: string; value: string; note: string }) => <div className="tile"><h2>{label}</h2><div className="v num">{value}</div><div className="s num">{note}</div></div>;

function when(job: Job, explain: Explain | null, now: number): string {
  if (!now) return '';
  const group = jobGroup(job.state);
  const since = (t: string | null): string => duration((now - (parseTime(t) ?? now)) / 1000);
  if (group === 'waiting') return `for ${since(job.submitted_at)}, ${etaSentence(explain?.start_eta, now)}`;
  if (group === 'running') return `since ${instant(parseTime(job.started_at), now)}, ${since(job.started_at)}`;
  const ran = parseTime(job.started_at) !== null ? `ran ${duration(((parseTime(job.ended_at) ?? now) - (parseTime(job.started_at) ?? 0)) / 1000)}, ` : '';
  const exit = job.exit?.exit_code != null ? `, exit code ${job.exit.exit_code}` : job.exit?.signal ? `, signal ${job.exit.signal}` : '';
  return `${ran}ended ${instant(parseTime(job.ended_at), now)}${exit}${job.exit?.message ? `: ${job.exit.message}` : ''}`;
}

function Explained({ explain, job, now, tab }: { explain: ReturnType<typeof useExplain>; job: Job; now: number; tab: string }) {
  if (explain.loading) return <SkeletonRows rows={6} label="Loading the decision" />;
  if (!explain.data) return explain.error ? <div className="pad"><Problem error={explain.error} onRetry={explain.reload} /></div> : null;
  if (tab === 'placement') return <PlacementView placement={explain.data.placement} job={job} />;
  return <WhyBody explain={explain.data} job={job} now={now} />;
}

function Telemetry({ job }: { job: Job }) {
  const { store } = useApp();
  useStore((s) => s.tick);
  const all = useStore((s) => s.gpus);
  const gpus = job.gpu_uuids.map((u) => all.get(u)).filter((g): g is Gpu => g !== undefined);
  if (gpus.length === 0) return <Empty><p>{jobGroup(job.state) === 'waiting' ? 'It holds no GPU yet.' : 'Its GPUs do not report any more.'}</p></Empty>;
  const over = jobGroup(job.state) === 'finished';
  const word: Record<GpuMetric, (g: Gpu) => string> = { utilization_gpu: (g) => percent(g.sample?.utilization_gpu), memory_used_mb: (g) => memory(g.sample?.memory_used_mb), temperature_c: (g) => celsius(g.sample?.temperature_c), power_draw_w: (g) => power(g.sample?.power_draw_w) };
  return (
    <>
      {over ? <div className="pad d">The job is over; these are the GPUs it had, as they are now.</div> : null}
      <div className="table-box"><table className="plain telemetry">
        <thead><tr><th scope="col">Rank</th><th scope="col">GPU</th><th scope="col">Busy</th><th scope="col">Memory</th><th scope="col">Temperature</th><th scope="col">Power</th></tr></thead>
        <tbody>{gpus.map((g, rank) => (
          <tr key={g.gpu_uuid}><td className="num">{rank}</td><th scope="row"><EntityLink className="link mono" href={gpuUrl(g.gpu_uuid)}>{g.gpu_id}</EntityLink></th>
            {gpuMetrics.map((m) => {
              const ring = store.ring(g.gpu_uuid, m);
              return <td key={m} className="num"><span className="with-spark">{word[m](g)}{ring && ring.length > 2 ? <svg className="row-spark" width="120" height="22" viewBox="0 0 120 22" aria-hidden="true"><path d={linePath(ring.downsample(60), { width: 120, height: 22, ...scaleOf(m, g), pad: 2 })} fill="none" stroke="currentColor" strokeWidth="1.3" /></svg> : null}</span></td>;
            })}</tr>
        ))}</tbody>
      </table></div>
      <p className="pad d">Last 15 minutes, each on the GPU’s own scale. A GPU’s page has longer ranges.</p>
    </>
  );
}

function Events({ job }: { job: Job }) {
  const events = useFetch<Page<JobEvent>>(`/jobs/${encodeURIComponent(job.job_id)}/events`, { version: `${job.state}/${job.attempt}` });
  const now = useNow(10_000);
  if (events.error && !events.data) return <div className="pad"><Problem error={events.error} onRetry={events.reload} /></div>;
  if (!events.data) return <SkeletonRows rows={4} label="Loading events" />;
  if (events.data.items.length === 0) return <Empty><p>No change of state is recorded.</p></Empty>;
  return (
    <div className="table-box"><table className="plain">
      <thead><tr><th scope="col">Time</th><th scope="col">From</th><th scope="col">To</th><th scope="col">By</th><th scope="col">Attempt</th><th scope="col">Reason</th></tr></thead>
      <tbody>{events.data.items.map((e, i) => <tr key={i}><td className="num">{instant(parseTime(e.time), now)}</td><td>{e.from ? stateWord(e.from) : missing}</td><td><b>{stateWord(e.to)}</b></td><td>{e.actor}</td><td className="num">{e.attempt ?? missing}</td><td>{e.reason ?? ''}</td></tr>)}</tbody>
    </table></div>
  );
}

/** What a newer server says of a job beyond what this page has a place for: by its own names. */
const placed = new Set(['job_id', 'number', 'name', 'type', 'state', 'flags', 'user', 'queue', 'priority', 'gpus', 'gpu_mem_mb', 'share', 'time_limit_s', 'argv', 'script', 'workdir', 'env_names', 'submitted_at', 'started_at', 'ended_at', 'attempt', 'attempts', 'node', 'gpu_uuids', 'gpu_ids', 'exit', 'reason', 'energy_j', 'carbon_g']);
function furtherFacts(job: Job): FactRow[] {
  const empty = (v: unknown): boolean => v === null || v === undefined || v === '' || (typeof v === 'object' && Object.keys(v as object).length === 0);
  return Object.entries(job).filter(([key, value]) => !placed.has(key) && !empty(value)).map(([key, value]) => [featureWords(key), typeof value === 'object' ? <span key={key} className="mono">{JSON.stringify(value)}</span> : String(value)] as const);
}

function SpecTab({ job }: { job: Job }) {
  return (
    <div className="spec">
      <Facts items={[['Job id', <span key="i" className="mono">{job.job_id}</span>], ['Type', job.type], ['Share', job.share ?? missing], ['Working directory', <span key="w" className="mono">{job.workdir ?? missing}</span>], ['Environment names', job.env_names.length ? job.env_names.join(', ') : 'none'], ['Submitted', job.submitted_at], ...furtherFacts(job)]} />
      {job.argv.length ? <><h3>Command</h3><pre className="code" tabIndex={0}>{joinCommand(job.argv)}</pre></> : null}
      {job.script ? <><h3>Script</h3><pre className="code" tabIndex={0}>{job.script}</pre></> : null}
      <p className="d">Values of environment variables are never shown. <EntityLink className="link" href={jobUrl(job.number, 'events')}>Its history</EntityLink></p>
    </div>
  );
}
