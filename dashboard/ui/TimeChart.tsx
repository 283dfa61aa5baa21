'use client';
import { useEffect, useId, useMemo, useRef } from 'react';
import type uPlot from 'uplot';
import { areaRange, buildPlot, plotData, type Line } from '@/lib/draw/series';
import { clock, decimal } from '@/lib/format';
import { useTheme } from './hooks';

export interface ChartProps { title: string; unit: string; times: readonly number[]; lines: readonly Line[]; limit?: { value: number; label: string } | null; low?: number; high?: number; heightPx?: number; digits?: number; ahead?: boolean;
  /** Lines whose samples fall on different times: neighbours are joined. */ bridged?: boolean; quietKeys?: boolean }

/** One time series panel. uPlot is loaded only where a chart is shown; a table twin says the same in words and numbers. */
export function TimeChart({ title, unit, times, lines, limit, low, high, heightPx = 150, digits = 0, ahead = false, bridged = false, quietKeys = false }: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useTheme();
  const id = useId();
  const data = useMemo(() => plotData(times, lines), [times, lines]);
  const latest = useRef(data);
  latest.current = data;
  const shape = `${lines.map((l) => `${l.label}${l.number ?? ''}${l.min ? '~' : ''}`).join()}|${limit?.value}|${low}|${high}|${theme}|${heightPx}`;
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    let gone = false;
    let made: uPlot | null = null;
    const observer = new ResizeObserver(() => made?.setSize({ width: Math.max(120, element.clientWidth), height: heightPx }));
    void import('uplot').then(({ default: UPlot }) => {
      if (gone) return;
      made = buildPlot(UPlot, element, { lines, unit, limit: limit ?? null, low, high, heightPx, ahead, syncKey: ahead ? null : 'gpu', bridged }, latest.current);
      plot.current = made;
      observer.observe(element);
    });
    return () => {
      gone = true;
      observer.disconnect();
      made?.destroy();
      plot.current = null;
    };
    // `shape` stands for everything that needs another plot; new values alone go through setData below.
  }, [shape]);
  useEffect(() => {
    plot.current?.setData(data as uPlot.AlignedData);
  }, [data]);

  const rows = lines.map((l) => ({ label: l.label, ...areaRange(l) }));
  const first = rows[0];
  const summary = first && first.last !== null ? `${title}: ${ahead ? 'at the end' : 'now'} ${decimal(first.last, digits)} ${unit}, between ${decimal(first.low, digits)} and ${decimal(first.high, digits)}` : `${title}: no readings`;
  return (
    <section className="chart" aria-labelledby={id}>
      <div className="chart-head">
        <h3 id={id}>{title}</h3>
        {lines.length > 1 && !quietKeys ? <ul className="chart-keys">{lines.map((l) => <li key={l.label} className={`key-${l.color}`}>{l.label}</li>)}</ul> : null}
        {ahead ? <span className="chart-now"><small>{unit}</small></span> : <span className="chart-now num">{quietKeys && lines.length > 1 ? null : decimal(first?.last, digits)} <small>{unit}</small></span>}
      </div>
      <div ref={host} className={`chart-host h${heightPx}`} role="img" aria-label={summary} />
      <details className="twin">
        <summary>As a table</summary>
        <table>
          <thead><tr><th scope="col">{unit}</th><th scope="col">{ahead ? 'last' : 'now'}</th><th scope="col">lowest</th><th scope="col">mean</th><th scope="col">highest</th></tr></thead>
          <tbody>{rows.map((r) => <tr key={r.label}><th scope="row">{r.label}</th>{[r.last, r.low, r.mean, r.high].map((v, i) => <td key={i} className="num">{decimal(v, digits)}</td>)}</tr>)}</tbody>
        </table>
        {times.length ? <p className="d">{clock(times[0])} to {clock(times[times.length - 1])}{limit ? `; ${limit.label} ${limit.value} ${unit}` : ''}</p> : null}
      </details>
    </section>
  );
}
