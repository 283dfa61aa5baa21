/** One stream of a job's log, as far as it has come: bytes in order, with a mark where some are missing. */
export interface LogLine { key: number; text: string; gapBytes?: number }

export const logLineLimit = 5000;

export class LogBuffer {
  /** Offset of the first byte not held yet. */
  next = 0;
  complete = false;
  /** Grows with every change. */
  version = 0;
  private readonly done: LogLine[] = [];
  private open = '';
  private decoder = new TextDecoder();
  private keys = 0;
  private started = false;
  dropped = 0;

  /** Appends bytes at `offset`. Bytes already held are skipped; returns false, taking nothing, when some are missing before them. */
  append(offset: number, bytes: Uint8Array): boolean {
    if (!this.started) {
      this.started = true;
      if (offset > 0) this.dropped = offset;
      this.next = offset;
    }
    if (offset > this.next) return false;
    const fresh = bytes.subarray(this.next - offset);
    if (offset + bytes.length <= this.next || fresh.length === 0) return true;
    this.next += fresh.length;
    this.take(this.decoder.decode(fresh, { stream: true }));
    return true;
  }

  /** Gives up on the bytes before `offset` and marks the hole. */
  skipTo(offset: number): void {
    if (offset <= this.next) return;
    if (this.open) this.push(this.open);
    this.open = '';
    this.decoder = new TextDecoder();
    this.done.push({ key: this.keys++, text: '', gapBytes: offset - this.next });
    this.next = offset;
    this.version += 1;
  }

  finish(): void {
    if (this.complete) return;
    this.complete = true;
    this.version += 1;
  }

  lines(): LogLine[] {
    return this.open ? [...this.done, { key: this.keys, text: this.open }] : [...this.done];
  }

  private take(text: string): void {
    const parts = (this.open + text).split('\n');
    this.open = parts.pop()!;
    for (const part of parts) this.push(part);
    this.version += 1;
  }

  private push(text: string): void {
    this.done.push({ key: this.keys++, text: lastOverwrite(text) });
    if (this.done.length > logLineLimit) this.done.splice(0, this.done.length - logLineLimit);
  }
}

/** A progress bar rewrites its line with carriage returns; the last version is what a terminal would show. Colour codes are left out. */
export function lastOverwrite(line: string): string {
  const trimmed = line.replace(/\r+$/, '');
  const visible = trimmed.slice(trimmed.lastIndexOf('\r') + 1);
  return visible.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, '');
}

export function bytesFromBase64(text: string): Uint8Array {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
