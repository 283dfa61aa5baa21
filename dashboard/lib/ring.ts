/** Short history of one reading: the newest `capacity` values. NaN marks a hole (no sample), which is never drawn as a number. */
export class Ring {
  private readonly values: Float32Array;
  private next = 0;
  private count = 0;

  constructor(readonly capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError(`ring capacity ${capacity}`);
    this.values = new Float32Array(capacity);
  }

  get length(): number {
    return this.count;
  }

  push(value: number | null | undefined): void {
    this.values[this.next] = value ?? NaN;
    this.next = (this.next + 1) % this.capacity;
    if (this.count < this.capacity) this.count += 1;
  }

  /** 0 is the oldest value held. */
  at(index: number): number {
    if (index < 0 || index >= this.count) return NaN;
    return this.values[(this.next - this.count + index + this.capacity) % this.capacity]!;
  }

  last(): number {
    return this.at(this.count - 1);
  }

  clear(): void {
    this.next = 0;
    this.count = 0;
  }

  toArray(): number[] {
    return Array.from({ length: this.count }, (_, i) => this.at(i));
  }

  /** Means of `points` equal parts from the first sample on, oldest first; a part without any sample stays NaN. Fewer values than points: the values. */
  downsample(points: number): number[] {
    let first = 0;
    while (first < this.count && Number.isNaN(this.at(first))) first++;
    const held = this.count - first;
    if (held <= points) return this.toArray().slice(first);
    const out: number[] = [];
    for (let p = 0; p < points; p++) {
      const from = first + Math.floor((p * held) / points);
      const to = first + Math.floor(((p + 1) * held) / points);
      let sum = 0;
      let n = 0;
      for (let i = from; i < to; i++) {
        const v = this.at(i);
        if (v === v) {
          sum += v;
          n += 1;
        }
      }
      out.push(n > 0 ? sum / n : NaN);
    }
    return out;
  }
}
