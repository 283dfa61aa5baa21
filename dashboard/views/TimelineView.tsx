'use client';
import { useCallback, useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react';
import { getJson } from '@/api/client';
import type { Attempt, Explain, Job, Page } from '@/api/types';
import { barsOf, lanesOf, type Bar, type Lane, type PlannedStart } from '@/lib/gantt';
import { GanttPainter, type View } from '@/lib/draw/gantt';
import { ringGpuLimit } from '@/lib/store';
import { clock, duration, instant, missing, parseTime } from '@/lib/format';
import { stateWord } from '@/lib/reasons';
import { waitingInOrder } from '@/lib/queue';
import { jobUrl, pageUrl } from '@/lib/url';
import { useFetch, useNow, useStore, useTheme, useValues } from '@/ui/hooks';
import { useHoverCard, type HoverCard } from '@/ui/hover';
import { EntityLink, useNavigate, useUrlQuery } from '@/ui/navigation';
import { CommandButton, Empty, Panel, Problem, Segments, SkeletonRows } from '@/ui/parts';
import { JobTag } from '@/ui/StateTag';

const spans = [{ id: '1h', label: '1 h', ms: 3_600_000 }, { id: '6h', label: '6 h', ms: 21_600_000 }, { id: '24h', label: '24 h', ms: 86_400_000 }, { id: '7d', label: '7 d', ms: 604_800_000 }] as const;
const aheadShare = 0.2;
const finishedLimit = 300;
const plannedLimit = 20;
const attemptsAtOnce = 4;
/** Many rows are drawn lower, so that a node stays on one screen. */
const rowPxOf = (lanes: number): number => (lanes > 40 ? 14 : 20);
const axisPx = 24;
/** Rows beyond this height scroll inside the chart. */
const mostPx = 940;

export function TimelineView() {
  const query = useUrlQuery();
  const loaded = useStore((s) => s.loaded.jobs && s.loaded.gpus);
  const link = useStore((s) => s.link);
  const now = useNow();
  const span = spans.find((s) => s.id === query.get('span')) ?? spans[0];
  const older = useFetch<Page<Job>>(pageUrl('/jobs', { state: 'finished', limit: String(finishedLimit) }), { pollMs: 30_000 });
  const jobs = useJobs(older.data);
  const attempts = useAttempts(jobs);
  const planned = usePlanned(jobs);
  const gpus = useStore((s) => s.gpus);
  // A row per GPU says nothing any more when there are thousands.
  const byDefault = gpus.size > ringGpuLimit ? 'node' : 'gpu';
  const asked = query.get('by');
  const by = asked === 'node' || asked === 'gpu' ? asked : byDefault;
  const lanes = useMemo(() => lanesOf(gpus.values(), by), [gpus, by]);
  const bars = useMemo(() => barsOf(jobs, attempts, by), [jobs, attempts, by]);
  const to = Number(query.get('to')) || null;
  const view: View = useMemo(() => {
    const end = to ?? now + span.ms * aheadShare;
    return { from: end - span.ms, to: end };
  }, [to, span, now]);
  const pan = (share: number): void => {
    const end = Math.min(now + span.ms, view.to + share * span.ms);
    query.change({ to: Math.abs(end - (now + span.ms * aheadShare)) < span.ms * 0.02 ? null : String(Math.round(end)) });
  };
  const zoom = (step: number): void => {
    const at = spans.indexOf(span);
    const next = spans[Math.min(spans.length - 1, Math.max(0, at + step))]!;
    query.change({ span: next.id === '1h' ? null : next.id });
  };
  return (
    <main id="main" tabIndex={-1} className={`page ${link === 'offline' ? 'dim' : ''}`}>
      <div className="page-head"><h1>Timeline</h1><span className="d">what ran where, and what is planned</span><div className="grow" />
        <Segments label="Rows" items={[{ id: 'gpu', label: 'GPUs' }, { id: 'node', label: 'Nodes' }]} value={by} onChange={(v) => query.change({ by: v === byDefault ? null : v })} />
        <Segments label="Time range" items={spans} value={span.id} onChange={(v) => query.change({ span: v === '1h' ? null : v })} />
        <span className="pager"><button type="button" className="ico" aria-label="Earlier" onClick={() => pan(-0.5)}>‹</button><button type="button" className="quiet" disabled={to === null} onClick={() => query.change({ to: null })}>Now</button><button type="button" className="ico" aria-label="Later" onClick={() => pan(0.5)}>›</button></span>
        <CommandButton text="aether history" /></div>
      {older.error ? <Problem error={older.error} onRetry={older.reload} /> : null}
      <Panel title="Gantt" note={now ? `${instant(view.from, now)} to ${instant(view.to, now)}` : null} aside={<span className="legend"><span className="g-key g-run" aria-hidden="true" />ran or runs<span className="g-key g-plan" aria-hidden="true" />planned, uncertain start<span className="g-key g-bad" aria-hidden="true" />failed</span>}>
        {!loaded || !now ? <SkeletonRows rows={8} label="Loading the timeline" /> : lanes.length === 0 ? <Empty><p>No GPUs report yet, so nothing can have run.</p></Empty> : <Chart lanes={lanes} bars={bars} planned={planned} view={view} now={now} pan={pan} zoom={zoom} />}
      </Panel>
      <Twin bars={bars} planned={planned} view={view} now={now} loaded={loaded} />
    </main>
  );
}

function useJobs(older: Page<Job> | null): Job[] {
  const live = useValues(useStore((s) => s.jobs));
  return useMemo(() => {
    const all = new Map<string, Job>((older?.items ?? []).map((j) => [j.job_id, j]));
    for (const j of live) all.set(j.job_id, j);
    return [...all.values()];
  }, [older, live]);
}

/** Earlier attempts of jobs that had more than one; a job's own record holds its last attempt only. */
function useAttempts(jobs: readonly Job[]): ReadonlyMap<string, Attempt[]> {
  const [found, setFound] = useState<ReadonlyMap<string, Attempt[]>>(new Map());
  const key = jobs.filter((j) => j.attempts > 1).map((j) => `${j.job_id}/${j.attempts}/${j.state}`).join(' ');
  useEffect(() => {
    const abort = new AbortController();
    const ids = key ? key.split(' ').map((k) => k.split('/')[0]!) : [];
    const next = async (): Promise<void> => {
      for (let id = ids.shift(); id; id = ids.shift()) {
        const page = await getJson<Page<Attempt>>(`/jobs/${id}/attempts`, abort.signal).catch(() => null);
        if (abort.signal.aborted) return;
        if (page) setFound((old) => new Map(old).set(id, page.items));
      }
    };
    for (let i = 0; i < attemptsAtOnce; i++) void next();
    return () => abort.abort();
  }, [key]);
  return found;
}

/** Estimates of the first waiting jobs, from their own explanation; a job without an estimate is not drawn. */
function usePlanned(jobs: readonly Job[]): PlannedStart[] {
  const [planned, setPlanned] = useState<PlannedStart[]>([]);
  const waiting = useMemo(() => waitingInOrder(jobs).slice(0, plannedLimit), [jobs]);
  const key = waiting.map((j) => j.job_id).join(' ');
  useEffect(() => {
    const abort = new AbortController();
    const ask = async (): Promise<void> => {
      const found = await Promise.all(waiting.map((job) => getJson<Explain>(`/jobs/${job.job_id}/explain`, abort.signal).then((e) => ({ job, eta: e.start_eta ?? null }), () => null)));
      if (abort.signal.aborted) return;
      setPlanned(found.flatMap((f) => {
        const latest = parseTime(f?.eta?.latest);
        const p50 = parseTime(f?.eta?.p50) ?? latest;
        return f && p50 !== null ? [{ job: f.job, p10: parseTime(f.eta?.p10), p50, p90: parseTime(f.eta?.p90) ?? p50, bound: parseTime(f.eta?.p50) === null }] : [];
      }));
    };
    void ask();
    const timer = setInterval(() => void ask(), 15_000);
    return () => { abort.abort(); clearInterval(timer); };
    // The key names the jobs; their other fields do not change what is asked.
  }, [key]);
  return planned;
}

interface ChartProps { lanes: Lane[]; bars: Bar[]; planned: PlannedStart[]; view: View; now: number; pan: (share: number) => void; zoom: (step: number) => void }

interface Hit { bar: Bar; x: number; y: number }
const sameBar = (a: Hit, b: Hit): boolean => a.bar.key === b.bar.key;

/** Canvas with one row per GPU or node; only the rows in sight are drawn. Arrows or A and D pan, W and S zoom, a drag pans, a click opens the job. */
function Chart({ lanes, bars, planned, view, now, pan, zoom }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useTheme();
  const navigate = useNavigate();
  const hover = useHoverCard<Hit>(sameBar);
  const drag = useRef<{ x: number; moved: boolean } | null>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const rowPx = rowPxOf(lanes.length);
  const painter = useMemo(() => new GanttPainter(lanes, bars, planned, { rowPx, axisPx }), [lanes, bars, planned, rowPx]);
  const full = painter.fullHeight();
  const shownPx = Math.min(full, size.height || full, mostPx);
  const draw = useCallback(() => { if (canvas.current) painter.paint(canvas.current, view, now, theme, { scrollPx: box.current?.scrollTop ?? 0, height: shownPx }); }, [painter, view, now, theme, shownPx]);
  useEffect(() => { draw(); }, [draw, size]);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const at = (event: PointerEvent): Bar | null => painter.barAt(event.nativeEvent.offsetX, event.nativeEvent.offsetY, view, canvas.current?.clientWidth ?? 1, box.current?.scrollTop ?? 0);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = { ArrowLeft: () => pan(-0.25), a: () => pan(-0.25), ArrowRight: () => pan(0.25), d: () => pan(0.25), ArrowUp: () => zoom(-1), w: () => zoom(-1), ArrowDown: () => zoom(1), s: () => zoom(1) }[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  };
  return (
    <div className="gantt-outer">
      <div className="gantt-box" ref={box} tabIndex={0} role="application" aria-roledescription="timeline" aria-label={`${bars.length} runs on ${lanes.length} rows, ${planned.length} planned. Left and right move in time, up and down zoom, page up and page down move over the rows; the table below says the same.`} onKeyDown={onKeyDown} onScroll={draw}>
        <div className="gantt-full" ref={(e) => { e?.style.setProperty('height', `${full}px`); }}>
          <canvas ref={canvas} role="img" aria-label={`Runs from ${clock(view.from)} to ${clock(view.to)}`}
            onPointerDown={(e) => { drag.current = { x: e.clientX, moved: false }; }}
            onPointerMove={(e) => {
              if (drag.current && Math.abs(e.clientX - drag.current.x) > 40) {
                pan((drag.current.x - e.clientX) / (canvas.current?.clientWidth ?? 1000));
                drag.current = { x: e.clientX, moved: true };
              }
              const bar = at(e);
              hover.point(bar ? { bar, x: e.nativeEvent.offsetX, y: e.nativeEvent.offsetY } : null);
            }}
            onPointerUp={(e) => { const bar = drag.current?.moved ? null : at(e); drag.current = null; if (bar) navigate(jobUrl(bar.number)); }}
            onPointerLeave={() => { drag.current = null; hover.point(null); }} />
        </div>
      </div>
      {hover.shown ? <BarCard hit={hover.shown} now={now} hover={hover.card} /> : null}
    </div>
  );
}

function BarCard({ hit, now, hover }: { hit: Hit; now: number; hover: HoverCard<Hit>['card'] }) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const card = ref.current;
    if (!card) return;
    const room = card.parentElement!.clientWidth - card.clientWidth - 8;
    card.style.setProperty('left', `${Math.max(4, Math.min(room, hit.x + 8))}px`);
    card.style.setProperty('top', `${hit.y + 8}px`);
  }, [hit]);
  const { bar } = hit;
  return (
    <div className="hover-card" ref={ref} aria-hidden="true" {...hover}>
      <p className="card-head"><b><span className="mono">{bar.number}</span> {bar.name}</b><span className="pill">{stateWord(bar.state)}</span></p>
      <p className="num d">{instant(bar.from, now)} to {bar.to === null ? 'now' : instant(bar.to, now)}, {duration(((bar.to ?? now) - bar.from) / 1000)}</p>
      <p className="d">{bar.user ?? missing} · attempt {bar.attempt} · {bar.lanes.length === 1 ? bar.lanes[0] : `${bar.lanes.length} GPUs`}</p>
    </div>
  );
}

/** The same as rows: newest first, those that touch the shown time. */
function Twin({ bars, planned, view, now, loaded }: { bars: Bar[]; planned: PlannedStart[]; view: View; now: number; loaded: boolean }) {
  const shown = useMemo(() => bars.filter((b) => b.from < view.to && (b.to ?? now) > view.from).sort((a, b) => b.from - a.from), [bars, view, now]);
  return (
    <Panel title="As a table" note={`${shown.length} runs in this range${planned.length ? `, ${planned.length} planned` : ''}`}>
      {!loaded ? <SkeletonRows rows={4} label="Loading runs" /> : shown.length + planned.length === 0 ? <Empty><p>Nothing ran in this time.</p></Empty> : (
        <div className="table-box tall"><table className="plain">
          <thead><tr><th scope="col">Job</th><th scope="col">Name</th><th scope="col">Attempt</th><th scope="col">State</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Took</th><th scope="col">Where</th></tr></thead>
          <tbody>
            {planned.map((p) => <tr key={p.job.job_id}><th scope="row"><EntityLink className="link mono" href={jobUrl(p.job.number)}>{p.job.number}</EntityLink></th><td>{p.job.name}</td><td>{missing}</td><td><JobTag state={p.job.state} flags={p.job.flags} /></td><td className="num">{p.bound ? 'by' : '≈'} {instant(p.p50, now)}</td><td>{missing}</td><td>{missing}</td><td>not placed yet</td></tr>)}
            {shown.slice(0, 200).map((b) => <tr key={b.key}><th scope="row"><EntityLink className="link mono" href={jobUrl(b.number)}>{b.number}</EntityLink></th><td>{b.name}</td><td className="num">{b.attempt}</td><td><JobTag state={b.state} /></td><td className="num">{instant(b.from, now)}</td><td className="num">{b.to === null ? 'now' : instant(b.to, now)}</td><td className="num">{duration(((b.to ?? now) - b.from) / 1000)}</td><td>{b.lanes.length > 3 ? `${b.lanes.slice(0, 3).join(', ')} and ${b.lanes.length - 3} more` : b.lanes.join(', ')}</td></tr>)}
          </tbody>
        </table></div>
      )}
      {shown.length > 200 ? <p className="pad d">The newest 200 are listed; a shorter range shows the rest.</p> : null}
    </Panel>
  );
}

