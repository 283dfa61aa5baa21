'use client';
import { useEffect, useRef, type MouseEvent } from 'react';
import type { Gpu } from '@/api/types';
import { cellValue, stateLook, type MapMetric } from '@/lib/gpu';
import { jobColor, rampCell, type Theme } from '@/lib/ramp';
import { gpuUrl } from '@/lib/url';
import { useNavigate } from './navigation';

const nodesPerPod = 80;
const nodesPerRow = 5;
const slotsPerNode = 8;
const gapPx = 3;
const cellHeightPx = 9;

/** Large fleets: one canvas per pod of 80 nodes, one strip of eight per node. A click opens the GPU; the table twin is on the GPUs page. */
export function FleetCanvas({ groups, metric, theme }: { groups: ReadonlyMap<string, Gpu[]>; metric: MapMetric; theme: Theme }) {
  const nodes = [...groups];
  const pods = Array.from({ length: Math.ceil(nodes.length / nodesPerPod) }, (_, p) => nodes.slice(p * nodesPerPod, (p + 1) * nodesPerPod));
  return <div className="pods">{pods.map((pod, i) => <Pod key={i} index={i} pod={pod} metric={metric} theme={theme} />)}</div>;
}

function Pod({ index, pod, metric, theme }: { index: number; pod: [string, Gpu[]][]; metric: MapMetric; theme: Theme }) {
  const ref = useRef<HTMLCanvasElement>(null);
  const navigate = useNavigate();
  useEffect(() => {
    const canvas = ref.current;
    if (canvas) draw(canvas, pod, metric, theme);
  }, [pod, metric, theme]);
  const gpus = pod.flatMap(([, list]) => list);
  const busy = gpus.map((g) => g.sample?.utilization_gpu).filter((v): v is number => v != null);
  const bad = gpus.filter((g) => stateLook(g.state).tone !== 'none').length;
  const mean = busy.length ? Math.round(busy.reduce((a, b) => a + b) / busy.length) : null;
  const open = (event: MouseEvent<HTMLCanvasElement>): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const gpu = at(pod, event.clientX - box.left, event.clientY - box.top, box.width, box.height);
    if (gpu) navigate(gpuUrl(gpu.gpu_uuid));
  };
  return (
    <div className="pod">
      <div className="nh"><strong>pod {index + 1}</strong><span className="d">{pod[0]?.[0]} …</span>{bad ? <span className="tag warn">{bad} need a look</span> : null}<span className="st num">{mean === null ? '–' : `${mean} %`}</span></div>
      <canvas ref={ref} role="img" aria-label={`${gpus.length} GPUs, ${mean === null ? 'no readings' : `${mean} % busy`}, ${bad} need a look`} onClick={open} />
    </div>
  );
}

function geometry(nodes: number, width: number, height: number): { cell: number; rowHeight: number } {
  return { cell: (width - (nodesPerRow - 1) * gapPx) / (nodesPerRow * slotsPerNode), rowHeight: height / Math.max(1, Math.ceil(nodes / nodesPerRow)) };
}

function at(pod: [string, Gpu[]][], x: number, y: number, width: number, height: number): Gpu | null {
  const { cell, rowHeight } = geometry(pod.length, width, height);
  const column = Math.floor(x / (slotsPerNode * cell + gapPx));
  const slot = Math.floor((x - column * (slotsPerNode * cell + gapPx)) / cell);
  return pod[Math.floor(y / rowHeight) * nodesPerRow + column]?.[1][slot] ?? null;
}

function draw(canvas: HTMLCanvasElement, pod: [string, Gpu[]][], metric: MapMetric, theme: Theme): void {
  const rows = Math.ceil(pod.length / nodesPerRow);
  canvas.style.setProperty('height', `${rows * cellHeightPx}px`);
  const width = canvas.clientWidth;
  const height = rows * cellHeightPx;
  const scale = window.devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const g = canvas.getContext('2d');
  if (!g) return;
  g.scale(scale, scale);
  const css = getComputedStyle(document.documentElement);
  const color = (name: string): string => css.getPropertyValue(name).trim();
  const tones: Record<string, string> = { crit: color('--crit'), warn: color('--warn'), info: color('--info') };
  const { cell, rowHeight } = geometry(pod.length, width, height);
  pod.forEach(([, list], n) => list.slice(0, slotsPerNode).forEach((gpu, k) => {
    const x = (n % nodesPerRow) * (slotsPerNode * cell + gapPx) + k * cell;
    const y = Math.floor(n / nodesPerRow) * rowHeight;
    const look = stateLook(gpu.state);
    const value = cellValue(metric, gpu);
    if (look.tone !== 'none') {
      g.fillStyle = tones[look.tone]!;
      mark(g, look.tone, x, y, cell, rowHeight - 1);
    } else if (look.cell === 'fill') {
      g.fillStyle = metric === 'job' && gpu.jobs[0] ? jobColor(gpu.jobs[0].number) : rampCell(theme, value.pct ?? 0).background;
      g.fillRect(x, y, cell - 0.7, rowHeight - 0.7);
    } else {
      g.strokeStyle = color('--line-2');
      g.strokeRect(x + 0.6, y + 0.6, cell - 1.6, rowHeight - 1.6);
    }
  }));
}

/** Shapes differ as well as colours: square with a cross, triangle, diamond. */
function mark(g: CanvasRenderingContext2D, tone: string, x: number, y: number, w: number, h: number): void {
  if (tone === 'crit') {
    g.fillRect(x, y, w, h);
    g.clearRect(x + w / 2 - 1, y + 1.5, 2, h - 3);
    return;
  }
  g.beginPath();
  g.moveTo(x + w / 2, y);
  if (tone === 'warn') {
    g.lineTo(x + w, y + h);
    g.lineTo(x, y + h);
  } else {
    g.lineTo(x + w, y + h / 2);
    g.lineTo(x + w / 2, y + h);
    g.lineTo(x, y + h / 2);
  }
  g.fill();
}
