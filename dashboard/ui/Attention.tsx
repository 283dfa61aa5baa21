'use client';
import { useMemo } from 'react';
import type { Alert } from '@/api/types';
import { linePath, range } from '@/lib/draw/spark';
import { duration, instant, parseTime } from '@/lib/format';
import type { GlyphName } from '@/lib/gpu';
import type { GpuMetric } from '@/lib/store';
import { gpuUrl, jobUrl, nodeUrl } from '@/lib/url';
import { Action } from './Action';
import { useApp, useNow, useStore, useValues } from './hooks';
import { Icon } from './Icon';
import { EntityLink } from './navigation';
import { Empty, Panel, SkeletonRows } from './parts';

const shownLimit = 5;
const rank: Record<string, number> = { critical: 0, warning: 1, info: 2 };
export const alertGlyph = (a: Alert): GlyphName => (a.kind === 'idle' ? 'idle' : a.severity === 'critical' ? 'crit' : a.severity === 'warning' ? 'warn' : 'info');
const metricOf: Record<string, GpuMetric> = { temperature: 'temperature_c', throttling: 'temperature_c', idle: 'utilization_gpu', memory: 'memory_used_mb', gpu_lost: 'utilization_gpu', no_data: 'utilization_gpu', slow: 'utilization_gpu' };

export function sortedAlerts(alerts: readonly Alert[]): Alert[] {
  return [...alerts].sort((a, b) => (rank[a.severity] ?? 3) - (rank[b.severity] ?? 3) || (parseTime(b.since) ?? 0) - (parseTime(a.since) ?? 0));
}

/** The open alerts, worst first, at most five. */
export function Attention() {
  const alerts = useValues(useStore((s) => s.alerts));
  const loaded = useStore((s) => s.loaded.alerts);
  const open = useMemo(() => sortedAlerts(alerts.filter((a) => !a.cleared_at && !a.acknowledged)), [alerts]);
  const lastCleared = useMemo(() => alerts.reduce((m, a) => Math.max(m, parseTime(a.cleared_at ?? a.since) ?? 0), 0), [alerts]);
  const now = useNow(10_000);
  return (
    <Panel title="Needs attention" note={open.length ? <span className="pill num">{open.length}</span> : null} aside={<EntityLink className="d-link" href="/anomalies">All alerts</EntityLink>}>
      {!loaded ? <SkeletonRows rows={4} label="Loading alerts" /> : null}
      {loaded && open.length === 0 ? <Empty><p>Nothing needs you.{lastCleared && now ? ` Last alert ${duration((now - lastCleared) / 1000)} ago.` : ''}</p></Empty> : null}
      <div role="log" aria-label="Open alerts">
        {open.length ? <ul className="al">{open.slice(0, shownLimit).map((a) => <AlertItem key={a.alert_id} alert={a} />)}</ul> : null}
      </div>
      {open.length > shownLimit ? <p className="al-more"><EntityLink className="link" href="/anomalies">and {open.length - shownLimit} more</EntityLink></p> : null}
    </Panel>
  );
}

export function AlertItem({ alert, spark = true }: { alert: Alert; spark?: boolean }) {
  const now = useNow(10_000);
  const since = parseTime(alert.since);
  const target = alert.gpu_uuid ? { href: gpuUrl(alert.gpu_uuid), text: 'Show GPU' } : alert.number !== null && alert.number !== undefined ? { href: jobUrl(alert.number), text: `Show job ${alert.number}` } : alert.node ? { href: nodeUrl(alert.node), text: 'Show node' } : null;
  return (
    <li>
      <Icon name={alertGlyph(alert)} />
      <h3>{alert.title}</h3>
      {spark ? <AlertSpark alert={alert} /> : <span />}
      <p>{alert.detail ?? (alert.value !== null ? `${alert.value}${alert.unit ? ` ${alert.unit}` : ''}${alert.threshold !== null ? `, limit ${alert.threshold}` : ''}` : '')}</p>
      <div className="a">
        {target ? <EntityLink className="text-btn" href={target.href} aria-label={`${target.text}: ${alert.title}`}>{target.text}</EntityLink> : null}
        {!alert.cleared_at && !alert.acknowledged ? <Action className="text-btn" label={<>Acknowledge<span className="vh">: {alert.title}</span></>} path={`/alerts/${encodeURIComponent(alert.alert_id)}/acknowledge`} /> : null}
        <time className="num" dateTime={alert.since} title={since ? `for ${duration((now - since) / 1000)}` : undefined}>{alert.cleared_at ? `cleared ${instant(parseTime(alert.cleared_at), now)}` : instant(since, now)}</time>
      </div>
    </li>
  );
}

function AlertSpark({ alert }: { alert: Alert }) {
  const { store } = useApp();
  useStore((s) => s.tick);
  const metric = metricOf[alert.kind];
  const ring = alert.gpu_uuid && metric ? store.ring(alert.gpu_uuid, metric) : null;
  if (!ring || ring.length < 4) return <span />;
  const values = ring.downsample(30);
  const least = metric === 'temperature_c' ? 20 : metric === 'utilization_gpu' ? 100 : 1000;
  const d = linePath(values, { width: 70, height: 30, ...range(values, least, 0), pad: 3 });
  return <svg className={`sp ${alert.severity}`} width="70" height="30" viewBox="0 0 70 30" aria-hidden="true"><path d={d} fill="none" stroke="currentColor" strokeWidth="1.6" /></svg>;
}
