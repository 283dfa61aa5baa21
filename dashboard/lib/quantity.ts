/** Durations and memory sizes as the command line accepts them (API.md §3): a bare number is refused because it has two readings. */
export type Parsed = { value: number } | { error: string };

const unitSeconds: Record<string, number> = { d: 86400, h: 3600, m: 60, s: 1 };

export function parseDuration(text: string): Parsed {
  const t = text.trim().toLowerCase();
  if (/^\d+$/.test(t)) return { error: `Write ${t}s or ${t}m: a bare number has two readings` };
  const clock = /^(?:(\d+)-)?(\d{1,2}):(\d{2}):(\d{2})$/.exec(t);
  if (clock) {
    const [, d, h, m, s] = clock;
    return { value: Number(d ?? 0) * 86400 + Number(h) * 3600 + Number(m) * 60 + Number(s) };
  }
  if (!/^(\d+[dhms]\s*)+$/.test(t)) return { error: 'Write for example 90m, 2h, 1d12h or 02:30:00' };
  let total = 0;
  for (const [, n, u] of t.matchAll(/(\d+)([dhms])/g)) total += Number(n) * unitSeconds[u!]!;
  return { value: total };
}

export function parseMemoryMb(text: string): Parsed {
  const t = text.trim();
  if (/^\d+$/.test(t)) return { error: `Write ${t}G or ${t}M: a bare number has two readings` };
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT])(iB|i|B)?$/i.exec(t);
  if (!match) return { error: 'Write for example 24G, 24GiB or 500M' };
  const [, n, unit, suffix] = match;
  const power = 'KMGT'.indexOf(unit!.toUpperCase()) + 1;
  const base = suffix?.toUpperCase() === 'B' ? 1000 : 1024;
  return { value: Math.round((Number(n) * base ** power) / (1024 * 1024)) };
}
