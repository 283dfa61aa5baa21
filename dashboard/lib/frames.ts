/** Binary frames of the stream ("columns-v1"): little-endian, columns aligned to 4 bytes, all ones = no reading. The decoder only views the buffer; it never throws. */
export type ColumnArray = Uint8Array | Uint16Array | Uint32Array | Float32Array;
export interface Frame {
  kind: 'full' | 'delta';
  epoch: number;
  inventory: number;
  prev: number;
  seq: number;
  /** Server time, ms since 1970. */
  timeMs: number;
  rows: number;
  /** Of a delta: the slot of each row, strictly ascending. */
  slots: Uint16Array | Uint32Array | null;
  columns: ReadonlyMap<number, ColumnArray>;
}

export const columnIds = { utilization_gpu: 1, memory_used: 2, power_draw_w: 3, temperature_c: 4, clock_sm: 5, state: 6 } as const;

const magic = 0x31434541; // "AEC1"
const headerBytes = 48;
const entryBytes = 8;
const mostColumns = 64;
const slotColumn = 0;
const topicGpus = 1;

/** Null for anything that is not a whole, well-formed frame of the topic "gpus". */
export function decodeFrame(buffer: ArrayBuffer): Frame | null {
  if (buffer.byteLength < headerBytes) return null;
  const view = new DataView(buffer);
  const kind = view.getUint8(4);
  if (view.getUint32(0, true) !== magic || (kind !== 1 && kind !== 2) || view.getUint8(5) !== topicGpus) return null;
  const count = view.getUint16(6, true);
  const rows = view.getUint32(40, true);
  if (count > mostColumns || headerBytes + count * entryBytes > buffer.byteLength) return null;
  const prev = Number(view.getBigUint64(16, true));
  const seq = Number(view.getBigUint64(24, true));
  const timeMs = view.getFloat64(32, true);
  if (!Number.isSafeInteger(prev) || !Number.isSafeInteger(seq) || !Number.isFinite(timeMs)) return null;
  const columns = new Map<number, ColumnArray>();
  for (let i = 0; i < count; i++) {
    const at = headerBytes + i * entryBytes;
    const array = columnAt(buffer, view.getUint8(at + 1), view.getUint32(at + 4, true), rows);
    if (!array || columns.has(view.getUint8(at))) return null;
    columns.set(view.getUint8(at), array);
  }
  const slots = columns.get(slotColumn) ?? null;
  if ((kind === 2) !== (slots !== null)) return null;
  if (slots !== null && !((slots instanceof Uint16Array || slots instanceof Uint32Array) && ascending(slots))) return null;
  return {
    kind: kind === 1 ? 'full' : 'delta', epoch: view.getUint32(8, true), inventory: view.getUint32(12, true), prev, seq, timeMs, rows,
    slots: slots as Uint16Array | Uint32Array | null, columns,
  };
}

function columnAt(buffer: ArrayBuffer, type: number, offset: number, rows: number): ColumnArray | null {
  const width = { 1: 1, 2: 2, 3: 4, 4: 4 }[type];
  if (!width || offset % 4 !== 0 || offset + rows * width > buffer.byteLength) return null;
  switch (type) {
    case 1: return new Uint8Array(buffer, offset, rows);
    case 2: return new Uint16Array(buffer, offset, rows);
    case 3: return new Uint32Array(buffer, offset, rows);
    default: return new Float32Array(buffer, offset, rows);
  }
}

function ascending(slots: Uint16Array | Uint32Array): boolean {
  for (let i = 1; i < slots.length; i++) if (slots[i]! <= slots[i - 1]!) return false;
  return true;
}
