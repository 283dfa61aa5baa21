'use client';
import { useMemo } from 'react';
import { duration, parseTime } from '@/lib/format';
import { AlertItem, sortedAlerts } from '@/ui/Attention';
import { useBackfill } from '@/ui/backfill';
import { useNow, useStore, useValues } from '@/ui/hooks';
import { useUrlQuery } from '@/ui/navigation';
import { Empty, Panel, SkeletonRows, Tabs } from '@/ui/parts';

const tabs = ['open', 'acknowledged', 'cleared'] as const;

export function AnomaliesView() {
  useBackfill();
  const query = useUrlQuery();
  const alerts = useValues(useStore((s) => s.alerts));
  const loaded = useStore((s) => s.loaded.alerts);
  const link = useStore((s) => s.link);
  const now = useNow(10_000);
  const tab = tabs.find((t) => t === query.get('tab')) ?? 'open';
  const lists = useMemo(() => ({
    open: sortedAlerts(alerts.filter((a) => !a.cleared_at && !a.acknowledged)), acknowledged: sortedAlerts(alerts.filter((a) => !a.cleared_at && a.acknowledged)),
    cleared: alerts.filter((a) => a.cleared_at).sort((a, b) => (parseTime(b.cleared_at) ?? 0) - (parseTime(a.cleared_at) ?? 0)),
  }), [alerts]);
  const shown = lists[tab];
  const last = lists.cleared[0];
  return (
    <main id="main" tabIndex={-1} className={`page narrow ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head"><h1>Anomalies</h1><span className="d">open ones, and those cleared in the last hour</span></div>
      <Panel title={<span className="vh">Alerts</span>} className="tabbed">
        <Tabs name="alerts" label="Alerts by state" value={tab} onChange={(t) => query.change({ tab: t === 'open' ? null : t }, 'push')} items={tabs.map((t) => ({ id: t, label: <>{t.charAt(0).toUpperCase() + t.slice(1)}<span className="pill num">{lists[t].length}</span></> }))} />
        <div role="tabpanel" id="alerts-panel" aria-labelledby={`alerts-${tab}`}>
          {!loaded ? <SkeletonRows rows={6} label="Loading alerts" /> : shown.length === 0 ? (
            <Empty><p>{tab === 'open' ? `Nothing needs you.${last && now ? ` The last alert cleared ${duration((now - (parseTime(last.cleared_at) ?? now)) / 1000)} ago.` : ''}` : tab === 'acknowledged' ? 'None is acknowledged.' : 'None was cleared in the last hour.'}</p></Empty>
          ) : <ul className="al big">{shown.map((a) => <AlertItem key={a.alert_id} alert={a} />)}</ul>}
        </div>
      </Panel>
    </main>
  );
}
