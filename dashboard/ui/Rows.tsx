'use client';
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import { lineAfter, rowsInSight, type Range } from '@/lib/rows';
import { useMedia } from './hooks';
import { EntityLink } from './navigation';

export interface Column<T> { head: string; cell: (item: T) => ReactNode; className?: string }

export interface RowsProps<T> {
  items: readonly T[];
  keyOf: (item: T) => string;
  hrefOf: (item: T) => string;
  linkOf: (item: T) => ReactNode;
  columns: readonly Column<T>[];
  caption: string;
  /** Heading of the group an item is in; items come in the order of their groups. */
  groupOf?: (item: T) => string;
  /** Rows can be chosen: by their check box, or with Space on the row's link. */
  pick?: { has: (item: T) => boolean; toggle: (item: T) => void; nameOf: (item: T) => string };
  /** What a row shows beside what `items` hold, looked up for the rows in sight only. */
  fresh?: (item: T) => T;
}

/** From here on only the rows in sight are made. */
const windowedFrom = 200;
/** Cards on a narrow screen have no fixed height, so there the list is cut. */
const mostCards = 200;
/** Height of a row in a long table: see `.rows.long` in pages.css. */
const rowPx = 35;
const spareRows = 12;

type Line<T> = { group: string } | { item: T; key: string };

/** Table of linked rows: one tab stop, arrows move, Enter opens. On narrow screens each row is a card and every cell carries its heading. */
export function Rows<T>(props: RowsProps<T>) {
  const { items, keyOf, columns, caption, pick, groupOf } = props;
  const wide = useMedia('(min-width: 701px)');
  const long = items.length > windowedFrom && wide;
  const lines = useMemo(() => linesOf(wide ? items : items.slice(0, mostCards), keyOf, groupOf), [items, wide, keyOf, groupOf]);
  const [active, setActive] = useState<string | null>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const range = useSight(body, lines.length, long);
  const wanted = useRef<string | null>(null);
  const isStop = (line: number): boolean => { const l = lines[line]; return l !== undefined && 'item' in l; };

  useLayoutEffect(() => {
    if (wanted.current === null) return;
    const row = body.current?.querySelector<HTMLElement>(`[data-key="${CSS.escape(wanted.current)}"] [data-roving]`);
    if (!row) return;
    wanted.current = null;
    row.focus({ preventScroll: true });
  });
  const onKeyDown = (event: KeyboardEvent): void => {
    const from = (event.target as HTMLElement).closest<HTMLElement>('[data-key]')?.dataset.key;
    const at = lines.findIndex((l) => 'item' in l && l.key === from);
    if (at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const line = lineAfter(event.key, at, lines.length, Math.max(1, Math.floor(window.innerHeight / rowPx) - 4), isStop);
    if (line === null) return;
    event.preventDefault();
    const target = lines[line] as { key: string };
    wanted.current = target.key;
    setActive(target.key);
    if (long) scrollToLine(body.current, line);
    else body.current?.querySelector(`[data-key="${CSS.escape(target.key)}"]`)?.scrollIntoView?.({ block: 'nearest' });
  };

  const shown = long ? lines.slice(range.from, range.to) : lines;
  const firstStop = shown.find((l) => 'item' in l) as { key: string } | undefined;
  const current = shown.some((l) => 'item' in l && l.key === active) ? active : firstStop?.key ?? null;
  const span = columns.length + (pick ? 1 : 0);
  return (
    <div className={long ? 'rows long' : 'rows'} onKeyDown={onKeyDown}>
      <table aria-rowcount={long ? lines.length + 1 : undefined}>
        <caption className="vh">{caption}</caption>
        <thead><tr>{pick ? <th scope="col" className="w-pick"><span className="vh">Chosen</span></th> : null}{columns.map((c) => <th key={c.head} scope="col" className={c.className}>{c.head}</th>)}</tr></thead>
        <tbody ref={body}>
          {long && range.from > 0 ? <Spacer rows={range.from} span={span} /> : null}
          {shown.map((line, i) => ('group' in line
            ? <tr key={`g-${line.group}`} className="group-row" aria-rowindex={long ? range.from + i + 2 : undefined}><th scope="rowgroup" colSpan={span}>{line.group}</th></tr>
            : <Row key={line.key} {...props} item={props.fresh ? props.fresh(line.item) : line.item} id={line.key} isCurrent={line.key === current} onFocus={setActive} index={long ? range.from + i + 2 : undefined} />))}
          {long && range.to < lines.length ? <Spacer rows={lines.length - range.to} span={span} /> : null}
        </tbody>
      </table>
      {!wide && items.length > mostCards ? <p className="pad d">The first {mostCards} of {items.length} are shown; the filter narrows the list.</p> : null}
    </div>
  );
}

function Row<T>({ item, id, columns, hrefOf, linkOf, pick, isCurrent, onFocus, index }: RowsProps<T> & { item: T; id: string; isCurrent: boolean; onFocus: (key: string) => void; index: number | undefined }) {
  return (
    <tr data-key={id} className={pick?.has(item) ? 'picked' : undefined} aria-rowindex={index}>
      {pick ? <td className="w-pick"><input type="checkbox" tabIndex={-1} aria-label={`Choose ${pick.nameOf(item)}`} checked={pick.has(item)} onChange={() => pick.toggle(item)} /></td> : null}
      {columns.map((c, i) => (
        <td key={c.head} data-label={c.head} className={c.className}>
          {i === 0 ? <EntityLink className="row-link mono" href={hrefOf(item)} data-roving tabIndex={isCurrent ? 0 : -1} onFocus={() => onFocus(id)} onKeyDown={(e) => { if (pick && e.key === ' ') { e.preventDefault(); pick.toggle(item); } }}>{linkOf(item)}</EntityLink> : c.cell(item)}
        </td>
      ))}
    </tr>
  );
}

const Spacer = ({ rows, span }: { rows: number; span: number }) => <tr aria-hidden="true" className="spacer" style={{ height: rows * rowPx }}><td colSpan={span} /></tr>;

function linesOf<T>(items: readonly T[], keyOf: (item: T) => string, groupOf: ((item: T) => string) | undefined): Line<T>[] {
  const lines: Line<T>[] = [];
  let group: string | null = null;
  for (const item of items) {
    const own = groupOf?.(item) ?? null;
    if (own !== null && own !== group) lines.push({ group: own });
    group = own;
    lines.push({ item, key: keyOf(item) });
  }
  return lines;
}

/** The lines in sight of the window, renewed as the page scrolls. */
function useSight(body: { current: HTMLElement | null }, count: number, on: boolean): Range {
  const [range, setRange] = useState<Range>({ from: 0, to: windowedFrom });
  const measure = useCallback(() => {
    const top = body.current?.getBoundingClientRect().top ?? 0;
    const next = rowsInSight(count, rowPx, top, window.innerHeight, spareRows);
    setRange((old) => (old.from === next.from && old.to === next.to ? old : next));
  }, [body, count]);
  useEffect(() => {
    if (!on) return;
    measure();
    window.addEventListener('scroll', measure, { passive: true });
    window.addEventListener('resize', measure);
    return () => { window.removeEventListener('scroll', measure); window.removeEventListener('resize', measure); };
  }, [on, measure]);
  return { from: Math.min(range.from, Math.max(0, count - 1)), to: Math.min(count, range.to) };
}

function scrollToLine(body: HTMLElement | null, line: number): void {
  if (!body) return;
  const top = body.getBoundingClientRect().top + line * rowPx;
  if (top < rowPx * 2) window.scrollBy(0, top - rowPx * 2);
  else if (top > window.innerHeight - rowPx * 3) window.scrollBy(0, top - window.innerHeight + rowPx * 3);
}
