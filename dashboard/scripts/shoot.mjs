// Pictures of pages: node scripts/shoot.mjs URL TOKEN FOLDER [name=path …]   THEMES=dark,light SIZE=1440x900 WAIT=ms
// Without names: every page. {job} in a path is the newest running job, {waiting} the first waiting one, {gpu} and {node} the first ones.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const chromiumFlags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const pages = {
  overview: '/', gpus: '/gpus', 'gpus-table': '/gpus?view=table&group=job', gpu: '/gpus?id={gpu}', compare: '/gpus?pin={gpus}', jobs: '/jobs?tab=running', job: '/jobs?id={job}&tab=logs', placement: '/jobs?id={job}&tab=placement',
  attempts: '/jobs?id={job}&tab=attempts', why: '/jobs?id={waiting}&tab=why', submit: '/submit', timeline: '/timeline', anomalies: '/anomalies', carbon: '/carbon', nodes: '/nodes', node: '/nodes?id={node}', settings: '/settings',
};

const [url, token, folder, ...asked] = process.argv.slice(2);
const chosen = asked.length ? Object.fromEntries(asked.map((a) => (a.includes('=/') ? [a.slice(0, a.indexOf('=')), a.slice(a.indexOf('=') + 1)] : [a, pages[a]]))) : pages;
const [width, height] = (process.env.SIZE ?? '1440x900').split('x').map(Number);
const get = async (path) => (await (await fetch(`${url}/api/v1${path}`)).json()).items ?? [];
const gpus = await get('/gpus?limit=1000');
const busy = gpus.filter((g) => g.jobs.length);
const names = {
  gpu: (busy[0] ?? gpus[0])?.gpu_uuid, gpus: busy.slice(0, 6).map((g) => g.gpu_uuid).join(','), node: gpus[0]?.node,
  job: (await get('/jobs?state=running&limit=1'))[0]?.number, waiting: (await get('/jobs?state=waiting&limit=10')).at(-1)?.number,
};
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.AETHER_CHROMIUM ?? '/usr/bin/chromium', headless: true, args: chromiumFlags });
for (const theme of (process.env.THEMES ?? 'dark,light').split(',')) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce' });
  for (const [name, path] of Object.entries(chosen)) {
    const page = await context.newPage();
    page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') console.log(`${path} console: ${m.text()}`); });
    page.on('pageerror', (e) => console.log(`${path} error: ${e.message}`));
    await page.goto(`${url}${path.replace(/\{(\w+)\}/g, (_, key) => encodeURIComponent(names[key] ?? ''))}#token=${token}`);
    // Everything has come once no place holder is left; then some ticks more.
    await page.waitForFunction(() => document.querySelector('.live.live') && !document.querySelector('.sk'), null, { timeout: 60_000 }).catch(() => console.log(`${path} still loads after a minute`));
    await page.waitForTimeout(Number(process.env.WAIT ?? 3500));
    if (name === 'submit') {
      await page.fill('input[name="command"]', 'python train.py --epochs 3').catch(() => {});
      await page.fill('input[name="gpus"]', '4').catch(() => {});
      await page.waitForTimeout(1500);
    }
    if (process.env.HOVER) await page.hover(process.env.HOVER);
    if (process.env.HOVER) await page.waitForTimeout(300);
    await page.screenshot({ path: join(folder, `${name}-${theme}.png`), fullPage: process.env.FULL === '1' });
    await page.close();
  }
  await context.close();
}
await browser.close();
