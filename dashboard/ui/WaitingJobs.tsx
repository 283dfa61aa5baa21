'use client';
import { useEffect, useMemo, useState } from 'react';
import { getJson } from '@/api/client';
import type { Carbon, Explain, Job } from '@/api/types';
import { clock, instant, memory, parseTime, plural } from '@/lib/format';
import { byNode } from '@/lib/gpu';
import { reasonChip, reasonShort } from '@/lib/reasons';
import { jobUrl } from '@/lib/url';
import { useNow, useStore } from './hooks';
import { EntityLink } from './navigation';
import { Empty, Panel, SkeletonRows } from './parts';
import { moveFocus } from './roving';

const shownLimit = 6;
const explainEveryMs = 10_000;
const axisHours = 8;

export type Etas = ReadonlyMap<string, NonNullable<Explain['start_eta']>>;

/** Start estimates of the shown jobs, asked for again every 10 s: the list itself carries none. */
function useEtas(jobs: readonly Job[]): Etas {
  const [etas, setEtas] = useState<Etas>(new Map());
  const key = jobs.map((j) => j.job_id).join(' ');
  useEffect(() => {
    const abort = new AbortController();
    const ask = async (): Promise<void> => {
      const ids = key ? key.split(' ') : [];
      const found = await Promise.all(ids.map((id) => getJson<Explain>(`/jobs/${id}/explain`, abort.signal).then((e) => [id, e.start_eta ?? null] as const, () => [id, undefined] as const)));
      if (abort.signal.aborted) return;
      // What could not be asked keeps its last answer; null is an answer.
      setEtas((old) => new Map(found.flatMap(([id, eta]) => {
        const known = eta === undefined ? old.get(id) : eta;
        return known ? [[id, known] as const] : [];
      })));
    };
    void ask();
    const timer = setInterval(() => void ask(), explainEveryMs);
    return () => { abort.abort(); clearInterval(timer); };
  }, [key]);
  return etas;
}

export function WaitingJobs({ selected, onSelect }: { selected: string | null; onSelect: (job: Job) => void }) {
  const waiting = useStore((s) => s.waiting);
  const total = useStore((s) => Math.max(s.waiting.length, s.fleet?.jobs_pending ?? 0));
  const loaded = useStore((s) => s.loaded.jobs);
  const carbon = useStore((s) => s.fleet?.carbon ?? null);
  const shown = waiting.slice(0, shownLimit);
  const etas = useEtas(shown);
  const now = useNow(10_000);
  const window = useMemo(() => cleanWindow(carbon, now), [carbon, now]);
  const withAxis = etas.size > 0 && now > 0;
  return (
    <Panel className="waiting" title="Waiting jobs" note={waiting.length ? (withAxis ? 'in start order; a soft edge means an uncertain start' : 'in order of priority') : null}
      aside={withAxis && window ? <span className="legend"><span className="clean-key" aria-hidden="true" />cleaner power, forecast {Math.round(window.low)} g/kWh</span> : waiting.length > shownLimit ? <EntityLink className="d-link" href="/jobs?tab=waiting">all {total}</EntityLink> : null}>
      {!loaded ? <SkeletonRows rows={5} label="Loading waiting jobs" /> : null}
      {loaded && waiting.length === 0 ? <NothingWaits /> : null}
      {shown.length ? <Queue jobs={shown} etas={etas} now={now} axis={withAxis} clean={window} selected={selected} onSelect={onSelect} /> : null}
    </Panel>
  );
}

function Queue({ jobs, etas, now, axis, clean, selected, onSelect }: { jobs: readonly Job[]; etas: Etas; now: number; axis: boolean; clean: Clean | null; selected: string | null; onSelect: (job: Job) => void }) {
  const [active, setActive] = useState<string | null>(null);
  const current = jobs.some((j) => j.job_id === active) ? active : selected ?? jobs[0]?.job_id;
  const x = (ms: number): number => Math.min(100, Math.max(0, ((ms - now) / (axisHours * 3_600_000)) * 100));
  return (
    <div className="q" onKeyDown={moveFocus}>
      <table className={axis ? 'with-axis' : ''}>
        <thead><tr><th scope="col" className="w-job">Job</th><th scope="col" className="w-name">Name</th><th scope="col" className="w-gpus">GPUs</th><th scope="col">Why it waits</th><th scope="col" className="e w-start">Start</th>
          {axis ? <th scope="col" className="ax"><span className="vh">Planned time</span><div className="axl" aria-hidden="true"><span>now</span>{ticks(now).map((t) => <span key={t} style={{ left: `${x(t)}%` }}>{clock(t)}</span>)}</div></th> : null}</tr></thead>
        <tbody>
          {jobs.map((j) => {
            const eta = etas.get(j.job_id);
            return (
              <tr key={j.job_id} className={j.job_id === selected ? 'sel' : ''} onClick={() => onSelect(j)}>
                <td><EntityLink className="mono row-link" href={jobUrl(j.number)} data-roving tabIndex={j.job_id === current ? 0 : -1} onFocus={() => { setActive(j.job_id); onSelect(j); }} aria-current={j.job_id === selected ? 'true' : undefined}>{j.number}</EntityLink></td>
                <td><b>{j.name}</b>{j.user ? ` · ${j.user}` : ''}</td>
                <td className="num">{j.gpus}{j.gpu_mem_mb ? ` × ${memory(j.gpu_mem_mb)}` : ''}</td>
                <td title={j.reason?.summary}><span className="chip">{reasonChip(j.reason?.code ?? (j.state === 'HELD' ? 'HELD_BY_USER' : 'NOT_YET_EVALUATED'))}</span>{j.reason ? reasonShort(j.reason.summary) : 'Not looked at yet'}</td>
                <td className="num e">{eta?.p50 ? `≈ ${instant(parseTime(eta.p50), now)}` : eta?.latest ? `by ${instant(parseTime(eta.latest), now)}` : <span className="none">{j.reason?.code === 'INFEASIBLE' ? 'never' : 'no estimate yet'}</span>}</td>
                {axis ? <td className="ax"><Bar job={j} eta={eta} now={now} x={x} /></td> : null}
              </tr>
            );
          })}
        </tbody>
      </table>
      {axis && clean ? <div className="clean-box" aria-hidden="true"><div className="clean" style={{ left: `${x(clean.from)}%`, width: `${x(clean.to) - x(clean.from)}%` }} /></div> : null}
    </div>
  );
}

function Bar({ job, eta, now, x }: { job: Job; eta: NonNullable<Explain['start_eta']> | undefined; now: number; x: (ms: number) => number }) {
  const latest = parseTime(eta?.latest);
  const p50 = parseTime(eta?.p50) ?? latest;
  if (p50 === null) return null;
  // Only a latest start is known: the whole time until then is uncertain.
  const p10 = parseTime(eta?.p10) ?? (eta?.p50 ? p50 : now);
  const end = p50 + (job.time_limit_s ?? 3600) * 1000;
  const left = x(Math.max(now, p10));
  const width = Math.max(1.5, x(end) - left);
  const soft = Math.min(100, ((x(parseTime(eta?.p90) ?? p50) - left) / width) * 100);
  return <div className="gantt" aria-hidden="true"><span className="w" style={{ width: `${left}%` }} /><span className="r" style={{ left: `${left}%`, width: `${width}%`, ['--f' as string]: `${soft}%` }} /></div>;
}

function ticks(now: number): number[] {
  const step = 2 * 3_600_000;
  const first = Math.ceil((now + 4_500_000) / step) * step;
  return [0, 1, 2].map((i) => first + i * step).filter((t) => t < now + axisHours * 3_600_000 * 0.95);
}

interface Clean { from: number; to: number; low: number }
/** The stretch of the forecast around its lowest hour that is at least a fifth under the present intensity. */
export function cleanWindow(carbon: Carbon | null, now: number): Clean | null {
  if (!carbon || carbon.intensity_g_per_kwh === null || !now) return null;
  const points = carbon.forecast.map((f) => ({ t: parseTime(f.time) ?? 0, v: f.intensity_g_per_kwh })).filter((p) => p.t > now - 3_600_000 && p.t < now + axisHours * 3_600_000);
  const limit = carbon.intensity_g_per_kwh * 0.8;
  const lowest = points.reduce((best, p, i) => (p.v < (points[best]?.v ?? Infinity) ? i : best), 0);
  if (!points[lowest] || points[lowest].v >= limit) return null;
  let a = lowest;
  let b = lowest;
  while (a > 0 && points[a - 1]!.v < limit) a--;
  while (b < points.length - 1 && points[b + 1]!.v < limit) b++;
  const step = points.length > 1 ? points[1]!.t - points[0]!.t : 3_600_000;
  return { from: Math.max(now, points[a]!.t), to: points[b]!.t + step, low: points[lowest].v };
}

function NothingWaits() {
  const gpus = useStore((s) => s.gpus);
  const free = useMemo(() => [...gpus.values()].filter((g) => g.state === 'free'), [gpus]);
  const nodes = [...byNode(free).keys()];
  const where = nodes.length === 1 ? `, all on ${nodes[0]}` : nodes.length > 1 ? `, on ${plural(nodes.length, 'node')}` : '';
  return <Empty><p>Nothing is waiting. {free.length ? `${plural(free.length, 'GPU is', 'GPUs are')} free${where}.` : 'No GPU is free.'}</p></Empty>;
}
