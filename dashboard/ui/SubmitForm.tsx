'use client';
import { useMemo, useRef, useState, type ReactNode } from 'react';
import { ApiError, newIdempotencyKey, request } from '@/api/client';
import type { Job } from '@/api/types';
import { PlanView, usePlan } from './Plan';
import { checkForm, cliOf, emptyForm, pointerField, type Form } from '@/lib/spec';
import { bestStart, savedPct } from '@/lib/carbon';
import { instant } from '@/lib/format';
import { parseDuration } from '@/lib/quantity';
import { jobUrl } from '@/lib/url';
import { useWriteBlock } from './Action';
import { useNow, useStore } from './hooks';
import { useNavigate } from './navigation';
import { CopyButton, Problem, Segments } from './parts';

type Errors = Partial<Record<keyof Form, string>>;

/** The one form for new jobs: in the dialog everywhere and on /submit. Its idempotency key stays until the job is accepted, so a retry can't start two. */
export function SubmitForm({ onDone }: { onDone?: () => void }) {
  const [form, setForm] = useState<Form>(emptyForm);
  const [sent, setSent] = useState<Errors>({});
  const [touched, setTouched] = useState(false);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const key = useRef<string | null>(null);
  const block = useWriteBlock();
  const navigate = useNavigate();
  const checked = useMemo(() => checkForm(form), [form]);
  const errors: Errors = { ...(touched ? checked.errors : {}), ...sent };

  const set = <K extends keyof Form>(name: K, value: Form[K]): void => {
    setForm((f) => ({ ...f, [name]: value }));
    setSent({});
    // Another body is another request: the server would refuse the old key.
    key.current = null;
  };
  const plan = usePlan(checked.spec, block === null);
  const send = async (): Promise<void> => {
    setTouched(true);
    if (!checked.spec || block) return;
    setBusy(true);
    setProblem(null);
    key.current ??= newIdempotencyKey();
    try {
      const response = await request('/jobs', { method: 'POST', body: checked.spec, headers: { 'Idempotency-Key': key.current } });
      const job = (await response.json()) as Job;
      key.current = null;
      onDone?.();
      navigate(jobUrl(job.number ?? job.job_id));
    } catch (e) {
      const error = e instanceof ApiError ? e : new ApiError(0, { title: String(e) });
      const atFields: Errors = {};
      for (const [pointer, message] of Object.entries(error.fieldErrors)) {
        const field = pointerField(pointer);
        if (field) atFields[field] = message;
      }
      setSent(atFields);
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="form submit" noValidate onSubmit={(e) => { e.preventDefault(); void send(); }}>
      <div className="form-main">
        <Segments label="What runs" items={[{ id: 'command', label: 'Command' }, { id: 'script', label: 'Script' }]} value={form.mode} onChange={(m) => set('mode', m as Form['mode'])} />
        {form.mode === 'command' ? (
          <Field name="command" label="Command" hint="Run as it stands, without a shell. Quotes group words." error={errors.command}>
            {(p) => <input {...p} className="mono" value={form.command} onChange={(e) => set('command', e.target.value)} placeholder="python train.py --epochs 3" data-autofocus autoComplete="off" spellCheck={false} />}
          </Field>
        ) : (
          <Field name="script" label="Script" hint="The first line names its interpreter." error={errors.script}>
            {(p) => <textarea {...p} className="mono" rows={7} value={form.script} onChange={(e) => set('script', e.target.value)} placeholder={'#!/bin/sh\n'} spellCheck={false} />}
          </Field>
        )}
        <div className="field-row">
          <Field name="name" label="Name" error={errors.name}>{(p) => <input {...p} value={form.name} onChange={(e) => set('name', e.target.value)} placeholder="from the command" autoComplete="off" />}</Field>
          <Field name="type" label="Type" error={errors.type}>{(p) => <select {...p} value={form.type} onChange={(e) => set('type', e.target.value as Form['type'])}><option value="training">training</option><option value="inference">inference</option></select>}</Field>
        </div>
        <div className="field-row four">
          <Field name="gpus" label="GPUs" error={errors.gpus}>{(p) => <input {...p} inputMode="numeric" value={form.gpus} onChange={(e) => set('gpus', e.target.value)} />}</Field>
          <Field name="gpuMemory" label="Memory per GPU" hint="empty: a whole GPU" error={errors.gpuMemory}>{(p) => <input {...p} value={form.gpuMemory} onChange={(e) => set('gpuMemory', e.target.value)} placeholder="24G" />}</Field>
          <Field name="timeLimit" label="Time limit" hint="empty: queue default" error={errors.timeLimit}>{(p) => <input {...p} value={form.timeLimit} onChange={(e) => set('timeLimit', e.target.value)} placeholder="2h" />}</Field>
          <Field name="priority" label="Priority" hint="0 to 100" error={errors.priority}>{(p) => <input {...p} inputMode="numeric" value={form.priority} onChange={(e) => set('priority', e.target.value)} />}</Field>
        </div>
        <div className="field-row">
          <Field name="begin" label="Not before" hint="empty: as soon as it fits" error={errors.begin}>{(p) => <input {...p} type="datetime-local" value={form.begin} onChange={(e) => set('begin', e.target.value)} />}</Field>
          <Cleaner limit={form.timeLimit} onChoose={(at) => set('begin', at)} />
        </div>
        <Field name="env" label="Environment" hint="One NAME=value per line." error={errors.env}>{(p) => <textarea {...p} className="mono" rows={2} value={form.env} onChange={(e) => set('env', e.target.value)} spellCheck={false} placeholder="SEED=1" />}</Field>
      </div>
      <div className="form-side">
        <h3>Where would this go?</h3>
        <PlanView plan={plan} complete={checked.spec !== null} blocked={block !== null} />
        <h3>On the command line</h3>
        <pre className="code" tabIndex={0} aria-label="The same job on the command line">{cliOf(form)}</pre>
        <CopyButton text={cliOf(form)}>Copy as CLI</CopyButton>
        <h3>What the server gets</h3>
        <pre className="code" tabIndex={0} aria-label="Job specification">{checked.spec ? JSON.stringify(checked.spec, null, 2) : 'Not complete yet.'}</pre>
      </div>
      <div className="form-foot">
        {problem ? <Problem error={problem} /> : null}
        {block ? <p className="reason" role="status">{block}</p> : null}
        <div className="dialog-foot">
          <button type="submit" className="btn" disabled={busy || block !== null}>{busy ? 'Sending' : 'Submit job'}</button>
        </div>
      </div>
    </form>
  );
}

const usualHours = 4;

/** From the forecast: whether a later start would use cleaner power, and a button that asks for it. */
function Cleaner({ limit, onChoose }: { limit: string; onChoose: (at: string) => void }) {
  const carbon = useStore((s) => s.fleet?.carbon ?? null);
  const now = useNow(60_000);
  const asked = limit.trim() ? parseDuration(limit) : null;
  const hours = asked && 'value' in asked ? asked.value / 3600 : usualHours;
  const shift = useMemo(() => (now ? bestStart(carbon, hours, now) : null), [carbon, hours, now]);
  if (!carbon || !now) return <span />;
  if (!shift || savedPct(shift) < 1) return <p className="field cleaner d"><span>Cleaner power</span>The forecast has no cleaner start for a run of {Math.round(hours * 10) / 10} h.</p>;
  return (
    <p className="field cleaner"><span>Cleaner power, forecast</span>
      <button type="button" className="quiet" onClick={() => onChoose(localMinute(shift.startMs))}>Start at {instant(shift.startMs, now)}</button>
      <small>{savedPct(shift)} % less CO₂e over {Math.round(hours * 10) / 10} h: {Math.round(shift.best)} instead of {Math.round(shift.now)} g/kWh</small></p>
  );
}

/** As a date and time field wants it, in the browser's zone. */
function localMinute(ms: number): string {
  const d = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}`;
}

interface ControlProps { id: string; name: string; 'aria-invalid'?: true; 'aria-describedby'?: string }

function Field({ name, label, hint, error, children }: { name: string; label: string; hint?: string; error?: string; children: (props: ControlProps) => ReactNode }) {
  const id = `submit-${name}`;
  const note = error ?? hint;
  return (
    <div className={error ? 'field bad' : 'field'}>
      <label htmlFor={id}>{label}</label>
      {children({ id, name, ...(error ? { 'aria-invalid': true as const } : {}), ...(note ? { 'aria-describedby': `${id}-note` } : {}) })}
      {note ? <small id={`${id}-note`} role={error ? 'alert' : undefined}>{note}</small> : null}
    </div>
  );
}
