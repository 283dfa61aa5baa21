'use client';
import { useEffect, useMemo, useRef, useState } from 'react';
import { ApiError, getLog } from '@/api/client';
import type { Job } from '@/api/types';
import { bytes } from '@/lib/format';
import { bytesFromBase64, LogBuffer } from '@/lib/logs';
import { jobGroup } from '@/lib/reasons';
import { useApp, useStore } from './hooks';
import { useUrlQuery } from './navigation';
import { Problem, Segments } from './parts';

type StreamName = 'stdout' | 'stderr';
const tailBytes = 256 * 1024;
const pollMs = 2000;

interface Tail { buffer: LogBuffer; version: number; error: ApiError | null }

/** Live tail: the start comes by GET, the rest over the stream; a hole is filled by GET or shown. Without the stream it asks every 2 s. */
function useTail(job: Job, stream: StreamName): Tail {
  const { store, stream: client } = useApp();
  const live = useStore((s) => s.link === 'live');
  const over = jobGroup(job.state) === 'finished';
  const buffer = useRef(new LogBuffer());
  const [version, setVersion] = useState(0);
  const [error, setError] = useState<ApiError | null>(null);

  useEffect(() => {
    const log = new LogBuffer();
    buffer.current = log;
    setVersion(0);
    setError(null);
    const abort = new AbortController();
    let asking = false;
    let started = false;
    const show = (): void => { if (!abort.signal.aborted) setVersion((v) => v + 1); };
    const ask = async (): Promise<void> => {
      if (asking || log.complete) return;
      asking = true;
      try {
        const chunk = await getLog(job.job_id, stream, started ? `offset=${log.next}` : `tail=${tailBytes}`, abort.signal);
        if (started && chunk.offset > log.next) log.skipTo(chunk.offset);
        log.append(chunk.offset, chunk.bytes);
        started = true;
        if (chunk.complete) log.finish();
        setError(null);
        show();
      } catch (e) {
        if (!abort.signal.aborted) setError(e instanceof ApiError ? e : new ApiError(0, { title: String(e) }));
      } finally {
        asking = false;
      }
    };
    const offLog = store.onLog((message) => {
      if (message.job !== job.job_id || message.stream_name !== stream || !started) return;
      if (!log.append(message.offset, bytesFromBase64(message.data_b64))) void ask();
      if (message.complete) log.finish();
      show();
    });
    const leave = client?.subscribe(`job.${job.job_id}.log`);
    void ask();
    const timer = setInterval(() => { if (!log.complete) void ask(); }, live ? pollMs * 5 : pollMs);
    return () => { abort.abort(); offLog(); leave?.(); clearInterval(timer); };
  }, [job.job_id, job.attempt, stream, client, store, live, over]);
  return { buffer: buffer.current, version, error };
}

export function LogView({ job }: { job: Job }) {
  const query = useUrlQuery();
  const stream: StreamName = query.get('log') === 'stderr' ? 'stderr' : 'stdout';
  const { buffer, version, error } = useTail(job, stream);
  const [follow, setFollow] = useState(true);
  const [wrap, setWrap] = useState(true);
  const [search, setSearch] = useState('');
  const box = useRef<HTMLDivElement>(null);
  const lines = useMemo(() => buffer.lines(), [buffer, version]);
  const needle = search.toLowerCase();
  const shown = needle ? lines.filter((l) => l.gapBytes !== undefined || l.text.toLowerCase().includes(needle)) : lines;
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown, follow]);
  const waiting = jobGroup(job.state) === 'waiting';
  return (
    <div className="logs">
      <div className="logs-head">
        <Segments label="Stream" items={[{ id: 'stdout', label: 'stdout' }, { id: 'stderr', label: 'stderr' }]} value={stream} onChange={(s) => query.change({ log: s === 'stdout' ? null : s })} />
        <label className="check"><input type="checkbox" checked={follow} onChange={(e) => setFollow(e.target.checked)} /> Follow</label>
        <label className="check"><input type="checkbox" checked={wrap} onChange={(e) => setWrap(e.target.checked)} /> Wrap</label>
        <input data-filter type="search" aria-label="Search in the log" placeholder="search" value={search} onChange={(e) => setSearch(e.target.value)} />
        <span className="d num">{needle ? `${shown.length} of ${lines.length} lines` : `${lines.length} lines`} · {bytes(buffer.next)}{buffer.complete ? ' · complete' : ''}</span>
      </div>
      {error ? <div className="pad"><Problem error={error} /></div> : null}
      <div ref={box} className={wrap ? 'log wrap' : 'log'} tabIndex={0} role="region" aria-label={`${stream} of job ${job.number}`}
        onScroll={(e) => { const b = e.currentTarget; if (follow && b.scrollHeight - b.scrollTop - b.clientHeight > 60) setFollow(false); }}>
        {buffer.dropped > 0 ? <div className="log-gap">{bytes(buffer.dropped)} before this are on the server: aether logs {job.number}</div> : null}
        {shown.map((l) => (l.gapBytes !== undefined ? <div key={l.key} className="log-gap">{bytes(l.gapBytes)} are missing here</div> : <div key={l.key} className="log-line">{l.text || '\u00a0'}</div>))}
        {lines.length === 0 ? <p className="d log-none">{waiting ? 'The job has not started.' : buffer.complete ? `It wrote nothing to ${stream}.` : `Nothing on ${stream} yet.`}</p> : null}
      </div>
    </div>
  );
}
