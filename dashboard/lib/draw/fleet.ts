import { none16, none8, memoryParts, stateCode, type Columns } from '@/lib/columns';
import { jobColor, rampCell, type Theme } from '@/lib/ramp';
import { temperatureLowC, type MapMetric } from '@/lib/gpu';

/** Large fleets on canvas: blocks of nodes, one strip of eight cells per row. Only cells whose look changed are drawn again. */
export const stripCells = 8;
export const stripsPerRow = 5;
const stripGap = 3;
const targetCellsPerBlock = 640;

/** What the painter needs of a GPU that readings do not carry. */
export interface SlotFacts { uuid: string; slot: number; node: string; powerLimitW: number | null; slowdownC: number | null; job: number | null; state: string }

export interface Block { nodes: string[]; strips: (SlotFacts | null)[][] }

/** Nodes in order, cut into blocks of about 640 GPUs. A node of more than eight GPUs takes several strips. */
export function blocksOf(nodes: ReadonlyMap<string, readonly SlotFacts[]>): Block[] {
  const blocks: Block[] = [];
  let block: Block | null = null;
  let held = 0;
  for (const [node, slots] of nodes) {
    if (!block || (held > 0 && held + slots.length > targetCellsPerBlock)) {
      block = { nodes: [], strips: [] };
      blocks.push(block);
      held = 0;
    }
    block.nodes.push(node);
    held += slots.length;
    for (let i = 0; i < slots.length; i += stripCells) block.strips.push(slots.slice(i, i + stripCells));
  }
  return blocks;
}

export interface Grid { width: number; height: number; cellWidth: number; cellHeight: number }

export function gridOf(block: Block, width: number, cellHeight: number): Grid {
  return { width, cellHeight, cellWidth: (width - (stripsPerRow - 1) * stripGap) / (stripsPerRow * stripCells), height: Math.ceil(block.strips.length / stripsPerRow) * cellHeight };
}

export function cellBox(grid: Grid, strip: number, cell: number): { x: number; y: number } {
  return { x: (strip % stripsPerRow) * (stripCells * grid.cellWidth + stripGap) + cell * grid.cellWidth, y: Math.floor(strip / stripsPerRow) * grid.cellHeight };
}

/** The cell under a point, or null between strips. */
export function cellAt(block: Block, grid: Grid, x: number, y: number): { strip: number; cell: number } | null {
  const pitch = stripCells * grid.cellWidth + stripGap;
  const column = Math.floor(x / pitch);
  const cell = Math.floor((x - column * pitch) / grid.cellWidth);
  const strip = Math.floor(y / grid.cellHeight) * stripsPerRow + column;
  return x >= 0 && y >= 0 && column < stripsPerRow && cell < stripCells && block.strips[strip]?.[cell] ? { strip, cell } : null;
}

const working = stateCode('busy');
const lookFree = 1000;
const lookEmpty = 1001;
const lookOut = 1002;
const lookMark = 2000;
const lookJob = 3000;
const rampLooks = 101;
/** Below this per cent a cell has an outline, because the lowest stop of the ramp hardly differs from the surface. */
const faint = 8;

/** A number per look: 0 to 100 are the ramp, then jobs, then states. Equal numbers look the same. Whole numbers only: nothing is allocated per GPU. */
export function lookOf(facts: SlotFacts, columns: Columns | null, metric: MapMetric): number {
  const code = columns && columns.seq > 0 ? columns.state[facts.slot]! : none8;
  const state = code === none8 ? stateCode(facts.state) : code;
  if (state === 4 || state === 5 || state === 7 || state === 8) return lookMark + state;
  if (state === 1) return lookFree;
  if (state === 6) return lookOut;
  if (state !== working && state !== 3) return lookEmpty;
  if (metric === 'job') return facts.job === null ? lookEmpty : lookJob + facts.job;
  return columns ? percentOf(facts, columns, metric) : lookEmpty;
}

const whole = (value: number, span: number): number => {
  const pct = ((value * 100) / span + 0.5) | 0;
  return pct < 0 ? 0 : pct > 100 ? 100 : pct;
};

function percentOf(facts: SlotFacts, columns: Columns, metric: MapMetric): number {
  const { slot } = facts;
  switch (metric) {
    case 'busy': return columns.utilization[slot] === none8 ? lookEmpty : Math.min(100, columns.utilization[slot]!);
    case 'memory': return columns.memory[slot] === none8 ? lookEmpty : whole(columns.memory[slot]!, memoryParts);
    case 'temp': return columns.temperature[slot] === none8 ? lookEmpty : whole(columns.temperature[slot]! - temperatureLowC, (facts.slowdownC ?? 90) - temperatureLowC);
    case 'power': return columns.power[slot] === none16 || !facts.powerLimitW ? lookEmpty : whole(columns.power[slot]!, facts.powerLimitW);
    case 'job': return lookEmpty;
  }
}

export interface Inks { theme: Theme; surface: string; line: string; text3: string; crit: string; warn: string; info: string; hatch: string }

export function readInks(theme: Theme): Inks {
  const css = getComputedStyle(document.documentElement);
  const token = (name: string): string => css.getPropertyValue(name).trim();
  return { theme, surface: token('--surface'), line: token('--line-2'), text3: token('--text-3'), crit: token('--crit'), warn: token('--warn'), info: token('--info'), hatch: token('--hatch') };
}

/** One block on its canvas. Cells of one colour are drawn together; nothing is allocated per cell and call. */
export class BlockPainter {
  private readonly grid: Grid;
  private readonly cells: readonly (SlotFacts | null)[];
  private readonly looks: Int32Array;
  /** Changed cells by their per cent: the first of each, and the next one of each cell. */
  private readonly first = new Int32Array(rampLooks);
  private readonly next: Int32Array;
  private readonly g: CanvasRenderingContext2D | null;

  constructor(private readonly canvas: HTMLCanvasElement, block: Block, private readonly inks: Inks, cellHeight: number) {
    this.cells = block.strips.flatMap((strip) => Array.from({ length: stripCells }, (_, i) => strip[i] ?? null));
    this.looks = new Int32Array(this.cells.length).fill(-1);
    this.next = new Int32Array(this.cells.length);
    this.grid = gridOf(block, canvas.clientWidth, cellHeight);
    const scale = window.devicePixelRatio || 1;
    canvas.style.setProperty('height', `${this.grid.height}px`);
    canvas.width = Math.round(this.grid.width * scale);
    canvas.height = Math.round(this.grid.height * scale);
    this.g = canvas.getContext('2d', { alpha: false });
    this.g?.scale(scale, scale);
    if (this.g) {
      this.g.fillStyle = inks.surface;
      this.g.fillRect(0, 0, this.grid.width, this.grid.height);
    }
  }

  gridNow(): Grid {
    return this.grid;
  }
  canvasNow(): HTMLCanvasElement {
    return this.canvas;
  }

  /** Draws the cells whose look changed since the last call; returns how many. */
  paint(columns: Columns | null, metric: MapMetric): number {
    const { g, cells, looks, first, next } = this;
    if (!g) return 0;
    let drawn = 0;
    first.fill(-1);
    for (let i = 0; i < cells.length; i++) {
      const facts = cells[i];
      if (!facts) continue;
      const look = lookOf(facts, columns, metric);
      const before = looks[i]!;
      if (before === look) continue;
      looks[i] = look;
      drawn += 1;
      // A filled cell over a filled one needs no clearing.
      if (look >= rampLooks || look < faint || before >= rampLooks || before < faint) this.other(g, i, look);
      if (look >= rampLooks) continue;
      next[i] = first[look]!;
      first[look] = i;
    }
    const w = this.grid.cellWidth - 0.7;
    const h = this.grid.cellHeight - 1;
    for (let look = 0; look < rampLooks; look++) {
      if (first[look] === -1) continue;
      g.fillStyle = rampCell(this.inks.theme, look).background;
      for (let i = first[look]!; i !== -1; i = next[i]!) g.fillRect(this.xOf(i), this.yOf(i), w, h);
      if (look < faint) for (let i = first[look]!; i !== -1; i = next[i]!) this.outline(g, this.xOf(i), this.yOf(i), w, h, this.inks.line);
    }
    return drawn;
  }

  private xOf(i: number): number {
    const strip = (i / stripCells) | 0;
    return (strip % stripsPerRow) * (stripCells * this.grid.cellWidth + stripGap) + (i % stripCells) * this.grid.cellWidth;
  }
  private yOf(i: number): number {
    return (((i / stripCells) | 0) / stripsPerRow | 0) * this.grid.cellHeight;
  }

  /** Clears the cell, and draws what is no plain fill. */
  private other(g: CanvasRenderingContext2D, i: number, look: number): void {
    const x = this.xOf(i);
    const y = this.yOf(i);
    const w = this.grid.cellWidth - 0.7;
    const h = this.grid.cellHeight - 1;
    g.fillStyle = this.inks.surface;
    g.fillRect(x - 0.35, y - 0.5, this.grid.cellWidth, this.grid.cellHeight);
    if (look < rampLooks) return;
    if (look >= lookJob) {
      g.fillStyle = jobColor(look - lookJob);
      g.fillRect(x, y, w, h);
    } else if (look >= lookMark) {
      this.mark(g, look - lookMark, x, y, w, h);
    } else if (look === lookOut) {
      g.fillStyle = this.inks.hatch;
      for (let at = 0; at < w; at += 3) g.fillRect(x + at, y, 1.2, h);
    } else {
      this.outline(g, x, y, w, h, look === lookFree ? this.inks.line : this.inks.text3);
    }
  }

  private outline(g: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, color: string): void {
    g.strokeStyle = color;
    g.lineWidth = 0.8;
    g.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
  }

  /** States differ in shape as well as in colour: cross, triangle, diamond, ring. */
  private mark(g: CanvasRenderingContext2D, state: number, x: number, y: number, w: number, h: number): void {
    const { crit, warn, info } = this.inks;
    g.fillStyle = g.strokeStyle = state === 4 ? warn : state === 5 ? info : crit;
    g.lineWidth = 1.4;
    g.beginPath();
    if (state === 7) {
      g.rect(x + 0.7, y + 0.7, w - 1.4, h - 1.4);
      g.moveTo(x + 2, y + 2);
      g.lineTo(x + w - 2, y + h - 2);
      g.moveTo(x + w - 2, y + 2);
      g.lineTo(x + 2, y + h - 2);
      g.stroke();
    } else if (state === 8) {
      g.rect(x + 0.7, y + 0.7, w - 1.4, h - 1.4);
      g.stroke();
      g.fillRect(x + w / 2 - 1.5, y + h / 2 - 1.5, 3, 3);
    } else if (state === 4) {
      g.moveTo(x + w / 2, y);
      g.lineTo(x + w, y + h);
      g.lineTo(x, y + h);
      g.fill();
    } else {
      g.moveTo(x + w / 2, y);
      g.lineTo(x + w, y + h / 2);
      g.lineTo(x + w / 2, y + h);
      g.lineTo(x, y + h / 2);
      g.fill();
    }
  }
}
