'use client';
import { useEffect, useState } from 'react';
import { forgetToken, hasToken, setToken } from '@/api/client';
import type { Version } from '@/api/types';
import { setTheme, storedTheme, type ThemeChoice } from '@/lib/theme';
import { Facts } from '@/ui/Facts';
import { useFetch, useNow } from '@/ui/hooks';
import { offKey } from '@/ui/Keys';
import { Panel, Problem, Segments, SkeletonRows } from '@/ui/parts';
import { pageVersion } from '@/ui/Shell';

/** Preferences of this browser, the token of this tab, and what the server is. */
export function SettingsView() {
  const mounted = useNow(3_600_000) !== 0;
  const version = useFetch<Version>(mounted ? '/version' : null);
  return (
    <main id="main" tabIndex={-1} className="page narrow">
      <div className="page-head"><h1>Settings</h1><span className="d">kept in this browser only</span></div>
      <Panel title="Look">{mounted ? <Look /> : <SkeletonRows rows={2} label="Loading settings" />}</Panel>
      <Panel title="Token">{mounted ? <TokenForm /> : <SkeletonRows rows={2} label="Loading settings" />}</Panel>
      <Panel title="Server">
        {version.error ? <div className="pad"><Problem error={version.error} onRetry={version.reload} /></div> : null}
        {version.data ? <Facts items={[['Server', version.data.version], ['This page', pageVersion], ['Cluster', version.data.cluster], ['Mode', version.data.mode], ['Store', version.data.store ?? 'none'], ['Bus', version.data.bus.replace(/_/g, ' ')], ['Readings', version.data.simulated ? 'simulated: no hardware is behind them' : 'measured']]} /> : null}
      </Panel>
    </main>
  );
}

function Look() {
  const [theme, choose] = useState<ThemeChoice>(storedTheme);
  const [keysOff, setKeysOff] = useState(false);
  useEffect(() => {
    try { setKeysOff(localStorage.getItem(offKey) === '1'); } catch { setKeysOff(false); }
  }, []);
  const toggleKeys = (): void => {
    setKeysOff(!keysOff);
    try { localStorage.setItem(offKey, keysOff ? '0' : '1'); } catch { return; }
  };
  return (
    <div className="pad settings">
      <div className="setting"><span id="s-theme">Theme</span><Segments label="Theme" items={[{ id: 'system', label: 'As the system' }, { id: 'dark', label: 'Dark' }, { id: 'light', label: 'Light' }]} value={theme} onChange={(t) => { choose(t as ThemeChoice); setTheme(t as ThemeChoice); }} /></div>
      <label className="check"><input type="checkbox" checked={!keysOff} onChange={toggleKeys} /> Single-key shortcuts (<kbd>?</kbd> lists them; effective after a reload)</label>
      <p className="d">More contrast and less motion follow the system’s settings.</p>
    </div>
  );
}

function TokenForm() {
  const [held, setHeld] = useState(hasToken);
  const [text, setText] = useState('');
  return (
    <form className="pad settings" onSubmit={(e) => { e.preventDefault(); if (text.trim()) { setToken(text.trim()); setText(''); setHeld(true); } }}>
      <p className="d">{held ? 'This tab holds a token: it may change things. Other tabs do not have it.' : 'Without a token this page only reads. `aether token` prints it.'}</p>
      <div className="field-row token"><label className="field"><span>Token</span><input type="password" autoComplete="off" value={text} onChange={(e) => setText(e.target.value)} placeholder={held ? 'another token' : 'aeth_…'} /></label></div>
      <div className="row"><button type="submit" className="btn" disabled={!text.trim()}>Use this token</button>{held ? <button type="button" className="quiet" onClick={() => { forgetToken(); setHeld(false); }}>Forget it</button> : null}</div>
    </form>
  );
}
