import { joinCommand, quoteWord, splitCommand } from './argv';
import { parseDuration, parseMemoryMb } from './quantity';

/** The submit form as typed, the job specification made of it, and the same as a command line. */
export interface Form {
  mode: 'command' | 'script'; command: string; script: string; name: string; type: 'training' | 'inference'; gpus: string; gpuMemory: string;
  timeLimit: string; priority: string; env: string; begin: string;
}
export const emptyForm: Form = { mode: 'command', command: '', script: '#!/bin/sh\n', name: '', type: 'training', gpus: '1', gpuMemory: '', timeLimit: '', priority: '50', env: '', begin: '' };

export interface Spec {
  argv?: string[]; script?: string; name?: string; type: string; gpus: number; gpu_mem_mb?: number; time_limit_s?: number; priority: number; env?: Record<string, string>; begin?: string;
}
export type FormErrors = Partial<Record<keyof Form, string>>;

/** Field of the form that a JSON pointer of the server speaks about. */
const fields: Record<string, keyof Form> = {
  argv: 'command', script: 'script', name: 'name', type: 'type', gpus: 'gpus', gpu_mem_mb: 'gpuMemory', time_limit_s: 'timeLimit', priority: 'priority', env: 'env', begin: 'begin',
};
export const pointerField = (pointer: string): keyof Form | null => fields[pointer.split('/')[0] ?? ''] ?? null;

export function checkForm(form: Form): { spec: Spec | null; errors: FormErrors } {
  const errors: FormErrors = {};
  const spec: Spec = { type: form.type, gpus: 0, priority: 50 };
  if (form.mode === 'command') {
    const split = splitCommand(form.command);
    if ('error' in split) errors.command = split.error;
    else if (split.argv.length === 0) errors.command = 'Say what to run';
    else spec.argv = split.argv;
  } else if (!form.script.replace(/^#!.*\n?/, '').trim()) {
    errors.script = 'The script is empty';
  } else {
    spec.script = form.script.replace(/\r\n/g, '\n');
  }
  if (form.name.trim()) spec.name = form.name.trim();
  spec.gpus = whole(form.gpus, 0, 4096, 'gpus', errors) ?? 0;
  spec.priority = whole(form.priority, 0, 100, 'priority', errors) ?? 50;
  if (form.gpuMemory.trim()) {
    const parsed = parseMemoryMb(form.gpuMemory);
    if ('error' in parsed) errors.gpuMemory = parsed.error;
    else spec.gpu_mem_mb = parsed.value;
  }
  if (form.timeLimit.trim()) {
    const parsed = parseDuration(form.timeLimit);
    if ('error' in parsed) errors.timeLimit = parsed.error;
    else spec.time_limit_s = parsed.value;
  }
  if (form.begin.trim()) {
    const at = Date.parse(form.begin.trim());
    if (Number.isNaN(at)) errors.begin = 'A time like 2026-01-15T09:00';
    else spec.begin = new Date(at).toISOString();
  }
  const env = environment(form.env);
  if (typeof env === 'string') errors.env = env;
  else if (Object.keys(env).length) spec.env = env;
  return { spec: Object.keys(errors).length ? null : spec, errors };
}

function whole(text: string, low: number, high: number, field: keyof Form, errors: FormErrors): number | null {
  const t = text.trim();
  const n = Number(t);
  if (/^\d+$/.test(t) && n >= low && n <= high) return n;
  errors[field] = `A whole number from ${low} to ${high}`;
  return null;
}

function environment(text: string): Record<string, string> | string {
  const env: Record<string, string> = {};
  for (const line of text.split('\n')) {
    if (!line.trim()) continue;
    const match = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line.trim());
    if (!match) return `“${line.trim()}” is not NAME=value`;
    env[match[1]!] = match[2]!;
  }
  return env;
}

export function cliOf(form: Form): string {
  const words = [form.mode === 'command' ? 'aether submit' : 'aether batch'];
  const flag = (name: string, value: string): void => { if (value.trim()) words.push(`--${name} ${quoteWord(value.trim())}`); };
  flag('name', form.name);
  if (form.type !== 'training') flag('type', form.type);
  if (form.gpus.trim() !== '1') flag('gpus', form.gpus);
  flag('gpu-mem', form.gpuMemory);
  flag('time', form.timeLimit);
  if (form.priority.trim() !== '50') flag('priority', form.priority);
  flag('begin', form.begin);
  for (const line of form.env.split('\n')) flag('env', line);
  const split = splitCommand(form.command);
  words.push(form.mode === 'script' ? 'script.sh' : `-- ${'argv' in split && split.argv.length ? joinCommand(split.argv) : '…'}`);
  return words.join(' ');
}
