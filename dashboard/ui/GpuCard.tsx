'use client';
import type { Gpu } from '@/api/types';
import { celsius, integer, memory, missing, parseTime, percent, power, shortGpuName, duration } from '@/lib/format';
import { useApp, useNow, useStore } from './hooks';
import { StateTag } from './StateTag';

/** What one glance at a cell tells: readings, state with its reason, the job. Everything here is on the GPU's page too. */
export function GpuCard({ gpu }: { gpu: Gpu }) {
  const { store } = useApp();
  useStore((s) => s.tick);
  const now = useNow(5000);
  const s = store.sampleOf(gpu);
  const since = parseTime(gpu.state_since);
  return (
    <>
      <p className="card-head"><b>{gpu.node} · GPU {gpu.gpu_index}</b><StateTag gpu={gpu} /></p>
      {gpu.state_reason ? <p className="d">{gpu.state_reason}</p> : null}
      <dl className="card-facts num">
        <div><dt>Busy</dt><dd>{percent(s?.utilization_gpu)}</dd></div>
        <div><dt>Memory</dt><dd>{s?.memory_used_mb == null ? missing : `${memory(s.memory_used_mb)} of ${memory(gpu.memory_total_mb)}`}</dd></div>
        <div><dt>Temperature</dt><dd>{celsius(s?.temperature_c)}{gpu.temperature_slowdown_c ? <small> slows at {gpu.temperature_slowdown_c}</small> : null}</dd></div>
        <div><dt>Power</dt><dd>{power(s?.power_draw_w)}{gpu.power_limit_w ? <small> of {integer(gpu.power_limit_w)} W</small> : null}</dd></div>
        <div><dt>SM clock</dt><dd>{s?.clock_sm_mhz == null ? missing : `${integer(s.clock_sm_mhz)} MHz`}</dd></div>
      </dl>
      <p className="card-foot">{gpu.jobs.length ? gpu.jobs.slice(0, 3).map((j) => <span key={j.job_id}><span className="mono">{j.number}</span> {j.name}</span>) : <span className="d">no job{since && now ? ` for ${duration((now - since) / 1000)}` : ''}</span>}<span className="d">{shortGpuName(gpu.gpu_name)}</span></p>
    </>
  );
}
