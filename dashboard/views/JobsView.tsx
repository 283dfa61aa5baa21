'use client';
import { useMemo, useState } from 'react';
import type { Job } from '@/api/types';
import { duration, energy, instant, missing, parseTime } from '@/lib/format';
import { matchesJob, parseSearch } from '@/lib/search';
import { jobGroup, reasonChip, type JobGroup } from '@/lib/reasons';
import { waitingInOrder } from '@/lib/queue';
import { jobUrl, pageUrl } from '@/lib/url';
import { useNow, useStore, useValues } from '@/ui/hooks';
import { useJobPages } from '@/ui/job_pages';
import { useUrlQuery } from '@/ui/navigation';
import { CommandButton, Empty, Panel, Problem, SkeletonRows, Tabs } from '@/ui/parts';
import { BulkBar } from '@/ui/BulkBar';
import { Rows, type Column } from '@/ui/Rows';
import { useSubmit } from '@/ui/Shell';
import { JobTag } from '@/ui/StateTag';
import { JobDetail } from './JobDetail';

export function JobsView() {
  const query = useUrlQuery();
  const id = query.get('id');
  return id ? <JobDetail id={id} /> : <JobList />;
}

const groups: readonly JobGroup[] = ['waiting', 'running', 'finished'];

function columnsOf(group: JobGroup, now: number): Column<Job>[] {
  const ago = (text: string | null): string => {
    const t = parseTime(text);
    return t && now ? duration((now - t) / 1000) : missing;
  };
  const length = (j: Job): string => {
    const from = parseTime(j.started_at);
    const to = parseTime(j.ended_at) ?? now;
    return from ? duration((to - from) / 1000) : missing;
  };
  const base: Column<Job>[] = [
    { head: 'Job', cell: () => null },
    { head: 'Name', cell: (j) => <b>{j.name}</b> },
    { head: 'State', cell: (j) => <JobTag state={j.state} flags={j.flags} /> },
    { head: 'User', cell: (j) => j.user ?? missing },
    { head: 'GPUs', className: 'r', cell: (j) => j.gpus },
  ];
  if (group === 'waiting') return [...base, { head: 'Waits', className: 'r', cell: (j) => ago(j.submitted_at) }, { head: 'Priority', className: 'r', cell: (j) => j.priority ?? missing }, { head: 'Why', className: 'wide', cell: (j) => <><span className="chip">{reasonChip(j.reason?.code)}</span>{j.reason?.summary ?? missing}</> }];
  if (group === 'running') return [...base, { head: 'Runs', className: 'r', cell: length }, { head: 'Energy', className: 'r', cell: (j) => energy(j.energy_j) }, { head: 'Where', className: 'wide', cell: (j) => j.gpu_ids.length > 4 ? `${j.gpu_ids.slice(0, 3).join(', ')} and ${j.gpu_ids.length - 3} more` : j.gpu_ids.join(', ') || j.node || missing }];
  return [...base, { head: 'Ran', className: 'r', cell: length }, { head: 'Energy', className: 'r', cell: (j) => energy(j.energy_j) }, { head: 'Ended', className: 'r', cell: (j) => instant(parseTime(j.ended_at), now) }, { head: 'Exit', className: 'wide', cell: (j) => (j.exit ? [j.exit.exit_code !== null ? `code ${j.exit.exit_code}` : null, j.exit.signal ? `signal ${j.exit.signal}` : null, j.exit.cause && j.exit.cause !== 'self' ? j.exit.cause.replace(/_/g, ' ') : null, j.exit.message].filter(Boolean).join(', ') : missing) }];
}

const idOf = (j: Job): string => j.job_id;
const started = (j: Job): number => parseTime(j.started_at) ?? parseTime(j.submitted_at) ?? 0;
const orders: readonly { id: string; label: string; compare: (a: Job, b: Job) => number }[] = [
  { id: 'gpus', label: 'most GPUs', compare: (a, b) => b.gpus - a.gpus }, { id: 'oldest', label: 'oldest first', compare: (a, b) => started(a) - started(b) },
  { id: 'priority', label: 'priority', compare: (a, b) => (b.priority ?? 0) - (a.priority ?? 0) }, { id: 'energy', label: 'most energy', compare: (a, b) => (b.energy_j ?? -1) - (a.energy_j ?? -1) }, { id: 'name', label: 'name', compare: (a, b) => a.name.localeCompare(b.name) },
];

function JobList() {
  const query = useUrlQuery();
  const openSubmit = useSubmit();
  const jobs = useValues(useStore((s) => s.jobs));
  const loaded = useStore((s) => s.loaded.jobs);
  const link = useStore((s) => s.link);
  const now = useNow();
  const asked = query.get('tab') as JobGroup | null;
  const group: JobGroup = asked && groups.includes(asked) ? asked : 'running';
  const text = query.get('q') ?? '';
  const search = useMemo(() => parseSearch(text), [text]);
  const fleet = useStore((s) => s.fleet);
  const held = useMemo(() => Object.fromEntries(groups.map((g) => [g, jobs.filter((j) => jobGroup(j.state) === g).length])) as Record<JobGroup, number>, [jobs]);
  const totals: Record<JobGroup, number> = { waiting: Math.max(held.waiting, fleet?.jobs_pending ?? 0), running: Math.max(held.running, fleet?.jobs_running ?? 0), finished: held.finished };
  // The stream holds the front of the queue, the newest running and the newest finished jobs; the rest comes from the server.
  const older = useJobPages(group === 'finished' || (loaded && totals[group] > held[group]) ? pageUrl('/jobs', { state: group, limit: '200' }) : null);
  const shown = useMemo(() => {
    const all = new Map<string, Job>(older.items.map((j) => [j.job_id, j]));
    for (const j of jobs) all.set(j.job_id, j);
    const mine = [...all.values()].filter((j) => jobGroup(j.state) === group && matchesJob(j, search));
    return group === 'waiting' ? waitingInOrder(mine) : mine.sort((a, b) => b.number - a.number);
  }, [jobs, older.items, group, search]);
  const columns = useMemo(() => columnsOf(group, now), [group, now]);
  const users = useMemo(() => [...new Set(jobs.map((j) => j.user).filter((u): u is string => u !== null))].sort(), [jobs]);
  const user = query.get('user');
  const order = orders.find((o) => o.id === query.get('sort')) ?? null;
  const listed = useMemo(() => {
    const mine = user ? shown.filter((j) => j.user === user) : shown;
    return order ? [...mine].sort(order.compare) : mine;
  }, [shown, user, order]);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const chosen = listed.filter((j) => picked.has(j.job_id));
  const toggle = (id: string): void => setPicked((old) => { const next = new Set(old); if (!next.delete(id)) next.add(id); return next; });
  const command = `aether queue${group === 'waiting' ? ' --state waiting' : group === 'running' ? ' --state running' : ' -a --state finished'}${user ? ` --user ${user}` : ''}`;
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head"><h1>Jobs</h1><div className="grow" />
        <input data-filter type="search" className="wide-filter" aria-label="Search jobs" placeholder="name, or user:me state:failed gpus>4" value={text} onChange={(e) => query.change({ q: e.target.value })} />
        <select aria-label="User" value={user ?? ''} onChange={(e) => query.change({ user: e.target.value })}><option value="">every user</option>{users.map((u) => <option key={u} value={u}>{u}</option>)}</select>
        <select aria-label="Order" value={order?.id ?? ''} onChange={(e) => query.change({ sort: e.target.value })}><option value="">{group === 'waiting' ? 'by turn' : 'newest first'}</option>{orders.map((o) => <option key={o.id} value={o.id}>{o.label}</option>)}</select>
        <CommandButton text={command} /></div>
      <Panel title={<span className="vh">List</span>} className="tabbed">
        <Tabs name="jobs" label="Jobs by state" value={group} onChange={(t) => query.change({ tab: t }, 'push')} items={groups.map((g) => ({ id: g, label: <>{g.charAt(0).toUpperCase() + g.slice(1)}{g !== 'finished' ? <span className="pill num">{totals[g]}</span> : null}</> }))} />
        <div role="tabpanel" id="jobs-panel" aria-labelledby={`jobs-${group}`}>
          {older.error ? <div className="pad"><Problem error={older.error} onRetry={older.reload} /></div> : null}
          {!loaded ? <SkeletonRows rows={10} label="Loading jobs" /> : listed.length === 0 ? (
            <Empty><p>{text || user ? 'No job matches.' : group === 'waiting' ? 'Nothing is waiting.' : group === 'running' ? 'Nothing is running.' : 'Nothing has finished yet.'}</p>{!text ? <p><button type="button" className="quiet" onClick={openSubmit}>Submit a job</button></p> : null}</Empty>
          ) : <Rows items={listed} keyOf={idOf} hrefOf={(j) => jobUrl(j.number)} linkOf={(j) => j.number} columns={columns} caption={`Jobs, ${group}`}
            pick={group === 'finished' ? undefined : { has: (j) => picked.has(j.job_id), toggle: (j) => toggle(j.job_id), nameOf: (j) => `job ${j.number}` }} />}
          {older.more || older.loading ? <p className="pad d list-foot"><span role="status">{older.loading ? 'Asking the server for the rest' : `${listed.length}${group !== 'finished' && !text && !user ? ` of ${totals[group]}` : ''} shown${text || user ? '; the search looks at what was loaded' : ''}`}</span>{older.more ? <button type="button" className="quiet" onClick={older.more}>Load 200 more</button> : null}</p> : null}
          {chosen.length && group !== 'finished' ? <BulkBar jobs={chosen} onDone={() => setPicked(new Set())} /> : null}
        </div>
      </Panel>
    </main>
  );
}
