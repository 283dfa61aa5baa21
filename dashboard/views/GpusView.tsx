'use client';
import { useMemo } from 'react';
import type { Gpu } from '@/api/types';
import { celsius, memory, missing, percent, power, shortGpuName } from '@/lib/format';
import { byNode, isMapMetric, stateLook, type MapMetric } from '@/lib/gpu';
import { gpuUrl } from '@/lib/url';
import { useBackfill } from '@/ui/backfill';
import { FleetMap, FleetSkeleton, fleetWords, MapControls } from '@/ui/FleetMap';
import { useStore, useValues } from '@/ui/hooks';
import { useUrlQuery } from '@/ui/navigation';
import { Empty, Panel, Segments, SkeletonRows } from '@/ui/parts';
import { Rows, type Column } from '@/ui/Rows';
import { StateTag } from '@/ui/StateTag';
import { GpuDetail } from './GpuDetail';
import { EmptyFleet } from './OverviewView';

const tableLimit = 200;

export function GpusView() {
  const query = useUrlQuery();
  const id = query.get('id');
  return id ? <GpuDetail id={id} /> : <GpuList />;
}

const columns: Column<Gpu>[] = [
  { head: 'GPU', cell: () => null },
  { head: 'State', cell: (g) => <StateTag gpu={g} /> },
  { head: 'Busy', className: 'r', cell: (g) => percent(g.sample?.utilization_gpu) },
  { head: 'Memory', className: 'r', cell: (g) => `${memory(g.sample?.memory_used_mb)} of ${memory(g.memory_total_mb)}` },
  { head: 'Temp', className: 'r', cell: (g) => celsius(g.sample?.temperature_c) },
  { head: 'Power', className: 'r', cell: (g) => power(g.sample?.power_draw_w) },
  { head: 'Job', cell: (g) => (g.jobs.length ? g.jobs.map((j) => `${j.number} ${j.name}`).join(', ') : missing) },
  { head: 'Model', cell: (g) => `${shortGpuName(g.gpu_name)}${g.source === 'simulated' ? ' (simulated)' : ''}` },
];

function GpuList() {
  useBackfill();
  const query = useUrlQuery();
  const gpus = useStore((s) => s.gpus);
  const loaded = useStore((s) => s.loaded.gpus);
  const link = useStore((s) => s.link);
  const list = useValues(gpus);
  const groups = useMemo(() => byNode(gpus.values()), [gpus]);
  const asked = query.get('by');
  const metric: MapMetric = isMapMetric(asked) ? asked : 'busy';
  const view = query.get('view') === 'table' ? 'table' : 'map';
  const text = (query.get('q') ?? '').toLowerCase();
  const state = query.get('state');
  const states = useMemo(() => [...new Set(list.map((g) => g.state))].sort(), [list]);
  const shown = useMemo(
    () => [...groups.values()].flat().filter((g) => (!state || g.state === state) && `${g.gpu_id} ${g.gpu_uuid} ${g.gpu_name} ${g.jobs.map((j) => `${j.number} ${j.name}`).join(' ')}`.toLowerCase().includes(text)),
    [groups, state, text],
  );
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head"><h1>GPUs</h1><span className="d">{fleetWords(groups, shortGpuName)}</span><div className="grow" />
        <Segments label="View" items={[{ id: 'map', label: 'Map' }, { id: 'table', label: 'Table' }]} value={view} onChange={(v) => query.change({ view: v === 'map' ? null : v })} /></div>
      {view === 'map' ? (
        <Panel className="fleet-panel" title="Map" aside={<MapControls metric={metric} onChange={(by) => query.change({ by: by === 'busy' ? null : by })} />}>
          {!loaded ? <FleetSkeleton /> : gpus.size === 0 ? <EmptyFleet /> : <FleetMap metric={metric} />}
        </Panel>
      ) : (
        <Panel title="Table" note={`${shown.length} of ${gpus.size}`} aside={
          <>
            <select aria-label="State" value={state ?? ''} onChange={(e) => query.change({ state: e.target.value })}><option value="">every state</option>{states.map((s) => <option key={s} value={s}>{stateLook(s).word}</option>)}</select>
            <input data-filter type="search" aria-label="Filter" placeholder="node-03, H200, job name" value={query.get('q') ?? ''} onChange={(e) => query.change({ q: e.target.value })} />
          </>
        }>
          {!loaded ? <SkeletonRows rows={10} label="Loading GPUs" /> : gpus.size === 0 ? <EmptyFleet /> : shown.length === 0 ? <Empty><p>No GPU matches.</p></Empty> : (
            <Rows items={shown.slice(0, tableLimit)} keyOf={(g) => g.gpu_uuid} hrefOf={(g) => gpuUrl(g.gpu_uuid)} linkOf={(g) => g.gpu_id} columns={columns} caption="GPUs" />
          )}
          {shown.length > tableLimit ? <Empty><p>The first {tableLimit} are shown; the filter narrows the list.</p></Empty> : null}
        </Panel>
      )}
    </main>
  );
}
