'use client';
import { useMemo } from 'react';
import type { Alert, Gpu } from '@/api/types';
import { linePath, range } from '@/lib/draw/spark';
import { duration, instant, parseTime } from '@/lib/format';
import type { GlyphName } from '@/lib/gpu';
import type { GpuMetric } from '@/lib/store';
import { runbookOf } from '@/lib/runbook';
import { gpuUrl, jobUrl, nodeUrl, pageUrl } from '@/lib/url';
import { Action } from './Action';
import { useApp, useNow, useStore, useValues } from './hooks';
import { Icon } from './Icon';
import { EntityLink } from './navigation';
import { CopyButton, Empty, Panel, SkeletonRows } from './parts';

const shownLimit = 5;
const rank: Record<string, number> = { critical: 0, warning: 1, info: 2 };
export const alertGlyph = (a: Alert): GlyphName => (a.kind === 'idle' ? 'idle' : a.severity === 'critical' ? 'crit' : a.severity === 'warning' ? 'warn' : 'info');
const metricOf: Record<string, GpuMetric> = { temperature: 'temperature_c', throttling: 'temperature_c', idle: 'utilization_gpu', memory: 'memory_used_mb', gpu_lost: 'utilization_gpu', no_data: 'utilization_gpu', slow: 'utilization_gpu' };

/** Snoozed on the server until a time that lies ahead of `now` (browser time; a minute more or less does not matter). */
export const isAsleep = (a: Alert, now: number): boolean => (parseTime(a.snoozed_until) ?? 0) > now;

export function sortedAlerts(alerts: readonly Alert[]): Alert[] {
  return [...alerts].sort((a, b) => (rank[a.severity] ?? 3) - (rank[b.severity] ?? 3) || (parseTime(b.since) ?? 0) - (parseTime(a.since) ?? 0));
}

/** The open alerts, worst first, at most five. */
export function Attention() {
  const alerts = useValues(useStore((s) => s.alerts));
  const loaded = useStore((s) => s.loaded.alerts);
  const minute = useNow(10_000);
  const open = useMemo(() => sortedAlerts(alerts.filter((a) => !a.cleared_at && !a.acknowledged && !isAsleep(a, minute))), [alerts, minute]);
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

const snoozes = [{ label: 'Snooze 1 h', s: 3600 }, { label: '8 h', s: 28_800 }] as const;

/** One alert: what was measured, where to look, and what can be done. `full` adds the runbook and why it was flagged. */
export function AlertItem({ alert, spark = true, full = false }: { alert: Alert; spark?: boolean; full?: boolean }) {
  const now = useNow(10_000);
  const gpus = useStore((s) => s.gpus);
  const since = parseTime(alert.since);
  const gpu = alert.gpu_uuid ? gpus.get(alert.gpu_uuid) : undefined;
  const target = alert.gpu_uuid ? { href: gpuUrl(alert.gpu_uuid), text: 'Show GPU' } : alert.number !== null && alert.number !== undefined ? { href: jobUrl(alert.number), text: `Show job ${alert.number}` } : alert.node ? { href: nodeUrl(alert.node), text: 'Show node' } : null;
  const path = `/alerts/${encodeURIComponent(alert.alert_id)}`;
  const open = !alert.cleared_at;
  const measured = alert.value !== null && alert.value !== undefined ? `${trimmed(alert.value)}${alert.unit ? ` ${alert.unit}` : ''}${alert.threshold !== null && alert.threshold !== undefined ? `, limit ${trimmed(alert.threshold)}${alert.unit ? ` ${alert.unit}` : ''}` : ''}` : null;
  const peers = useMemo(() => (gpu ? peersOf(gpu, gpus) : null), [gpu, gpus]);
  return (
    <li>
      <Icon name={alertGlyph(alert)} /><span className="vh">{alert.severity}: </span>
      <h3>{alert.title}</h3>
      {spark ? <AlertSpark alert={alert} /> : <span />}
      <p>{alert.detail || measured || ''}{full && measured && alert.detail && !alert.detail.includes(trimmed(alert.value!)) ? <span className="d"> Measured {measured}.</span> : null}</p>
      <div className="a">
        {target ? <EntityLink className="text-btn" href={target.href} aria-label={`${target.text}: ${alert.title}`}>{target.text}</EntityLink> : null}
        {peers ? <EntityLink className="text-btn" href={peers} aria-label={`Compare with peers: ${alert.title}`}>Compare with peers</EntityLink> : null}
        {alert.gpu_uuid && full && alert.number != null ? <EntityLink className="text-btn" href={jobUrl(alert.number)}>Job {alert.number}</EntityLink> : null}
        {open && !alert.acknowledged ? <Action className="text-btn" label={<>Acknowledge<span className="vh">: {alert.title}</span></>} path={`${path}/acknowledge`} /> : null}
        {open && full && !isAsleep(alert, now) ? snoozes.map((s) => <Action key={s.s} className="text-btn" label={<>{s.label}<span className="vh">: {alert.title}</span></>} path={`${path}/snooze`} body={{ for_s: s.s }} />) : null}
        {open && full && isAsleep(alert, now) ? <Action className="text-btn" label={<>Wake, snoozed until {instant(parseTime(alert.snoozed_until), now)}<span className="vh">: {alert.title}</span></>} path={`${path}/wake`} /> : null}
        <time className="num" dateTime={alert.since} title={since ? `for ${duration((now - since) / 1000)}` : undefined}>{alert.cleared_at ? `cleared ${instant(parseTime(alert.cleared_at), now)}` : instant(since, now)}</time>
      </div>
      {full ? <RunbookView alert={alert} /> : null}
    </li>
  );
}

const trimmed = (v: number): string => (Number.isInteger(v) ? String(v) : v.toFixed(1));

/** The GPU beside up to seven others of its job, else of its node. */
export function peersOf(gpu: Gpu, gpus: ReadonlyMap<string, Gpu>): string | null {
  const job = gpu.jobs[0]?.job_id;
  const all = [...gpus.values()].filter((g) => g.gpu_uuid !== gpu.gpu_uuid && g.node === gpu.node);
  const same = job ? all.filter((g) => g.jobs.some((j) => j.job_id === job)) : [];
  const peers = (same.length ? same : all).slice(0, 7);
  return peers.length ? pageUrl('/gpus', { pin: [gpu.gpu_uuid, ...peers.map((g) => g.gpu_uuid)].join(',') }) : null;
}

function RunbookView({ alert }: { alert: Alert }) {
  const book = runbookOf(alert.kind);
  if (!book) return null;
  const commands = book.commands({ gpuId: alert.gpu_id, node: alert.node, number: alert.number });
  return (
    <details className="twin runbook">
      <summary>Runbook<span className="vh">: {alert.title}</span></summary>
      <p>{book.means}</p>
      <ol>{book.steps.map((step) => <li key={step}>{step}</li>)}</ol>
      <ul className="commands">{commands.map((c) => <li key={c}><code>{c}</code><CopyButton text={c}>Copy</CopyButton></li>)}</ul>
    </details>
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
