// @vitest-environment jsdom
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { alert, alerts, button, everything, fleet, gpu, gpus, job, jobs, live, node, nodes, press, settle, show, type } from './render';

let search = '';
vi.mock('next/navigation', () => ({ useRouter: () => ({ push: () => {}, prefetch: () => {} }), usePathname: () => '/', useSearchParams: () => new URLSearchParams(search) }));
vi.mock('next/link', () => ({ default: ({ href, children, prefetch: _p, ...rest }: { href: string; children: React.ReactNode; prefetch?: boolean }) => <a href={href} {...rest}>{children}</a> }));

const { OverviewView } = await import('@/views/OverviewView');
const { JobsView } = await import('@/views/JobsView');
const { GpusView } = await import('@/views/GpusView');
const { NodesView } = await import('@/views/NodesView');
const { CarbonView } = await import('@/views/CarbonView');
const { AnomaliesView } = await import('@/views/AnomaliesView');
const { Shell } = await import('@/ui/Shell');
const { SubmitForm } = await import('@/ui/SubmitForm');
const { PlacementView } = await import('@/ui/PlacementView');
const client = await import('@/api/client');

beforeEach(() => {
  search = '';
  sessionStorage.clear();
  history.replaceState(null, '', '/');
  client.adoptToken();
});
const withToken = () => {
  history.replaceState(null, '', '/#token=t');
  client.adoptToken();
};

describe('overview', () => {
  it('shows skeletons and no number before the first snapshot', async () => {
    const { host, text } = await show(<OverviewView />);
    expect(host.querySelectorAll('.sk-cell').length).toBe(64);
    expect(host.querySelectorAll('.kpi .sk').length).toBe(18);
    expect(host.querySelector('.kpis')!.textContent).toBe('');
    expect(text()).not.toMatch(/Nothing|No GPU/);
  });
  it('tells how to start when no GPU reports', async () => {
    const { text } = await show(<OverviewView />, { ...live, fleet: fleet({ gpus_total: 0 }) });
    expect(text()).toContain('No GPUs report yet');
    expect(text()).toContain('aether up --gpus simulated:64');
  });
  it('says that nothing waits, what is free, and that nothing needs anyone', async () => {
    const { text } = await show(<OverviewView />, { ...live, fleet: fleet(), gpus: gpus(gpu(0), gpu(1), gpu(2, { state: 'busy' })) });
    expect(text()).toContain('Nothing is waiting. 2 GPUs are free, all on node-01.');
    expect(text()).toContain('Nothing needs you.');
  });
  it('shows each state by its word, and a missing reading as a dash', async () => {
    const { host } = await show(<OverviewView />, { ...live, fleet: fleet(), gpus: gpus(gpu(0), gpu(1, { state: 'lost', state_reason: 'Xid 79' }), gpu(2, { state: 'no_data' }), gpu(3, { state: 'busy' }), gpu(4, { state: 'throttling', sample: { time: 't', utilization_gpu: 68 } })) });
    const labels = [...host.querySelectorAll('.cell')].map((c) => c.getAttribute('aria-label'));
    expect(labels).toEqual(['node-01 GPU 0: free', 'node-01 GPU 1: lost, Xid 79', 'node-01 GPU 2: no data', 'node-01 GPU 3: no reading', 'node-01 GPU 4: 68 % busy, throttling']);
    expect(host.querySelectorAll('.cell')[3]!.textContent).toBe('–');
    expect(host.querySelectorAll('.cell[tabindex="0"]').length).toBe(1);
  });
  it('formats the scheduler’s reason, in order: blocking, not blocking, passed', async () => {
    const explain = { job: 'J7', state: 'PENDING', evaluated_at: null, cycle: 1, summary: 'It needs 8 GPUs on one node.', reasons: [], placement: null, queue_position: 1, start_eta: null, counterfactuals: [{ change: { gpus: 4 }, starts: 'now' }], checks: [{ code: 'QUOTA', verdict: 'pass', have: 1, need: 1, unit: null, text: 'enough' }, { code: 'CARBON_WINDOW', verdict: 'na', have: null, need: null, unit: null, text: 'not asked' }, { code: 'INSUFFICIENT_GPUS', verdict: 'fail', have: 4, need: 8, unit: 'gpu', text: '4 of 8 free' }] };
    const { host, text } = await show(<OverviewView />, { ...live, fleet: fleet(), gpus: gpus(gpu(0)), jobs: jobs(job(7), job(8, { priority: 10, reason: { code: 'FROM_THE_FUTURE', summary: 'A reason this page never heard of' } })) }, { '/jobs/J7/explain': explain });
    expect(text()).toContain('It needs 8 GPUs on one node.');
    expect([...host.querySelectorAll('.checks li')].map((l) => l.className)).toEqual(['fail', 'na', 'pass']);
    expect(host.querySelectorAll('.mini i').length).toBe(8);
    expect(text()).toContain('no estimate yet');
    expect(text()).toContain('it asks for 4 GPUs');
    expect([...host.querySelectorAll('.q .chip')].map((c) => c.textContent)).toEqual(['Fit', 'Other']);
    expect(text()).toContain('A reason this page never heard of');
  });
  it('shows the server’s refusal instead of a reason, with another try', async () => {
    const { host, text } = await show(<OverviewView />, { ...live, fleet: fleet(), gpus: gpus(gpu(0)), jobs: jobs(job(7)) }, { '/jobs/J7/explain': { status: 503, title: 'Not ready', hint: 'Wait a moment' } });
    expect(text()).toContain('Not ready');
    expect(text()).toContain('Wait a moment');
    expect(button(host, 'Try again')).toBeTruthy();
  });
  it('lists at most five alerts, worst first', async () => {
    const { host, text } = await show(<OverviewView />, { ...live, fleet: fleet(), alerts: alerts(...Array.from({ length: 7 }, (_, i) => alert(`a${i}`)), alert('worst', { severity: 'critical' }), alert('gone', { cleared_at: new Date().toISOString() }), alert('seen', { acknowledged: true })) });
    expect(host.querySelectorAll('.al li').length).toBe(5);
    expect(host.querySelector('.al h3')!.textContent).toBe('alert worst');
    expect(text()).toContain('and 3 more');
  });
  it('says of carbon whether it is an estimate, from where and how old', async () => {
    const carbon = { zone: 'DE', source: 'profile', label: 'typical daily profile (not measured)', is_estimated: true, intensity_g_per_kwh: 241, observed_at: null, age_s: 90, forecast: [], kg_per_h: 7.6 };
    const { host } = await show(<OverviewView />, { ...live, fleet: fleet({ carbon }) });
    expect(host.querySelector('.kpi-carbon')!.textContent).toContain('estimatetypical daily profile, 1 min old241');
  });
});

describe('shell', () => {
  const shell = <Shell><main id="main" /></Shell>;
  it('counts the seconds behind when the stream is silent', async () => {
    const { host } = await show(shell, { ...live, link: 'stale', heardAt: Date.now() - 4000 });
    expect(host.querySelector('.live')!.textContent).toMatch(/^4 s behind/);
  });
  it('keeps the age of what is shown when offline, and can try at once', async () => {
    const { host, text, stream } = await show(shell, { ...live, link: 'offline', offlineSince: Date.now() - 12_000, heardAt: Date.now() - 13_000 });
    expect(text()).toContain('Offline 0:12, retrying');
    expect(text()).toContain('13 s old');
    await press(button(host, 'Try now'));
    expect(stream.retryNow).toHaveBeenCalledOnce();
  });
  it('asks for a reload when the server has another version', async () => {
    const { text } = await show(shell, { ...live, serverVersion: '9.9.9' });
    expect(text()).toContain('the server is 9.9.9');
  });
  it('labels simulated GPUs, and only those', async () => {
    expect((await show(shell, { ...live, fleet: fleet({ simulated: true }) })).text()).toContain('simulated');
    expect((await show(shell, { ...live, fleet: fleet() })).host.querySelector('.cluster')!.textContent).not.toContain('simulated');
  });
});

describe('details', () => {
  it('name an unknown job, GPU or node and lead to the list', async () => {
    search = 'id=9999';
    for (const [view, what, href] of [[<JobsView key="j" />, 'No job 9999', '/jobs'], [<GpusView key="g" />, 'No GPU 9999', '/gpus'], [<NodesView key="n" />, 'No node 9999', '/nodes']] as const) {
      const { host, text } = await show(view, live);
      expect(text()).toContain(what);
      expect(host.querySelector('main a')!.getAttribute('href')).toBe(href);
    }
  });
  it('find a job that only the server still knows', async () => {
    search = 'id=41&tab=spec';
    const { text } = await show(<JobsView />, live, { '/jobs/41': job(41, { name: 'old-one', state: 'COMPLETED' }) });
    expect(text()).toContain('old-one');
    expect(text()).toContain('completed');
  });
  it('say where the token comes from when an action needs it, and send nothing', async () => {
    search = 'id=node-01';
    const { host, text, requests } = await show(<NodesView />, { ...live, nodes: nodes(node()) });
    await press(button(host, 'Drain'));
    expect(text()).toContain('Needs the token');
    expect(requests.every((r) => r.init.method === 'GET')).toBe(true);
  });
  it('state the effect first, then send the reason', async () => {
    withToken();
    search = 'id=node-01';
    const running = job(5, { state: 'RUNNING', node: 'node-01', gpu_uuids: ['GPU-0'] });
    const { host, text, requests } = await show(<NodesView />, { ...live, nodes: nodes(node()), gpus: gpus(gpu(0)), jobs: jobs(running) }, { '/nodes/node-01/drain': {} });
    await press(button(host, 'Drain'));
    expect(text()).toContain('1 job runs on it now: 5.');
    await type(host.querySelector<HTMLInputElement>('dialog input')!, 'fan');
    await press(host.querySelector<HTMLButtonElement>('dialog button[type=submit]')!);
    const sent = requests.find((r) => r.init.method === 'POST')!;
    expect(sent.path).toBe('/nodes/node-01/drain');
    expect(sent.init.body).toBe('{"reason":"fan"}');
  });
  it('disable actions while the server is out of reach, with the reason', async () => {
    withToken();
    search = 'id=node-01';
    const { host, text } = await show(<NodesView />, { ...live, link: 'offline', nodes: nodes(node()) });
    const drain = button(host, 'Drain');
    expect(drain.getAttribute('aria-disabled')).toBe('true');
    await press(drain);
    expect(text()).toContain('out of reach');
  });
  it('tell a heuristic from a model and why it was used', async () => {
    const placement = { decided_at: new Date().toISOString(), cycle: 3, node: 'n', gpu_uuids: ['g1'], gpu_ids: ['n-1'], policy: 'heuristic', fallback_reason: 'the model did not answer in 50 ms', model: null, summary: 'Cool and empty.', candidates: [{ gpu_uuid: 'g1', gpu_id: 'n-1', node: 'n', chosen: true, rejected_by: null, score: 0.8, terms: [{ name: 'temperature', value: 0.5, weight: 0.3 }], contributions: [{ feature: 'temperature_c', value: 40, contribution: -0.2 }] }, { gpu_uuid: 'g2', gpu_id: 'n-2', node: 'n', chosen: false, rejected_by: 'allocated', rejected_text: 'held by job 4', score: null }] };
    const { text } = await show(<PlacementView placement={placement} job={job(1, { state: 'RUNNING' })} />, live);
    expect(text()).toContain('Ranked by heuristic: the model did not answer in 50 ms');
    expect(text()).toContain('temperature, °C40−0.200');
    expect(text()).toContain('held by job 4');
  });
});

describe('lists', () => {
  it('say when they are empty', async () => {
    search = 'tab=waiting';
    expect((await show(<JobsView />, live)).text()).toContain('Nothing is waiting.');
    search = '';
    expect((await show(<AnomaliesView />, live)).text()).toContain('Nothing needs you.');
    expect((await show(<NodesView />, live)).text()).toContain('No GPUs report yet');
    expect((await show(<CarbonView />, { ...live, fleet: fleet() })).text()).toContain('No carbon source is set up');
  });
  it('show skeletons until their topic has come', async () => {
    expect((await show(<JobsView />, { ...live, loaded: { ...everything, jobs: false } })).host.querySelector('[aria-label="Loading jobs"]')).toBeTruthy();
  });
});

describe('submit form', () => {
  const fill = async (host: HTMLElement) => {
    await type(host.querySelector<HTMLInputElement>('#submit-command')!, 'python train.py');
    await type(host.querySelector<HTMLInputElement>('#submit-gpus')!, '65');
  };
  const send = (host: HTMLElement) => press(host.querySelector<HTMLButtonElement>('button[type=submit]')!);
  it('shows the server’s message at the field and reuses the key for a retry of the same body', async () => {
    withToken();
    const { host, requests } = await show(<SubmitForm />, live, { '/jobs': { status: 422, title: 'Can never run', errors: [{ pointer: '/gpus', code: 'x', message: 'The cluster has 64' }] } });
    await fill(host);
    await send(host);
    await settle();
    expect(host.querySelector('#submit-gpus-note')!.textContent).toBe('The cluster has 64');
    expect(host.querySelector('#submit-gpus')!.getAttribute('aria-invalid')).toBe('true');
    await send(host);
    const keys = requests.map((r) => (r.init.headers as Record<string, string>)['Idempotency-Key']);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
    await type(host.querySelector<HTMLInputElement>('#submit-gpus')!, '8');
    await send(host);
    expect((requests[2]!.init.headers as Record<string, string>)['Idempotency-Key']).not.toBe(keys[0]);
  });
  it('sends nothing while a field is wrong', async () => {
    withToken();
    const { host, requests } = await show(<SubmitForm />, live);
    await send(host);
    expect(requests).toHaveLength(0);
    expect(host.querySelector('#submit-command-note')!.textContent).toBe('Say what to run');
  });
});
