'use client';
import { useMemo } from 'react';
import type { Gpu, Page, SystemEvent } from '@/api/types';
import { celsius, duration, instant, integer, memory, missing, parseTime, percent, power, shortGpuName } from '@/lib/format';
import { stateLook, byNode } from '@/lib/gpu';
import type { Line } from '@/lib/draw/series';
import { gpuUrl, jobUrl, nodeUrl } from '@/lib/url';
import { Action } from '@/ui/Action';
import { AlertItem, peersOf as peersUrl, sortedAlerts } from '@/ui/Attention';
import { Facts } from '@/ui/Facts';
import { ranges, useGpuHistory, type GpuHistory, type HistoryMetric, type RangeId } from '@/ui/gpu_history';
import { useFetch, useVisible, useNow, useStore, useTitle, useValues } from '@/ui/hooks';
import { EntityLink, useUrlQuery } from '@/ui/navigation';
import { CommandButton, Empty, Panel, Problem, Segments, SkeletonRows } from '@/ui/parts';
import { StateTag } from '@/ui/StateTag';
import { TimeChart } from '@/ui/TimeChart';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { Unknown } from '@/ui/Unknown';

export function GpuDetail({ id }: { id: string }) {
  const gpus = useStore((s) => s.gpus);
  const loaded = useStore((s) => s.loaded.gpus);
  const live = gpus.get(id) ?? [...gpus.values()].find((g) => g.gpu_id === id) ?? null;
  // The stream's columns are rounded for the map; the page of one GPU asks for every reading it has.
  const visible = useVisible();
  const fetched = useFetch<Gpu>(loaded ? `/gpus/${encodeURIComponent(live?.gpu_uuid ?? id)}` : null, { pollMs: visible ? 1000 : undefined, version: live?.state });
  const gpu = fetched.data && live ? { ...live, sample: fetched.data.sample } : live ?? fetched.data;
  useTitle(gpu ? `${gpu.node} GPU ${gpu.gpu_index}` : null);
  if (gpu) return <Detail gpu={gpu} />;
  if (fetched.error) return <Unknown what="GPU" id={id} error={fetched.error} listHref="/gpus" onRetry={fetched.reload} />;
  return <PageSkeleton title="GPU" />;
}

function Detail({ gpu }: { gpu: Gpu }) {
  const now = useNow();
  const link = useStore((s) => s.link);
  const look = stateLook(gpu.state);
  const since = parseTime(gpu.state_since);
  const s = gpu.sample;
  const path = `/gpus/${encodeURIComponent(gpu.gpu_uuid)}`;
  const all = useStore((st) => st.gpus);
  const peers = useMemo(() => peersUrl(gpu, all), [gpu, all]);
  const who = gpu.jobs.length ? `Job ${gpu.jobs.map((j) => j.number).join(', ')} keeps running; nothing new is placed here.` : 'Nothing runs on it. The scheduler will place nothing here.';
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head">
        <h1><EntityLink className="crumb" href={nodeUrl(gpu.node)}>{gpu.node}</EntityLink> · GPU {gpu.gpu_index}</h1>
        <StateTag gpu={gpu} />
        {gpu.source === 'simulated' ? <span className="pill info">simulated</span> : null}
        <span className="d">{[gpu.state_reason, since && now ? `${look.word} for ${duration((now - since) / 1000)}` : null].filter(Boolean).join(' · ')}</span>
        <div className="grow" />
        {gpu.state === 'quarantined' ? <Action label="Clear" path={`${path}/clear`} confirm={{ title: 'Return this GPU to service?', effect: 'The scheduler may place jobs on it at once.', button: 'Clear' }} />
          : <Action label="Quarantine" className="quiet danger" path={`${path}/quarantine`} confirm={{ title: `Quarantine ${gpu.gpu_id}?`, effect: who, reason: { label: 'Why', placeholder: 'Xid 79 seen twice' }, button: 'Quarantine', danger: true }} />}
        {peers ? <EntityLink className="quiet" href={peers}>Compare with peers</EntityLink> : null}
        <CommandButton text={`aether gpus -o wide | grep -w ${gpu.gpu_id}`} />
      </div>
      <div className="tiles">
        <Tile label="Busy" value={percent(s?.utilization_gpu)} note={`memory controller ${percent(s?.utilization_memory_controller)}`} />
        <Tile label="Memory" value={memory(s?.memory_used_mb)} note={`of ${memory(gpu.memory_total_mb)}${gpu.allocated_mb ? `, ${memory(gpu.allocated_mb)} reserved` : ''}`} />
        <Tile label="Temperature" value={celsius(s?.temperature_c)} note={`slows down at ${celsius(gpu.temperature_slowdown_c)}`} />
        <Tile label="Power" value={power(s?.power_draw_w)} note={`limit ${power(gpu.power_limit_w)}`} />
        <Tile label="Clock" value={s?.clock_sm_mhz != null ? `${integer(s.clock_sm_mhz)} MHz` : missing} note={`throttling: ${(s?.throttling_reasons ?? missing).replace(/\|/g, ', ').replace(/_/g, ' ')}`} />
      </div>
      <Charts gpu={gpu} />
      <div className="columns">
        <JobsOn gpu={gpu} />
        <Trouble gpu={gpu} />
        <Peers gpu={gpu} />
        <Panel title="Inventory"><Facts items={[['UUID', <span key="u" className="mono">{gpu.gpu_uuid}</span>], ['Model', shortGpuName(gpu.gpu_name)], ['Source', gpu.source === 'nvml' ? 'NVML, measured' : gpu.source], ['Performance state', s?.performance_state != null ? `P${String(s.performance_state).replace(/^P/i, '')}` : missing], ['Fan', percent(s?.fan_speed_pct)], ['Uncorrected ECC errors', integer(s?.ecc_dbe_volatile_total)], ['Last Xid', s?.xid_last ? String(s.xid_last) : 'none seen'], ['Last sample', s ? instant(parseTime(s.time), now) : 'none']]} /></Panel>
      </div>
    </main>
  );
}

function Tile({ label, value, note }: { label: string; value: string; note: string }) {
  return <div className="tile"><h2>{label}</h2><div className="v num">{value}</div><div className="s num">{note}</div></div>;
}

const line = (h: GpuHistory, metric: HistoryMetric, label: string, color: Line['color'], scale = 1): Line | null => {
  const s = h.series[metric];
  if (!s) return null;
  const by = (list: (number | null)[] | undefined): (number | null)[] | undefined => (list && scale !== 1 ? list.map((v) => (v === null ? null : v * scale)) : list);
  return { label, color, mean: by(s.mean)!, min: by(s.min), max: by(s.max) };
};

function Charts({ gpu }: { gpu: Gpu }) {
  const query = useUrlQuery();
  const asked = query.get('range');
  const range: RangeId = ranges.some((r) => r.id === asked) ? (asked as RangeId) : '15m';
  const { history, error, loading } = useGpuHistory(gpu, range);
  const charts = useMemo(() => {
    if (!history) return null;
    const keep = (...lines: (Line | null)[]): Line[] => lines.filter((l): l is Line => l !== null);
    const noBand = (l: Line | null): Line | null => (l ? { ...l, min: undefined, max: undefined } : null);
    return {
      busy: keep(line(history, 'utilization_gpu', 'GPU', 'accent'), noBand(line(history, 'utilization_memory_controller', 'memory controller', 'info'))),
      temperature: keep(line(history, 'temperature_c', 'temperature', 'accent')), power: keep(line(history, 'power_draw_w', 'power', 'accent')),
      memory: keep(line(history, 'memory_used_mb', 'used', 'accent', 1 / 1024)),
      clocks: keep(noBand(line(history, 'clock_sm_mhz', 'SM', 'accent')), noBand(line(history, 'clock_mem_mhz', 'memory', 'info'))),
    };
  }, [history]);
  return (
    <Panel title="History" note={history ? `${history.level === 'raw' ? 'samples' : `means per ${history.level}`}; the band spans lowest to highest` : null} aside={<Segments label="Time range" items={ranges} value={range} onChange={(r) => query.change({ range: r === '15m' ? null : r })} />}>
      {error ? <div className="pad"><Problem error={error} /></div> : null}
      {loading ? <SkeletonRows rows={8} label="Loading history" /> : null}
      {history && charts ? history.times.length === 0 ? <Empty><p>No samples in this range.</p></Empty> : (
        <div className="charts">
          <TimeChart title="Busy" unit="%" times={history.times} lines={charts.busy} low={0} high={100} />
          <TimeChart title="Temperature" unit="°C" times={history.times} lines={charts.temperature} limit={gpu.temperature_slowdown_c ? { value: gpu.temperature_slowdown_c, label: 'slowdown' } : null} low={20} />
          <TimeChart title="Power" unit="W" times={history.times} lines={charts.power} limit={gpu.power_limit_w ? { value: gpu.power_limit_w, label: 'limit' } : null} low={0} />
          <TimeChart title="Memory used" unit="GiB" digits={1} times={history.times} lines={charts.memory} limit={gpu.memory_total_mb ? { value: gpu.memory_total_mb / 1024, label: 'total' } : null} low={0} />
          <TimeChart title="Clocks" unit="MHz" times={history.times} lines={charts.clocks} low={0} />
        </div>
      ) : null}
    </Panel>
  );
}

function JobsOn({ gpu }: { gpu: Gpu }) {
  const jobs = useStore((s) => s.jobs);
  const now = useNow(10_000);
  const past = [...jobs.values()].filter((j) => j.gpu_uuids.includes(gpu.gpu_uuid) && !gpu.jobs.some((g) => g.job_id === j.job_id)).sort((a, b) => b.number - a.number).slice(0, 5);
  return (
    <Panel title="Jobs on it">
      {gpu.jobs.length + past.length === 0 ? <Empty><p>No job is or was here recently.</p></Empty> : (
        <ul className="lines">
          {gpu.jobs.map((j) => <li key={j.job_id}><EntityLink className="link mono" href={jobUrl(j.number)}>{j.number}</EntityLink><b>{j.name}</b><span className="pill ok">running</span></li>)}
          {past.map((j) => <li key={j.job_id}><EntityLink className="link mono" href={jobUrl(j.number)}>{j.number}</EntityLink><span>{j.name}</span><span className="d">{j.ended_at ? `ended ${instant(parseTime(j.ended_at), now)}` : ''}</span></li>)}
        </ul>
      )}
    </Panel>
  );
}

function Trouble({ gpu }: { gpu: Gpu }) {
  const alerts = useValues(useStore((s) => s.alerts)).filter((a) => a.gpu_uuid === gpu.gpu_uuid);
  const events = useFetch<Page<SystemEvent>>('/events?limit=200', { pollMs: 15_000, version: gpu.state });
  const now = useNow(10_000);
  const mine = (events.data?.items ?? []).filter((e) => e.gpu_uuid === gpu.gpu_uuid || (e.node === gpu.node && !e.gpu_uuid && !e.job_id)).slice(0, 20);
  return (
    <Panel title="Events">
      <ul className="al">{sortedAlerts(alerts).map((a) => <AlertItem key={a.alert_id} alert={a} spark={false} />)}</ul>
      {events.loading ? <SkeletonRows rows={3} label="Loading events" /> : null}
      {!events.loading && mine.length === 0 && alerts.length === 0 ? <Empty><p>Nothing has happened to it lately.</p></Empty> : null}
      <ul className="lines">{mine.map((e) => <li key={e.cursor}><time className="num d" dateTime={e.time}>{instant(parseTime(e.time), now)}</time><span>{e.text}</span></li>)}</ul>
    </Panel>
  );
}

function Peers({ gpu }: { gpu: Gpu }) {
  const gpus = useStore((s) => s.gpus);
  const job = gpu.jobs[0];
  const peers = job ? [...gpus.values()].filter((g) => g.jobs.some((j) => j.job_id === job.job_id)) : byNode(gpus.values()).get(gpu.node) ?? [];
  return (
    <Panel title="Peers" note={job ? `same job, ${job.number}` : 'same node'}>
      <div className="table-box"><table className="plain">
        <thead><tr><th scope="col">GPU</th><th scope="col">Busy</th><th scope="col">Temp</th><th scope="col">Power</th><th scope="col">SM clock</th></tr></thead>
        <tbody>{peers.slice(0, 16).map((p) => (
          <tr key={p.gpu_uuid} className={p.gpu_uuid === gpu.gpu_uuid ? 'sel' : ''}><th scope="row"><EntityLink className="mono row-link" href={gpuUrl(p.gpu_uuid)}>{p.gpu_id}</EntityLink></th><td className="num">{percent(p.sample?.utilization_gpu)}</td><td className="num">{celsius(p.sample?.temperature_c)}</td><td className="num">{power(p.sample?.power_draw_w)}</td><td className="num">{p.sample?.clock_sm_mhz != null ? `${integer(p.sample.clock_sm_mhz)} MHz` : missing}</td></tr>
        ))}</tbody>
      </table></div>
    </Panel>
  );
}
