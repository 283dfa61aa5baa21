'use client';
import { useState, type ReactNode } from 'react';
import { EntityLink } from './navigation';
import { moveFocus } from './roving';

export interface Column<T> { head: string; cell: (item: T) => ReactNode; className?: string }

/** Table of linked rows: one tab stop, arrows move, Enter opens. On narrow screens each row is a card and every cell carries its heading. */
export function Rows<T>({ items, keyOf, hrefOf, linkOf, columns, caption }: { items: readonly T[]; keyOf: (item: T) => string; hrefOf: (item: T) => string; linkOf: (item: T) => ReactNode; columns: readonly Column<T>[]; caption: string }) {
  const [active, setActive] = useState<string | null>(null);
  const first = items[0];
  const current = items.some((i) => keyOf(i) === active) ? active : first ? keyOf(first) : null;
  return (
    <div className="rows" onKeyDown={moveFocus}>
      <table>
        <caption className="vh">{caption}</caption>
        <thead><tr>{columns.map((c) => <th key={c.head} scope="col" className={c.className}>{c.head}</th>)}</tr></thead>
        <tbody>
          {items.map((item) => (
            <tr key={keyOf(item)}>
              {columns.map((c, i) => (
                <td key={c.head} data-label={c.head} className={c.className}>
                  {i === 0 ? <EntityLink className="row-link mono" href={hrefOf(item)} data-roving tabIndex={keyOf(item) === current ? 0 : -1} onFocus={() => setActive(keyOf(item))}>{linkOf(item)}</EntityLink> : c.cell(item)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
