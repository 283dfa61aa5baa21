import { adoptToken, hasToken, post } from '@/api/client';
import { Store } from '@/lib/store';
import { StreamClient, type Socket } from '@/lib/stream';
import { socketWithTicket, TicketRule } from '@/lib/ticket';
import { streamUrl } from '@/lib/url';

/** The page's one store and one stream. Made on first use in the browser; never while the pages are exported. */
export interface App { store: Store; stream: StreamClient }

let app: App | null = null;

export function browserApp(): App {
  if (app) return app;
  adoptToken();
  const store = new Store((run) => {
    // A hidden page gets no animation frames; its numbers still have to be right when it comes back.
    if (document.hidden) setTimeout(run, 0);
    else requestAnimationFrame(run);
  });
  const rule = new TicketRule(location.hostname, hasToken);
  const open = (protocols?: string[]): Socket => rule.watch(new WebSocket(streamUrl(location), protocols) as unknown as Socket);
  const ask = async (): Promise<string> => (await post<{ ticket: string }>('/stream/ticket'))!.ticket;
  const stream = new StreamClient(
    {
      connect: () => (rule.isWanted() ? socketWithTicket(ask, open) : open()),
      now: () => Date.now(),
      random: () => Math.random(),
      setTimer: (run, ms) => window.setTimeout(run, ms),
      clearTimer: (id) => window.clearTimeout(id),
    },
    store,
  );
  app = { store, stream };
  stream.start();
  window.setInterval(() => store.checkAge(Date.now()), 500);
  window.addEventListener('online', () => stream.retryNow());
  document.addEventListener('visibilitychange', () => {
    stream.setHidden(document.hidden);
    if (!document.hidden) stream.retryNow();
  });
  if (document.hidden) stream.setHidden(true);
  return app;
}
