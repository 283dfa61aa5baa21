import type { Gpu, GpuState } from '@/api/types';
import type { GpuMetric } from './store';

/** The metric switch of the fleet map, and what one cell shows. */
export type MapMetric = 'busy' | 'memory' | 'temp' | 'power' | 'job';
export const mapMetrics: readonly { id: MapMetric; label: string; ring: GpuMetric | null }[] = [
  { id: 'busy', label: 'Busy %', ring: 'utilization_gpu' },
  { id: 'memory', label: 'Memory %', ring: 'memory_used_mb' },
  { id: 'temp', label: 'Temp °C', ring: 'temperature_c' },
  { id: 'power', label: 'Power W', ring: 'power_draw_w' },
  { id: 'job', label: 'Job', ring: null },
];
export const isMapMetric = (v: unknown): v is MapMetric => mapMetrics.some((m) => m.id === v);

/** Lower end of the temperature ramp; the upper end is the GPU's slowdown limit. */
export const temperatureLowC = 30;
const temperatureHighDefaultC = 90;

/** Scale of one metric for one GPU, in the metric's own unit. */
export function scaleOf(metric: GpuMetric, gpu: Gpu): { low: number; high: number } {
  switch (metric) {
    case 'utilization_gpu': return { low: 0, high: 100 };
    case 'memory_used_mb': return { low: 0, high: gpu.memory_total_mb || 1 };
    case 'temperature_c': return { low: temperatureLowC, high: gpu.temperature_slowdown_c ?? temperatureHighDefaultC };
    case 'power_draw_w': return { low: 0, high: gpu.power_limit_w || 1 };
  }
}

export interface CellValue { text: string; pct: number | null; spoken: string }

export function cellValue(metric: MapMetric, gpu: Gpu): CellValue {
  const s = gpu.sample;
  const none: CellValue = { text: '–', pct: null, spoken: 'no reading' };
  const pctOf = (key: GpuMetric): number | null => {
    const v = s?.[key];
    if (v == null) return null;
    const { low, high } = scaleOf(key, gpu);
    return Math.min(100, Math.max(0, ((v - low) / (high - low)) * 100));
  };
  switch (metric) {
    case 'busy': {
      const v = s?.utilization_gpu;
      return v == null ? none : { text: String(Math.round(v)), pct: v, spoken: `${Math.round(v)} % busy` };
    }
    case 'memory': {
      const pct = gpu.memory_total_mb ? pctOf('memory_used_mb') : null;
      return pct === null ? none : { text: String(Math.round(pct)), pct, spoken: `${Math.round(pct)} % of memory used` };
    }
    case 'temp': {
      const v = s?.temperature_c;
      return v == null ? none : { text: String(Math.round(v)), pct: pctOf('temperature_c'), spoken: `${Math.round(v)} °C` };
    }
    case 'power': {
      const v = s?.power_draw_w;
      return v == null ? none : { text: String(Math.round(v)), pct: gpu.power_limit_w ? pctOf('power_draw_w') : null, spoken: `${Math.round(v)} W` };
    }
    case 'job': {
      const job = gpu.jobs[0];
      return job ? { text: String(job.number), pct: null, spoken: `job ${job.number}, ${job.name}` } : { text: '', pct: null, spoken: 'no job' };
    }
  }
}

export interface StateLook { word: string; glyph: GlyphName | null; tone: 'none' | 'crit' | 'warn' | 'info'; cell: 'fill' | 'free' | 'out' | 'lost' | 'nodata' | 'quarantined' }
export type GlyphName = 'crit' | 'warn' | 'info' | 'idle' | 'lock' | 'dots';

const looks: Record<GpuState, StateLook> = {
  free: { word: 'free', glyph: null, tone: 'none', cell: 'free' },
  busy: { word: 'working', glyph: null, tone: 'none', cell: 'fill' },
  idle: { word: 'idle', glyph: null, tone: 'warn', cell: 'fill' },
  throttling: { word: 'throttling', glyph: 'warn', tone: 'warn', cell: 'fill' },
  slow: { word: 'slow', glyph: 'info', tone: 'info', cell: 'fill' },
  out: { word: 'out', glyph: null, tone: 'none', cell: 'out' },
  lost: { word: 'lost', glyph: 'crit', tone: 'crit', cell: 'lost' },
  quarantined: { word: 'quarantined', glyph: 'lock', tone: 'crit', cell: 'quarantined' },
  no_data: { word: 'no data', glyph: null, tone: 'none', cell: 'nodata' },
};
export const stateLook = (state: string): StateLook => looks[state as GpuState] ?? { ...looks.no_data, word: state.replace(/_/g, ' ') };

/** Runs of neighbouring GPUs that one job holds: the bands under the cells. */
export interface Band { jobId: string; number: number; name: string; start: number; length: number; idle: boolean; idleS: number | null }
export function bandsOf(gpus: readonly Gpu[]): Band[] {
  const bands: Band[] = [];
  gpus.forEach((gpu, i) => {
    const job = gpu.jobs[0];
    if (!job) return;
    const last = bands[bands.length - 1];
    if (last && last.jobId === job.job_id && last.start + last.length === i) {
      last.length += 1;
      last.idle &&= gpu.state === 'idle';
    } else {
      bands.push({ jobId: job.job_id, number: job.number, name: job.name, start: i, length: 1, idle: gpu.state === 'idle', idleS: idleSeconds(gpu) });
    }
  });
  return bands;
}

function idleSeconds(gpu: Gpu): number | null {
  if (gpu.state !== 'idle' || !gpu.state_since || !gpu.sample) return null;
  const seconds = (Date.parse(gpu.sample.time) - Date.parse(gpu.state_since)) / 1000;
  return seconds >= 0 ? seconds : null;
}

/** Hottest GPU and sum of power of some GPUs; null where none has a reading. */
export function readingsOf(gpus: readonly Gpu[]): { temperatureC: number | null; powerW: number | null } {
  let temperatureC: number | null = null;
  let powerW: number | null = null;
  for (const { sample } of gpus) {
    if (sample?.temperature_c != null) temperatureC = Math.max(temperatureC ?? 0, sample.temperature_c);
    if (sample?.power_draw_w != null) powerW = (powerW ?? 0) + sample.power_draw_w;
  }
  return { temperatureC, powerW };
}

const inNaturalOrder = new Intl.Collator('en', { numeric: true }).compare;

export function byNode(gpus: Iterable<Gpu>): Map<string, Gpu[]> {
  const nodes = new Map<string, Gpu[]>();
  for (const gpu of gpus) {
    const list = nodes.get(gpu.node);
    if (list) list.push(gpu);
    else nodes.set(gpu.node, [gpu]);
  }
  for (const list of nodes.values()) list.sort((a, b) => a.gpu_index - b.gpu_index);
  return new Map([...nodes].sort(([a], [b]) => inNaturalOrder(a, b)));
}
