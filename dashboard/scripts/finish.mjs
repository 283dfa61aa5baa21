// Makes the export servable under a strict policy: checks the pages, lists hashes of their inline scripts (csp.json),
// compresses, and lists every file with type, ETag and cache class (assets.json). DASHBOARD.md §9 and §12 give the rules.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { gzipSync } from 'node:zlib';

const out = process.argv[2] ?? 'out';
const version = JSON.parse(readFileSync('package.json', 'utf8')).version;
const firstLoadLimitBytes = 170 * 1024;
const cssLimitBytes = 12 * 1024;
const fontLimitBytes = 90 * 1024;

const types = {
  '.html': 'text/html; charset=utf-8', '.txt': 'text/plain; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8',
  '.json': 'application/json', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.png': 'image/png', '.ico': 'image/x-icon', '.map': 'application/json',
};
const fail = (message) => { console.error(`finish: ${message}`); process.exit(1); };
const sha256 = (data, form = 'hex') => createHash('sha256').update(data).digest(form);

function walk(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? walk(join(folder, e.name)) : [join(folder, e.name)]));
}

function inlineHashes(name, html) {
  if (/<[^>]+\sstyle=/i.test(html.replace(/<script[\s\S]*?<\/script>/gi, ''))) fail(`${name} has an inline style attribute, which style-src 'self' forbids`);
  if (/<style[\s>]/i.test(html)) fail(`${name} has an inline style sheet`);
  const hashes = [];
  for (const [, attributes, body] of html.matchAll(/<script\b([^>]*)>([\s\S]*?)<\/script>/gi)) {
    if (/\ssrc=/.test(attributes)) continue;
    if (!/^(\(self\.__next_f=|self\.__next_f)/.test(body)) fail(`${name} has an inline script that Next did not write: ${body.slice(0, 60)}`);
    hashes.push(`sha256-${sha256(body, 'base64')}`);
  }
  if (hashes.length === 0) fail(`${name} has no inline script; the page list would lack it`);
  return [...new Set(hashes)];
}

const cacheClass = (name) => (/^_next\/static\/(chunks|css|media)\//.test(name) ? 'immutable' : 'revalidate');

// Next also writes a page under the name of its built-in error route; 404.html is the one that is served.
for (const path of walk(out)) if (path.endsWith('.gz') || /[/\\](csp|assets)\.json$/.test(path) || relative(out, path).startsWith('_not-found')) rmSync(path);
const names = walk(out).map((p) => relative(out, p).split(sep).join('/')).sort();

const pages = {};
for (const name of names.filter((n) => n.endsWith('.html'))) pages[name] = inlineHashes(name, readFileSync(join(out, name), 'utf8'));
if (!pages['index.html'] || !pages['404.html']) fail('index.html or 404.html is missing');

const files = names.map((name) => {
  const type = types[extname(name)] ?? fail(`no content type for ${name}`);
  const data = readFileSync(join(out, name));
  const packed = /woff2|png/.test(type) ? null : gzipSync(data, { level: 9 });
  const useful = packed !== null && packed.length < data.length;
  if (useful) {
    packed[9] = 255; // The operating system field, so that every machine writes the same bytes.
    writeFileSync(join(out, `${name}.gz`), packed);
  }
  const path = name === 'index.html' ? '/' : `/${name.replace(/\.html$/, '')}`;
  const etag = `"${sha256(data).slice(0, 32)}"`;
  return { name, path, type, cache: cacheClass(name), size: data.length, etag, ...(useful ? { gz: `${name}.gz`, gz_size: packed.length, gz_etag: etag.replace(/"$/, '-gz"') } : {}) };
});
writeFileSync(join(out, 'csp.json'), `${JSON.stringify({ version, pages }, null, 1)}\n`);
writeFileSync(join(out, 'assets.json'), `${JSON.stringify({ version, files }, null, 1)}\n`);

const gz = new Map(files.map((f) => [f.name, f.gz_size ?? f.size]));
for (const name of Object.keys(pages)) {
  const html = readFileSync(join(out, name), 'utf8');
  const scripts = new Set([...html.matchAll(/<script\b[^>]*\ssrc="\/([^"]+)"[^>]*>/g)].filter((m) => !/noModule/i.test(m[0])).map((m) => m[1]));
  const bytes = [...scripts].reduce((sum, s) => sum + (gz.get(decodeURIComponent(s)) ?? 0), 0);
  if (bytes > firstLoadLimitBytes) fail(`${name} loads ${bytes} bytes of script first, the limit is ${firstLoadLimitBytes}`);
  console.log(`finish: ${name} first-load script ${(bytes / 1024).toFixed(1)} KB gz, ${pages[name].length} hashes`);
}
const sum = (pattern) => files.filter((f) => pattern.test(f.name)).reduce((s, f) => s + (f.gz_size ?? f.size), 0);
if (sum(/\.css$/) > cssLimitBytes) fail(`style sheets weigh ${sum(/\.css$/)} bytes, the limit is ${cssLimitBytes}`);
if (sum(/\.woff2$/) > fontLimitBytes) fail(`fonts weigh ${sum(/\.woff2$/)} bytes, the limit is ${fontLimitBytes}`);
console.log(`finish: ${files.length} files, ${(files.reduce((s, f) => s + (f.gz_size ?? f.size), 0) / 1024).toFixed(0)} KB; css ${(sum(/\.css$/) / 1024).toFixed(1)} KB, fonts ${(sum(/\.woff2$/) / 1024).toFixed(1)} KB`);
