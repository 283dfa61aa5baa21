'use client';
import Link from 'next/link';
import { usePathname } from 'next/navigation';
import { createContext, useContext, useEffect, useState, type ReactNode } from 'react';
import { hasToken, noTokenHint } from '@/api/client';
import type { Version } from '@/api/types';
import { clockSeconds, counter, duration } from '@/lib/format';
import { setTheme } from '@/lib/theme';
import { Find } from './Find';
import { useApp, useFetch, useNow, useStore, useTheme } from './hooks';
import { Icon, Mark } from './Icon';
import { Keys } from './Keys';
import { useNavigationSetup } from './navigation';
import { Dialog } from './parts';
import { SubmitForm } from './SubmitForm';

const SubmitContext = createContext<() => void>(() => {});
/** Opens the submit dialog from anywhere. */
export const useSubmit = (): (() => void) => useContext(SubmitContext);

const tabs = [
  { href: '/', label: 'Overview' }, { href: '/gpus', label: 'GPUs' }, { href: '/jobs', label: 'Jobs' }, { href: '/timeline', label: 'Timeline' },
  { href: '/anomalies', label: 'Anomalies' }, { href: '/carbon', label: 'Carbon' }, { href: '/nodes', label: 'Nodes' },
] as const;

export const pageVersion = process.env.NEXT_PUBLIC_VERSION ?? '0.0.0';

export function Shell({ children }: { children: ReactNode }) {
  useNavigationSetup();
  const [finding, setFinding] = useState(false);
  const [submitting, setSubmitting] = useState(false);
  return (
    <SubmitContext.Provider value={() => setSubmitting(true)}>
      <a className="skip" href="#main">Skip to the content</a>
      <Header onFind={() => setFinding(true)} onSubmit={() => setSubmitting(true)} />
      <Banners />
      {children}
      <Find open={finding} onOpen={() => setFinding(true)} onClose={() => setFinding(false)} onSubmit={() => setSubmitting(true)} />
      <Keys />
      <Dialog open={submitting} onClose={() => setSubmitting(false)} title="Submit a job" className="wide">
        <SubmitForm onDone={() => setSubmitting(false)} />
      </Dialog>
    </SubmitContext.Provider>
  );
}

function Header({ onFind, onSubmit }: { onFind: () => void; onSubmit: () => void }) {
  const heard = useStore((s) => s.heardAt !== null);
  const version = useFetch<Version>(heard ? '/version' : null);
  const simulated = useStore((s) => s.fleet?.simulated ?? false);
  return (
    <header className="top">
      <Link className="brand" href="/"><Mark />Aether</Link>
      <div className="cluster">
        <span>{version.data?.cluster ?? 'cluster'}</span>
        {simulated ? <span className="pill info" title="These GPUs are computed by the simulator; no hardware is behind them.">simulated</span> : null}
      </div>
      <Nav />
      <div className="grow" />
      <button className="find" type="button" onClick={onFind} aria-keyshortcuts="Control+K"><Icon name="find" size={14} /><span>Find GPU, job, node</span> <kbd>Ctrl K</kbd></button>
      <LinkState />
      <ThemeButton />
      <Link className="ico" href="/settings" prefetch={false} aria-label="Settings"><Icon name="gear" /></Link>
      <button className="btn" type="button" onClick={onSubmit}>Submit job</button>
    </header>
  );
}

function Nav() {
  const pathname = usePathname();
  const held = useStore((s) => s.waiting.length);
  const alerts = useStore((s) => s.alerts);
  const pendingJobs = useStore((s) => s.fleet?.jobs_pending);
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [pathname]);
  const waiting = pendingJobs ?? held;
  const openAlerts = [...alerts.values()].filter((a) => !a.cleared_at && !a.acknowledged);
  const critical = openAlerts.some((a) => a.severity === 'critical');
  return (
    <div className={open ? 'nav-box open' : 'nav-box'}>
      <button type="button" className="ico nav-menu" aria-expanded={open} aria-controls="main-nav" aria-label="Pages" onClick={() => setOpen(!open)}><Icon name="menu" /></button>
      <nav className="nav" id="main-nav" aria-label="Main">
        {tabs.map((t) => (
          <Link key={t.href} href={t.href} prefetch={false} aria-current={pathname === t.href ? 'page' : undefined}>
            {t.label}
            {t.href === '/jobs' && waiting > 0 ? <span className="pill num">{waiting}<span className="vh"> waiting</span></span> : null}
            {t.href === '/anomalies' && openAlerts.length > 0 ? <span className={`pill num ${critical ? 'crit' : 'warn'}`}>{openAlerts.length}<span className="vh"> open</span></span> : null}
          </Link>
        ))}
      </nav>
    </div>
  );
}

function LinkState() {
  const link = useStore((s) => s.link);
  const heardAt = useStore((s) => s.heardAt);
  const since = useStore((s) => s.offlineSince);
  const offset = useStore((s) => s.clockOffsetMs);
  const now = useNow();
  const shown = {
    connecting: 'Connecting', live: now ? `Live ${clockSeconds(now + offset)}` : 'Live',
    stale: `${Math.max(1, Math.round((now - (heardAt ?? now)) / 1000))} s behind`,
    offline: `Offline ${counter((now - (since ?? now)) / 1000)}, retrying`,
  }[link];
  const spoken = { connecting: 'Connecting', live: 'Live', stale: 'Numbers are behind', offline: 'Offline, retrying' }[link];
  return (
    <div className={`live num ${link}`}>
      <i aria-hidden="true" /><span aria-hidden="true">{shown}</span>
      <span className="vh" role="status">{spoken}</span>
    </div>
  );
}

function ThemeButton() {
  const theme = useTheme();
  const other = theme === 'dark' ? 'light' : 'dark';
  const mounted = useNow(3_600_000) !== 0;
  const shown = mounted ? theme : 'dark';
  return (
    <button className="ico" type="button" aria-label={mounted ? `Switch to ${other} theme` : 'Switch theme'} onClick={() => setTheme(other)}>
      <Icon name={shown === 'dark' ? 'moon' : 'sun'} />
    </button>
  );
}

function Banners() {
  const link = useStore((s) => s.link);
  const heardAt = useStore((s) => s.heardAt);
  const server = useStore((s) => s.serverVersion);
  const { stream } = useApp();
  const now = useNow();
  // Nothing was ever heard: perhaps the server answers, but shows nothing without the token.
  const asked = useFetch<Version>(link === 'offline' && heardAt === null ? '/version' : null, { pollMs: 5000 });
  if (asked.error?.status === 401) {
    return <div className="banner offline" role="alert"><span>{hasToken() ? 'The server does not know this token.' : 'This server shows nothing without the token.'} {noTokenHint}</span><Link className="quiet" href="/settings" prefetch={false}>Enter the token</Link></div>;
  }
  return (
    <>
      {link === 'offline' ? (
        <div className="banner offline">
          <span>{heardAt === null ? 'The server does not answer.' : `The server is out of reach. What you see is ${duration((now - heardAt) / 1000)} old.`} Running jobs go on without it.</span>
          <button type="button" className="quiet" onClick={() => stream?.retryNow()}>Try now</button>
        </div>
      ) : null}
      {server && server !== pageVersion ? (
        <div className="banner"><span>This page is version {pageVersion}, the server is {server}.</span><button type="button" className="quiet" onClick={() => location.reload()}>Reload</button></div>
      ) : null}
    </>
  );
}
