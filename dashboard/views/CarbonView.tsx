'use client';
import { useMemo } from 'react';
import type { Carbon } from '@/api/types';
import { decimal, duration, instant, integer, missing, parseTime } from '@/lib/format';
import { Facts } from '@/ui/Facts';
import { useNow, useStore } from '@/ui/hooks';
import { Empty, Panel, SkeletonRows } from '@/ui/parts';
import { TimeChart } from '@/ui/TimeChart';

export function CarbonView() {
  const fleet = useStore((s) => s.fleet);
  const link = useStore((s) => s.link);
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head"><h1>Carbon</h1></div>
      {!fleet ? <Panel title="Intensity"><SkeletonRows rows={8} label="Loading carbon" /></Panel> : fleet.carbon ? <Body carbon={fleet.carbon} drawW={fleet.power_draw_w} /> : <Panel title="Intensity"><Empty><p>No carbon source is set up. The scheduler then ignores carbon.</p></Empty></Panel>}
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
