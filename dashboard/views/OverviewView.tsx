'use client';
import type { Job } from '@/api/types';
import { isMapMetric, type MapMetric } from '@/lib/gpu';
import { jobGroup } from '@/lib/reasons';
import { Attention } from '@/ui/Attention';
import { useBackfill } from '@/ui/backfill';
import { FleetMap, FleetSkeleton, MapControls, useFleetWords } from '@/ui/FleetMap';
import { useStore } from '@/ui/hooks';
import { Kpis } from '@/ui/Kpis';
import { useUrlQuery } from '@/ui/navigation';
import { CopyButton, Empty, Panel, SkeletonRows } from '@/ui/parts';
import { WaitingJobs } from '@/ui/WaitingJobs';
import { WhyCard } from '@/ui/WhyCard';

/** One screen that answers: how busy, what is broken, who waits and why, what carbon does. */
export function OverviewView() {
  useBackfill();
  const query = useUrlQuery();
  const asked = query.get('by');
  const metric: MapMetric = isMapMetric(asked) ? asked : 'busy';
  const link = useStore((s) => s.link);
  const gpus = useStore((s) => s.gpus);
  const loaded = useStore((s) => s.loaded.gpus);
  const waiting = useStore((s) => s.waiting);
  // Nothing waits: the newest placement is the next best answer.
  const placed = useStore((s) => (s.waiting.length ? null : newestPlaced(s.jobs)));
  const words = useFleetWords();
  const selectedNumber = query.get('job');
  const chosen = waiting.find((j) => String(j.number) === selectedNumber) ?? waiting[0] ?? placed;
  return (
    <main id="main" tabIndex={-1} className={`overview ${link === 'offline' ? 'dim' : ''}`}>
      <h1 className="vh">Overview</h1>
      <Kpis />
      <div className="body">
        <Panel className="fleet-panel" title="Fleet" note={words} aside={<MapControls metric={metric} onChange={(by) => query.change({ by: by === 'busy' ? null : by })} />}>
          {!loaded ? <FleetSkeleton /> : gpus.size === 0 ? <EmptyFleet /> : <FleetMap metric={metric} />}
        </Panel>
        <WaitingJobs selected={chosen && jobGroup(chosen.state) === 'waiting' ? chosen.job_id : null} onSelect={(j) => query.change({ job: String(j.number) })} />
        <div className="right">
          <Attention />
          <WhyCard job={chosen} />
        </div>
      </div>
    </main>
  );
}

function newestPlaced(jobs: ReadonlyMap<string, Job>): Job | null {
  let newest: Job | null = null;
  for (const j of jobs.values()) if (j.node && jobGroup(j.state) === 'running' && j.number > (newest?.number ?? -1)) newest = j;
  return newest;
}

export function EmptyFleet() {
  const command = 'NATS_URL=nats://HOST:4222 aether agent';
  return (
    <Empty>
      <p>No GPUs report yet. Start an agent on a node:</p>
      <p><code className="code-line">{command}</code></p>
      <p><CopyButton text={command}>Copy the command</CopyButton></p>
      <p>Or try the simulated fleet: <code>aether up --gpus simulated:64</code></p>
    </Empty>
  );
}

export function OverviewSkeleton() {
  return (
    <main id="main" tabIndex={-1} className="overview">
      <h1 className="vh">Overview</h1>
      <Kpis />
      <div className="body">
        <Panel className="fleet-panel" title="Fleet"><FleetSkeleton /></Panel>
        <Panel className="waiting" title="Waiting jobs"><SkeletonRows rows={5} label="Loading waiting jobs" /></Panel>
        <div className="right"><Panel title="Needs attention"><SkeletonRows rows={4} label="Loading alerts" /></Panel><Panel className="why-card" title="Why does it wait?"><SkeletonRows rows={4} label="Loading the reason" /></Panel></div>
      </div>
    </main>
  );
}
