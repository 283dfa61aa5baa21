'use client';
import { useEffect, useMemo, useState, type KeyboardEvent } from 'react';
import { stateLook } from '@/lib/gpu';
import { jobGroup, stateWord } from '@/lib/reasons';
import { currentTheme, setTheme } from '@/lib/theme';
import { gpuUrl, jobUrl, nodeUrl, pageUrl } from '@/lib/url';
import { useApp, useStore } from './hooks';
import { useNavigate } from './navigation';
import { Dialog } from './parts';

interface Hit { key: string; kind: string; text: string; note: string; href?: string; run?: () => void }
const hitLimit = 12;
const pageHits: Hit[] = [['Overview', '/'], ['GPUs', '/gpus'], ['Jobs', '/jobs'], ['Timeline', '/timeline'], ['Submit a job', '/submit'], ['Anomalies', '/anomalies'], ['Carbon', '/carbon'], ['Nodes', '/nodes'], ['Settings', '/settings']]
  .map(([text, href]) => ({ key: href!, kind: 'page', text: text!, note: '', href: href! }));

export function Find({ open, onOpen, onClose, onSubmit }: { open: boolean; onOpen: () => void; onClose: () => void; onSubmit: () => void }) {
  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent): void => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        onOpen();
      }
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [onOpen]);
  return <Dialog open={open} onClose={onClose} title="Find and do">{open ? <FindBody onClose={onClose} onSubmit={onSubmit} /> : null}</Dialog>;
}

function FindBody({ onClose, onSubmit }: { onClose: () => void; onSubmit: () => void }) {
  const gpus = useStore((s) => s.gpus);
  const jobs = useStore((s) => s.jobs);
  const nodes = useStore((s) => s.nodes);
  const navigate = useNavigate();
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const all = useMemo<Hit[]>(() => [
    ...[...jobs.values()].sort((a, b) => b.number - a.number).map((j) => ({ key: j.job_id, kind: 'job', text: `${j.number} ${j.name}`, note: stateWord(j.state), href: jobUrl(j.number) })),
    ...[...nodes.values()].map((n) => ({ key: n.node, kind: 'node', text: n.node, note: n.state, href: nodeUrl(n.node) })),
    ...[...gpus.values()].map((g) => ({ key: g.gpu_uuid, kind: 'GPU', text: `${g.node} GPU ${g.gpu_index}`, note: stateLook(g.state).word, href: gpuUrl(g.gpu_uuid) })),
  ], [gpus, jobs, nodes]);
  const { stream } = useApp();
  const commands = useMemo<Hit[]>(() => {
    const worst = [...jobs.values()].filter((j) => jobGroup(j.state) === 'waiting').sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0) || a.number - b.number)[0];
    return [
      { key: 'do-submit', kind: 'do', text: 'Submit a job', note: 'opens the form', run: onSubmit },
      { key: 'do-theme', kind: 'do', text: `Switch to the ${currentTheme() === 'dark' ? 'light' : 'dark'} theme`, note: '', run: () => setTheme(currentTheme() === 'dark' ? 'light' : 'dark') },
      { key: 'do-link', kind: 'do', text: 'Copy a link to this view', note: 'with its filters', run: () => void navigator.clipboard?.writeText(location.href).catch(() => undefined) },
      { key: 'do-failed', kind: 'do', text: 'Show failed jobs', note: '', href: pageUrl('/jobs', { tab: 'finished', q: 'state:failed' }) },
      { key: 'do-free', kind: 'do', text: 'Show free GPUs', note: '', href: pageUrl('/gpus', { view: 'table', state: 'free' }) },
      ...(worst ? [{ key: 'do-why', kind: 'do', text: `Why does ${worst.number} wait?`, note: worst.name, href: jobUrl(worst.number, 'why') }] : []),
      { key: 'do-retry', kind: 'do', text: 'Connect again now', note: '', run: () => stream?.retryNow() },
    ];
  }, [jobs, onSubmit, stream]);
  const words = useMemo(() => text.toLowerCase().split(/\s+/).filter(Boolean), [text]);
  const hits = useMemo(() => {
    const from = words.length ? [...pageHits, ...commands, ...all] : [...pageHits.slice(0, 6), ...commands];
    const found = from.filter((h) => words.every((w) => `${h.kind} ${h.text} ${h.key}`.toLowerCase().includes(w)));
    // What is named as it was typed comes before what has the words somewhere.
    const exact = words.join(' ');
    return [...found.filter((h) => h.text.toLowerCase().includes(exact)), ...found.filter((h) => !h.text.toLowerCase().includes(exact))].slice(0, hitLimit);
  }, [words, commands, all]);
  const go = (hit: Hit | undefined): void => {
    if (!hit) return;
    onClose();
    if (hit.run) hit.run();
    else if (hit.href) navigate(hit.href);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setAt((i) => Math.min(hits.length - 1, Math.max(0, i + step)));
    } else if (event.key === 'Enter') {
      event.preventDefault();
      go(hits[at]);
    }
  };
  return (
    <div className="find-body">
      <input type="search" role="combobox" aria-label="Find a GPU, job, node, page or command" aria-expanded="true" aria-controls="find-hits" aria-activedescendant={hits[at] ? `find-${at}` : undefined}
        data-autofocus value={text} placeholder="4131, llama, node-03 gpu 2, theme …" onChange={(e) => { setText(e.target.value); setAt(0); }} onKeyDown={onKeyDown} />
      <ul id="find-hits" role="listbox" aria-label="Found">
        {hits.map((h, i) => (
          <li key={h.key} id={`find-${i}`} role="option" aria-selected={i === at} onClick={() => go(h)} onMouseMove={() => setAt(i)}>
            <span className="chip">{h.kind}</span><b>{h.text}</b><span className="d">{h.note}</span>
          </li>
        ))}
      </ul>
      {hits.length === 0 ? <p className="d">Nothing matches “{text}”. Finished jobs are under Jobs, finished.</p> : null}
    </div>
  );
}
