// Stands between the browser and the server: passes HTTP on, and drops, repeats or swaps messages of the stream.
import http from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

export async function startProxy(upstream) {
  const target = new URL(upstream);
  const seen = { frames: 0, dropped: 0, swapped: 0, repeated: 0, resyncs: 0 };
  const faults = { on: false, every: 4 };
  // The server answers its own names only, so the browser's are replaced.
  const headersOf = (headers) => ({ ...headers, host: target.host, ...(headers.origin ? { origin: target.origin } : {}) });
  const server = http.createServer((request, response) => {
    const up = http.request({ host: target.hostname, port: target.port, path: request.url, method: request.method, headers: headersOf(request.headers) }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    up.on('error', () => response.destroy());
    request.pipe(up);
  });
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.on('upgrade', (request, socket, head) => sockets.handleUpgrade(request, socket, head, (browser) => {
    const up = new WebSocket(`ws://${target.host}${request.url}`, { origin: target.origin, perMessageDeflate: false });
    const waiting = [];
    let held = null;
    let count = 0;
    const toBrowser = (message) => { if (browser.readyState === WebSocket.OPEN) browser.send(message.data, { binary: message.binary }); };
    browser.on('message', (data) => {
      if (String(data).includes('"resync"')) seen.resyncs += 1;
      if (up.readyState === WebSocket.OPEN) up.send(String(data));
      else waiting.push(String(data));
    });
    up.on('open', () => { for (const text of waiting) up.send(text); });
    up.on('message', (data, binary) => {
      const message = { data: binary ? data : String(data), binary };
      seen.frames += 1;
      const isDelta = binary ? data[4] === 2 : message.data.startsWith('{"type":"delta"');
      if (!faults.on || !isDelta) return toBrowser(message);
      count += 1;
      const fault = count % faults.every === 0 ? ['drop', 'swap', 'repeat'][(count / faults.every) % 3] : null;
      if (fault === 'drop') { seen.dropped += 1; return undefined; }
      if (fault === 'swap' && held === null) { held = message; return undefined; }
      toBrowser(message);
      if (fault === 'repeat') { seen.repeated += 1; toBrowser(message); }
      if (held !== null) { seen.swapped += 1; toBrowser(held); held = null; }
      return undefined;
    });
    const end = () => { browser.close(); up.close(); };
    up.on('close', end);
    up.on('error', end);
    browser.on('close', end);
  }));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, seen, faults, close: () => new Promise((resolve) => { for (const c of sockets.clients) c.terminate(); server.close(resolve); server.closeAllConnections(); }) };
}
