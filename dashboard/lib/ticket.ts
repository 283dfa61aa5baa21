import type { Socket } from './stream';

/** WebSockets carry no Authorization header. Where reading needs a token, the page first asks for a ticket, which is good once, for 30 s. */
export const streamProtocol = 'aether.v1';
export const ticketProtocols = (ticket: string): string[] => [streamProtocol, `ticket.${ticket}`];

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
export const isLoopback = (hostname: string): boolean => loopback.test(hostname);

/** A socket that opens once its ticket is there. Without one it closes, so that the client's back-off decides about the next try. */
export function socketWithTicket(ask: () => Promise<string>, open: (protocols: string[]) => Socket): Socket {
  let inner: Socket | null = null;
  let closed = false;
  const outer: Socket = {
    onopen: null, onmessage: null, onclose: null, onerror: null,
    send: (text) => inner?.send(text),
    close: () => { closed = true; inner?.close(); },
  };
  ask().then((ticket) => {
    if (closed) return;
    inner = open(ticketProtocols(ticket));
    inner.binaryType = outer.binaryType;
    inner.onopen = () => outer.onopen?.();
    inner.onmessage = (event) => outer.onmessage?.(event);
    inner.onclose = () => outer.onclose?.();
    inner.onerror = () => outer.onerror?.();
  }, () => { if (!closed) outer.onclose?.(); });
  return outer;
}

/** On loopback a stream needs no ticket, unless the server was told so: then a try fails before it opens, and the next one brings a ticket. */
export class TicketRule {
  private refused = false;
  constructor(private readonly hostname: string, private readonly hasToken: () => boolean) {}
  isWanted(): boolean {
    return this.hasToken() && (this.refused || !isLoopback(this.hostname));
  }
  /** Watches one socket: whether it ever opened. */
  watch(socket: Socket & { addEventListener?: (type: 'open' | 'close', run: () => void) => void }): Socket {
    let opened = false;
    socket.addEventListener?.('open', () => { opened = true; });
    socket.addEventListener?.('close', () => { if (!opened) this.refused = true; });
    return socket;
  }
}
