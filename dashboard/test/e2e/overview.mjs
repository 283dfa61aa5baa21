// End to end in a real browser. AETHER_URL and AETHER_TOKEN name a running server; without them the test fixture stands in.
// AETHER_SHOTS: folder for pictures. AETHER_RESTART_CMD: a shell command that restarts the server at the same address.
import { spawnSync } from 'node:child_process';
import { axe, check, failed, launch, open, shot } from './browser.mjs';

let url = process.env.AETHER_URL?.replace(/\/$/, '');
let token = process.env.AETHER_TOKEN ?? '';
let fixture = null;
if (!url) {
  const { startFixture } = await import('../fixture/server.mjs');
  fixture = await startFixture();
  url = fixture.url;
  token = fixture.token;
  console.log('the TEST FIXTURE stands in for the server');
}
const api = async (path) => (await fetch(`${url}/api/v1${path}`)).json();
const cells = '.fleet .cell';
const browser = await launch();

try {
  for (const theme of ['dark', 'light']) await overview(theme);
  await everyPage();
  await keyboard();
  await withoutToken();
  await submitAndRead();
  await withoutServer();
  if (process.env.AETHER_RESTART_CMD || fixture) await restart();
} catch (error) {
  check('the test runs to its end', false, error.stack);
} finally {
  await browser.close();
  await fixture?.close();
}
console.log(failed() === 0 ? 'all checks passed' : `${failed()} checks failed`);
process.exit(failed() === 0 ? 0 : 1);

async function overview(theme) {
  const { context, page, errors } = await open(browser, theme);
  const lags = sampleLags(page);
  const response = await page.goto(`${url}/#token=${token}`);
  const policy = response.headers()['content-security-policy'] ?? '';
  check(`the policy is strict (${theme})`, policy.includes("default-src 'none'") && policy.includes("style-src 'self'") && !policy.includes('unsafe'), policy);
  await page.waitForSelector(cells, { timeout: 10_000 });
  check('the token left the address bar', !page.url().includes('token'), page.url());
  check(`the ${theme} theme is chosen by the system`, (await page.getAttribute('html', 'data-theme')) === theme);
  const { items } = await api('/gpus');
  check('every GPU of the server is on the map', (await page.locator(cells).count()) === items.length, `${await page.locator(cells).count()} of ${items.length}`);
  check('the first tile counts the same', (await page.locator('.kpi').first().innerText()).includes(`of ${items.length}`));
  const before = await page.locator('.fleet').innerText() + await page.locator('.kpis').innerText();
  await page.waitForFunction((old) => document.querySelector('.fleet').innerText + document.querySelector('.kpis').innerText !== old, before, { timeout: 8000 }).then(() => check('numbers change by themselves', true), () => check('numbers change by themselves', false));
  await page.waitForTimeout(3000);
  check('readings come as binary frames', lags.length > 1, `${lags.length} frames`);
  check('a frame is in the browser within 1 s of its tick', lags.length > 0 && Math.max(...lags) < 1000, `${lags.length} frames, the slowest after ${Math.max(...lags)} ms`);
  check('the link is live', (await page.locator('.live.live').count()) === 1);
  await page.waitForTimeout(3000);
  check('nothing overflows sideways', await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await axe(page, `the overview, ${theme}`);
  await shot(page, `overview-${theme}`);
  check(`the console has no error (${theme})`, errors.length === 0, errors);
  await context.close();
}

// Milliseconds from the server's tick to the arrival of its readings in the page, of each binary frame.
function sampleLags(page) {
  const lags = [];
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
    if (typeof payload === 'string') return;
    if (payload.subarray(0, 4).toString('latin1') === 'AEC1') lags.push(Date.now() - payload.readDoubleLE(32));
  }));
  return lags;
}

async function everyPage() {
  const { items: gpus } = await api('/gpus');
  const { items: jobs } = await api('/jobs');
  const { items: nodes } = await api('/nodes');
  const paths = [['gpus', '/gpus'], ['gpus-table', '/gpus?view=table'], ['submit', '/submit'], ['timeline', '/timeline'], ['timeline-nodes', '/timeline?by=node&span=6h'], ['settings', '/settings'], ['anomalies-history', '/anomalies?tab=history'], ['anomalies', '/anomalies'], ['carbon', '/carbon'], ['nodes', '/nodes'], ['jobs-waiting', '/jobs?tab=waiting'], ['jobs-finished', '/jobs?tab=finished'], ['unknown-job', '/jobs?id=999999']];
  if (gpus.length > 2) paths.push(['compare', `/gpus?pin=${gpus.slice(0, 3).map((g) => g.gpu_uuid).join(',')}`]);
  if (gpus[0]) paths.push(['gpu', `/gpus?id=${gpus[0].gpu_uuid}`]);
  if (nodes[0]) paths.push(['node', `/nodes?id=${nodes[0].node}`]);
  const placed = jobs.find((j) => j.node) ?? jobs[0];
  if (placed) for (const tab of ['why', 'placement', 'attempts', 'telemetry', 'logs', 'events', 'spec']) paths.push([`job-${tab}`, `/jobs?id=${placed.number}&tab=${tab}`]);
  for (const theme of ['dark', 'light']) {
    const { context, page, errors } = await open(browser, theme);
    for (const [name, path] of paths) {
      const answer = await page.goto(`${url}${path}#token=${token}`);
      // Only the query changed: the same page stays, and there is no answer to look at.
      if (answer && answer.status() !== 200) {
        check(`${path} is served`, false, `status ${answer.status()}`);
        continue;
      }
      await page.waitForSelector('main h1');
      await page.waitForTimeout(1500);
      await axe(page, `${name}, ${theme}`);
      await shot(page, `${name}-${theme}`);
    }
    // The browser itself notes the 404 of the job that is asked for on purpose.
    const own = errors.filter((e) => !/999999/.test(e));
    check(`no page writes an error to the console (${theme})`, own.length === 0, own);
    await context.close();
  }
  const { context, page } = await open(browser, 'dark');
  await page.goto(`${url}/jobs?id=999999`);
  await page.waitForSelector('text=No job 999999', { timeout: 8000 }).then(() => check('an unknown job is named', true), () => check('an unknown job is named', false));
  const missing = await page.goto(`${url}/nothing-here`);
  check('an unknown page answers 404 with its own page', missing.status() === 404 && (await page.locator('h1').innerText()) === 'No such page');
  await context.close();
}

async function keyboard() {
  const { context, page } = await open(browser, 'dark');
  await page.goto(`${url}/#token=${token}`);
  await page.waitForSelector(cells);
  await page.waitForTimeout(1500);
  const stops = await page.evaluate(() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')].filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility() && !e.closest('dialog:not([open])') && e.tagName !== 'MAIN').length);
  check('the overview has at most 30 tab stops', stops <= 30, `${stops}`);
  await page.keyboard.press('Tab');
  check('the first stop is the skip link', (await page.evaluate(() => document.activeElement?.className)) === 'skip');
  const count = await page.locator(cells).count();
  if (count > 1) {
    await page.locator(`${cells}[tabindex="0"]`).focus();
    const first = await page.evaluate(() => document.activeElement.dataset.uuid);
    await page.keyboard.press('ArrowRight');
    const second = await page.evaluate(() => document.activeElement.dataset.uuid);
    check('an arrow moves inside the map', Boolean(second) && second !== first, second);
    check('the map stays one tab stop', (await page.locator(`${cells}[tabindex="0"]`).count()) === 1);
    await page.keyboard.press('Enter');
    await page.waitForFunction((id) => location.pathname === '/gpus' && new URLSearchParams(location.search).get('id') === id, second, { timeout: 5000 }).then(() => check('Enter opens the GPU', true), () => check('Enter opens the GPU', false, page.url()));
    await page.goBack();
    await page.waitForSelector('.kpis', { timeout: 5000 }).then(() => check('the back button returns', true), () => check('the back button returns', false));
  }
  await page.keyboard.press('g');
  await page.keyboard.press('j');
  await page.waitForURL('**/jobs', { timeout: 5000 }).then(() => check('g j goes to the jobs', true), () => check('g j goes to the jobs', false));
  await page.keyboard.press('Control+k');
  await page.keyboard.type('carbon');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/carbon', { timeout: 5000 }).then(() => check('find opens a page', true), () => check('find opens a page', false));
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ['/', '/gpus', '/jobs', '/timeline', '/anomalies', '/carbon', '/nodes', '/submit', '/settings']) {
    if ((await page.goto(`${url}${path}`)).status() !== 200) continue;
    await page.waitForTimeout(1200);
    check(`${path} fits a narrow screen`, await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), await page.evaluate(() => document.documentElement.scrollWidth));
    await shot(page, `narrow${path === '/' ? '-overview' : path.replace('/', '-')}`);
  }
  await context.close();
}

async function withoutToken() {
  const { context, page } = await open(browser, 'dark');
  await page.goto(url);
  await page.waitForSelector(cells);
  await page.getByRole('banner').getByRole('button', { name: 'Submit job' }).click();
  check('without a token the form says where to get one', (await page.locator('dialog[open]').innerText()).includes('aether token'));
  check('and sends nothing', await page.locator('dialog[open] button[type=submit]').isDisabled());
  await context.close();
}

async function submitAndRead() {
  const { context, page, errors } = await open(browser, 'dark');
  await page.goto(`${url}/#token=${token}`);
  await page.waitForSelector(cells);
  await page.getByRole('banner').getByRole('button', { name: 'Submit job' }).click();
  const dialog = page.locator('dialog[open]');
  await dialog.getByLabel('Time limit').fill('30');
  await dialog.locator('button[type=submit]').click();
  check('mistakes are named at their fields', (await dialog.locator('.field.bad').count()) === 2, await dialog.locator('.field.bad').allInnerTexts());
  const words = `hello-from-the-browser-${Date.now()}`;
  await dialog.getByLabel('Command', { exact: true }).last().fill(`echo ${words}`);
  await dialog.getByLabel('Name').fill('browser-check');
  await dialog.getByLabel('Time limit').fill('5m');
  await dialog.getByLabel('GPUs').fill('1');
  await axe(page, 'the submit dialog');
  await shot(page, 'submit-dialog');
  await dialog.locator('button[type=submit]').click();
  await page.waitForURL(/\/jobs\?id=/, { timeout: 8000 });
  await page.getByRole('tab', { name: 'Logs' }).click();
  await page.waitForSelector(`.log-line:has-text("${words}")`, { timeout: 40_000 }).then(() => check('the log of the new job appears', true), async () => check('the log of the new job appears', false, await page.locator('main').innerText()));
  await shot(page, 'job-log');
  check('submitting writes no error to the console', errors.length === 0, errors);
  await context.close();
}

async function withoutServer() {
  const { context, page } = await open(browser, 'dark');
  await page.goto(`${url}/#token=${token}`);
  await page.waitForSelector(cells);
  const count = await page.locator(cells).count();
  await page.waitForTimeout(2000);
  await context.route('**/*', (route) => route.abort());
  await page.getByRole('link', { name: 'Nodes', exact: true }).first().click();
  await page.waitForURL('**/nodes', { timeout: 5000 }).then(() => check('pages open while the server refuses every request', true), () => check('pages open while the server refuses every request', false, page.url()));
  check('and keep their data', (await page.locator('.rows tbody tr').count()) > 0);
  await page.getByRole('link', { name: 'Overview', exact: true }).click();
  await page.waitForSelector(cells, { timeout: 5000 });
  check('the map is still complete', (await page.locator(cells).count()) === count);
  await context.close();
}

async function restart() {
  const { context, page } = await open(browser, 'dark');
  await page.goto(`${url}/#token=${token}`);
  await page.waitForSelector(cells);
  await page.waitForTimeout(1500);
  const count = await page.locator(cells).count();
  if (process.env.AETHER_RESTART_CMD) {
    const done = spawnSync('sh', ['-c', process.env.AETHER_RESTART_CMD], { stdio: 'inherit', timeout: 60_000 });
    check('the restart command succeeds', done.status === 0, `${done.status}`);
  } else {
    const port = Number(new URL(url).port);
    await fixture.close();
    await page.waitForSelector('.live.offline', { timeout: 8000 }).then(() => check('a lost server is shown', true), () => check('a lost server is shown', false));
    check('the data stays on the screen', (await page.locator(cells).count()) === count);
    await shot(page, 'offline-dark');
    await axe(page, 'the overview without a server');
    const { startFixture } = await import('../fixture/server.mjs');
    fixture = await startFixture({ port });
  }
  await page.waitForSelector('.live.live', { timeout: 40_000 });
  const before = await page.locator('.fleet').innerText() + await page.locator('.kpis').innerText();
  await page.waitForFunction((old) => document.querySelector('.fleet').innerText + document.querySelector('.kpis').innerText !== old, before, { timeout: 20_000 }).then(() => check('numbers move again after a restart', true), () => check('numbers move again after a restart', false));
  // The first snapshot may come before the node has introduced itself again.
  await page.waitForFunction(([selector, wanted]) => document.querySelectorAll(selector).length === wanted, [cells, count], { timeout: 20_000 }).then(() => check('every GPU is back', true), () => check('every GPU is back', false));
  await context.close();
}
