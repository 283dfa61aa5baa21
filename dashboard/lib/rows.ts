/** Which of many equally high rows lie in sight. Pure: the view measures, this counts. */
export interface Range { from: number; to: number }

/** `topPx`: from the top of the window down to the first row; negative once it has scrolled out. `spare` rows more on either side. */
export function rowsInSight(count: number, rowPx: number, topPx: number, windowPx: number, spare: number): Range {
  const from = Math.max(0, Math.floor(-topPx / rowPx) - spare);
  const to = Math.min(count, Math.ceil((windowPx - topPx) / rowPx) + spare);
  return { from: Math.min(from, Math.max(0, count - 1)), to: Math.max(to, Math.min(count, from + 1)) };
}

/** Where a key leads from line `at`, or null. `isStop` says whether a line can have the focus. */
export function lineAfter(key: string, at: number, count: number, pageRows: number, isStop: (line: number) => boolean): number | null {
  const last = count - 1;
  const [start, step] = ((): [number, number] => {
    switch (key) {
      case 'ArrowDown': return [at + 1, 1];
      case 'ArrowUp': return [at - 1, -1];
      case 'PageDown': return [Math.min(last, at + pageRows), -1];
      case 'PageUp': return [Math.max(0, at - pageRows), 1];
      case 'Home': return [0, 1];
      case 'End': return [last, -1];
      default: return [-1, 0];
    }
  })();
  if (step === 0) return null;
  for (let line = start; line >= 0 && line <= last; line += step) if (isStop(line)) return line;
  return null;
}
