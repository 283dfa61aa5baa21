import type { Job } from '@/api/types';
import { jobGroup } from './reasons';

/** The jobs that wait, first the one whose turn is next. */
export function waitingInOrder(jobs: readonly Job[]): Job[] {
  return jobs.filter((j) => jobGroup(j.state) === 'waiting').sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0) || a.number - b.number);
}

export const sameItems = <T>(a: readonly T[], b: readonly T[]): boolean => a.length === b.length && a.every((item, i) => item === b[i]);
