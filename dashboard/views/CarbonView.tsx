'use client';
import { useMemo } from 'react';
import type { Carbon, Job, Page } from '@/api/types';
import { carbonMass, decimal, duration, energy, instant, integer, missing, parseTime, plural } from '@/lib/format';
import { bestStart, realised, savedPct } from '@/lib/carbon';
import { usageOf } from '@/lib/usage';
import { jobGroup } from '@/lib/reasons';
import { jobUrl, pageUrl } from '@/lib/url';
import { Facts } from '@/ui/Facts';
import { useFetch, useNow, useStore, useValues } from '@/ui/hooks';
import { EntityLink } from '@/ui/navigation';
import { CommandButton, Empty, Panel, Problem, SkeletonRows } from '@/ui/parts';
import { TimeChart } from '@/ui/TimeChart';

export function CarbonView() {
  const fleet = useStore((s) => s.fleet);
  const link = useStore((s) => s.link);
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head"><h1>Carbon</h1><span className="d">how clean the grid is, and what jobs used</span><div className="grow" /><CommandButton text="aether carbon" /></div>
      {!fleet ? <Panel title="Intensity"><SkeletonRows rows={8} label="Loading carbon" /></Panel> : fleet.carbon ? <Body carbon={fleet.carbon} drawW={fleet.power_draw_w} /> : <Panel title="Intensity"><Empty><p>No carbon source is set up. The scheduler then ignores carbon.</p></Empty></Panel>}
      <Used />
    </main>
  );
}

function Body({ carbon, drawW }: { carbon: Carbon; drawW: number | null }) {
  const now = useNow(5_000);
  const observed = parseTime(carbon.observed_at);
  const age = observed && now ? (now - observed) / 1000 : carbon.age_s;
  const key = JSON.stringify(carbon.forecast);
  const plan = useMemo(() => {
    const points = (JSON.parse(key) as Carbon['forecast']).map((f) => ({ t: parseTime(f.time) ?? 0, v: f.intensity_g_per_kwh }));
    return { times: points.map((p) => p.t), lines: [{ label: 'forecast', color: 'accent' as const, mean: points.map((p) => p.v) }], low: points.reduce<{ t: number; v: number } | null>((m, p) => (!m || p.v < m.v ? p : m), null), high: points.reduce<{ t: number; v: number } | null>((m, p) => (!m || p.v > m.v ? p : m), null) };
  }, [key]);
  return (
    <>
      <div className="tiles">
        <div className="tile"><h2>Now {carbon.is_estimated ? <span className="pill warn">estimate</span> : <span className="pill">measured</span>}</h2><div className="v num">{integer(carbon.intensity_g_per_kwh)} <small>g CO₂e/kWh</small></div><div className="s num">{age === null ? 'age unknown' : `${duration(age)} old`}</div></div>
        <div className="tile"><h2>This fleet</h2><div className="v num">{decimal(carbon.kg_per_h, 2)} <small>kg/h</small></div><div className="s num">at {drawW === null ? missing : `${(drawW / 1000).toFixed(1)} kW`} of GPU power</div></div>
        <div className="tile"><h2>Cleanest hour ahead</h2><div className="v num">{plan.low ? integer(plan.low.v) : missing} <small>g/kWh</small></div><div className="s num">{plan.low ? `at ${instant(plan.low.t, now)}` : 'no forecast'}</div></div>
        <div className="tile"><h2>Dirtiest hour ahead</h2><div className="v num">{plan.high ? integer(plan.high.v) : missing} <small>g/kWh</small></div><div className="s num">{plan.high ? `at ${instant(plan.high.t, now)}` : 'no forecast'}</div></div>
      </div>
      <Panel title="Forecast" note="next 24 hours">
        {plan.times.length > 1 ? <div className="charts single"><TimeChart title="Carbon intensity" unit="g/kWh" times={plan.times} lines={plan.lines} low={0} heightPx={240} ahead /></div> : <Empty><p>The source gives no forecast.</p></Empty>}
      </Panel>
      <Panel title="Where the number comes from">
        <Facts items={[['Source', carbon.source], ['What it is', carbon.label || (carbon.is_estimated ? 'estimate' : 'measurement')], ['Zone', carbon.zone], ['Observed', instant(observed, now)], ['Age', age === null ? missing : duration(age)]]} />
        {carbon.is_estimated ? <p className="pad d">An estimate is not a measurement of your grid. Figures of jobs and the fleet that use it are estimates too.</p> : null}
      </Panel>
    </>
  );
}

const jobLimit = 1000;

/** Measured energy of jobs, added up. A job without a figure is counted as such, never as 0. */
function Used() {
  const live = useValues(useStore((s) => s.jobs));
  const loaded = useStore((s) => s.loaded.jobs);
  const older = useFetch<Page<Job>>(pageUrl('/jobs', { state: 'finished', limit: String(jobLimit) }), { pollMs: 60_000 });
  const jobs = useMemo(() => {
    const all = new Map<string, Job>((older.data?.items ?? []).map((j) => [j.job_id, j]));
    for (const j of live) all.set(j.job_id, j);
    return [...all.values()].filter((j) => jobGroup(j.state) !== 'waiting' && j.attempt > 0);
  }, [live, older.data]);
  const users = useMemo(() => usageOf(jobs, (j) => j.user ?? 'unknown'), [jobs]);
  const top = useMemo(() => jobs.filter((j) => j.energy_j !== null).sort((a, b) => (b.energy_j ?? 0) - (a.energy_j ?? 0)).slice(0, 12), [jobs]);
  const delayed = live.filter((j) => jobGroup(j.state) === 'waiting' && j.reason?.code === 'CARBON_WINDOW');
  const total = users.reduce((sum, u) => sum + (u.energyJ ?? 0), 0);
  return (
    <div className="columns two">
      <Panel title="What the scheduler does with it" note={delayed.length ? plural(delayed.length, 'job') : null}>
        {!loaded ? <SkeletonRows rows={3} label="Loading jobs" /> : delayed.length === 0 ? <Empty><p>No job waits for cleaner power now. A job may be delayed only if its owner allowed it.</p></Empty> : (
          <ul className="lines">{delayed.map((j) => <li key={j.job_id}><EntityLink className="link mono" href={jobUrl(j.number, 'why')}>{j.number}</EntityLink><b>{j.name}</b><span className="d">{j.reason?.summary}</span></li>)}</ul>
        )}
        <p className="pad d">Jobs start as soon as they fit; none is held back for cleaner power by itself. Who can wait says so with <code>--begin</code>, or with “Not before” in the form.</p>
      </Panel>
      <Later />
      <Panel title="Energy by user" note={`of ${plural(jobs.length, 'job')} that ran`}>
        {older.error ? <div className="pad"><Problem error={older.error} onRetry={older.reload} /></div> : null}
        {!loaded ? <SkeletonRows rows={4} label="Loading jobs" /> : users.length === 0 ? <Empty><p>No job has run yet.</p></Empty> : (
          <div className="table-box"><table className="plain usage">
            <thead><tr><th scope="col">User</th><th scope="col">Jobs</th><th scope="col">Energy</th><th scope="col">Carbon</th><th scope="col">Ran at</th><th scope="col">Share</th></tr></thead>
            <tbody>{users.map((u) => <tr key={u.key}><th scope="row">{u.key}</th><td className="num">{u.jobs}{u.unmeasured ? <span className="d">, {u.unmeasured} without a figure</span> : null}</td><td className="num">{energy(u.energyJ)}</td><td className="num">{carbonMass(u.carbonG)}</td><td className="num">{intensity(realised(u.energyJ, u.carbonG))}</td><td><span className="share-bar" aria-hidden="true"><span style={{ width: `${total ? (100 * (u.energyJ ?? 0)) / total : 0}%` }} /></span><span className="num">{u.energyJ === null || !total ? missing : `${Math.round((100 * u.energyJ) / total)} %`}</span></td></tr>)}</tbody>
          </table></div>
        )}
      </Panel>
      <Panel title="Jobs that used most">
        {!loaded ? <SkeletonRows rows={4} label="Loading jobs" /> : top.length === 0 ? <Empty><p>No job has an energy figure yet.</p></Empty> : (
          <div className="table-box"><table className="plain">
            <thead><tr><th scope="col">Job</th><th scope="col">Name</th><th scope="col">User</th><th scope="col">Energy</th><th scope="col">Carbon</th><th scope="col">Ran at</th></tr></thead>
            <tbody>{top.map((j) => <tr key={j.job_id}><th scope="row"><EntityLink className="link mono" href={jobUrl(j.number)}>{j.number}</EntityLink></th><td>{j.name}</td><td>{j.user ?? missing}</td><td className="num">{energy(j.energy_j)}</td><td className="num">{carbonMass(j.carbon_g)}</td><td className="num">{intensity(realised(j.energy_j, j.carbon_g))}</td></tr>)}</tbody>
          </table></div>
        )}
      </Panel>
    </div>
  );
}

const intensity = (v: number | null): string => (v === null ? missing : `${integer(v)} g/kWh`);
const runHours = [1, 4, 12] as const;

/** What a later start would change, by the forecast. */
function Later() {
  const carbon = useStore((s) => s.fleet?.carbon ?? null);
  const now = useNow(60_000);
  const shifts = useMemo(() => (carbon && now ? runHours.map((hours) => ({ hours, shift: bestStart(carbon, hours, now) })) : []), [carbon, now]);
  if (!carbon || !shifts.length) return null;
  return (
    <Panel title="If a job started later" note="estimate from the forecast">
      <div className="table-box"><table className="plain">
        <thead><tr><th scope="col">It runs</th><th scope="col">From now</th><th scope="col">Cleanest start</th><th scope="col">From then</th><th scope="col">Saves</th></tr></thead>
        <tbody>{shifts.map(({ hours, shift }) => <tr key={hours}><th scope="row">{hours} h</th>{shift ? <><td className="num">{intensity(shift.now)}</td><td className="num">{instant(shift.startMs, now)}</td><td className="num">{intensity(shift.best)}</td><td className="num">{savedPct(shift)} %</td></> : <td colSpan={4}>no cleaner start in the forecast</td>}</tr>)}</tbody>
      </table></div>
    </Panel>
  );
}
