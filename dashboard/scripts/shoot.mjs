// Takes pictures of pages in both themes: node scripts/shoot.mjs URL TOKEN FOLDER path[=name] …
import { chromium } from 'playwright-core';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

export const chromiumFlags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const [url, token, folder, ...paths] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: chromiumFlags });
const [width, height] = (process.env.SIZE ?? '1440x900').split('x').map(Number);
for (const theme of (process.env.THEMES ?? 'dark,light').split(',')) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme });
  for (const spec of paths) {
    const [path, name] = spec.split('::');
    const page = await context.newPage();
    page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') console.log(`${path} console: ${m.text()}`); });
    page.on('pageerror', (e) => console.log(`${path} error: ${e.message}`));
    await page.goto(`${url}${path}#token=${token}`);
    await page.waitForTimeout(Number(process.env.WAIT ?? 3500));
    await page.screenshot({ path: join(folder, `${name ?? 'overview'}-${theme}.png`), fullPage: process.env.FULL === '1' });
    await page.close();
  }
  await context.close();
}
await browser.close();
