'use client';
import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from 'react';
import type { Gpu } from '@/api/types';
import { none8, stateCode, stateNames, type Columns } from '@/lib/columns';
import { BlockPainter, blocksOf, cellAt, cellBox, readInks, stripsPerRow, type Block, type SlotFacts } from '@/lib/draw/fleet';
import { byNode, cellValue, stateLook, type MapMetric } from '@/lib/gpu';
import type { Theme } from '@/lib/ramp';
import { gpuUrl } from '@/lib/url';
import { GpuCard } from './GpuCard';
import { Icon } from './Icon';
import { useApp, useMedia, useStore } from './hooks';
import { useHoverCard, type HoverCard } from './hover';
import { useNavigate } from './navigation';

interface Place { block: number; strip: number; cell: number }
const samePlace = (a: Place, b: Place): boolean => a.block === b.block && a.strip === b.strip && a.cell === b.cell;

/** Fleets above 512 GPUs. Readings go from the columns to the canvases without React; the heads follow once a second. */
export function FleetCanvas({ metric, theme, roomy }: { metric: MapMetric; theme: Theme; roomy: boolean }) {
  const { store } = useApp();
  const gpus = useStore((s) => s.gpus);
  const navigate = useNavigate();
  const wide = useMedia('(min-width: 900px)');
  const columns = store.readingColumns();
  // Made again for another set of GPUs only; what changes of one GPU is written into its cell's facts below.
  const layoutKey = columns ?? gpus;
  const { blocks, facts: allFacts, nodes } = useMemo(() => layoutOf(store.getState().gpus, columns), [layoutKey, store]);
  const canvases = useRef<(HTMLCanvasElement | null)[]>([]);
  const painters = useRef<BlockPainter[]>([]);
  const [width, setWidth] = useState(0);
  const hover = useHoverCard<Place>(samePlace);
  const place = hover.shown;
  const [at, setAt] = useState<Place | null>(null);
  const [keyed, setKeyed] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const cellHeight = !wide ? 11 : roomy ? 8.5 : blocks.length > 8 ? 4.6 : blocks.length > 4 ? 8 : 11;

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const inks = readInks(theme);
    painters.current = blocks.flatMap((block, i) => (canvases.current[i] ? [new BlockPainter(canvases.current[i], block, inks, cellHeight)] : []));
    let frame = 0;
    const paint = (): void => {
      frame = 0;
      const now = store.readingColumns();
      for (const painter of painters.current) painter.paint(now, metric);
    };
    paint();
    let seen = store.getState().gpus;
    const off = store.onReadings(() => {
      const { gpus: present } = store.getState();
      if (present !== seen) updateFacts(allFacts, present);
      seen = present;
      frame ||= requestAnimationFrame(paint);
    });
    return () => { off(); cancelAnimationFrame(frame); };
  }, [blocks, allFacts, metric, theme, cellHeight, width, store]);

  const factsAt = (p: Place | null): SlotFacts | null => (p ? blocks[p.block]?.strips[p.strip]?.[p.cell] ?? null : null);
  const gpuAt = (p: Place | null): Gpu | null => gpus.get(factsAt(p)?.uuid ?? '') ?? null;
  const gpu = gpuAt(place);
  const point = (event: MouseEvent<HTMLCanvasElement>, block: number): Place | null => {
    const painter = painters.current[block];
    const found = painter ? cellAt(blocks[block]!, painter.gridNow(), event.nativeEvent.offsetX, event.nativeEvent.offsetY) : null;
    return found ? { block, ...found } : null;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const from = at ?? { block: 0, strip: 0, cell: 0 };
    const target = gpuAt(at);
    if (event.key === 'Enter' && target) return navigate(gpuUrl(target.gpu_uuid));
    const next = moved(blocks, from, event.key);
    if (!next) return;
    event.preventDefault();
    setKeyed(true);
    setAt(at ? next : from);
    hover.point(at ? next : from);
  };
  return (
    <div className="pods-box" ref={box}>
      <div className={roomy ? 'pods roomy' : 'pods'} tabIndex={0} role="application" aria-roledescription="map of GPUs" aria-label={`${allFacts.length} GPUs on ${nodes} nodes. Arrow keys move, Enter opens; the table of GPUs says the same in rows.`} onKeyDown={onKeyDown} onBlur={() => { if (keyed) hover.hide(); }}>
        {blocks.map((block, i) => (
          <div className="pod" key={`${block.nodes[0]}-${block.nodes.length}`}>
            <BlockHead block={block} />
            <canvas ref={(c) => { canvases.current[i] = c; }} role="img" aria-label={`Cells of ${block.nodes[0]} to ${block.nodes[block.nodes.length - 1]}`}
              onMouseMove={(e) => { setKeyed(false); hover.point(point(e, i)); }}
              onMouseLeave={() => hover.point(null)} onClick={(e) => { const hit = gpuAt(point(e, i)); if (hit) navigate(gpuUrl(hit.gpu_uuid)); }} />
          </div>
        ))}
      </div>
      {place && gpu ? <Cursor place={place} painter={painters.current[place.block] ?? null} box={box.current} gpu={gpu} hover={hover.card} /> : null}
      <p className="vh" role="status">{keyed && gpu ? spoken({ ...gpu, sample: store.sampleOf(gpu) }, metric) : ''}</p>
    </div>
  );
}

function layoutOf(gpus: ReadonlyMap<string, Gpu>, columns: Columns | null): { blocks: Block[]; facts: SlotFacts[]; nodes: number } {
  const all: SlotFacts[] = [];
  const nodes = new Map<string, SlotFacts[]>();
  for (const [node, list] of byNode(gpus.values())) {
    const facts = list.map((gpu, i) => ({ uuid: gpu.gpu_uuid, slot: columns?.slotOf(gpu.gpu_uuid) ?? all.length + i, node, powerLimitW: gpu.power_limit_w, slowdownC: gpu.temperature_slowdown_c, job: gpu.jobs[0]?.number ?? null, state: gpu.state }));
    all.push(...facts);
    nodes.set(node, facts);
  }
  return { blocks: blocksOf(nodes), facts: all, nodes: nodes.size };
}

function updateFacts(all: readonly SlotFacts[], gpus: ReadonlyMap<string, Gpu>): void {
  for (const facts of all) {
    const gpu = gpus.get(facts.uuid);
    if (!gpu) continue;
    facts.job = gpu.jobs[0]?.number ?? null;
    facts.state = gpu.state;
  }
}

/** Lost, quarantined, throttling, slow: the worst first. */
const marked: readonly number[] = ['lost', 'quarantined', 'throttling', 'slow'].map(stateCode);

/** Mean load and what needs a look, from the readings themselves. */
function BlockHead({ block }: { block: Block }) {
  const { store } = useApp();
  const slots = useMemo(() => Int32Array.from(block.strips.flat().flatMap((f) => (f ? [f.slot] : []))), [block]);
  // One number, so that an unchanged head is not drawn again: mean + 1 in the lowest part, then how many are in each marked state.
  const [packed, setPacked] = useState(0);
  useEffect(() => {
    const read = (): void => setPacked(packHead(slots, store.readingColumns()));
    read();
    return store.onReadings(read);
  }, [slots, store]);
  const mean = (packed % headBase) - 1;
  const counts = marked.map((_, i) => Math.floor(packed / headBase ** (i + 1)) % headBase);
  return (
    <div className="nh">
      <span className="mono-name">{block.nodes[0]}{block.nodes.length > 1 ? `–${tail(block.nodes)}` : ''}</span>
      {marked.flatMap((code, i) => (counts[i] ? [<BlockMark key={code} code={code} n={counts[i]!} />] : [])).slice(0, 2)}
      <span className="st num">{mean < 0 ? '–' : `${mean} %`}</span>
    </div>
  );
}

/** More than a block holds of anything; five parts of it are still a safe integer. */
const headBase = 1024;
function packHead(slots: Int32Array, columns: Columns | null): number {
  if (!columns) return 0;
  let sum = 0;
  let read = 0;
  let packed = 0;
  for (let i = 0; i < slots.length; i++) {
    const busy = columns.utilization[slots[i]!]!;
    if (busy !== none8) { sum += busy; read += 1; }
    const at = marked.indexOf(columns.state[slots[i]!]!);
    if (at >= 0) packed += headBase ** (at + 1);
  }
  return packed + (read ? Math.round(sum / read) + 1 : 0);
}

/** Shape and number; the word is there for who cannot see the shape. */
function BlockMark({ code, n }: { code: number; n: number }) {
  const look = stateLook(stateNames[code]!);
  return <span className={`tag mark ${look.tone}`} title={`${n} ${look.word}`}>{look.glyph ? <Icon name={look.glyph} size={11} /> : null}{n}<span className="vh"> {look.word}</span></span>;
}

/** The last node's name without what it shares with the first. */
function tail(nodes: readonly string[]): string {
  const first = nodes[0]!;
  const last = nodes[nodes.length - 1]!;
  const digits = /\d+$/.exec(last)?.[0];
  return digits && first.startsWith(last.slice(0, -digits.length)) ? digits : last;
}

function Cursor({ place, painter, box, gpu, hover }: { place: Place; painter: BlockPainter | null; box: HTMLDivElement | null; gpu: Gpu; hover: HoverCard<Place>['card'] }) {
  const ref = useRef<HTMLDivElement>(null);
  const card = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!painter || !box || !ref.current || !card.current) return;
    const outer = box.getBoundingClientRect();
    const canvas = painter.canvasNow().getBoundingClientRect();
    const grid = painter.gridNow();
    const { x, y } = cellBox(grid, place.strip, place.cell);
    const left = canvas.left - outer.left + x;
    const top = canvas.top - outer.top + y;
    const set = (element: HTMLElement, values: Record<string, number>): void => { for (const [k, v] of Object.entries(values)) element.style.setProperty(k, `${v}px`); };
    set(ref.current, { left: left - 2, top: top - 2, width: grid.cellWidth + 3, height: grid.cellHeight + 3 });
    const cardBox = card.current.getBoundingClientRect();
    // It touches the cell, so that the pointer can move onto it.
    set(card.current, { left: Math.max(0, Math.min(outer.width - cardBox.width, left - 4)), top: canvas.top + y + cardBox.height + 30 > window.innerHeight ? top - cardBox.height - 2 : top + grid.cellHeight + 1 });
  }, [place, painter, box, gpu]);
  return (
    <>
      <div className="cell-cursor" ref={ref} aria-hidden="true" />
      <div className="hover-card" ref={card} aria-hidden="true" {...hover}><GpuCard gpu={gpu} /></div>
    </>
  );
}

function spoken(gpu: Gpu, metric: MapMetric): string {
  const look = stateLook(gpu.state);
  const value = cellValue(metric, gpu);
  return `${gpu.node} GPU ${gpu.gpu_index}, ${look.cell === 'fill' ? value.spoken : look.word}${gpu.jobs[0] ? `, job ${gpu.jobs[0].number}` : ''}`;
}

/** One step in the grid of strips; at the edge of a block on to the next one. */
function moved(blocks: readonly Block[], from: Place, key: string): Place | null {
  const block = blocks[from.block];
  if (!block) return null;
  const strips = block.strips;
  const end = (s: number): number => (strips[s]?.length ?? 1) - 1;
  switch (key) {
    case 'ArrowRight':
      if (from.cell < end(from.strip)) return { ...from, cell: from.cell + 1 };
      if (from.strip + 1 < strips.length) return { ...from, strip: from.strip + 1, cell: 0 };
      return from.block + 1 < blocks.length ? { block: from.block + 1, strip: 0, cell: 0 } : from;
    case 'ArrowLeft':
      if (from.cell > 0) return { ...from, cell: from.cell - 1 };
      if (from.strip > 0) return { ...from, strip: from.strip - 1, cell: end(from.strip - 1) };
      return from.block > 0 ? { block: from.block - 1, strip: blocks[from.block - 1]!.strips.length - 1, cell: 0 } : from;
    case 'ArrowDown':
      if (from.strip + stripsPerRow < strips.length) return { ...from, strip: from.strip + stripsPerRow, cell: Math.min(from.cell, end(from.strip + stripsPerRow)) };
      return from.block + 1 < blocks.length ? { block: from.block + 1, strip: 0, cell: 0 } : from;
    case 'ArrowUp':
      if (from.strip - stripsPerRow >= 0) return { ...from, strip: from.strip - stripsPerRow, cell: Math.min(from.cell, end(from.strip - stripsPerRow)) };
      return from.block > 0 ? { block: from.block - 1, strip: 0, cell: 0 } : from;
    case 'Home': return { block: 0, strip: 0, cell: 0 };
    case 'End': return { block: blocks.length - 1, strip: blocks[blocks.length - 1]!.strips.length - 1, cell: 0 };
    default: return null;
  }
}
