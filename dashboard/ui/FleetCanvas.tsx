'use client';
import { useCallback, useEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from 'react';
import type { Gpu } from '@/api/types';
import { none8, stateCode, stateNames, type Columns } from '@/lib/columns';
import { BlockPainter, blocksOf, cellAt, cellBox, readInks, stripsPerRow, type Block, type SlotFacts } from '@/lib/draw/fleet';
import { byNode, cellValue, stateLook, type MapMetric } from '@/lib/gpu';
import type { Theme } from '@/lib/ramp';
import { gpuUrl } from '@/lib/url';
import { GpuCard } from './GpuCard';
import { Icon } from './Icon';
import { useApp, useMedia, useStore } from './hooks';
import { useNavigate } from './navigation';

interface Place { block: number; strip: number; cell: number }

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
  const [place, setPlace] = useState<Place | null>(null);
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
      performance.mark('fleet-paint');
      const now = store.readingColumns();
      for (const painter of painters.current) painter.paint(now, metric);
      performance.measure('fleet-paint', 'fleet-paint');
      performance.clearMarks('fleet-paint');
    };
    paint();
    const off = store.onReadings(() => {
      updateFacts(allFacts, store.getState().gpus);
      frame ||= requestAnimationFrame(paint);
    });
    return () => { off(); cancelAnimationFrame(frame); };
  }, [blocks, allFacts, metric, theme, cellHeight, width, store]);

  const factsAt = (p: Place | null): SlotFacts | null => (p ? blocks[p.block]?.strips[p.strip]?.[p.cell] ?? null : null);
  const facts = factsAt(place);
  const gpu = facts ? gpus.get(facts.uuid) ?? null : null;
  const point = (event: MouseEvent<HTMLCanvasElement>, block: number): Place | null => {
    const painter = painters.current[block];
    const at = painter ? cellAt(blocks[block]!, painter.gridNow(), event.nativeEvent.offsetX, event.nativeEvent.offsetY) : null;
    return at ? { block, ...at } : null;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const from = place ?? { block: 0, strip: 0, cell: 0 };
    if (event.key === 'Enter' && gpu) return navigate(gpuUrl(gpu.gpu_uuid));
    if (event.key === 'Escape') return setPlace(null);
    const next = moved(blocks, from, event.key);
    if (!next) return;
    event.preventDefault();
    setKeyed(true);
    setPlace(place ? next : from);
  };
  return (
    <div className="pods-box" ref={box}>
      <div className={roomy ? 'pods roomy' : 'pods'} tabIndex={0} role="application" aria-roledescription="map of GPUs" aria-label={`${allFacts.length} GPUs on ${nodes} nodes. Arrow keys move, Enter opens; the table of GPUs says the same in rows.`} onKeyDown={onKeyDown} onBlur={() => { if (keyed) setPlace(null); }}>
        {blocks.map((block, i) => (
          <div className="pod" key={`${block.nodes[0]}-${block.nodes.length}`}>
            <BlockHead block={block} />
            <canvas ref={(c) => { canvases.current[i] = c; }} role="img" aria-label={`Cells of ${block.nodes[0]} to ${block.nodes[block.nodes.length - 1]}`}
              onMouseMove={(e) => { const p = point(e, i); setKeyed(false); setPlace((old) => (old && p && old.block === p.block && old.strip === p.strip && old.cell === p.cell ? old : p)); }}
              onMouseLeave={() => setPlace(null)} onClick={() => { if (gpu) navigate(gpuUrl(gpu.gpu_uuid)); }} />
          </div>
        ))}
      </div>
      {place && gpu ? <Cursor place={place} painter={painters.current[place.block] ?? null} box={box.current} gpu={gpu} /> : null}
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
  const text = useCallback((): string => {
    const columns = store.readingColumns();
    let sum = 0;
    let read = 0;
    const counts = new Map<number, number>();
    for (const strip of block.strips) for (const facts of strip) {
      if (!facts || !columns) continue;
      const busy = columns.utilization[facts.slot]!;
      if (busy !== none8) { sum += busy; read += 1; }
      const state = columns.state[facts.slot]!;
      if (marked.includes(state)) counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    return JSON.stringify({ mean: read ? Math.round(sum / read) : null, marks: marked.flatMap((code) => (counts.has(code) ? [[code, counts.get(code)]] : [])) });
  }, [block, store]);
  const [shown, setShown] = useState('');
  useEffect(() => {
    setShown(text());
    return store.onReadings(() => setShown(text()));
  }, [text, store]);
  const { mean, marks } = (shown ? JSON.parse(shown) : { mean: null, marks: [] }) as { mean: number | null; marks: [number, number][] };
  return (
    <div className="nh">
      <span className="mono-name">{block.nodes[0]}{block.nodes.length > 1 ? `–${tail(block.nodes)}` : ''}</span>
      {marks.slice(0, 2).map(([code, n]) => <BlockMark key={code} code={code} n={n} />)}
      <span className="st num">{mean === null ? '–' : `${mean} %`}</span>
    </div>
  );
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

function Cursor({ place, painter, box, gpu }: { place: Place; painter: BlockPainter | null; box: HTMLDivElement | null; gpu: Gpu }) {
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
    set(card.current, { left: Math.max(0, Math.min(outer.width - cardBox.width, left + 14)), top: canvas.top + y + cardBox.height + 30 > window.innerHeight ? top - cardBox.height - 10 : top + grid.cellHeight + 10 });
  }, [place, painter, box, gpu]);
  return (
    <>
      <div className="cell-cursor" ref={ref} aria-hidden="true" />
      <div className="hover-card" ref={card} aria-hidden="true"><GpuCard gpu={gpu} /></div>
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
