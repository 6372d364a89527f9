// A duration's bucket is read from its bits as a single-precision float: 8 bits of exponent (the page: one power of two)
// and the first 6 bits of the mantissa (the bucket: 1/64 of that). The middle of a bucket is within 1/128 = 0.78 % of
// every value in it.
const BUCKETS = 64;
const FRACTION_BITS = 17;
const FLOAT = new Float32Array(1);
const BITS = new Int32Array(FLOAT.buffer);

/** 2^-7 ms, below 10 µs; less is counted as this. */
const SHORTEST = indexOfFloat(2 ** -7);
/** 2^22 ms, 70 minutes; more is counted as just below this. */
const PAGES = (indexOfFloat(2 ** 22) - SHORTEST) / BUCKETS;
const LAST = PAGES * BUCKETS - 1;

/**
 * How often which duration occurred, from 10 µs to over an hour, each within 0.8 %. Recording is O(1); a percentile
 * looks at 29 sums and 64 buckets. A page of 64 counters (about 350 bytes) comes into being when its power of two first
 * occurs: 2 to 4 kB for what a real method does, 11 kB at most.
 */
export class Histogram {
  private readonly pages: (Uint32Array | undefined)[] = [];
  private readonly sums: number[] = [];
  private total = 0;

  /** How many durations were recorded. */
  get count(): number {
    return this.total;
  }

  /** @param durationMs NaN is left out, what is out of range is counted at its border */
  record(durationMs: number): void {
    if (!Number.isNaN(durationMs)) this.add(bucketOf(durationMs), 1);
  }

  /**
   * The duration that `percent` of all recorded ones do not exceed (nearest rank); undefined while there are none.
   *
   * @param percent 0 to 100: 99.9 for p999
   */
  percentile(percent: number): number | undefined {
    if (this.total === 0) return undefined;
    let rank = rankOf(percent, this.total);
    for (let page = 0; page < PAGES; page++) {
      const sum = this.sums[page] ?? 0;
      if (rank > sum) {
        rank -= sum;
        continue;
      }
      const counts = this.pages[page] as Uint32Array;
      let bucket = 0;
      while (rank > (counts[bucket] as number)) rank -= counts[bucket++] as number;
      return middleOf(page * BUCKETS + bucket);
    }
    return undefined;
  }

  clear(): void {
    this.pages.length = 0;
    this.sums.length = 0;
    this.total = 0;
  }

  /** @internal Adds to one bucket. */
  add(bucket: number, times: number): void {
    const page = bucket >> 6;
    if (this.pages.length === 0) this.allocate();
    const counts = (this.pages[page] ??= new Uint32Array(BUCKETS));
    counts[bucket & (BUCKETS - 1)]! += times;
    this.sums[page]! += times;
    this.total += times;
  }

  /** @internal Takes back what another histogram holds, all of which was recorded here too. */
  subtract(other: Histogram): void {
    for (let page = 0; page < other.pages.length; page++) {
      const theirs = other.pages[page];
      if (theirs === undefined || other.sums[page] === 0) continue;
      const ours = this.pages[page] as Uint32Array;
      for (let bucket = 0; bucket < BUCKETS; bucket++) ours[bucket]! -= theirs[bucket]!;
      this.sums[page]! -= other.sums[page]!;
    }
    this.total -= other.total;
  }

  private allocate(): void {
    for (let page = 0; page < PAGES; page++) {
      this.pages.push(undefined);
      this.sums.push(0);
    }
  }
}

/** How far back a {@link SlidingHistogram} looks, and in how many steps it forgets. */
export interface SlidingHistogramOptions {
  /** Default: 60,000. */
  readonly frameMs?: number;
  /** Default: 6. */
  readonly slices?: number;
}

/**
 * A histogram of the recent past: a sample counts for the frame less at most one slice. It keeps no timer; what is too
 * old goes when the next duration is recorded or a number is asked for. Holds one {@link Histogram} for each slice that
 * has seen a sample, and their sum, so that a percentile costs the same as there: typically 20 kB when busy.
 */
export class SlidingHistogram {
  private readonly sliceMs: number;
  private readonly slices: Histogram[] = [];
  private readonly sum = new Histogram();
  private readonly sliceCount: number;
  /** The number of the newest slice since the clock's origin. */
  private newest = Number.NEGATIVE_INFINITY;

  constructor({ frameMs = 60_000, slices = 6 }: SlidingHistogramOptions = {}) {
    this.sliceMs = frameMs / slices;
    this.sliceCount = slices;
  }

  /** @param now the present on the scale of `Clock.now()` */
  record(durationMs: number, now: number): void {
    if (Number.isNaN(durationMs)) return;
    this.forget(now);
    const bucket = bucketOf(durationMs);
    this.sum.add(bucket, 1);
    this.slice(this.newest).add(bucket, 1);
  }

  /** See {@link Histogram.percentile}. */
  percentile(percent: number, now: number): number | undefined {
    this.forget(now);
    return this.sum.percentile(percent);
  }

  /** How many durations lie within the frame. */
  count(now: number): number {
    this.forget(now);
    return this.sum.count;
  }

  clear(): void {
    this.slices.length = 0;
    this.sum.clear();
  }

  private forget(now: number): void {
    const present = Math.floor(now / this.sliceMs);
    if (present <= this.newest) return;
    if (present - this.newest >= this.sliceCount) this.clear();
    else for (let slice = this.newest + 1; slice <= present; slice++) this.empty(slice);
    this.newest = present;
  }

  /** Makes room for a new slice where the oldest was. */
  private empty(position: number): void {
    const slice = this.slices[position % this.sliceCount];
    if (slice === undefined || slice.count === 0) return;
    this.sum.subtract(slice);
    slice.clear();
  }

  private slice(position: number): Histogram {
    return (this.slices[position % this.sliceCount] ??= new Histogram());
  }
}

/** The bucket of a duration, in range. */
function bucketOf(durationMs: number): number {
  return Math.min(Math.max(0, indexOfFloat(Math.max(0, durationMs)) - SHORTEST), LAST);
}

function indexOfFloat(value: number): number {
  FLOAT[0] = value;
  return (BITS[0] as number) >> FRACTION_BITS;
}

function middleOf(bucket: number): number {
  BITS[0] = ((bucket + SHORTEST) << FRACTION_BITS) | (1 << (FRACTION_BITS - 1));
  return FLOAT[0] as number;
}

/** The place of a percentile among `count` ordered samples, from 1. Without the margin 99.9 % of 41,000 were 40,960. */
function rankOf(percent: number, count: number): number {
  return Math.min(count, Math.max(1, Math.ceil((percent * count) / 100 - 1e-9)));
}
