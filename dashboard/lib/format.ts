/** Numbers and times as people read them. A missing value is an en dash, never 0. */
export const missing = '–';

type Maybe = number | null | undefined;
const known = (v: Maybe): v is number => v != null && Number.isFinite(v);

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export const integer = (v: Maybe): string => (known(v) ? grouped.format(Math.round(v)) : missing);
export const decimal = (v: Maybe, digits: number): string => (known(v) ? v.toFixed(digits) : missing);
export const percent = (v: Maybe): string => (known(v) ? `${Math.round(v)} %` : missing);
export const celsius = (v: Maybe): string => (known(v) ? `${Math.round(v)} °C` : missing);

/** `_mb` means MiB. */
export function memory(mb: Maybe): string {
  if (!known(mb)) return missing;
  if (mb >= 1024 * 1024) return `${trim(mb / 1024 / 1024, 1)} TiB`;
  if (mb >= 1024) return `${trim(mb / 1024, mb >= 10240 ? 0 : 1)} GiB`;
  return `${Math.round(mb)} MiB`;
}

export function power(w: Maybe): string {
  if (!known(w)) return missing;
  return w >= 1000 ? `${(w / 1000).toFixed(1)} kW` : `${Math.round(w)} W`;
}

export function energy(j: Maybe): string {
  if (!known(j)) return missing;
  const wh = j / 3600;
  return wh >= 1000 ? `${trim(wh / 1000, 2)} kWh` : wh >= 10 ? `${Math.round(wh)} Wh` : `${trim(wh, 2)} Wh`;
}

export function carbonMass(g: Maybe): string {
  if (!known(g)) return missing;
  return g >= 1000 ? `${trim(g / 1000, 2)} kg CO₂e` : `${trim(g, g < 10 ? 1 : 0)} g CO₂e`;
}

export function bytes(n: Maybe): string {
  if (!known(n)) return missing;
  if (n >= 1 << 20) return `${trim(n / (1 << 20), 1)} MiB`;
  return n >= 1024 ? `${trim(n / 1024, 1)} KiB` : `${n} B`;
}

function trim(v: number, digits: number): string {
  return v.toFixed(digits).replace(/\.0+$/, '').replace(/(\.\d*?)0+$/, '$1');
}

/** A length of time in its largest two units: "38 s", "17 min", "2 h 05 min", "3 d 4 h". */
export function duration(seconds: Maybe): string {
  if (!known(seconds)) return missing;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 24) return m % 60 ? `${h} h ${String(m % 60).padStart(2, '0')} min` : `${h} h`;
  return h % 24 ? `${Math.floor(h / 24)} d ${h % 24} h` : `${Math.floor(h / 24)} d`;
}

/** Minutes and seconds for a short counting span: 0:12, 3:05. */
export function counter(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}

export function parseTime(text: string | null | undefined): number | null {
  if (!text) return null;
  const ms = Date.parse(text);
  // 1970 is how a clock says that it does not know.
  return Number.isNaN(ms) || ms < 86_400_000 ? null : ms;
}

const two = (n: number): string => String(n).padStart(2, '0');
export function clock(ms: Maybe): string {
  if (!known(ms)) return missing;
  const d = new Date(ms);
  return `${two(d.getHours())}:${two(d.getMinutes())}`;
}
export function clockSeconds(ms: Maybe): string {
  return known(ms) ? `${clock(ms)}:${two(new Date(ms).getSeconds())}` : missing;
}
/** Time of day today, with the date on other days. */
export function instant(ms: Maybe, now: number): string {
  if (!known(ms)) return missing;
  const d = new Date(ms);
  const sameDay = d.toDateString() === new Date(now).toDateString();
  if (sameDay) return clock(ms);
  // Within the week the weekday says it shorter and as surely.
  if (Math.abs(ms - now) < 6 * 86_400_000) return `${['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][d.getDay()]} ${clock(ms)}`;
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(ms)}`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${integer(n)} ${n === 1 ? one : many}`;
}

/** "NVIDIA H200" and "Tesla V100-SXM2-16GB" as people call them: "H200", "V100". */
export function shortGpuName(name: string | null | undefined): string {
  if (!name) return 'GPU';
  return name.replace(/^(NVIDIA|Tesla)\s+/i, '').replace(/^(GeForce)\s+/i, '').split(/[\s-](?:SXM|PCIe|HBM|\d+GB)/i)[0]!;
}

const unitWords: Record<string, string> = { mb: 'MiB', c: '°C', w: 'W', pct: '%', mhz: 'MHz', s: 's', j: 'J' };
/** "memory_used_mb" as "memory used, MiB": the unit of a name is its last word. */
export function featureWords(name: string): string {
  const parts = name.split('_');
  const unit = parts.length > 1 ? unitWords[parts[parts.length - 1]!] : undefined;
  const words = (unit ? parts.slice(0, -1) : parts).join(' ').replace(/\bgpu\b/g, 'GPU');
  return unit ? `${words}, ${unit}` : words;
}
