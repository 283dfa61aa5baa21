// @vitest-environment jsdom
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { alert, alerts, button, fleet, gpu, gpus, job, jobs, live, node, nodes, press, settle, show, type } from './render';

let search = '';
vi.mock('next/navigation', () => ({ useRouter: () => ({ push: () => {}, prefetch: () => {} }), usePathname: () => '/', useSearchParams: () => new URLSearchParams(search) }));
vi.mock('next/link', () => ({ default: ({ href, children, prefetch: _p, ...rest }: { href: string; children: React.ReactNode; prefetch?: boolean }) => <a href={href} {...rest}>{children}</a> }));
class Observer { observe() {} disconnect() {} }
vi.stubGlobal('ResizeObserver', Observer);
HTMLCanvasElement.prototype.getContext = (() => null) as never;

const { TimelineView } = await import('@/views/TimelineView');
const { SettingsView } = await import('@/views/SettingsView');
const { AnomaliesView } = await import('@/views/AnomaliesView');
const { JobsView } = await import('@/views/JobsView');
const { GpusView } = await import('@/views/GpusView');
const { NodesView } = await import('@/views/NodesView');
const { CarbonView } = await import('@/views/CarbonView');
const { SubmitForm } = await import('@/ui/SubmitForm');
const client = await import('@/api/client');

beforeEach(() => {
  search = '';
  sessionStorage.clear();
  localStorage.clear();
  vi.stubGlobal('ResizeObserver', Observer);
  history.replaceState(null, '', '/');
  client.forgetToken();
});
const withToken = () => client.setToken('t');
const recently = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
const page = (items: unknown[]) => ({ items, next_page_token: null });

describe('timeline', () => {
  it('shows skeletons before anything is known, and says what is missing without GPUs', async () => {
    expect((await show(<TimelineView />)).host.querySelectorAll('.sk-row').length).toBeGreaterThan(0);
    vi.stubGlobal('ResizeObserver', Observer);
    expect((await show(<TimelineView />, live)).text()).toContain('No GPUs report yet');
  });
  it('lists every run of the range and every estimate, and marks an estimate as one', async () => {
    const running = job(4, { state: 'RUNNING', started_at: recently(10), node: 'node-01', gpu_ids: ['node-01-0'] });
    const old = job(3, { state: 'FAILED', started_at: recently(3000), ended_at: recently(2900), gpu_ids: ['node-01-0'] });
    const eta = { p10: null, p50: null, p90: null, latest: new Date(Date.now() + 600_000).toISOString() };
    const { host, text } = await show(<TimelineView />, { ...live, gpus: gpus(gpu(0)), jobs: jobs(running, old, job(7)) }, { '/jobs': page([]), '/jobs/J7/explain': { start_eta: eta, reasons: [], placement: null, summary: '' } });
    await settle();
    const rows = [...host.querySelectorAll('tbody tr')].map((r) => r.textContent);
    expect(rows).toHaveLength(2);
    expect(rows[0]).toContain('by ');
    expect(rows[1]).toContain('running');
    expect(text()).not.toContain('timed out');
  });
});

describe('anomalies', () => {
  it('group by cause, say what was measured, and carry a runbook', async () => {
    const a = alert('t/1', { kind: 'throttling', value: 88, threshold: 87, unit: '°C', gpu_id: 'node-01-2' });
    const { host, text } = await show(<AnomaliesView />, { ...live, alerts: alerts(a, alert('x', { kind: 'from_tomorrow', since: new Date(Date.now() - 240_000).toISOString() })) });
    expect([...host.querySelectorAll('.al-group h2')].map((h) => h.textContent)).toEqual(['Throttling 1 alert', 'from tomorrow 1 alert']);
    expect(text()).toContain('Measured 88 °C, limit 87 °C.');
    expect(host.querySelector('.runbook')!.textContent).toContain('aether quarantine node-01-2');
  });
  it('a snooze is asked of the server, and what it snoozed is not in the inbox', async () => {
    withToken();
    const { host, requests } = await show(<AnomaliesView />, { ...live, alerts: alerts(alert('a'), alert('b', { snoozed_until: new Date(Date.now() + 60_000).toISOString() }), alert('c', { snoozed_until: new Date(Date.now() - 60_000).toISOString() })) }, { '/alerts/a/snooze': {}, '/alerts/c/snooze': {} });
    expect([...host.querySelectorAll('.al.big h3')].map((h) => h.textContent).sort()).toEqual(['alert a', 'alert c']);
    await press(button(host, 'Snooze 1 h'));
    const sent = requests.filter((r) => r.init.method === 'POST');
    expect(sent.map((r) => r.path.replace(/[ac]/, 'x'))).toEqual([expect.stringContaining('/snooze')]);
    expect(JSON.parse(String(sent[0]!.init.body))).toEqual({ for_s: 3600 });
  });
});

describe('jobs', () => {
  it('show states and flags of a newer server by their own names', async () => {
    search = 'tab=finished';
    const { text } = await show(<JobsView />, { ...live, jobs: jobs(job(1, { state: 'PREEMPTED', ended_at: recently(1), flags: ['REQUEUED'] }), job(2, { state: 'DEADLINE', ended_at: recently(1) }), job(3, { state: 'BOOT_FAIL', ended_at: recently(1) })) }, { '/jobs': page([]) });
    for (const word of ['preempted', 'requeued', 'missed its deadline', 'boot fail']) expect(text()).toContain(word);
  });
  it('offer one action for all chosen, and only to those it fits', async () => {
    withToken();
    search = 'tab=waiting';
    const { host, requests } = await show(<JobsView />, { ...live, jobs: jobs(job(1), job(2, { state: 'HELD' })) }, { '/jobs/J1/hold': {} });
    for (const box of host.querySelectorAll<HTMLInputElement>('.w-pick input')) await press(box);
    expect([...host.querySelectorAll('.bulk button')].map((b) => b.textContent)).toEqual(['Cancel 2', 'Hold 1', 'Release 1', 'Choose none']);
    await press(button(host, 'Hold 1'));
    await press([...host.querySelectorAll('dialog button')].find((b) => b.textContent === 'Hold') as HTMLElement);
    expect(requests.filter((r) => r.init.method === 'POST').map((r) => r.path)).toEqual(['/jobs/J1/hold']);
  });
});

describe('gpus', () => {
  it('chips count each state, also one that this page does not know', async () => {
    search = 'view=table';
    const { host } = await show(<GpusView />, { ...live, gpus: gpus(gpu(0), gpu(1), gpu(2, { state: 'resetting' as never })) });
    expect([...host.querySelectorAll('.chip-btn')].map((c) => c.textContent)).toEqual(['free2', 'resetting1']);
  });
  it('a comparison without history says so', async () => {
    search = 'pin=GPU-0,GPU-1';
    const { host, text } = await show(<GpusView />, { ...live, gpus: gpus(gpu(0), gpu(1)) });
    expect(host.querySelectorAll('.pins li').length).toBe(2);
    expect(text()).toContain('The server has no history of these GPUs.');
  });
});

describe('nodes and carbon', () => {
  it('a node shows why it was drained, and a dash where nobody reads', async () => {
    const { text } = await show(<NodesView />, { ...live, nodes: nodes(node({ state: 'drained', drain_reason: 'fan replacement', temperature_max_c: undefined, power_draw_w: undefined, last_seen: undefined })) });
    expect(text()).toContain('fan replacement');
    expect(text()).toContain('–');
  });
  it('energy by user counts jobs without a figure instead of calling them 0', async () => {
    const { text } = await show(<CarbonView />, { ...live, fleet: fleet(), jobs: jobs(job(1, { state: 'RUNNING', energy_j: 7200 }), job(2, { state: 'RUNNING' })) }, { '/jobs': page([]) });
    expect(text()).toContain('2, 1 without a figure');
    expect(text()).toContain('2 Wh');
    expect(text()).toContain('none is held back for cleaner power');
  });
});

describe('settings', () => {
  it('takes a token for this tab and forgets it', async () => {
    const { host, text } = await show(<SettingsView />);
    expect(text()).toContain('this page only reads');
    await type(host.querySelector('input[type=password]')!, 'aeth_x');
    await press(button(host, 'Use this token'));
    expect(client.hasToken()).toBe(true);
    await press(button(host, 'Forget it'));
    expect(client.hasToken()).toBe(false);
    expect(sessionStorage.length).toBe(0);
  });
});

describe('submit', () => {
  it('shows where the job would go while it is typed, and stores nothing', async () => {
    withToken();
    const reply = { dry_run: true, valid: true, summary: '', plan: { starts_now: true, summary: 'Runs on node-01-3', wait: null, placement: { node: 'node-01', gpu_ids: ['node-01-3'], candidates: [], fallback_reason: 'a dry run does not ask the predictor' } } };
    const { host, requests } = await show(<SubmitForm />, live, { '/jobs': reply });
    await type(host.querySelector('input[name=command]')!, 'sleep 1');
    await new Promise((r) => setTimeout(r, 500));
    await settle();
    expect(requests.map((r) => r.path)).toEqual(['/jobs?dry_run=true']);
    expect(host.querySelector('.plan')!.textContent).toContain('Starts now on node-01');
    expect(host.querySelector('.plan')!.textContent).toContain('node-01-3');
  });
});
