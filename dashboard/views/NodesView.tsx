'use client';
import { useMemo } from 'react';
import type { FleetNode, Gpu, Page, SystemEvent } from '@/api/types';
import { celsius, duration, instant, missing, parseTime, plural, power } from '@/lib/format';
import { byNode, readingsOf } from '@/lib/gpu';
import { jobGroup } from '@/lib/reasons';
import { jobUrl, nodeUrl } from '@/lib/url';
import { Action } from '@/ui/Action';
import { useBackfill } from '@/ui/backfill';
import { Facts } from '@/ui/Facts';
import { FleetMap } from '@/ui/FleetMap';
import { useFetch, useNow, useStore, useTitle, useValues } from '@/ui/hooks';
import { EntityLink, useUrlQuery } from '@/ui/navigation';
import { CommandButton, Empty, Panel, SkeletonRows } from '@/ui/parts';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { Rows, type Column } from '@/ui/Rows';
import { Unknown } from '@/ui/Unknown';
import { EmptyFleet } from './OverviewView';

export function NodesView() {
  const id = useUrlQuery().get('id');
  return id ? <NodeDetail id={id} /> : <NodeList />;
}

const tone = (state: string): string => (state === 'up' ? 'ok' : state === 'down' || state === 'drained' ? 'crit' : 'warn');
const NodeTag = ({ node }: { node: FleetNode }) => <span className="tags"><span className={`pill ${tone(node.state)}`}>{node.state}</span>{node.simulated ? <span className="pill info">simulated</span> : null}</span>;

const nodeOf = (n: FleetNode): string => n.node;
const natural = new Intl.Collator('en', { numeric: true }).compare;

function NodeList() {
  const nodes = useValues(useStore((s) => s.nodes));
  const loaded = useStore((s) => s.loaded.nodes);
  const link = useStore((s) => s.link);
  const now = useNow();
  const query = useUrlQuery();
  const gpus = useStore((s) => s.gpus);
  // When a node was seen is no change of state, so the stream leaves it out.
  const asked = useFetch<Page<FleetNode>>(loaded && nodes.length > 0 ? '/nodes?limit=1000' : null, { pollMs: 5000 });
  const exact = useMemo(() => new Map((asked.data?.items ?? []).map((n) => [n.node, n])), [asked.data]);
  const age = (n: FleetNode): string => {
    const t = parseTime(exact.get(n.node)?.last_seen ?? n.last_seen);
    return t && now ? `${duration(Math.max(0, now - t) / 1000)} ago` : missing;
  };
  const readings = useMemo(() => {
    const groups = gpus.size > 512 ? new Map<string, Gpu[]>() : byNode(gpus.values());
    return (n: FleetNode): { temperatureC: number | null; powerW: number | null } => (groups.has(n.node) ? readingsOf(groups.get(n.node)!) : { temperatureC: exact.get(n.node)?.temperature_max_c ?? null, powerW: exact.get(n.node)?.power_draw_w ?? null });
  }, [gpus, exact]);
  const state = query.get('state');
  const text = (query.get('q') ?? '').toLowerCase();
  const states = useMemo(() => [...new Set(nodes.map((n) => n.state))].sort(), [nodes]);
  const columns: Column<FleetNode>[] = [
    { head: 'Node', cell: () => null }, { head: 'State', cell: (n) => <><NodeTag node={n} />{n.drain_reason ? <span className="d"> {n.drain_reason}</span> : null}</> }, { head: 'GPUs', className: 'r', cell: (n) => `${n.gpus_free} free of ${n.gpus}` },
    { head: 'Hottest', className: 'r', cell: (n) => celsius(readings(n).temperatureC) }, { head: 'Power', className: 'r', cell: (n) => power(readings(n).powerW) },
    { head: 'Runs jobs', cell: (n) => n.exec_mode }, { head: 'Agent', cell: (n) => n.agent_version ?? missing }, { head: 'Driver', cell: (n) => n.driver_version ?? missing }, { head: 'Seen', className: 'r', cell: age },
  ];
  const sorted = nodes.filter((n) => (!state || n.state === state) && `${n.node} ${n.host_name ?? ''} ${n.exec_mode}`.toLowerCase().includes(text)).sort((a, b) => natural(a.node, b.node));
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head"><h1>Nodes</h1><span className="d">{nodes.length ? plural(nodes.length, 'node') : ''}</span><div className="grow" />
        <input data-filter type="search" aria-label="Filter nodes" placeholder="node-03" value={query.get('q') ?? ''} onChange={(e) => query.change({ q: e.target.value })} />
        <select aria-label="State" value={state ?? ''} onChange={(e) => query.change({ state: e.target.value })}><option value="">every state</option>{states.map((s) => <option key={s} value={s}>{s}</option>)}</select>
        <CommandButton text="aether nodes" /></div>
      <Panel title="List" note={sorted.length !== nodes.length ? `${sorted.length} of ${nodes.length}` : null}>
        {!loaded ? <SkeletonRows rows={8} label="Loading nodes" /> : nodes.length === 0 ? <EmptyFleet /> : sorted.length === 0 ? <Empty><p>No node matches.</p></Empty> : <Rows items={sorted} keyOf={nodeOf} hrefOf={(n) => nodeUrl(n.node)} linkOf={(n) => n.node} columns={columns} caption="Nodes" />}
      </Panel>
    </main>
  );
}

function NodeDetail({ id }: { id: string }) {
  const nodes = useStore((s) => s.nodes);
  const loaded = useStore((s) => s.loaded.nodes);
  const live = nodes.get(id) ?? null;
  const fetched = useFetch<FleetNode>(loaded ? `/nodes/${encodeURIComponent(id)}` : null, { pollMs: 3000, version: live?.state });
  const node = fetched.data && live ? { ...fetched.data, ...live } : live ?? fetched.data;
  useTitle(node?.node ?? null);
  if (node) return <Detail node={node} />;
  if (fetched.error) return <Unknown what="node" id={id} error={fetched.error} listHref="/nodes" onRetry={fetched.reload} />;
  return <PageSkeleton title="Node" />;
}

function Detail({ node }: { node: FleetNode }) {
  useBackfill();
  const now = useNow();
  const link = useStore((s) => s.link);
  const gpus = byNode(useStore((s) => s.gpus).values()).get(node.node) ?? [];
  const jobs = useValues(useStore((s) => s.jobs)).filter((j) => jobGroup(j.state) === 'running' && (j.node === node.node || j.gpu_uuids.some((u) => gpus.some((g) => g.gpu_uuid === u))));
  const events = useFetch<Page<SystemEvent>>('/events?limit=200', { pollMs: 15_000, version: node.state });
  const mine = (events.data?.items ?? []).filter((e) => e.node === node.node).slice(0, 20);
  const path = `/nodes/${encodeURIComponent(node.node)}`;
  const readings = readingsOf(gpus);
  const seen = parseTime(node.last_seen);
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head">
        <h1 className="mono">{node.node}</h1><NodeTag node={node} />
        <span className="d num">{seen && now ? `seen ${duration(Math.max(0, now - seen) / 1000)} ago` : ''}</span><div className="grow" />
        {node.state === 'drained' ? <Action label="Return to service" path={`${path}/undrain`} confirm={{ title: `Return ${node.node} to service?`, effect: 'The scheduler may place jobs on it at once.', button: 'Return to service' }} />
          : <Action label="Drain" className="quiet danger" path={`${path}/drain`} confirm={{ title: `Drain ${node.node}?`, effect: jobs.length ? `Nothing new is placed here. ${plural(jobs.length, 'job runs', 'jobs run')} on it now: ${jobs.slice(0, 5).map((j) => j.number).join(', ')}.` : 'Nothing new is placed here. No job runs on it now.', reason: { label: 'Why', placeholder: 'fan replacement' }, button: 'Drain', danger: true }} />}
        <CommandButton text={node.state === 'drained' ? `aether undrain ${node.node}` : `aether drain ${node.node} --reason "…"`} />
      </div>
      {node.drain_reason ? <p className="note warn">Drained: {node.drain_reason}</p> : null}
      <Panel title="GPUs" note={`${node.gpus_free} free of ${node.gpus}`}>{gpus.length ? <FleetMap metric="busy" only={node.node} /> : <Empty><p>It reports no GPU.</p></Empty>}</Panel>
      <div className="columns">
        <Panel title="Jobs on it">{jobs.length ? <ul className="lines">{jobs.map((j) => <li key={j.job_id}><EntityLink className="link mono" href={jobUrl(j.number)}>{j.number}</EntityLink><b>{j.name}</b><span className="d num">{plural(j.gpus, 'GPU')}</span></li>)}</ul> : <Empty><p>No job runs here.</p></Empty>}</Panel>
        <Panel title="Inventory"><Facts items={[['Host', node.host_name ?? missing], ['Source of readings', node.source === 'nvml' ? 'NVML, measured' : node.source], ['How jobs run', node.exec_mode], ['Jobs run as', node.run_as ?? missing], ['Agent', node.agent_version ?? missing], ['Driver', node.driver_version ?? missing], ['Hottest GPU', celsius(readings.temperatureC ?? node.temperature_max_c)], ['Power', power(readings.powerW ?? node.power_draw_w)]]} /></Panel>
        <Panel title="Events">{mine.length ? <ul className="lines">{mine.map((e) => <li key={e.cursor}><time className="num d" dateTime={e.time}>{instant(parseTime(e.time), now)}</time><span>{e.text}</span></li>)}</ul> : <Empty><p>Nothing is recorded for it lately.</p></Empty>}</Panel>
      </div>
    </main>
  );
}
