import { describe, expect, it } from 'vitest';
import { bytes, carbonMass, counter, duration, energy, featureWords, instant, integer, memory, parseTime, percent, power, shortGpuName, plural } from '@/lib/format';
import { joinCommand, quoteWord, splitCommand } from '@/lib/argv';
import { parseDuration, parseMemoryMb } from '@/lib/quantity';
import { jobGroup, reasonChip, stateWord } from '@/lib/reasons';
import { matchesJob, parseSearch } from '@/lib/search';
import { checkForm, cliOf, emptyForm, pointerField } from '@/lib/spec';
import type { Job } from '@/api/types';

describe('numbers', () => {
  it('show a missing value as a dash, never as 0', () => {
    for (const show of [integer, percent, memory, power, energy, carbonMass, bytes, duration]) {
      expect(show(null)).toBe('–');
      expect(show(undefined)).toBe('–');
      expect(show(NaN)).toBe('–');
    }
  });
  it('carry their units', () => {
    expect(memory(144384)).toBe('141 GiB');
    expect(memory(1536)).toBe('1.5 GiB');
    expect(memory(512)).toBe('512 MiB');
    expect(power(31700)).toBe('31.7 kW');
    expect(power(412.4)).toBe('412 W');
    expect(energy(9e7)).toBe('25 kWh');
    expect(carbonMass(5200)).toBe('5.2 kg CO₂e');
    expect(bytes(2048)).toBe('2 KiB');
  });
  it('tell a length of time in at most two units', () => {
    expect([5, 59.6, 1020, 7500, 7200, 100000].map(duration)).toEqual(['5 s', '1 min', '17 min', '2 h 05 min', '2 h', '1 d 3 h']);
    expect(counter(72)).toBe('1:12');
  });
  it('name the day only when it is another', () => {
    const at = (day: number, hour: number) => new Date(2026, 0, day, hour, 5).getTime();
    expect([at(15, 9), at(16, 9), at(30, 9)].map((t) => instant(t, at(15, 12)))).toEqual(['09:05', 'Fri 09:05', '2026-01-30 09:05']);
    expect(parseTime('1970-01-01T00:00:00Z')).toBeNull();
  });
  it('name GPUs the way people do', () => {
    expect(['NVIDIA H200', 'Tesla V100-SXM2-16GB', 'NVIDIA A100-PCIE-40GB', 'NVIDIA GeForce RTX 4090', 'NVIDIA H100 80GB HBM3'].map(shortGpuName)).toEqual(['H200', 'V100', 'A100', 'RTX 4090', 'H100']);
    expect(plural(1, 'node')).toBe('1 node');
    expect(featureWords('memory_used_mb')).toBe('memory used, MiB');
    expect(featureWords('utilization_gpu')).toBe('utilization GPU');
  });
});

describe('commands', () => {
  it('split as a shell groups words', () => {
    expect(splitCommand(`python "my file.py" --n=3 'a b'\\ c ""`)).toEqual({ argv: ['python', 'my file.py', '--n=3', 'a b c', ''] });
    expect(splitCommand('echo "open')).toHaveProperty('error');
    expect(splitCommand('echo \\')).toHaveProperty('error');
  });
  it('come back unchanged from their quoted form', () => {
    for (const argv of [['sh', '-c', `echo "it's" $HOME | wc`], ['a', '', ' ', '\\', '"'], ['--x=1', 'é']]) expect(splitCommand(joinCommand(argv))).toEqual({ argv });
    expect(quoteWord('plain-1.0/x')).toBe('plain-1.0/x');
  });
});

describe('quantities', () => {
  it('parse as on the command line', () => {
    expect(['90s', '90m', '2h', '1d12h', '02:30:00', '1-00:00:00'].map((t) => parseDuration(t))).toEqual([90, 5400, 7200, 129600, 9000, 86400].map((value) => ({ value })));
    expect(['24G', '24GiB', '500M', '1T'].map((t) => parseMemoryMb(t))).toEqual([24576, 24576, 500, 1048576].map((value) => ({ value })));
    expect(parseMemoryMb('16GB')).toEqual({ value: 15259 });
  });
  it('refuse a bare number, which has two readings', () => {
    for (const t of ['30', '2:30', 'soon', '']) expect(parseDuration(t)).toHaveProperty('error');
    for (const t of ['24', 'G', '-1G']) expect(parseMemoryMb(t)).toHaveProperty('error');
  });
});

describe('job words', () => {
  it('give every known reason its chip and an unknown one "Other"', () => {
    expect(['FRAGMENTATION', 'PRIORITY', 'QUOTA', 'THERMAL', 'CARBON_WINDOW', 'BEGIN_TIME', 'HELD_BY_ADMIN', 'RETRY_BACKOFF', 'SCHEDULER_PAUSED', 'FROM_THE_FUTURE'].map(reasonChip)).toEqual(['Fit', 'Turn', 'Quota', 'Power', 'Carbon', 'After', 'Hold', 'Fault', 'Soon', 'Other']);
  });
  it('call states what people call them', () => {
    expect(['PENDING', 'HELD', 'ASSIGNED', 'COMPLETING', 'NEW_STATE'].map(stateWord)).toEqual(['waiting', 'on hold', 'starting', 'finishing', 'new state']);
    expect(['HELD', 'STOPPING', 'LOST'].map(jobGroup)).toEqual(['waiting', 'running', 'finished']);
  });
  it('find jobs by words, fields and GPU counts', () => {
    const job = { number: 4131, job_id: '01J', name: 'qwen-sft', user: 'nlp', queue: 'default', state: 'PENDING', gpus: 8 } as Job;
    expect(['qwen', '4131', 'user:nl state:pend', 'gpus>4', 'gpus=8'].every((q) => matchesJob(job, parseSearch(q)))).toBe(true);
    expect(['llama', 'user:vision', 'gpus<8', 'qwen gpus>8'].some((q) => matchesJob(job, parseSearch(q)))).toBe(false);
  });
});

describe('submit form', () => {
  const form = { ...emptyForm, command: 'python train.py', gpus: '2', gpuMemory: '24G', timeLimit: '2h', env: 'A=1\nB=x=y', name: 'run one' };
  it('becomes a job specification', () => {
    expect(checkForm(form).spec).toEqual({ type: 'training', argv: ['python', 'train.py'], gpus: 2, gpu_mem_mb: 24576, time_limit_s: 7200, priority: 50, env: { A: '1', B: 'x=y' }, name: 'run one' });
    expect(checkForm({ ...emptyForm, mode: 'script', script: '#!/bin/sh\r\necho hi\r\n' }).spec).toMatchObject({ script: '#!/bin/sh\necho hi\n' });
  });
  it('names the field of each mistake', () => {
    const { spec, errors } = checkForm({ ...form, command: '', gpus: 'two', priority: '101', timeLimit: '30', gpuMemory: '8', env: 'no' });
    expect(spec).toBeNull();
    expect(Object.keys(errors).sort()).toEqual(['command', 'env', 'gpuMemory', 'gpus', 'priority', 'timeLimit']);
    expect(checkForm({ ...form, mode: 'script' }).errors.script).toBeDefined();
  });
  it('reads the same on the command line', () => {
    expect(cliOf(form)).toBe(`aether submit --name 'run one' --gpus 2 --gpu-mem 24G --time 2h --env A=1 --env B=x=y -- python train.py`);
  });
  it('knows which field a pointer of the server means', () => {
    expect(['gpus', 'env/A', 'argv/0', 'labels/x'].map(pointerField)).toEqual(['gpus', 'env', 'command', null]);
  });
});

describe('reasonShort', () => {
  it('drops what the row says in another column, and only that', async () => {
    const { reasonShort } = await import('@/lib/reasons');
    expect(reasonShort('It needs 8 GPUs on one node; the most free together is 4, on node-07')).toBe('The most free together is 4, on node-07');
    expect(reasonShort('Held by ada')).toBe('Held by ada');
  });
});
