import type { Job } from '@/api/types';

/** Words of the job search: `queue:nlp user:me state:failed gpus>4`; anything else is looked for in number, name and user. */
export interface Search { words: string[]; fields: [key: string, value: string][]; gpus: [op: '<' | '>' | '=', n: number][] }

const fieldNames = new Set(['queue', 'user', 'state', 'name', 'node', 'type']);

export function parseSearch(text: string): Search {
  const search: Search = { words: [], fields: [], gpus: [] };
  for (const part of text.toLowerCase().split(/\s+/).filter(Boolean)) {
    const gpus = /^gpus([<>=:])(\d+)$/.exec(part);
    const field = /^([a-z]+):(.+)$/.exec(part);
    if (gpus) search.gpus.push([gpus[1] === ':' ? '=' : (gpus[1] as '<' | '>' | '='), Number(gpus[2])]);
    else if (field && fieldNames.has(field[1]!)) search.fields.push([field[1]!, field[2]!]);
    else search.words.push(part);
  }
  return search;
}

export function matchesJob(job: Job, search: Search): boolean {
  const text = `${job.number} ${job.job_id} ${job.name} ${job.user ?? ''}`.toLowerCase();
  const of = (key: string): string => String((job as unknown as Record<string, unknown>)[key] ?? '').toLowerCase();
  return search.words.every((w) => text.includes(w)) && search.fields.every(([k, v]) => of(k).includes(v))
    && search.gpus.every(([op, n]) => (op === '<' ? job.gpus < n : op === '>' ? job.gpus > n : job.gpus === n));
}
