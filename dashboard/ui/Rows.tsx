'use client';
import { useState, type ReactNode } from 'react';
import { EntityLink } from './navigation';
import { moveFocus } from './roving';

export interface Column<T> { head: string; cell: (item: T) => ReactNode; className?: string }

/** Table of linked rows: one tab stop, arrows move, Enter opens. On narrow screens each row is a card and every cell carries its heading. */
export function Rows<T>({ items, keyOf, hrefOf, linkOf, columns, caption, pick, groupOf }: { items: readonly T[]; keyOf: (item: T) => string; hrefOf: (item: T) => string; linkOf: (item: T) => ReactNode; columns: readonly Column<T>[]; caption: string;
  /** Rows can be chosen: by their check box, or with Space on the row's link. */
  /** Heading of the group an item is in; items come in the order of their groups. */
  groupOf?: (item: T) => string;
  pick?: { has: (item: T) => boolean; toggle: (item: T) => void; nameOf: (item: T) => string } }) {
  const [active, setActive] = useState<string | null>(null);
  const first = items[0];
  const current = items.some((i) => keyOf(i) === active) ? active : first ? keyOf(first) : null;
  return (
    <div className="rows" onKeyDown={moveFocus}>
      <table>
        <caption className="vh">{caption}</caption>
        <thead><tr>{pick ? <th scope="col" className="w-pick"><span className="vh">Chosen</span></th> : null}{columns.map((c) => <th key={c.head} scope="col" className={c.className}>{c.head}</th>)}</tr></thead>
        <tbody>
          {items.map((item, at) => [
            groupOf && (at === 0 || groupOf(items[at - 1]!) !== groupOf(item)) ? <tr key={`g-${groupOf(item)}`} className="group-row"><th scope="rowgroup" colSpan={columns.length + (pick ? 1 : 0)}>{groupOf(item)}</th></tr> : null,
            <tr key={keyOf(item)} className={pick?.has(item) ? 'picked' : undefined}>
              {pick ? <td className="w-pick"><input type="checkbox" tabIndex={-1} aria-label={`Choose ${pick.nameOf(item)}`} checked={pick.has(item)} onChange={() => pick.toggle(item)} /></td> : null}
              {columns.map((c, i) => (
                <td key={c.head} data-label={c.head} className={c.className}>
                  {i === 0 ? <EntityLink className="row-link mono" href={hrefOf(item)} data-roving tabIndex={keyOf(item) === current ? 0 : -1} onFocus={() => setActive(keyOf(item))} onKeyDown={(e) => { if (pick && e.key === ' ') { e.preventDefault(); pick.toggle(item); } }}>{linkOf(item)}</EntityLink> : c.cell(item)}
                </td>
              ))}
            </tr>,
          ])}
        </tbody>
      </table>
    </div>
  );
}
