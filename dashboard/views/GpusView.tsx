'use client';
import { useMemo, useRef } from 'react';
import type { Gpu } from '@/api/types';
import { celsius, integer, memory, missing, percent, power, shortGpuName } from '@/lib/format';
import { byNode, isMapMetric, stateLook, type MapMetric } from '@/lib/gpu';
import { ringGpuLimit } from '@/lib/store';
import { gpuUrl } from '@/lib/url';
import { useBackfill } from '@/ui/backfill';
import { FleetMap, FleetSkeleton, MapControls, useFleetWords } from '@/ui/FleetMap';
import { CompareTray, usePins } from '@/ui/Compare';
import { useApp, useStore, useValues } from '@/ui/hooks';
import { Icon } from '@/ui/Icon';
import { useUrlQuery } from '@/ui/navigation';
import { CommandButton, Empty, Panel, Segments, SkeletonRows } from '@/ui/parts';
import { Rows, type Column } from '@/ui/Rows';
import { StateTag } from '@/ui/StateTag';
import { GpuDetail } from './GpuDetail';
import { EmptyFleet } from './OverviewView';

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

const chipStates = ['free', 'busy', 'idle', 'throttling', 'slow', 'out', 'lost', 'quarantined', 'no_data'] as const;
const groupings = [{ id: 'none', label: 'no groups' }, { id: 'node', label: 'node' }, { id: 'job', label: 'job' }, { id: 'model', label: 'model' }, { id: 'state', label: 'state' }] as const;
type Grouping = (typeof groupings)[number]['id'];
const groupKey: Record<Grouping, (g: Gpu) => string> = { none: () => '', node: (g) => g.node, job: (g) => (g.jobs[0] ? `${g.jobs[0].number} ${g.jobs[0].name}` : 'no job'), model: (g) => shortGpuName(g.gpu_name), state: (g) => stateLook(g.state).word };
const natural = new Intl.Collator('en', { numeric: true }).compare;

/** Place of each GPU in the order of nodes and indices. Comparing names in natural order is slow, so it is done for another set of GPUs only. */
function useRanks(list: readonly Gpu[]): ReadonlyMap<string, number> {
  const held = useRef<ReadonlyMap<string, number>>(new Map());
  return useMemo(() => {
    if (held.current.size === list.length && list.every((g) => held.current.has(g.gpu_uuid))) return held.current;
    held.current = new Map([...byNode(list).values()].flat().map((g, i) => [g.gpu_uuid, i]));
    return held.current;
  }, [list]);
}

const uuidOf = (g: Gpu): string => g.gpu_uuid;

function GpuList() {
  useBackfill();
  const query = useUrlQuery();
  const { store } = useApp();
  const gpus = useStore((s) => s.gpus);
  const loaded = useStore((s) => s.loaded.gpus);
  const link = useStore((s) => s.link);
  const list = useValues(gpus);
  const words = useFleetWords();
  const pins = usePins();
  const asked = query.get('by');
  const metric: MapMetric = isMapMetric(asked) ? asked : 'busy';
  const view = query.get('view') === 'table' ? 'table' : 'map';
  const text = (query.get('q') ?? '').toLowerCase();
  const state = query.get('state');
  const grouping = groupings.find((g) => g.id === query.get('group'))?.id ?? 'none';
  const counts = useMemo(() => {
    const n = new Map<string, number>();
    for (const g of list) n.set(g.state, (n.get(g.state) ?? 0) + 1);
    return n;
  }, [list]);
  const rank = useRanks(list);
  const shown = useMemo(() => {
    const found = list.filter((g) => (!state || g.state === state) && (text === '' || `${g.gpu_id} ${g.gpu_uuid} ${g.gpu_name} ${g.jobs.map((j) => `${j.number} ${j.name}`).join(' ')}`.toLowerCase().includes(text)));
    const key = groupKey[grouping];
    const byRank = (a: Gpu, b: Gpu): number => rank.get(a.gpu_uuid)! - rank.get(b.gpu_uuid)!;
    return grouping === 'none' ? found.sort(byRank) : found.sort((a, b) => (key(a) === key(b) ? byRank(a, b) : natural(key(a), key(b))));
  }, [list, state, text, grouping, rank]);
  const large = gpus.size > ringGpuLimit;
  // Of a large fleet only the columns have readings; the rows in sight take theirs from there.
  useStore((s) => (large && view === 'table' ? s.tick : 0));
  const filtered = state !== null && state !== '' ? true : text !== '';
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head"><h1>GPUs</h1><span className="d">{words}</span><div className="grow" />
        <Segments label="View" items={[{ id: 'map', label: 'Map' }, { id: 'table', label: 'Table' }]} value={view} onChange={(v) => query.change({ view: v === 'map' ? null : v })} />
        <CommandButton text="aether gpus" /></div>
      <CompareTray />
      {loaded && gpus.size > 0 ? (
        <div className="chips" role="group" aria-label="Filter by state">
          {[...new Set<string>([...chipStates, ...counts.keys()])].filter((s) => counts.has(s)).map((s) => <button key={s} type="button" className="chip-btn" aria-pressed={state === s} onClick={() => query.change({ state: state === s ? null : s, view: state === s ? view : 'table' })}><StateGlyph state={s} />{stateLook(s).word}<span className="num">{counts.get(s)}</span></button>)}
        </div>
      ) : null}
      {view === 'map' ? (
        <Panel className="fleet-panel" title="Map" note="a cell is a GPU, a band under cells is a job" aside={<MapControls metric={metric} onChange={(by) => query.change({ by: by === 'busy' ? null : by })} />}>
          {!loaded ? <FleetSkeleton /> : gpus.size === 0 ? <EmptyFleet /> : <FleetMap metric={metric} roomy />}
        </Panel>
      ) : (
        <Panel title="Table" note={`${integer(shown.length)} of ${integer(gpus.size)}`} aside={
          <>
            <label className="inline">Group by <select value={grouping} onChange={(e) => query.change({ group: e.target.value === 'none' ? null : e.target.value })}>{groupings.map((g) => <option key={g.id} value={g.id}>{g.label}</option>)}</select></label>
            <input data-filter type="search" aria-label="Filter" placeholder="node-03, H200, job name" value={query.get('q') ?? ''} onChange={(e) => query.change({ q: e.target.value })} />
            {filtered ? <button type="button" className="quiet" onClick={() => query.change({ q: null, state: null })}>All</button> : null}
          </>
        }>
          {!loaded ? <SkeletonRows rows={10} label="Loading GPUs" /> : gpus.size === 0 ? <EmptyFleet /> : shown.length === 0 ? <Empty><p>No GPU matches.</p></Empty> : (
            <Rows items={shown} keyOf={uuidOf} fresh={large ? (g) => ({ ...g, sample: store.sampleOf(g) }) : undefined} hrefOf={(g) => gpuUrl(g.gpu_uuid)} linkOf={(g) => g.gpu_id} columns={columns} caption="GPUs" groupOf={grouping === 'none' ? undefined : groupKey[grouping]}
              pick={{ has: (g) => pins.has(g.gpu_uuid), toggle: (g) => pins.toggle(g.gpu_uuid), nameOf: (g) => `${g.gpu_id} for comparison` }} />
          )}
        </Panel>
      )}
    </main>
  );
}

function StateGlyph({ state }: { state: string }) {
  const look = stateLook(state);
  const glyph = look.glyph ?? (state === 'idle' ? 'idle' : null);
  return glyph ? <Icon name={glyph} size={12} /> : <i className={`dot is-${look.cell}`} aria-hidden="true" />;
}
