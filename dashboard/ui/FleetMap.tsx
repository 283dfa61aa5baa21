'use client';
import { memo, useCallback, useLayoutEffect, useMemo, useRef, useState, type CSSProperties } from 'react';
import type { FleetNode, Gpu } from '@/api/types';
import { celsius, duration, integer, power, shortGpuName } from '@/lib/format';
import { bandsOf, byNode, cellValue, mapMetrics, readingsOf, scaleOf, stateLook, temperatureLowC, type MapMetric } from '@/lib/gpu';
import { linePath } from '@/lib/draw/spark';
import { jobColor, rampCell, inkOn, hexToRgb, type Theme } from '@/lib/ramp';
import { gpuUrl, jobUrl, nodeUrl } from '@/lib/url';
import { ringGpuLimit } from '@/lib/store';
import { FleetCanvas } from './FleetCanvas';
import { GpuCard } from './GpuCard';
import { useApp, useMedia, useStore, useTheme } from './hooks';
import { useHoverCard, type HoverCard as Hover } from './hover';
import { Icon } from './Icon';
import { EntityLink } from './navigation';
import { Segments, Skeleton } from './parts';
import { moveFocus } from './roving';

const sparkPoints = 45;
const rowLength = 8;
/** A lone node with many GPUs gets longer rows where the screen has room. */
const longRow = 16;

/** One cell per GPU, grouped by node. One tab stop; arrows move inside. Above 512 GPUs nodes become strips on a canvas. */
export function FleetMap({ metric, only, roomy = false }: { metric: MapMetric; only?: string; roomy?: boolean }) {
  const theme = useTheme();
  const large = useStore((s) => s.gpus.size > ringGpuLimit);
  return large && !only ? <FleetCanvas metric={metric} theme={theme} roomy={roomy} /> : <CellMap metric={metric} theme={theme} only={only} />;
}

function CellMap({ metric, theme, only }: { metric: MapMetric; theme: Theme; only?: string }) {
  const { store } = useApp();
  const all = useStore((s) => s.gpus);
  const nodes = useStore((s) => s.nodes);
  const tick = useStore((s) => s.tick);
  const large = all.size > ringGpuLimit;
  const [active, setActive] = useState<string | null>(null);
  const hover = useHoverCard<Pointed>((a, b) => a.cell === b.cell);
  const pointed = hover.shown;
  const wide = useMedia('(min-width: 900px)');
  const gpus = useMemo(() => [...all.values()].filter((g) => !only || g.node === only), [all, only]);
  // Of a large fleet only the columns have readings; the few cells of one node take theirs from there.
  const groups = useMemo(() => byNode(large ? gpus.map((g) => ({ ...g, sample: store.sampleOf(g) })) : gpus), [gpus, large, store, large ? tick : 0]);
  const focus = useCallback((uuid: string) => setActive(uuid), []);
  const current = active && all.has(active) ? active : groups.values().next().value?.[0]?.gpu_uuid ?? null;
  const point = (target: EventTarget): void => {
    const element = target as HTMLElement;
    if (element.closest('.hover-card')) return;
    const cell = element.closest<HTMLElement>('[data-uuid]');
    hover.point(cell ? { uuid: cell.dataset.uuid!, cell } : null);
  };
  return (
    <div className={`fleet ${groups.size === 1 ? 'one' : groups.size > 20 ? 'many' : ''}`} onKeyDown={moveFocus}
      onMouseOver={(e) => point(e.target)} onMouseLeave={() => hover.point(null)} onFocus={(e) => { if (e.target.matches(':focus-visible')) point(e.target); }} onBlur={hover.hide}>
      {[...groups].map(([name, list]) => <NodeGroup key={name} name={name} gpus={list} node={nodes.get(name)} metric={metric} theme={theme} tick={tick} active={current} onFocus={focus} perRow={groups.size === 1 && list.length > longRow && wide ? longRow : rowLength} />)}
      {pointed && all.has(pointed.uuid) ? <HoverCard pointed={pointed} gpu={all.get(pointed.uuid)!} hover={hover.card} /> : null}
    </div>
  );
}

interface Pointed { uuid: string; cell: HTMLElement }

/** Beside the cell, inside the window. It repeats what the GPU's page says, so nothing needs hover. */
function HoverCard({ pointed, gpu, hover }: { pointed: Pointed; gpu: Gpu; hover: Hover<Pointed>['card'] }) {
  const ref = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const card = ref.current;
    const parent = card?.offsetParent;
    if (!card || !parent) return;
    const outer = parent.getBoundingClientRect();
    const cell = pointed.cell.getBoundingClientRect();
    const size = card.getBoundingClientRect();
    const below = cell.bottom + size.height + 30 < window.innerHeight;
    card.style.setProperty('left', `${Math.max(4, Math.min(outer.width - size.width - 4, cell.left - outer.left))}px`);
    card.style.setProperty('top', `${below ? cell.bottom - outer.top + 1 : cell.top - outer.top - size.height - 1}px`);
  }, [pointed, gpu]);
  return <div className="hover-card" ref={ref} aria-hidden="true" {...hover}><GpuCard gpu={gpu} /></div>;
}

export function FleetSkeleton({ nodes = 8 }: { nodes?: number }) {
  return (
    <div className="fleet" role="status" aria-label="Loading the fleet">
      {Array.from({ length: nodes }, (_, n) => (
        <div className="node" key={n}><div className="nh"><Skeleton className="sk-node" /></div><div className="cells c8">{Array.from({ length: rowLength }, (_, i) => <Skeleton key={i} className="sk-cell" />)}</div><div className="bands c8" /></div>
      ))}
    </div>
  );
}

interface GroupProps { name: string; gpus: Gpu[]; node: FleetNode | undefined; metric: MapMetric; theme: Theme; tick: number; active: string | null; onFocus: (uuid: string) => void; perRow: number }

function NodeGroup({ name, gpus, node, metric, theme, tick, active, onFocus, perRow }: GroupProps) {
  const rows = Array.from({ length: Math.ceil(gpus.length / perRow) }, (_, r) => gpus.slice(r * perRow, (r + 1) * perRow));
  const columns = perRow === longRow ? 'c16' : gpus.length > 4 ? 'c8' : 'c4';
  const tag = nodeTag(gpus, node);
  const readings = readingsOf(gpus);
  return (
    <div className="node" role="group" aria-label={`${name}${tag ? `, ${tag.text}` : ''}`}>
      <div className="nh">
        <EntityLink className="mono-name" href={nodeUrl(name)} tabIndex={-1}>{name}</EntityLink>
        {tag ? <span className={`tag ${tag.tone}`}>{tag.text}</span> : null}
        <span className="st num"><span>{celsius(readings.temperatureC)}</span><span>{power(readings.powerW)}</span></span>
      </div>
      {rows.map((row, r) => (
        <div className="node-row" key={r}>
          <div className={`cells ${columns}`}>
            {row.map((gpu) => <Cell key={gpu.gpu_uuid} gpu={gpu} metric={metric} theme={theme} tick={tick} active={active === gpu.gpu_uuid} onFocus={onFocus} />)}
          </div>
          <Bands row={row} columns={columns} />
        </div>
      ))}
    </div>
  );
}

const Cell = memo(function Cell({ gpu, metric, theme, active, onFocus }: { gpu: Gpu; metric: MapMetric; theme: Theme; tick: number; active: boolean; onFocus: (uuid: string) => void }) {
  const { store } = useApp();
  const look = stateLook(gpu.state);
  const value = cellValue(metric, gpu);
  const filled = look.cell === 'fill';
  const label = `${gpu.node} GPU ${gpu.gpu_index}: ${filled ? value.spoken : look.word}${filled && gpu.state !== 'busy' ? `, ${look.word}` : ''}${gpu.state_reason ? `, ${gpu.state_reason}` : ''}`;
  const job = gpu.jobs[0];
  let style: CSSProperties | undefined;
  if (filled && metric === 'job' && job) {
    const color = jobColor(job.number);
    style = { background: color, color: inkOn(hexToRgb(color)) === 'black' ? '#000' : '#fff' };
  } else if (filled && value.pct !== null) {
    const c = rampCell(theme, value.pct);
    style = { background: c.background, color: c.ink };
  }
  const ringName = mapMetrics.find((m) => m.id === metric)?.ring ?? null;
  const ring = filled && ringName ? store.ring(gpu.gpu_uuid, ringName) : null;
  const d = ring && ring.length > 2 && ringName ? linePath(ring.downsample(sparkPoints), { width: 50, height: 20, ...scaleOf(ringName, gpu), pad: 1 }) : '';
  const classes = ['cell', `is-${look.cell}`, look.tone !== 'none' && filled && look.glyph ? `tone-${look.tone}` : '', filled && (value.pct === null || value.pct < 8) && metric !== 'job' ? 'low' : ''].join(' ');
  return (
    <EntityLink className={classes} style={style} href={gpuUrl(gpu.gpu_uuid)} aria-label={label} data-roving data-uuid={gpu.gpu_uuid} tabIndex={active ? 0 : -1} onFocus={() => onFocus(gpu.gpu_uuid)}>
      <span className="n num">{filled ? value.text : look.word === 'quarantined' ? 'held' : look.word}</span>
      {d ? <svg className="cell-spark" viewBox="0 0 50 20" preserveAspectRatio="none" aria-hidden="true"><path d={d} fill="none" stroke="currentColor" strokeWidth="1.2" vectorEffect="non-scaling-stroke" /></svg> : null}
      {look.glyph && (filled || look.glyph === 'lock') ? <span className="g"><Icon name={look.glyph} size={12} /></span> : null}
    </EntityLink>
  );
});

function Bands({ row, columns }: { row: Gpu[]; columns: string }) {
  const bands = bandsOf(row);
  return (
    <div className={`bands ${columns}`}>
      {bands.map((b) => (
        <EntityLink key={`${b.jobId}-${b.start}`} className={b.idle ? 'band idle' : 'band'} href={jobUrl(b.number)} tabIndex={-1} title={`${b.number} ${b.name}`}
          style={{ gridColumn: `${b.start + 1} / span ${b.length}`, ['--j' as string]: jobColor(b.number) }}>
          <b>{b.name}</b>{b.length > 2 ? <span>{b.number}{b.idle ? ` · idle${b.idleS !== null ? ` ${duration(b.idleS)}` : ''}` : ''}</span> : null}
        </EntityLink>
      ))}
    </div>
  );
}

function nodeTag(gpus: readonly Gpu[], node: FleetNode | undefined): { text: string; tone: string } | null {
  if (node && node.state !== 'up') return { text: node.state, tone: node.state === 'drained' || node.state === 'down' ? 'crit' : 'warn' };
  const count = (state: string): number => gpus.filter((g) => g.state === state).length;
  for (const [state, tone] of [['lost', 'crit'], ['quarantined', 'crit'], ['throttling', 'warn'], ['idle', 'warn'], ['slow', 'info']] as const) {
    const n = count(state);
    if (n) return { text: `${n} ${state}`, tone };
  }
  return null;
}

export function MapControls({ metric, onChange }: { metric: MapMetric; onChange: (metric: MapMetric) => void }) {
  const gpus = useStore((s) => s.gpus);
  const first = gpus.values().next().value;
  const ends: Record<MapMetric, [string, string] | null> = {
    busy: ['0', '100 %'], memory: ['0', '100 %'], temp: [`${temperatureLowC}`, `${first?.temperature_slowdown_c ?? 90} °C`], power: ['0', `${first?.power_limit_w ? Math.round(first.power_limit_w) : 'limit'} W`], job: null,
  };
  const shown = ends[metric];
  return (
    <>
      {shown ? <div className="legend" aria-hidden="true"><span>{shown[0]}</span><span className="ramp" /><span>{shown[1]}</span></div> : <div className="legend">one colour per job</div>}
      <Segments label="Colour by" items={mapMetrics} value={metric} onChange={(id) => onChange(id as MapMetric)} />
    </>
  );
}

/** "8 nodes × 8 H200" of the fleet on the screen. */
export function useFleetWords(): string {
  const gpus = useStore((s) => s.gpus);
  return useMemo(() => {
    if (gpus.size <= ringGpuLimit) return fleetWords(byNode(gpus.values()), shortGpuName);
    const nodes = new Set<string>();
    for (const g of gpus.values()) nodes.add(g.node);
    return `${integer(nodes.size)} nodes, ${integer(gpus.size)} ${shortGpuName(gpus.values().next().value?.gpu_name)}`;
  }, [gpus]);
}

/** "8 nodes × 8 H200", or the counts when nodes differ. */
export function fleetWords(groups: ReadonlyMap<string, readonly Gpu[]>, shortName: (name: string) => string): string {
  if (groups.size === 0) return '';
  const sizes = new Set([...groups.values()].map((g) => g.length));
  const names = new Set([...groups.values()].flat().map((g) => shortName(g.gpu_name)));
  const what = names.size === 1 ? [...names][0]! : 'GPUs';
  const nodes = groups.size === 1 ? '1 node' : `${groups.size} nodes`;
  return sizes.size === 1 ? `${nodes} × ${[...sizes][0]} ${what}` : `${nodes}, ${[...groups.values()].flat().length} ${what}`;
}
