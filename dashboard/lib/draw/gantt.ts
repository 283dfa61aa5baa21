import { axisTicks, type Bar, type Lane, type PlannedStart } from '@/lib/gantt';
import { clock } from '@/lib/format';
import { jobColor, type Theme } from '@/lib/ramp';

/** Gantt on canvas: planned starts lie on top with a soft edge, then one row per GPU or node; a line marks the present. */
export interface View { from: number; to: number }
/** The part of all rows that is on the canvas: `scrollPx` from the first row on, as high as the canvas. */
export interface Window { scrollPx: number; height: number }
interface Options { rowPx: number; axisPx: number }

const labelPx = 112;
/** Rows that are on the canvas, counted from the first planned one. */
interface Rows { first: number; last: number }
const plannedDefaultMs = 3_600_000;

export class GanttPainter {
  private readonly rowOf = new Map<string, number>();

  constructor(private readonly lanes: readonly Lane[], private readonly bars: readonly Bar[], private readonly planned: readonly PlannedStart[], private readonly options: Options) {
    lanes.forEach((lane, row) => this.rowOf.set(lane.id, row + this.plannedRows()));
  }

  private plannedRows(): number {
    return this.planned.length ? this.planned.length + 1 : 0;
  }
  /** Height of everything, px. */
  fullHeight(): number {
    return this.options.axisPx + (this.lanes.length + this.plannedRows()) * this.options.rowPx + 6;
  }

  private x(ms: number, view: View, width: number): number {
    return labelPx + ((ms - view.from) / (view.to - view.from)) * (width - labelPx - 8);
  }

  /** `y` counts from the top of the canvas. */
  barAt(x: number, y: number, view: View, width: number, scrollPx: number): Bar | null {
    const row = Math.floor((y + scrollPx - this.options.axisPx) / this.options.rowPx) - this.plannedRows();
    const lane = this.lanes[row];
    if (!lane || x < labelPx || y < this.options.axisPx) return null;
    const at = view.from + ((x - labelPx) / (width - labelPx - 8)) * (view.to - view.from);
    const slackMs = (3 / (width - labelPx)) * (view.to - view.from);
    let best: Bar | null = null;
    for (const bar of this.bars) if (bar.lanes.includes(lane.id) && bar.from - slackMs <= at && (bar.to ?? Infinity) + slackMs >= at && (!best || bar.from > best.from)) best = bar;
    return best;
  }

  paint(canvas: HTMLCanvasElement, view: View, now: number, theme: Theme, window_: Window): void {
    const { height, scrollPx } = window_;
    canvas.style.setProperty('height', `${height}px`);
    const width = canvas.clientWidth;
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const g = canvas.getContext('2d');
    if (!g || width < labelPx * 2) return;
    const css = getComputedStyle(document.documentElement);
    const token = (name: string): string => css.getPropertyValue(name).trim();
    const ink = { text: token('--text'), text2: token('--text-2'), text3: token('--text-3'), line: token('--line'), raised: token('--raised'), accent: token('--accent'), crit: token('--crit'), ramp: token('--u4') };
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, width, height);
    this.axis(g, view, width, height, ink);
    const { rowPx, axisPx } = this.options;
    g.save();
    g.beginPath();
    g.rect(0, axisPx, width, height - axisPx);
    g.clip();
    g.translate(0, -scrollPx);
    const seen = { first: Math.floor(scrollPx / rowPx), last: Math.ceil((scrollPx + height - axisPx) / rowPx) };
    this.plans(g, view, now, width, ink);
    this.rows(g, width, ink, seen);
    for (const bar of this.bars) this.bar(g, bar, view, now, width, theme, ink, seen);
    g.restore();
    const x = this.x(now, view, width);
    if (x >= labelPx && x <= width) {
      g.fillStyle = ink.accent;
      g.fillRect(x - 0.75, axisPx - 6, 1.5, height);
    }
  }

  private axis(g: CanvasRenderingContext2D, view: View, width: number, height: number, ink: Record<string, string>): void {
    g.font = '11px Inter, sans-serif';
    g.textBaseline = 'middle';
    g.textAlign = 'center';
    const offset = new Date(view.from).getTimezoneOffset() * 60_000;
    for (const t of axisTicks(view.from, view.to, Math.max(2, Math.floor(width / 110)), offset)) {
      const x = this.x(t, view, width);
      if (x < labelPx) continue;
      g.fillStyle = ink.line!;
      g.fillRect(x, this.options.axisPx, 1, height);
      g.fillStyle = ink.text3!;
      const d = new Date(t);
      g.fillText(d.getHours() === 0 && d.getMinutes() === 0 ? `${['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][d.getDay()]} ${d.getDate()}` : clock(t), x, this.options.axisPx / 2);
    }
  }

  private rows(g: CanvasRenderingContext2D, width: number, ink: Record<string, string>, seen: Rows): void {
    const { rowPx, axisPx } = this.options;
    const top = this.plannedRows();
    g.textAlign = 'right';
    for (let row = Math.max(top, seen.first); row <= seen.last && row - top < this.lanes.length; row++) {
      const lane = this.lanes[row - top]!;
      const y = axisPx + row * rowPx;
      g.fillStyle = ink.line!;
      if (lane.first) g.fillRect(0, y - 0.5, width, 1);
      g.fillStyle = lane.first ? ink.text! : ink.text3!;
      g.font = `${lane.first ? 500 : 400} 11px "JetBrains Mono", monospace`;
      g.fillText(lane.label, labelPx - 10, y + rowPx / 2, labelPx - 18);
    }
  }

  private bar(g: CanvasRenderingContext2D, bar: Bar, view: View, now: number, width: number, theme: Theme, ink: Record<string, string>, seen: Rows): void {
    const end = bar.to ?? now;
    if (end < view.from || bar.from > view.to) return;
    const x1 = Math.max(labelPx, this.x(bar.from, view, width));
    const x2 = Math.max(x1 + 2, Math.min(width - 4, this.x(end, view, width)));
    const { rowPx, axisPx } = this.options;
    const color = jobColor(bar.number);
    let before = -2;
    for (const lane of bar.lanes) {
      const row = this.rowOf.get(lane);
      if (row === undefined || row < seen.first || row > seen.last) continue;
      const gap = rowPx < 18 ? 1 : 2;
      const y = axisPx + row * rowPx + gap;
      const h = rowPx - 2 * gap;
      g.fillStyle = ink.raised!;
      g.fillRect(x1, y, x2 - x1, h);
      g.globalAlpha = theme === 'dark' ? 0.36 : 0.3;
      g.fillStyle = color;
      g.fillRect(x1, y, x2 - x1, h);
      g.globalAlpha = 1;
      g.fillRect(x1, y, 3, h);
      if (bar.failed) this.cross(g, x2, y, h, ink.crit!);
      // The name once per run of neighbouring rows.
      if (row !== before + 1 && x2 - x1 > 40) {
        g.fillStyle = ink.text!;
        g.textAlign = 'left';
        g.font = '500 11px Inter, sans-serif';
        g.save();
        g.beginPath();
        g.rect(x1, y, x2 - x1 - (bar.failed ? 12 : 2), h);
        g.clip();
        g.fillText(`${bar.number} ${bar.name}`, x1 + 8, y + h / 2 + 0.5);
        g.restore();
      }
      before = row;
    }
  }

  /** Failure has a shape of its own at the end of the bar. */
  private cross(g: CanvasRenderingContext2D, x: number, y: number, h: number, color: string): void {
    g.strokeStyle = color;
    g.lineWidth = 1.8;
    g.beginPath();
    g.moveTo(x - 8, y + h / 2 - 3.5);
    g.lineTo(x - 1, y + h / 2 + 3.5);
    g.moveTo(x - 1, y + h / 2 - 3.5);
    g.lineTo(x - 8, y + h / 2 + 3.5);
    g.stroke();
  }

  private plans(g: CanvasRenderingContext2D, view: View, now: number, width: number, ink: Record<string, string>): void {
    if (this.planned.length === 0) return;
    const { rowPx, axisPx } = this.options;
    const top = axisPx;
    g.fillStyle = ink.text2!;
    g.textAlign = 'left';
    g.font = '600 11px Inter, sans-serif';
    g.fillText('Waiting', 8, top + rowPx / 2 + 2);
    this.planned.forEach((plan, i) => {
      const y = top + (i + 1) * rowPx + 2;
      g.fillStyle = ink.text3!;
      g.textAlign = 'right';
      g.font = '400 11px "JetBrains Mono", monospace';
      g.fillText(String(plan.job.number), labelPx - 10, y + rowPx / 2 - 2);
      const start = Math.max(now, plan.p10 ?? (plan.bound ? now : plan.p50));
      const x1 = this.x(start, view, width);
      const x2 = Math.min(width - 4, this.x(plan.p50 + (plan.job.time_limit_s ? plan.job.time_limit_s * 1000 : plannedDefaultMs), view, width));
      const sure = this.x(plan.p90, view, width);
      if (x1 > width || x2 <= labelPx) return;
      const soft = g.createLinearGradient(x1, 0, Math.max(x1 + 1, sure), 0);
      soft.addColorStop(0, `${ink.ramp}22`);
      soft.addColorStop(1, ink.ramp!);
      g.fillStyle = soft;
      g.fillRect(Math.max(labelPx, x1), y, Math.max(3, x2 - Math.max(labelPx, x1)), rowPx - 4);
      g.fillStyle = ink.text!;
      g.textAlign = 'left';
      g.font = '500 11px Inter, sans-serif';
      g.fillText(plan.job.name, Math.max(labelPx, x1) + 6, y + rowPx / 2 - 1.5, Math.max(20, x2 - x1 - 10));
    });
  }
}
