'use client';
import { useMemo, type ReactNode } from 'react';
import type { Carbon, Fleet, History } from '@/api/types';
import { clock, decimal, duration, integer, missing, parseTime, percent } from '@/lib/format';
import { areaPath, linePath, range } from '@/lib/draw/spark';
import { useNow, useStore } from './hooks';
import { Skeleton } from './parts';

const nan = (list: readonly (number | null)[]): number[] => list.map((v) => v ?? NaN);

/** Six numbers that answer how busy, how full, how hot, who waits and how clean. */
export function Kpis() {
  const fleet = useStore((s) => s.fleet);
  return (
    <section className="kpis" aria-label="Fleet summary">
      {fleet ? <Tiles fleet={fleet} /> : Array.from({ length: 6 }, (_, i) => <div className="kpi" key={i}><Skeleton className="sk-k1" /><Skeleton className="sk-k2" /><Skeleton className="sk-k3" /></div>)}
    </section>
  );
}

function Tiles({ fleet }: { fleet: Fleet }) {
  const h = useMemo(() => withNow(fleet), [fleet]);
  const working = Math.max(0, fleet.gpus_allocated - fleet.gpus_idle);
  const busyDelta = delta(h.busy, fleet.busy_pct);
  const total = fleet.memory_total_mb ?? 0;
  const big = total >= 1024 * 1024;
  const unit = big ? 1024 * 1024 : 1024;
  const spareW = fleet.power_limit_w !== null && fleet.power_draw_w !== null ? fleet.power_limit_w - fleet.power_draw_w : null;
  const [watts, wattUnit] = powerUnit(Math.max(fleet.power_draw_w ?? 0, (fleet.power_limit_w ?? 0) / 10));
  const inUnit = (v: number | null): string => short(v === null ? null : v / watts, watts > 1);
  const w = (v: number | null): string => `${inUnit(v)} ${wattUnit}`;
  return (
    <>
      <Tile title="GPUs allocated" value={integer(fleet.gpus_allocated)} unit={`of ${integer(fleet.gpus_total)}`}
        note={<><b>{integer(working)}</b> working · <b>{integer(fleet.gpus_idle)}</b> idle · <b>{integer(fleet.gpus_free)}</b> free{fleet.gpus_out ? <> · <b>{fleet.gpus_out}</b> out</> : null}{fleet.gpus_no_data ? <> · <b>{fleet.gpus_no_data}</b> no data</> : null}</>}>
        <Stack parts={[['work', working], ['idle', fleet.gpus_idle], ['free', fleet.gpus_free], ['out', fleet.gpus_out + fleet.gpus_no_data]]} />
      </Tile>
      <Tile title="Busy" value={integer(fleet.busy_pct)} unit="%" note={busyDelta}>
        <Area values={h.busy} width={96} least={20} ceiling={100} />
      </Tile>
      <Tile title="Memory" value={short(fleet.memory_used_mb === null ? null : fleet.memory_used_mb / unit, big)} unit={`of ${short(total ? total / unit : null, big)} ${big ? 'TiB' : 'GiB'}`}
        note={<>fullest GPU <b>{percent(fleet.memory_fullest_pct)}</b></>}>
        <Area values={h.memory} width={72} least={total * 0.08} ceiling={total || undefined} />
      </Tile>
      <Tile title="Power" value={inUnit(fleet.power_draw_w)} unit={wattUnit}
        note={<>limits <b>{w(fleet.power_limit_w)}</b> · {w(spareW)} spare</>}>
        <Area values={h.power} width={96} least={(fleet.power_limit_w ?? 1000) * 0.12} />
      </Tile>
      <Tile title="Queue" value={integer(fleet.jobs_pending)} unit="waiting"
        note={fleet.next_start_eta ? <>next start <b>by {clock(parseTime(fleet.next_start_eta))}</b></> : <><b>{integer(fleet.jobs_running)}</b> running · <b>{integer(fleet.jobs_finished_24h)}</b> done in 24 h</>}>
        <Bars values={h.queue} />
      </Tile>
      <CarbonTile carbon={fleet.carbon} />
    </>
  );
}

const powerUnit = (w: number): [number, string] => (w >= 1e6 ? [1e6, 'MW'] : w >= 1000 ? [1000, 'kW'] : [1, 'W']);
/** One decimal while it says something. */
const short = (v: number | null, fine: boolean): string => (fine && v !== null && v < 100 ? decimal(v, 1) : integer(v));

function Tile({ title, value, unit, note, aside, children }: { title: string; value: string; unit: string; note: ReactNode; aside?: ReactNode; children: ReactNode }) {
  return (
    <div className={aside ? 'kpi kpi-carbon' : 'kpi'}>
      <h2>{title}{aside}</h2>
      <div className="v num">{value}<small>{unit}</small></div>
      <div className="s num">{note}</div>
      {children}
    </div>
  );
}

function CarbonTile({ carbon }: { carbon: Carbon | null }) {
  const now = useNow(10_000);
  if (!carbon) {
    return <Tile title="Carbon" value={missing} unit="g/kWh" note="no carbon source is set up" aside={<span className="src" />}>{null}</Tile>;
  }
  const forecast = carbon.forecast.filter((f) => (parseTime(f.time) ?? 0) >= now - 3_600_000);
  const low = forecast.reduce<(typeof forecast)[number] | null>((m, f) => (m === null || f.intensity_g_per_kwh < m.intensity_g_per_kwh ? f : m), null);
  const falls = low && carbon.intensity_g_per_kwh !== null && low.intensity_g_per_kwh < carbon.intensity_g_per_kwh * 0.95 ? low : null;
  const age = carbon.observed_at && now ? (now - (parseTime(carbon.observed_at) ?? now)) / 1000 : carbon.age_s;
  const aside = (
    <>
      {carbon.is_estimated ? <span className="pill warn">estimate</span> : <span className="pill">measured</span>}
      <span className="src">{(carbon.label || carbon.source).replace(/\s*[,(]\s*not (measured|a measurement).*$/, '')}, {age === null ? 'age unknown' : `${duration(age)} old`}</span>
    </>
  );
  return (
    <Tile title="Carbon" value={integer(carbon.intensity_g_per_kwh)} unit="g/kWh" aside={aside}
      note={<><b>{(carbon.kg_per_h ?? 0) >= 100 ? integer(carbon.kg_per_h) : decimal(carbon.kg_per_h, (carbon.kg_per_h ?? 0) < 1 ? 2 : 1)} kg/h</b>{falls ? <> · falls to {integer(falls.intensity_g_per_kwh)} at {clock(parseTime(falls.time))}</> : ' · no cleaner hour ahead'}</>}>
      <Forecast values={forecast.map((f) => f.intensity_g_per_kwh)} now={carbon.intensity_g_per_kwh} />
    </Tile>
  );
}

function withNow(fleet: Fleet): { busy: number[]; memory: number[]; power: number[]; queue: number[] } {
  const h: History | undefined = fleet.history;
  const add = (list: (number | null)[] | undefined, now: number | null): number[] => [...nan(list ?? []), now ?? NaN].slice(-61);
  return { busy: add(h?.busy_pct, fleet.busy_pct), memory: add(h?.memory_used_mb, fleet.memory_used_mb), power: add(h?.power_draw_w, fleet.power_draw_w), queue: add(h?.jobs_pending, fleet.jobs_pending) };
}

function delta(history: readonly number[], now: number | null): ReactNode {
  const first = history.find((v) => v === v);
  if (first === undefined || now === null || history.length < 3) return 'mean of all GPUs';
  const d = Math.round(now - first);
  const span = history.length >= 50 ? 'the last hour' : `${history.length - 1} min`;
  return <><b>{d > 0 ? `+${d}` : d < 0 ? `−${-d}` : '±0'}</b> points in {span}</>;
}

function Stack({ parts }: { parts: [string, number][] }) {
  return <div className="stack" aria-hidden="true">{parts.filter(([, n]) => n > 0).map(([kind, n]) => <span key={kind} className={`st-${kind}`} style={{ flexGrow: n }} />)}</div>;
}

function Area({ values, width, least, ceiling }: { values: readonly number[]; width: number; least: number; ceiling?: number }) {
  const height = 46;
  const box = { width, height, ...range(values, least || 1, 0, ceiling), pad: 3 };
  const end = values[values.length - 1];
  const y = end !== undefined && end === end ? height - 3 - ((Math.min(box.high, Math.max(box.low, end)) - box.low) / (box.high - box.low || 1)) * (height - 6) : null;
  return (
    <svg className="ch" width={width} height={height} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      <path className="ch-area" d={areaPath(values, box)} /><path className="ch-line" d={linePath(values, box)} />
      {y !== null ? <circle className="ch-dot" cx={width} cy={y} r="2.6" /> : null}
    </svg>
  );
}

function Bars({ values }: { values: readonly number[] }) {
  const slots = 12;
  const parts = Array.from({ length: slots }, (_, i) => {
    const part = values.slice(Math.floor((i * values.length) / slots), Math.max(Math.floor(((i + 1) * values.length) / slots), Math.floor((i * values.length) / slots) + 1)).filter((v) => v === v);
    return part.length ? Math.max(...part) : 0;
  });
  parts[slots - 1] = values[values.length - 1] ?? 0;
  const top = Math.max(4, ...parts);
  return (
    <svg className="ch" width="70" height="46" viewBox="0 0 70 46" preserveAspectRatio="none" aria-hidden="true">
      {parts.map((v, i) => <rect key={i} className={i === slots - 1 ? 'ch-bar now' : 'ch-bar'} x={i * 6} y={44 - (v / top) * 42} width="4" height={Math.max(1, (v / top) * 42)} rx="1" />)}
    </svg>
  );
}

function Forecast({ values, now }: { values: readonly number[]; now: number | null }) {
  if (values.length < 2) return null;
  const all = now === null ? values : [now, ...values];
  const box = { width: 112, height: 34, ...range(all, 60), pad: 4 };
  const y = 34 - 4 - ((all[0]! - box.low) / (box.high - box.low || 1)) * 26;
  return (
    <svg className="ch" width="112" height="34" viewBox="0 0 112 34" preserveAspectRatio="none" aria-hidden="true">
      <path className="ch-line ahead" d={linePath(all, box)} /><circle className="ch-dot" cx="0" cy={y} r="2.6" />
    </svg>
  );
}
