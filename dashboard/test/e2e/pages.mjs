// Each page's main task twice, by keyboard alone and by mouse alone, on a fleet of any size: AETHER_URL, AETHER_TOKEN name the server.
// By keyboard means: the page is loaded, and from then on there are only key presses. Then axe on every page, both themes.
import { axe, check, failed, launch, open } from './browser.mjs';

const url = process.env.AETHER_URL.replace(/\/$/, '');
const token = process.env.AETHER_TOKEN;
const api = async (path) => (await fetch(`${url}/api/v1${path}`)).json();
const total = (await api('/fleet')).gpus_total;
const large = total > 512;
const browser = await launch();
const { context, page, errors } = await open(browser, 'dark');
const param = (key) => new URL(page.url()).searchParams.get(key);
const until = async (name, ask, wanted = true, timeoutMs = 12_000) => {
  let seen;
  for (const end = Date.now() + timeoutMs; Date.now() < end; await new Promise((r) => setTimeout(r, 100))) {
    seen = await ask();
    if (seen === wanted) return check(`${total}: ${name}`, true);
  }
  return check(`${total}: ${name}`, false, `saw ${JSON.stringify(seen)}, wanted ${JSON.stringify(wanted)}`);
};
page.setDefaultTimeout(10_000);
const go = async (path) => { await page.goto('about:blank'); await page.goto(`${url}${path}#token=${token}`); await page.waitForSelector('.live.live', { timeout: 15_000 }); await page.waitForSelector('main h1'); };
const press = async (...keys) => { for (const k of keys) await page.keyboard.press(k); };
const focused = (selector) => page.evaluate((s) => document.activeElement?.matches(s) ?? false, selector);
/** Presses Tab until the focus is on `selector`. */
async function tabTo(selector, most = 90) {
  await page.waitForSelector(selector, { timeout: 40_000 });
  for (let i = 0; i < most; i++) {
    if (await focused(selector)) return;
    await press('Tab');
  }
  throw new Error(`Tab does not reach ${selector} in ${most} presses`);
}
const at = async (path, id) => (new URL(page.url()).pathname === path && (id === undefined || param('id') !== null));
const stateOf = async (path) => (await api(path)).state;

const tasks = {
  overview: {
    async keys() {
      await go('/');
      await tabTo(large ? '.pods' : '.fleet .cell[tabindex="0"]');
      await press('ArrowRight', 'ArrowRight', 'ArrowDown');
      await until('overview, keys: what the cell says is on the screen', async () => (await page.locator('.hover-card').count()) === 1);
      await press('Escape');
      await until('overview, keys: Escape puts it away', () => page.locator('.hover-card').count(), 0);
      await press('ArrowRight', 'Enter');
      await until('overview, keys: Enter opens the GPU', () => at('/gpus', true));
    },
    async mouse() {
      await go('/');
      const target = page.locator(large ? '.pods canvas' : '.fleet .cell').first();
      await target.waitFor();
      await page.waitForTimeout(500);
      const box = await target.boundingBox();
      const [x, y] = [box.x + Math.min(30, box.width / 2), box.y + Math.min(12, box.height / 2)];
      await page.mouse.move(x, y, { steps: 3 });
      await until('overview, mouse: what the cell says appears', () => page.locator('.hover-card').count(), 1);
      const card = await page.locator('.hover-card').boundingBox();
      const below = card.y > y;
      await page.mouse.move(x, below ? card.y + 8 : card.y + card.height - 8, { steps: 8 });
      await page.waitForTimeout(600);
      check(`${total}: overview, mouse: it stays while the pointer is on it`, (await page.locator('.hover-card').count()) === 1);
      await page.keyboard.press('Escape');
      await until('overview, mouse: Escape dismisses it without moving the pointer', () => page.locator('.hover-card').count(), 0);
      await page.mouse.move(box.x + box.width - 4, y, { steps: 4 });
      await page.mouse.click(x, y);
      await until('overview, mouse: a click opens the GPU', () => at('/gpus', true));
    },
  },
  gpus: {
    async keys() {
      await go('/gpus?view=table');
      await tabTo('.rows .row-link');
      const first = await page.evaluate(() => document.activeElement.textContent);
      await press('End');
      await until('gpus, keys: End reaches the last of all GPUs', async () => (await focused('.rows .row-link')) && (await page.evaluate(() => Number(document.activeElement.closest('tr').getAttribute('aria-rowindex')) || document.querySelectorAll('.rows .row-link').length)) >= total);
      await press('Space', 'PageUp', 'Space');
      await until('gpus, keys: Space pins two for comparison', async () => (param('pin') ?? '').split(',').filter(Boolean).length, 2);
      await press('Home');
      await until('gpus, keys: Home returns to the first', () => page.evaluate(() => document.activeElement.textContent), first);
      await press('/');
      await page.keyboard.type('free');
      await until('gpus, keys: the filter is in the address', () => param('q'), 'free');
    },
    async mouse() {
      await go('/gpus');
      await page.locator('.chip-btn').first().click();
      const state = param('state');
      const wanted = (await page.locator('.chip-btn[aria-pressed="true"] .num').innerText()).replace(/\D/g, '');
      await until('gpus, mouse: a chip filters by state', async () => (await page.locator('section:has(.rows) .ph .d').innerText()).replace(/[^\d ]/g, '').trim().split(/\s+/)[0], wanted);
      await page.locator('.w-pick input').nth(0).click();
      await page.locator('.w-pick input').nth(1).click();
      await until('gpus, mouse: check boxes pin', () => page.locator('.pins li').count(), 2);
      await page.locator('.chip-btn[aria-pressed="true"]').click();
      await page.mouse.move(700, 600);
      await page.mouse.wheel(0, 1e7);
      await page.waitForTimeout(400);
      await until('gpus, mouse: the end of the list is there, and few rows are made', async () => {
        const n = await page.locator('.rows tbody tr[data-key]').count();
        const last = await page.evaluate(() => [...document.querySelectorAll('.rows tbody tr[data-key]')].at(-1).getAttribute('aria-rowindex'));
        return n < 320 && (last === null || Number(last) === total + 1);
      });
      check(`${total}: gpus, mouse: the state is in the address`, state !== null);
    },
  },
  gpu: {
    async keys() {
      const gpu = (await api('/gpus?limit=60')).items.find((g) => g.jobs.length === 0 && g.state === 'free') ?? (await api('/gpus?limit=1')).items[0];
      tasks.gpu.uuid = gpu.gpu_uuid;
      await go(`/gpus?id=${gpu.gpu_uuid}`);
      await tabTo('.page-head .action button');
      await press('Enter');
      await page.waitForSelector('dialog[open] input');
      await page.keyboard.type('seen twice by the test');
      await press('Enter');
      await until('gpu, keys: it is quarantined', () => stateOf(`/gpus/${gpu.gpu_uuid}`), 'quarantined');
    },
    async mouse() {
      await go(`/gpus?id=${tasks.gpu.uuid}`);
      await page.getByRole('button', { name: 'Clear', exact: true }).click();
      await page.locator('dialog[open] button[type=submit]').click();
      await until('gpu, mouse: it is back in service', async () => (await stateOf(`/gpus/${tasks.gpu.uuid}`)) !== 'quarantined');
    },
  },
  jobs: {
    async keys() {
      tasks.jobs.made = [await newJob('keys-a'), await newJob('keys-b')];
      await go('/jobs?tab=waiting&q=keys-');
      await until('jobs, keys: the search in the address is applied', () => page.locator('.rows tbody tr').count(), 2);
      await tabTo('.rows .row-link');
      await press('Space', 'ArrowDown', 'Space');
      await tabTo('.bulk button:has-text("Hold")'.replace(':has-text("Hold")', ''));
      for (let i = 0; i < 4 && !(await page.evaluate(() => document.activeElement.textContent.startsWith('Hold'))); i++) await press('Tab');
      await press('Enter');
      await page.waitForSelector('dialog[open] .btn');
      for (let i = 0; i < 5 && !(await focused('dialog[open] .btn')); i++) await press('Tab');
      await press('Enter');
      await until('jobs, keys: both are on hold', async () => (await Promise.all(tasks.jobs.made.map((j) => stateOf(`/jobs/${j.job_id}`)))).join(), 'HELD,HELD');
    },
    async mouse() {
      await go('/jobs?tab=waiting&q=keys-');
      await page.locator('.w-pick input').nth(0).click();
      await page.locator('.w-pick input').nth(1).click();
      await page.getByRole('button', { name: 'Cancel 2' }).click();
      await page.locator('dialog[open]').getByRole('button', { name: 'Cancel' }).click();
      await until('jobs, mouse: both are cancelled', async () => (await Promise.all(tasks.jobs.made.map((j) => stateOf(`/jobs/${j.job_id}`)))).join(), 'CANCELLED,CANCELLED');
    },
  },
  job: {
    async keys() {
      const made = (tasks.job.made = await newJob('one-job'));
      await go(`/jobs?id=${made.number}`);
      await tabTo('[role=tab][aria-selected=true]');
      await press('ArrowRight');
      await until('job, keys: arrows move through its tabs', () => param('tab'), 'placement');
      await go(`/jobs?id=${made.number}`);
      await tabTo('.page-head .action button');
      for (let i = 0; i < 6 && !(await page.evaluate(() => document.activeElement.textContent === 'Hold')); i++) await press('Tab');
      await press('Enter');
      await until('job, keys: it is on hold', () => stateOf(`/jobs/${made.job_id}`), 'HELD');
    },
    async mouse() {
      await go(`/jobs?id=${tasks.job.made.number}&tab=why`);
      await page.getByRole('button', { name: 'Release', exact: true }).click();
      await until('job, mouse: it waits again', () => stateOf(`/jobs/${tasks.job.made.job_id}`), 'PENDING');
      await page.getByRole('tab', { name: 'Spec' }).click();
      await until('job, mouse: a tab opens', () => param('tab'), 'spec');
      await page.getByRole('button', { name: 'Cancel', exact: true }).click();
      await page.locator('dialog[open] button[type=submit]').click();
      await until('job, mouse: it is cancelled', () => stateOf(`/jobs/${tasks.job.made.job_id}`), 'CANCELLED');
    },
  },
  timeline: {
    async keys() {
      await go('/timeline');
      await tabTo('.gantt-box');
      await press('s');
      await until('timeline, keys: S zooms out', () => param('span'), '6h');
      await press('a');
      await until('timeline, keys: A goes back in time', async () => param('to') !== null);
      await press('w', 'w');
      await press('PageDown');
      if (large) await until('timeline, keys: page down moves over the rows', () => page.evaluate(() => document.querySelector('.gantt-box').scrollTop > 0));
    },
    async mouse() {
      await go('/timeline?span=24h');
      await page.getByRole('button', { name: 'Earlier' }).click();
      await until('timeline, mouse: a button goes back in time', async () => param('to') !== null);
      await page.getByRole('button', { name: 'Now', exact: true }).click();
      await page.waitForSelector('.gantt-box canvas');
      await page.waitForTimeout(500);
      const drawn = await page.evaluate(() => { const c = document.querySelector('.gantt-box canvas'); return c.height <= 2200 && c.height > 100; });
      check(`${total}: timeline, mouse: the canvas is as high as what is in sight`, drawn);
      const link = page.locator('.table-box.tall tbody a').first();
      await link.waitFor({ timeout: 8000 });
      await link.click();
      await until('timeline, mouse: a row opens its job', () => at('/jobs', true));
    },
  },
  anomalies: {
    async keys() {
      await go('/anomalies');
      const open = await inbox();
      if (open.length === 0) return console.log('note no alert is open');
      await page.waitForSelector('.al.big > li');
      await tabTo('.al.big .action button');
      for (let i = 0; i < 6 && !(await page.evaluate(() => document.activeElement.textContent.startsWith('Snooze'))); i++) await press('Tab');
      await press('Enter');
      await until('anomalies, keys: the server snoozes it for everybody', async () => (await inbox()).length, open.length - 1);
      await until('anomalies, keys: it leaves the inbox', () => page.locator('.al.big > li').count(), open.length - 1);
      return undefined;
    },
    async mouse() {
      await go('/anomalies?tab=snoozed');
      const before = (await inbox()).length;
      if (!(await page.locator('.al.big > li').count().catch(() => 0)) && before === 0) return;
      await page.getByRole('button', { name: /^Wake/ }).first().click();
      await until('anomalies, mouse: it is awake', async () => (await inbox()).length, before + 1);
      await page.getByRole('tab', { name: /^Open/ }).click();
      await page.locator('.al.big details summary').first().click();
      check(`${total}: anomalies, mouse: its runbook opens`, await page.locator('.al.big details').first().evaluate((d) => d.open));
    },
  },
  carbon: {
    async keys() {
      await go('/carbon');
      await tabTo('.chart details summary');
      await press('Enter');
      await until('carbon, keys: the forecast as a table', () => page.locator('.chart details').first().evaluate((d) => d.open));
    },
    async mouse() {
      await go('/carbon');
      await page.locator('.chart details summary').first().click();
      await until('carbon, mouse: the forecast as a table', () => page.locator('.chart details').first().evaluate((d) => d.open));
    },
  },
  nodes: {
    async keys() {
      await go('/nodes');
      const names = (await api('/nodes?limit=1000')).items.map((n) => n.node);
      const name = (tasks.nodes.name = names[Math.floor(names.length / 2)]);
      await page.waitForSelector('.rows .row-link');
      await press('/');
      await page.keyboard.type(name);
      await until('nodes, keys: the filter narrows the list', () => page.locator('.rows tbody tr[data-key]').count(), 1);
      await tabTo('.rows .row-link');
      await press('Enter');
      await until('nodes, keys: Enter opens it', () => param('id'), name);
      await tabTo('.page-head .action button');
      await press('Enter');
      await page.waitForSelector('dialog[open] input');
      await page.keyboard.type('fan replacement');
      await press('Enter');
      await until('nodes, keys: it is drained', () => stateOf(`/nodes/${name}`), 'drained');
    },
    async mouse() {
      await go(`/nodes?id=${tasks.nodes.name}`);
      await page.getByRole('button', { name: 'Return to service' }).click();
      await page.locator('dialog[open] button[type=submit]').click();
      await until('nodes, mouse: it is back', () => stateOf(`/nodes/${tasks.nodes.name}`), 'up');
    },
  },
  submit: {
    async keys() {
      await go('/submit');
      await tabTo('input[name=command]');
      await page.keyboard.type('sleep 1');
      await tabTo('input[name=name]');
      await page.keyboard.type('by-keys');
      await until('submit, keys: the scheduler answers while typing', async () => !/Fill in|needs the token/i.test(await page.locator('.plan').innerText()) && (await page.locator('.plan .sk').count()) === 0);
      await press('Enter');
      await until('submit, keys: Enter submits and opens the job', () => at('/jobs', true));
    },
    async mouse() {
      await go('/submit');
      await page.locator('input[name=command]').click();
      await page.keyboard.type('sleep 1');
      await page.locator('form.submit button[type=submit]').click();
      await until('submit, mouse: a click submits and opens the job', () => at('/jobs', true));
    },
  },
  settings: {
    async keys() {
      await go('/settings');
      await tabTo('[role=radio][aria-checked=true]');
      await press('ArrowRight', 'ArrowRight');
      await until('settings, keys: arrows choose the theme', () => page.getAttribute('html', 'data-theme'), 'light');
    },
    async mouse() {
      await page.getByRole('radio', { name: 'Dark', exact: true }).click();
      await until('settings, mouse: a click chooses the theme', () => page.getAttribute('html', 'data-theme'), 'dark');
    },
  },
  palette: {
    async keys() {
      await go('/');
      const target = (await api('/gpus?limit=1000')).items.at(-1);
      await page.waitForSelector('.kpi .v');
      await press('Control+k');
      await page.waitForSelector('#find-hits li');
      await page.keyboard.type(`${target.node} gpu ${target.gpu_index}`);
      await page.waitForTimeout(300);
      await press('Enter');
      await until('palette, keys: a GPU is found by its name', () => param('id'), target.gpu_uuid);
    },
    async mouse() {
      await go('/carbon');
      await page.locator('.find').click();
      await page.locator('#find-hits li:has-text("Jobs")').first().click();
      await until('palette, mouse: a page opens', () => at('/jobs'));
    },
  },
};
const inbox = async () => (await api('/alerts?limit=1000')).items.filter((a) => !a.cleared_at && !a.acknowledged && !(Date.parse(a.snoozed_until ?? '') > Date.now()));
const newJob = async (name) => (await fetch(`${url}/api/v1/jobs`, { method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ argv: ['sleep', '600'], time_limit_s: 1200, name, gpus: Math.min(1024, total * 4), priority: 1 }) })).json();

const asked = process.argv.slice(2);
try {
  for (const [name, { keys, mouse }] of Object.entries(tasks)) {
    if (asked.length && !asked.includes(name)) continue;
    for (const [hand, run] of [['keys', keys], ['mouse', mouse]]) await run().catch((e) => check(`${total}: ${name}, ${hand}: runs to its end`, false, e.message.split('\n')[0]));
  }
  // A fleet without a store has no history and says 501; the browser notes that by itself.
  const own = errors.filter((e) => !/status of 501/.test(e));
  check(`${total}: no task writes an error to the console`, own.length === 0, own);
  if (!asked.length) for (const theme of ['dark', 'light']) await axeEverywhere(theme);
} finally {
  await context.close();
  await browser.close();
}
console.log(failed() === 0 ? 'all checks passed' : `${failed()} checks failed`);
process.exit(failed() === 0 ? 0 : 1);

async function axeEverywhere(theme) {
  const { context: other, page: seen } = await open(browser, theme);
  for (const path of ['/', '/gpus', '/gpus?view=table', '/jobs?tab=waiting', '/timeline', '/anomalies', '/carbon', '/nodes', '/submit', '/settings']) {
    await seen.goto(`${url}${path}#token=${token}`);
    await seen.waitForSelector('.live.live', { timeout: 15_000 });
    await seen.waitForTimeout(700);
    await axe(seen, `${path} of ${total} GPUs, ${theme}`);
  }
  await other.close();
}
