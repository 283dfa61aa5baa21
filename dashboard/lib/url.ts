/** Addresses of the pages: flat paths, details as a query, so that the export holds one file per page. */
export type Query = Readonly<Record<string, string | null | undefined>>;

export function pageUrl(path: string, query: Query = {}): string {
  const parts = Object.entries(query)
    .filter((entry): entry is [string, string] => entry[1] != null && entry[1] !== '')
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  return parts.length ? `${path}?${parts.join('&')}` : path;
}

/** The same address with some parameters changed; null or '' removes one. Order of the others is kept. */
export function withQuery(path: string, search: string, change: Query): string {
  const query: Record<string, string | null> = {};
  for (const [key, value] of new URLSearchParams(search)) query[key] = value;
  for (const [key, value] of Object.entries(change)) query[key] = value ?? null;
  return pageUrl(path, query);
}

export const gpuUrl = (uuid: string): string => pageUrl('/gpus', { id: uuid });
export const jobUrl = (id: string | number, tab?: string): string => pageUrl('/jobs', { id: String(id), tab });
export const nodeUrl = (node: string): string => pageUrl('/nodes', { id: node });

/** Takes the token out of `#token=…` and returns the hash without it. */
export function takeToken(hash: string): { token: string | null; hash: string } {
  const params = new URLSearchParams(hash.replace(/^#/, ''));
  const token = params.get('token');
  if (token === null) return { token: null, hash };
  params.delete('token');
  const rest = params.toString();
  return { token: token === '' ? null : token, hash: rest ? `#${rest}` : '' };
}

export function streamUrl(location: { protocol: string; host: string }): string {
  return `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/api/v1/stream`;
}
