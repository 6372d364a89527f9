/** What one recorded call was, as bits: a slow failure is both. */
export const FAILED = 1;
export const SLOW = 2;

const CLEAN = Number.NEGATIVE_INFINITY;
const NEVER = Number.POSITIVE_INFINITY;

/** The outcomes that a breaker decides on. Recording costs the same whatever the window holds. */
export interface OutcomeWindow {
  /** Calls, failures and slow calls in the window, as of the last `record` or `advance`. */
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
  record(flags: number, now: number): void;
  /** Lets go of what has left the window by now. */
  advance(now: number): void;
  clear(): void;
  /** When it holds neither failures nor slow calls, if nothing more is recorded; `Infinity` where no time does that. */
  cleanAt(): number;
}

/** The failures since the last success. */
export class ConsecutiveWindow implements OutcomeWindow {
  calls = 0;
  failures = 0;
  slow = 0;

  record(flags: number): void {
    if ((flags & FAILED) === 0) this.clear();
    else {
      this.calls++;
      this.failures++;
      if ((flags & SLOW) !== 0) this.slow++;
    }
  }

  advance(): void {}

  clear(): void {
    this.calls = this.failures = this.slow = 0;
  }

  cleanAt(): number {
    return this.failures === 0 ? CLEAN : NEVER;
  }
}

/** The last `size` calls. */
export class CallsWindow implements OutcomeWindow {
  calls = 0;
  failures = 0;
  slow = 0;
  private outcomes: Uint8Array | undefined;
  private next = 0;

  constructor(private readonly size: number) {}

  record(flags: number): void {
    const outcomes = (this.outcomes ??= new Uint8Array(this.size));
    if (this.calls === this.size) this.count(outcomes[this.next] as number, -1);
    else this.calls++;
    outcomes[this.next] = flags;
    this.count(flags, 1);
    this.next = this.next + 1 === this.size ? 0 : this.next + 1;
  }

  advance(): void {}

  clear(): void {
    this.calls = this.failures = this.slow = this.next = 0;
  }

  cleanAt(): number {
    return this.failures === 0 && this.slow === 0 ? CLEAN : NEVER;
  }

  private count(flags: number, by: number): void {
    if ((flags & FAILED) !== 0) this.failures += by;
    if ((flags & SLOW) !== 0) this.slow += by;
  }
}

/** Into how many parts a time window is cut; what it holds is exact to one part. */
export const TIME_WINDOW_SLICES = 20;
const COUNTS_PER_SLICE = 3;

/**
 * The calls of the last `durationMs`, counted per slice. A slice owns the instants [start, start + width); a call leaves
 * the window with its slice, at most one slice's width before it is `durationMs` old and never after.
 */
export class TimeWindow implements OutcomeWindow {
  calls = 0;
  failures = 0;
  slow = 0;
  private counts: Uint32Array | undefined;
  private readonly sliceMs: number;
  /** The number of the newest slice, counted from the clock's origin. */
  private newest = Number.NEGATIVE_INFINITY;

  constructor(durationMs: number) {
    this.sliceMs = durationMs / TIME_WINDOW_SLICES;
  }

  record(flags: number, now: number): void {
    this.advance(now);
    const counts = (this.counts ??= new Uint32Array(TIME_WINDOW_SLICES * COUNTS_PER_SLICE));
    const at = this.offset(this.newest);
    counts[at]!++;
    this.calls++;
    if ((flags & FAILED) !== 0) {
      counts[at + 1]!++;
      this.failures++;
    }
    if ((flags & SLOW) !== 0) {
      counts[at + 2]!++;
      this.slow++;
    }
  }

  advance(now: number): void {
    const slice = Math.floor(now / this.sliceMs);
    if (slice <= this.newest) return;
    if (slice - this.newest >= TIME_WINDOW_SLICES) this.clear();
    else for (let number = this.newest + 1; number <= slice; number++) this.drop(number);
    this.newest = slice;
  }

  clear(): void {
    this.calls = this.failures = this.slow = 0;
    this.counts?.fill(0);
  }

  cleanAt(): number {
    const { counts } = this;
    if (counts === undefined || (this.failures === 0 && this.slow === 0)) return CLEAN;
    let slice = this.newest;
    for (; counts[this.offset(slice) + 1] === 0 && counts[this.offset(slice) + 2] === 0; slice--);
    return (slice + TIME_WINDOW_SLICES) * this.sliceMs;
  }

  /** Empties the place that slice `number` takes over from the one that leaves the window. */
  private drop(number: number): void {
    const { counts } = this;
    if (counts === undefined) return;
    const at = this.offset(number);
    this.calls -= counts[at]!;
    this.failures -= counts[at + 1]!;
    this.slow -= counts[at + 2]!;
    counts.fill(0, at, at + COUNTS_PER_SLICE);
  }

  private offset(slice: number): number {
    const place = slice % TIME_WINDOW_SLICES;
    return (place < 0 ? place + TIME_WINDOW_SLICES : place) * COUNTS_PER_SLICE;
  }
}
