import type { GpuState } from '@/api/types';
import { columnIds, type Frame } from './frames';

/** Latest readings of all GPUs: one typed array per column, by slot. Frames are written in place; nothing is made per GPU. */
export const none8 = 0xff;
export const none16 = 0xffff;
/** The wire counts memory in 1/250 of the GPU's total, and clocks in 16 MHz. */
export const memoryParts = 250;
export const clockStepMhz = 16;

export const stateNames: readonly GpuState[] = ['no_data', 'free', 'busy', 'idle', 'throttling', 'slow', 'out', 'lost', 'quarantined'];
const stateCodes = new Map<string, number>(stateNames.map((name, code) => [name, code]));
/** Of a state this page does not know: 255. */
export const stateCode = (state: string): number => stateCodes.get(state) ?? none8;

export class Columns {
  readonly size: number;
  readonly utilization: Uint8Array;
  readonly memory: Uint8Array;
  readonly power: Uint16Array;
  readonly temperature: Uint8Array;
  readonly clock: Uint8Array;
  readonly state: Uint8Array;
  private readonly slots = new Map<string, number>();
  /** Number of the newest frame; 0 before the first. */
  seq = 0;
  timeMs = 0;

  constructor(readonly inventory: number, readonly order: readonly string[]) {
    this.size = order.length;
    order.forEach((uuid, slot) => this.slots.set(uuid, slot));
    this.utilization = new Uint8Array(this.size).fill(none8);
    this.memory = new Uint8Array(this.size).fill(none8);
    this.power = new Uint16Array(this.size).fill(none16);
    this.temperature = new Uint8Array(this.size).fill(none8);
    this.clock = new Uint8Array(this.size).fill(none8);
    this.state = new Uint8Array(this.size);
  }

  slotOf(uuid: string): number | null {
    return this.slots.get(uuid) ?? null;
  }

  /** Writes the frame, or changes nothing and returns false when it does not continue what is held. */
  apply(frame: Frame): boolean {
    if (frame.inventory !== this.inventory) return false;
    const { slots, rows } = frame;
    if (frame.kind === 'full' ? rows !== this.size : frame.prev !== this.seq || this.seq === 0) return false;
    if (slots && rows > 0 && slots[rows - 1]! >= this.size) return false;
    const targets = this.targets();
    // Every metric column in every frame; a new page against an old server may lack one, which then stays as it is.
    for (const [id, target] of targets) {
      const values = frame.columns.get(id);
      if (values && !(values instanceof target.constructor)) return false;
    }
    for (const [id, target] of targets) {
      const values = frame.columns.get(id);
      if (!values) continue;
      if (!slots) target.set(values as Uint8Array & Uint16Array);
      else for (let i = 0; i < rows; i++) target[slots[i]!] = values[i]!;
    }
    this.seq = frame.seq;
    this.timeMs = frame.timeMs;
    return true;
  }

  private targets(): [number, Uint8Array | Uint16Array][] {
    return [
      [columnIds.utilization_gpu, this.utilization], [columnIds.memory_used, this.memory], [columnIds.power_draw_w, this.power],
      [columnIds.temperature_c, this.temperature], [columnIds.clock_sm, this.clock], [columnIds.state, this.state],
    ];
  }
}

/** One reading in its own unit, NaN without one. Memory needs the GPU's total. */
export function readingAt(columns: Columns, metric: 'utilization_gpu' | 'memory_used_mb' | 'temperature_c' | 'power_draw_w' | 'clock_sm_mhz', slot: number, memoryTotalMb: number | null): number {
  switch (metric) {
    case 'utilization_gpu': return known8(columns.utilization[slot]!);
    case 'temperature_c': return known8(columns.temperature[slot]!);
    case 'clock_sm_mhz': return known8(columns.clock[slot]!) * clockStepMhz;
    case 'power_draw_w': return columns.power[slot] === none16 ? NaN : columns.power[slot]!;
    case 'memory_used_mb': return memoryTotalMb ? (known8(columns.memory[slot]!) * memoryTotalMb) / memoryParts : NaN;
  }
}

const known8 = (value: number): number => (value === none8 ? NaN : value);
