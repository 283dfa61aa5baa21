'use client';
import { useMemo } from 'react';
import type { Alert, Page, SystemEvent } from '@/api/types';
import { duration, instant, parseTime, plural } from '@/lib/format';
import { gpuUrl, nodeUrl } from '@/lib/url';
import { AlertItem, isAsleep, sortedAlerts } from '@/ui/Attention';
import { useBackfill } from '@/ui/backfill';
import { useFetch, useNow, useStore, useValues } from '@/ui/hooks';
import { EntityLink, useUrlQuery } from '@/ui/navigation';
import { CommandButton, Empty, Panel, Problem, SkeletonRows, Tabs } from '@/ui/parts';

const tabs = ['open', 'acknowledged', 'snoozed', 'cleared', 'history'] as const;
type Tab = (typeof tabs)[number];
const nothing: Record<Tab, string> = { open: 'Nothing needs you.', acknowledged: 'None is acknowledged.', snoozed: 'None is snoozed.', cleared: 'None was cleared in the last hour.', history: '' };
const kindWords: Record<string, string> = { temperature: 'Hot', throttling: 'Throttling', ecc: 'Memory errors', xid: 'Driver faults', idle: 'Held and idle', no_data: 'Silent', memory: 'Memory almost full', gpu_lost: 'Lost', slow: 'Slow' };

/** An inbox: one group per cause, each alert with what was measured, its runbook and its moment. */
export function AnomaliesView() {
  useBackfill();
  const query = useUrlQuery();
  const alerts = useValues(useStore((s) => s.alerts));
  const loaded = useStore((s) => s.loaded.alerts);
  const link = useStore((s) => s.link);
  const now = useNow(10_000);
  const tab = tabs.find((t) => t === query.get('tab')) ?? 'open';
  const text = (query.get('q') ?? '').toLowerCase();
  const lists = useMemo(() => {
    const mine = alerts.filter((a) => `${a.title} ${a.kind} ${a.node ?? ''} ${a.gpu_id ?? ''} ${a.number ?? ''}`.toLowerCase().includes(text));
    const asleep = (a: Alert): boolean => isAsleep(a, now);
    return {
      open: sortedAlerts(mine.filter((a) => !a.cleared_at && !a.acknowledged && !asleep(a))), acknowledged: sortedAlerts(mine.filter((a) => !a.cleared_at && a.acknowledged)),
      snoozed: sortedAlerts(mine.filter((a) => !a.cleared_at && !a.acknowledged && asleep(a))),
      cleared: mine.filter((a) => a.cleared_at).sort((a, b) => (parseTime(b.cleared_at) ?? 0) - (parseTime(a.cleared_at) ?? 0)), history: [] as Alert[],
    };
  }, [alerts, text, now]);
  const shown = lists[tab];
  const last = lists.cleared[0];
  return (
    <main id="main" tabIndex={-1} className={`page middle ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head"><h1>Anomalies</h1><span className="d">what a person should look at</span><div className="grow" />
        <input data-filter type="search" aria-label="Filter alerts" placeholder="node-03, throttling" value={query.get('q') ?? ''} onChange={(e) => query.change({ q: e.target.value })} />
        <CommandButton text={tab === 'history' ? 'aether events' : 'aether alerts'} /></div>
      <Panel title={<span className="vh">Alerts</span>} className="tabbed">
        <Tabs name="alerts" label="Alerts by state" value={tab} onChange={(t) => query.change({ tab: t === 'open' ? null : t }, 'push')} items={tabs.map((t) => ({ id: t, label: <>{t.charAt(0).toUpperCase() + t.slice(1)}{t === 'history' ? null : <span className="pill num">{lists[t].length}</span>}</> }))} />
        <div role="tabpanel" id="alerts-panel" aria-labelledby={`alerts-${tab}`}>
          {tab === 'history' ? <History text={text} /> : !loaded ? <SkeletonRows rows={6} label="Loading alerts" /> : shown.length === 0 ? (
            <Empty><p>{text ? 'No alert matches.' : nothing[tab]}{tab === 'open' && !text && last && now ? ` The last alert cleared ${duration((now - (parseTime(last.cleared_at) ?? now)) / 1000)} ago.` : ''}</p></Empty>
          ) : <Groups alerts={shown} />}
        </div>
      </Panel>
    </main>
  );
}

function Groups({ alerts }: { alerts: readonly Alert[] }) {
  const groups = new Map<string, Alert[]>();
  for (const a of alerts) groups.set(a.kind, [...(groups.get(a.kind) ?? []), a]);
  return (
    <>
      {[...groups].map(([kind, list]) => (
        <section key={kind} className="al-group" aria-label={kindWords[kind] ?? kind}>
          <h2>{kindWords[kind] ?? kind.replace(/_/g, ' ')} <span className="d">{plural(list.length, 'alert')}{nodesOf(list) > 1 ? ` on ${nodesOf(list)} nodes` : ''}</span></h2>
          <ul className="al big">{list.map((a) => <AlertItem key={a.alert_id} alert={a} full />)}</ul>
        </section>
      ))}
    </>
  );
}

const nodesOf = (list: readonly Alert[]): number => new Set(list.map((a) => a.node)).size;

/** What the server still remembers of events, newest first. */
function History({ text }: { text: string }) {
  const events = useFetch<Page<SystemEvent>>('/events?limit=1000', { pollMs: 15_000 });
  const now = useNow(10_000);
  if (events.error && !events.data) return <div className="pad"><Problem error={events.error} onRetry={events.reload} /></div>;
  if (!events.data) return <SkeletonRows rows={6} label="Loading events" />;
  const items = [...events.data.items].sort((a, b) => (parseTime(b.time) ?? 0) - (parseTime(a.time) ?? 0)).filter((e) => `${e.text} ${e.kind} ${e.node ?? ''}`.toLowerCase().includes(text)).slice(0, 300);
  if (items.length === 0) return <Empty><p>{text ? 'No event matches.' : 'The server remembers no event yet.'}</p></Empty>;
  return (
    <div className="table-box tall"><table className="plain">
      <thead><tr><th scope="col">Time</th><th scope="col">Kind</th><th scope="col">What happened</th><th scope="col">Where</th></tr></thead>
      <tbody>{items.map((e) => <tr key={e.cursor}><td className="num">{instant(parseTime(e.time), now)}</td><td><span className="chip">{e.kind.replace(/[._]/g, ' ')}</span></td><td className="wrap">{e.text}</td><td>{e.gpu_uuid ? <EntityLink className="link" href={gpuUrl(e.gpu_uuid)}>GPU</EntityLink> : e.node ? <EntityLink className="link mono" href={nodeUrl(e.node)}>{e.node}</EntityLink> : ''}</td></tr>)}</tbody>
    </table></div>
  );
}
