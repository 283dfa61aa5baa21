// How the pages hold up for different eyes, hands and screens: forced colours, more contrast, no motion, wide text, widths from a phone to 2560 px,
// simulated colour vision. AETHER_URL, AETHER_TOKEN name a running server.
import { axe, check, failed, launch, open } from './browser.mjs';

const url = process.env.AETHER_URL.replace(/\/$/, '');
const token = process.env.AETHER_TOKEN;
const paths = ['/', '/gpus', '/gpus?view=table', '/jobs?tab=waiting', '/timeline', '/anomalies', '/carbon', '/nodes', '/submit', '/settings'];
const browser = await launch();
const go = async (page, path) => {
  await page.goto('about:blank');
  await page.goto(`${url}${path}#token=${token}`);
  await page.waitForSelector('.live.live', { timeout: 15_000 });
  await page.waitForTimeout(600);
};

try {
  await eyes('forced colours', { forcedColors: 'active' }, async (page, path) => {
    const lost = await page.evaluate(() => {
      // What is chosen must not be told by a background alone, which forced colours take away.
      const chosen = [...document.querySelectorAll('.nav a[aria-current], [role=radio][aria-checked=true], [role=tab][aria-selected=true], .chip-btn[aria-pressed=true]')].filter((e) => e.checkVisibility());
      return chosen.filter((e) => { const s = getComputedStyle(e); return s.outlineStyle === 'none' && s.borderTopStyle === 'none'; }).map((e) => e.textContent);
    });
    check(`forced colours: what is chosen is marked by a line on ${path}`, lost.length === 0, lost);
  });
  await eyes('more contrast', { contrast: 'more' }, async (page, path) => {
    if (path !== '/') return;
    const [third, text] = await page.evaluate(() => { const s = getComputedStyle(document.documentElement); return [s.getPropertyValue('--text-3').trim(), s.getPropertyValue('--text').trim()]; });
    check('more contrast: the faint text is as strong as the rest', third === text || third === 'var(--text)', [third, text]);
  });
  await eyes('no motion', { reducedMotion: 'reduce' }, async (page, path) => {
    const moving = await page.evaluate(() => document.getAnimations().filter((a) => a.playState === 'running' && (a.effect?.getComputedTiming().duration ?? 0) > 1).map((a) => a.animationName ?? a.transitionProperty ?? '?'));
    check(`no motion: nothing is animated on ${path}`, moving.length === 0, moving);
  });
  await widths();
  await colourVision();
} catch (error) {
  check('the run reaches its end', false, error.stack);
} finally {
  await browser.close();
}
console.log(failed() === 0 ? 'all checks passed' : `${failed()} checks failed`);
process.exit(failed() === 0 ? 0 : 1);

async function eyes(name, options, look) {
  const { context, page } = await open(browser, 'dark', options);
  for (const path of paths) {
    await go(page, path);
    await look(page, path);
    if (path === '/' || path === '/jobs?tab=waiting') await axe(page, `${path}, ${name}`);
  }
  await context.close();
}

/** No sideways scrolling from 320 px (WCAG 1.4.10) to 2560 px, and none when text is set wide (1.4.12). */
async function widths() {
  for (const [width, height] of [[320, 720], [390, 844], [768, 1024], [1280, 800], [1920, 1080], [2560, 1440]]) {
    const { context, page } = await open(browser, 'light', { viewport: { width, height } });
    for (const path of paths) {
      await go(page, path);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(`${path} fits ${width} px`, wide <= 0, `${wide} px too wide`);
      if (width !== 1280) continue;
      const cut = await page.evaluate(() => {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; } p { margin-bottom: 2em !important; }');
        document.adoptedStyleSheets = [sheet];
        const wide = document.documentElement.scrollWidth - innerWidth;
        document.adoptedStyleSheets = [];
        return wide;
      });
      check(`${path} holds text that is set wide`, cut <= 0, `${cut} px too wide`);
    }
    await context.close();
  }
}

/** Under each simulation the marks of states keep their own shape and word; colour is never the only sign. */
async function colourVision() {
  const { context, page } = await open(browser, 'dark');
  const session = await context.newCDPSession(page);
  for (const type of ['deuteranopia', 'protanopia', 'tritanopia', 'achromatopsia']) {
    await session.send('Emulation.setEmulatedVisionDeficiency', { type });
    await go(page, '/gpus?view=table');
    await page.waitForSelector('.chip-btn');
    const signs = await page.evaluate(() => [...document.querySelectorAll('.chip-btn')].map((b) => `${b.innerText.replace(/[\d\s,.]+$/, '').trim()} ${b.querySelector('svg')?.innerHTML ?? b.querySelector('.dot')?.className ?? ''}`));
    check(`${type}: every state has its own word and shape`, signs.length > 0 && new Set(signs).size === signs.length && signs.every((s) => /^[a-z]/.test(s)), signs);
    // The ramp stays a ramp: each step is brighter than the one before in what this eye sees.
    const steps = await rampSeen(page, session);
    check(`${type}: the load ramp still rises`, steps.length > 4 && steps.every((v, i) => i === 0 || v > steps[i - 1]), steps);
  }
  await session.send('Emulation.setEmulatedVisionDeficiency', { type: 'none' });
  await context.close();
}

/** Brightness of the legend's ramp from left to right, read from a picture. */
async function rampSeen(page) {
  await go(page, '/gpus');
  await page.waitForSelector('.legend .ramp');
  const box = await page.locator('.legend .ramp').first().boundingBox();
  const png = await page.screenshot({ clip: { x: Math.round(box.x), y: Math.round(box.y), width: Math.round(box.width), height: Math.round(box.height) } });
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const canvas = new OffscreenCanvas(image.width, image.height);
    const g = canvas.getContext('2d');
    g.drawImage(image, 0, 0);
    return [0.06, 0.2, 0.35, 0.5, 0.65, 0.8, 0.94].map((at) => { const [r, gr, b] = g.getImageData(Math.floor(at * image.width), Math.floor(image.height / 2), 1, 1).data; return 0.2126 * r + 0.7152 * gr + 0.0722 * b; });
  }, png.toString('base64'));
}
