'use client';
import { useState } from 'react';
import { ApiError, post } from '@/api/client';
import type { Job } from '@/api/types';
import { plural } from '@/lib/format';
import { jobGroup } from '@/lib/reasons';
import { useWriteBlock } from './Action';
import { Dialog } from './parts';

type Verb = 'cancel' | 'hold' | 'release';
const fits: Record<Verb, (job: Job) => boolean> = { cancel: (j) => jobGroup(j.state) !== 'finished', hold: (j) => j.state === 'PENDING', release: (j) => j.state === 'HELD' };
const words: Record<Verb, string> = { cancel: 'Cancel', hold: 'Hold', release: 'Release' };

/** One action on several jobs: the effect first, then one request per job, and what was refused by name. */
export function BulkBar({ jobs, onDone }: { jobs: readonly Job[]; onDone: () => void }) {
  const block = useWriteBlock();
  const [asked, setAsked] = useState<Verb | null>(null);
  const [busy, setBusy] = useState(false);
  const [told, setTold] = useState(false);
  const [refused, setRefused] = useState<string[]>([]);
  const run = async (verb: Verb): Promise<void> => {
    setBusy(true);
    const failures: string[] = [];
    for (const job of jobs.filter(fits[verb])) {
      try {
        await post(`/jobs/${encodeURIComponent(job.job_id)}/${verb}`);
      } catch (e) {
        failures.push(`${job.number}: ${e instanceof ApiError ? e.problem.title ?? e.message : String(e)}`);
      }
    }
    setBusy(false);
    setAsked(null);
    setRefused(failures);
    if (failures.length === 0) onDone();
  };
  return (
    <div className="bulk" role="region" aria-label="Chosen jobs">
      <b className="num">{plural(jobs.length, 'job')} chosen</b>
      {(Object.keys(words) as Verb[]).map((verb) => {
        const n = jobs.filter(fits[verb]).length;
        return n === 0 ? null : <button key={verb} type="button" className={verb === 'cancel' ? 'quiet danger' : 'quiet'} aria-disabled={block ? true : undefined} disabled={busy} onClick={() => (block ? setTold(true) : setAsked(verb))}>{words[verb]} {n}</button>;
      })}
      <button type="button" className="quiet" onClick={onDone}>Choose none</button>
      {told && block ? <span className="reason" role="status">{block}</span> : null}
      {refused.length ? <span className="reason" role="alert">Refused: {refused.join('; ')}</span> : null}
      <Dialog open={asked !== null} onClose={() => setAsked(null)} title={asked ? `${words[asked]} ${plural(jobs.filter(fits[asked]).length, 'job')}?` : ''}>
        {asked ? (
          <div className="form">
            <p>{asked === 'cancel' ? `${plural(jobs.filter((j) => jobGroup(j.state) === 'running').length, 'running job gets', 'running jobs get')} TERM now and KILL after the grace time; waiting ones leave the queue.` : asked === 'hold' ? 'They keep their place and do not start until released.' : 'The scheduler may start them at once.'}</p>
            <p className="mono d">{jobs.filter(fits[asked]).map((j) => j.number).join(', ')}</p>
            <div className="dialog-foot"><button type="button" className="quiet" onClick={() => setAsked(null)}>Not now</button><button type="button" className={asked === 'cancel' ? 'btn danger' : 'btn'} disabled={busy} onClick={() => void run(asked)}>{words[asked]}</button></div>
          </div>
        ) : null}
      </Dialog>
    </div>
  );
}
