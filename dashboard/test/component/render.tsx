import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import type { ReactNode } from 'react';
import { afterEach, vi } from 'vitest';
import type { Alert, Fleet, FleetNode, Gpu, Job } from '@/api/types';
import { Store, type State } from '@/lib/store';
import { AppProvider } from '@/ui/hooks';

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

const roots: Root[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) act(() => root.unmount());
  document.body.innerHTML = '';
  vi.unstubAllGlobals();
});

export const everything = { fleet: true, nodes: true, gpus: true, jobs: true, alerts: true };
export const live: Partial<State> = { link: 'live', heardAt: Date.now(), loaded: everything };

/** Mounts `view` over a store in `state`; answers of the API by path, 404 for the rest. */
export async function show(view: ReactNode, state: Partial<State> = {}, answers: Record<string, unknown> = {}) {
  const requests: { path: string; init: RequestInit }[] = [];
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    const path = url.replace('/api/v1', '');
    requests.push({ path, init });
    const found = Object.entries(answers).find(([key]) => path.split('?')[0] === key);
    const body = found ? found[1] : { title: 'Nothing here', status: 404 };
    const refused = body as { status?: number };
    const status = typeof refused.status === 'number' ? refused.status : 200;
    return Promise.resolve(new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } }));
  });
  const store = new Store((run) => run(), state);
  const host = document.body.appendChild(document.createElement('div'));
  const root = createRoot(host);
  roots.push(root);
  const stream = { subscribe: () => () => {}, retryNow: vi.fn() };
  await act(async () => {
    root.render(<AppProvider value={{ store, stream }}>{view}</AppProvider>);
  });
  await settle();
  return { host, store, stream, requests, text: () => host.textContent ?? '' };
}

export const settle = () => act(async () => { await new Promise((r) => setTimeout(r, 5)); });

export const button = (host: HTMLElement, name: string): HTMLButtonElement => {
  const found = [...host.querySelectorAll('button')].find((b) => (b.getAttribute('aria-label') ?? b.textContent ?? '').trim().startsWith(name));
  if (!found) throw new Error(`no button “${name}” in ${host.textContent}`);
  return found;
};
export const press = (element: HTMLElement) => act(async () => { element.click(); await new Promise((r) => setTimeout(r, 5)); });

export async function type(input: HTMLInputElement | HTMLTextAreaElement, value: string) {
  const proto = input instanceof HTMLTextAreaElement ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
  await act(async () => {
    Object.getOwnPropertyDescriptor(proto, 'value')!.set!.call(input, value);
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });
}

const mapBy = <T,>(items: T[], id: (item: T) => string) => new Map(items.map((i) => [id(i), i]));
export const gpus = (...items: Gpu[]) => mapBy(items, (g) => g.gpu_uuid);
export const jobs = (...items: Job[]) => mapBy(items, (j) => j.job_id);
export const alerts = (...items: Alert[]) => mapBy(items, (a) => a.alert_id);
export const nodes = (...items: FleetNode[]) => mapBy(items, (n) => n.node);

export const gpu = (index: number, more: Partial<Gpu> = {}): Gpu => ({ gpu_uuid: `GPU-${index}`, gpu_id: `node-01-${index}`, node: 'node-01', gpu_index: index, gpu_name: 'NVIDIA H200', source: 'nvml', state: 'free', state_reason: null, state_since: null, memory_total_mb: 144384, power_limit_w: 700, temperature_slowdown_c: 90, allocated_mb: null, jobs: [], sample: null, ...more });
export const node = (more: Partial<FleetNode> = {}): FleetNode => ({ node: 'node-01', state: 'up', simulated: false, source: 'nvml', exec_mode: 'pgrp-only', run_as: 'you', agent_version: '0.1.0', driver_version: '550', host_name: 'h', gpus: 1, gpus_free: 1, temperature_max_c: 40, power_draw_w: 80, last_seen: new Date().toISOString(), ...more });
export const job = (number: number, more: Partial<Job> = {}): Job => ({ job_id: `J${number}`, number, name: `job-${number}`, type: 'training', state: 'PENDING', flags: [], user: 'me', queue: 'default', priority: 50, gpus: 8, gpu_mem_mb: null, share: 'exclusive', time_limit_s: 3600, argv: ['true'], script: null, workdir: null, env_names: [], submitted_at: new Date(Date.now() - 60_000).toISOString(), started_at: null, ended_at: null, attempt: 1, attempts: 1, node: null, gpu_uuids: [], gpu_ids: [], exit: null, reason: { code: 'INSUFFICIENT_GPUS', summary: 'At most 4 are free' }, energy_j: null, carbon_g: null, ...more });
export const alert = (id: string, more: Partial<Alert> = {}): Alert => ({ alert_id: id, severity: 'warning', kind: 'temperature', title: `alert ${id}`, detail: 'detail', gpu_id: null, gpu_uuid: null, node: 'node-01', job_id: null, number: null, since: new Date(Date.now() - 120_000).toISOString(), cleared_at: null, value: null, threshold: null, unit: null, acknowledged: false, ...more });
export const fleet = (more: Partial<Fleet> = {}): Fleet => ({ time: new Date().toISOString(), gpus_total: 64, gpus_allocated: 56, gpus_free: 4, gpus_out: 4, gpus_idle: 4, gpus_no_data: 0, busy_pct: 75.2, memory_used_mb: 6_000_000, memory_total_mb: 9_240_576, memory_fullest_pct: 97, power_draw_w: 31_700, power_limit_w: 44_800, jobs_pending: 6, jobs_running: 9, jobs_finished_24h: 3, next_start_eta: null, simulated: false, model: null, carbon: null, ...more });
