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

/** A number per look: 0 to 100 are the ramp, then jobs, then states. Equal numbers look the same. */
export function lookOf(facts: SlotFacts, columns: Columns | null, metric: MapMetric): number {
  const code = columns && columns.seq > 0 ? columns.state[facts.slot]! : stateCode(facts.state);
  const state = code === none8 ? stateCode(facts.state) : code;
  if (state === 4 || state === 5 || state === 7 || state === 8) return lookMark + state;
  if (state === 1) return lookFree;
  if (state === 6) return lookOut;
  if (state !== working && state !== 3) return lookEmpty;
  if (metric === 'job') return facts.job === null ? lookEmpty : 3000 + facts.job;
  const pct = columns ? percentOf(facts, columns, metric) : NaN;
  return pct === pct ? Math.round(Math.min(100, Math.max(0, pct))) : lookEmpty;
}

function percentOf(facts: SlotFacts, columns: Columns, metric: MapMetric): number {
  const { slot } = facts;
  switch (metric) {
    case 'busy': return columns.utilization[slot] === none8 ? NaN : columns.utilization[slot]!;
    case 'memory': return columns.memory[slot] === none8 ? NaN : (columns.memory[slot]! * 100) / memoryParts;
    case 'temp': return columns.temperature[slot] === none8 ? NaN : ((columns.temperature[slot]! - temperatureLowC) * 100) / ((facts.slowdownC ?? 90) - temperatureLowC);
    case 'power': return columns.power[slot] === none16 || !facts.powerLimitW ? NaN : (columns.power[slot]! * 100) / facts.powerLimitW;
    case 'job': return NaN;
  }
}

export interface Inks { theme: Theme; surface: string; line: string; text3: string; crit: string; warn: string; info: string; hatch: string }

export function readInks(theme: Theme): Inks {
  const css = getComputedStyle(document.documentElement);
  const token = (name: string): string => css.getPropertyValue(name).trim();
  return { theme, surface: token('--surface'), line: token('--line-2'), text3: token('--text-3'), crit: token('--crit'), warn: token('--warn'), info: token('--info'), hatch: token('--hatch') };
}

/** One block on its canvas. */
export class BlockPainter {
  private grid: Grid;
  private looks: Int32Array;
  private readonly g: CanvasRenderingContext2D | null;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly block: Block, private readonly inks: Inks, cellHeight: number) {
    this.looks = new Int32Array(block.strips.length * stripCells).fill(-1);
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
    const g = this.g;
    if (!g) return 0;
    let drawn = 0;
    for (let s = 0; s < this.block.strips.length; s++) {
      const strip = this.block.strips[s]!;
      for (let c = 0; c < strip.length; c++) {
        const facts = strip[c];
        if (!facts) continue;
        const look = lookOf(facts, columns, metric);
        const at = s * stripCells + c;
        if (this.looks[at] === look) continue;
        this.looks[at] = look;
        this.cell(g, s, c, look);
        drawn += 1;
      }
    }
    return drawn;
  }

  private cell(g: CanvasRenderingContext2D, strip: number, cell: number, look: number): void {
    const { x, y } = cellBox(this.grid, strip, cell);
    const w = this.grid.cellWidth - 0.7;
    const h = this.grid.cellHeight - 1;
    g.fillStyle = this.inks.surface;
    g.fillRect(x - 0.35, y - 0.5, this.grid.cellWidth, this.grid.cellHeight);
    if (look <= 100) {
      g.fillStyle = rampCell(this.inks.theme, look).background;
      g.fillRect(x, y, w, h);
      // The lowest stop hardly differs from the surface: an outline keeps the cell visible.
      if (look < 8) this.outline(g, x, y, w, h, this.inks.line);
    } else if (look >= 3000) {
      g.fillStyle = jobColor(look - 3000);
      g.fillRect(x, y, w, h);
    } else if (look >= lookMark) {
      this.mark(g, look - lookMark, x, y, w, h);
    } else if (look === lookOut) {
      g.fillStyle = this.inks.hatch;
      for (let i = 0; i < w; i += 3) g.fillRect(x + i, y, 1.2, h);
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
