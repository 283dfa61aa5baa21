// Smoke test in Firefox ESR over WebDriver BiDi, spoken directly: no driver program is needed.
//   AETHER_URL, AETHER_TOKEN name a running server. Exit 77 when Firefox is not installed.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';

const binary = process.env.AETHER_FIREFOX ?? '/usr/bin/firefox-esr';
const url = process.env.AETHER_URL?.replace(/\/$/, '');
const token = process.env.AETHER_TOKEN ?? '';
if (!existsSync(binary)) {
  console.log(`skipped: ${binary} is not installed`);
  process.exit(77);
}
let failures = 0;
const check = (name, ok, seen = '') => {
  if (!ok) failures += 1;
  console.log(`${ok ? 'ok  ' : 'FAIL'} firefox: ${name}${ok || seen === '' ? '' : `: ${JSON.stringify(seen)}`}`);
};

const profile = mkdtempSync(join(tmpdir(), 'aether-firefox-'));
writeFileSync(join(profile, 'user.js'), ['app.update.enabled', 'browser.shell.checkDefaultBrowser', 'datareporting.policy.dataSubmissionEnabled', 'toolkit.telemetry.enabled', 'network.captive-portal-service.enabled', 'network.connectivity-service.enabled'].map((k) => `user_pref(${JSON.stringify(k)}, false);`).join('\n'));
const firefox = spawn(binary, ['--headless', '--no-remote', '--remote-debugging-port=0', '--profile', profile, 'about:blank'], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: profile } });
const address = await new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error('Firefox did not open its port')), 60_000);
  let text = '';
  const read = (data) => {
    text += data;
    const found = /WebDriver BiDi listening on (ws:\/\/\S+)/.exec(text);
    if (found) { clearTimeout(timer); resolve(found[1]); }
  };
  firefox.stdout.on('data', read);
  firefox.stderr.on('data', read);
  firefox.on('exit', () => reject(new Error(`Firefox ended: ${text.slice(-400)}`)));
});
const socket = new WebSocket(`${address}/session`);
await new Promise((resolve, reject) => { socket.on('open', resolve); socket.on('error', reject); });
const waiting = new Map();
const entries = [];
let ids = 0;
socket.on('message', (data) => {
  const message = JSON.parse(String(data));
  if (message.type === 'event' && message.method === 'log.entryAdded') entries.push(message.params);
  const done = waiting.get(message.id);
  if (!done) return;
  waiting.delete(message.id);
  if (message.type === 'error') done.reject(new Error(`${message.error}: ${message.message}`));
  else done.resolve(message.result);
});
const call = (method, params = {}) => new Promise((resolve, reject) => {
  const id = ++ids;
  waiting.set(id, { resolve, reject });
  socket.send(JSON.stringify({ id, method, params }));
});
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

try {
  await call('session.new', { capabilities: {} });
  await call('session.subscribe', { events: ['log.entryAdded'] });
  const { context } = await call('browsingContext.create', { type: 'tab' });
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await call('script.evaluate', { expression, target: { context }, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.text);
    return result.value;
  };
  const until = async (name, expression, timeoutMs = 15_000) => {
    for (const end = Date.now() + timeoutMs; Date.now() < end; await sleep(200)) if (await evaluate(expression).catch(() => false)) return check(name, true);
    return check(name, false, await evaluate('document.querySelector("main")?.innerText.slice(0, 200)').catch((e) => e.message));
  };
  await call('browsingContext.navigate', { context, url: `${url}/#token=${token}`, wait: 'complete' });
  await until('the link is live', 'document.querySelector(".live.live") !== null');
  await until('the map has its GPUs', 'document.querySelectorAll(".fleet .cell").length > 0');
  const before = await evaluate('document.querySelector(".fleet").innerText + document.querySelector(".kpis").innerText');
  await until('numbers change by themselves', `document.querySelector(".fleet").innerText + document.querySelector(".kpis").innerText !== ${JSON.stringify(before)}`);
  for (const [path, wanted] of [['/gpus?view=table', '.rows tbody tr'], ['/jobs?tab=waiting', '#jobs-panel'], ['/timeline', '.gantt-box canvas, .empty'], ['/anomalies', '#alerts-panel'], ['/carbon', '.tile'], ['/nodes', '.rows tbody tr'], ['/submit', 'form.submit'], ['/settings', '.settings']]) {
    // Leaving a page in the middle of its prefetches would end them, which the console calls an error.
    await sleep(1500);
    await call('browsingContext.navigate', { context, url: `${url}${path}`, wait: 'complete' });
    await until(`${path} shows its content`, `document.querySelector(${JSON.stringify(wanted)}) !== null`);
  }
  await sleep(1500);
  const errors = entries.filter((e) => e.level === 'error').map((e) => e.text);
  check('the console has no error', errors.length === 0, errors);
} catch (error) {
  check('the run reaches its end', false, error.message);
} finally {
  socket.close();
  firefox.removeAllListeners('exit');
  firefox.kill();
  await sleep(500);
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(failures === 0 ? 0 : 1);
