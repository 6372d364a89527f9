import { US_PER_MS } from '../../core/duration.js';

/**
 * A rate limit's arithmetic over a state of its own. States are plain values that the caller keeps (per key): no timer,
 * no closure, and the absence of a state means "never used". Times are milliseconds on the monotonic clock.
 */
export interface LimitAlgorithm<S> {
  /** Units at most at one moment. */
  readonly limit: number;
  /** The state after taking `cost` units now, or `undefined` where they are not there. */
  take(state: S | undefined, cost: number, now: number): S | undefined;
  /**
   * Gives back `cost` units taken at `takenAt`, as if they had never been asked for. What has come back by itself
   * since then is not given back again: that could let more through than the rate.
   */
  refund(state: S, cost: number, takenAt: number, now: number): S;
  /**
   * How long until `cost` units could be taken after the `ahead` units of those who wait already, if nobody else took
   * any; `Infinity` for never.
   */
  waitMs(state: S | undefined, cost: number, now: number, ahead?: number): number;
  /** Whole units that could be taken now. */
  remaining(state: S | undefined, now: number): number;
  /** When the state is worth nothing any more, because it has become that of an unused key; `Infinity` for never. */
  idleAt(state: S): number;
  /** What a state of another one of its kind is here: as many units are used. Where it is missing, the same. */
  translate?(state: S, from: this, now: number): S;
}

const US_PER_SECOND = 1_000_000;

/**
 * Token bucket in its GCRA form (ATM Forum Traffic Management 4.0, the virtual scheduling algorithm): the one number kept
 * is when the bucket is full again (the theoretical arrival time), so fractions of a token cannot get lost. All in
 * microseconds, so that common rates have an integer emission interval.
 */
export class Gcra implements LimitAlgorithm<number> {
  private readonly emissionUs: number;
  private readonly toleranceUs: number;
  private readonly driftUs: number;
  private readonly driftPart: number;

  constructor(
    readonly limit: number,
    perSecond: number,
  ) {
    this.emissionUs = US_PER_SECOND / perSecond;
    this.toleranceUs = this.limit * this.emissionUs;
    this.driftUs = this.emissionUs * DRIFT_UNITS;
    this.driftPart = this.limit * Number.EPSILON;
  }

  take(fullAt: number | undefined, cost: number, now: number): number | undefined {
    const nowUs = toUs(now);
    const next = (fullAt === undefined || fullAt < nowUs ? nowUs : fullAt) + cost * this.emissionUs;
    return next - nowUs > this.toleranceUs + this.roundingUs(nowUs) ? undefined : next;
  }

  refund(fullAt: number, cost: number, takenAt: number, now: number): number {
    return fullAt - Math.max(0, cost * this.emissionUs - (toUs(now) - toUs(takenAt)));
  }

  waitMs(fullAt: number | undefined, cost: number, now: number, ahead = 0): number {
    const nowUs = toUs(now);
    const next = (fullAt === undefined || fullAt < nowUs ? nowUs : fullAt) + (cost + ahead) * this.emissionUs;
    const waitUs = next - this.toleranceUs - nowUs;
    return waitUs <= this.roundingUs(nowUs) ? 0 : waitUs / US_PER_MS;
  }

  remaining(fullAt: number | undefined, now: number): number {
    const nowUs = toUs(now);
    const usedUs = fullAt === undefined ? 0 : Math.max(0, fullAt - nowUs);
    return Math.max(0, Math.floor((this.toleranceUs - usedUs + this.roundingUs(nowUs)) / this.emissionUs));
  }

  idleAt(fullAt: number): number {
    return fullAt / US_PER_MS;
  }

  /**
   * What the sum of a burst may be off by. Each unit adds up to half of what separates two numbers of that size, which
   * grows with the time that the process has run; more than a thousandth of a unit is never let through for it.
   */
  private roundingUs(nowUs: number): number {
    return ROUNDING_US + Math.min(this.driftUs, nowUs * this.driftPart);
  }

  /** The state is a time; under another rate it stands for other units. */
  translate(fullAt: number, from: Gcra, now: number): number {
    const nowUs = toUs(now);
    return nowUs + ((fullAt - nowUs) * this.emissionUs) / from.emissionUs;
  }
}

/** What float arithmetic on non-integer emission intervals may be off by. */
const ROUNDING_US = 1e-3;
const ROUNDING_MS = 1e-6;
const ROUNDING_UNITS = 1e-6;
/** What sums of times may drift by at most, in units. */
const DRIFT_UNITS = 1e-3;

function toUs(ms: number): number {
  // A sum of fractions may be just below the microsecond that is meant.
  return Math.floor(ms * US_PER_MS + ROUNDING_US);
}

/**
 * Even spacing: one unit leaves every 1/rate. The state is when the last one has left; a call may go when it has. What
 * may wait meanwhile is the waiting line's business.
 */
export class Pacer implements LimitAlgorithm<number> {
  private readonly intervalMs: number;

  constructor(
    readonly limit: number,
    perSecond: number,
  ) {
    this.intervalMs = 1000 / perSecond;
  }

  take(freeAt: number | undefined, cost: number, now: number): number | undefined {
    if (freeAt !== undefined && freeAt > now + ROUNDING_MS) return undefined;
    return now + cost * this.intervalMs;
  }

  refund(freeAt: number, cost: number, takenAt: number, now: number): number {
    return freeAt - Math.max(0, cost * this.intervalMs - (now - takenAt));
  }

  /** A call's own units delay those behind it, not itself. */
  waitMs(freeAt: number | undefined, _cost: number, now: number, ahead = 0): number {
    const start = freeAt === undefined || freeAt < now ? now : freeAt;
    return start - now + ahead * this.intervalMs;
  }

  remaining(freeAt: number | undefined, now: number): number {
    return freeAt === undefined || freeAt <= now ? 1 : 0;
  }

  idleAt(freeAt: number): number {
    return freeAt;
  }
}

/** A rate of 0: the burst, once. The state is how many units are gone. */
export class Allowance implements LimitAlgorithm<number> {
  constructor(readonly limit: number) {}

  take(used: number | undefined, cost: number): number | undefined {
    const next = (used ?? 0) + cost;
    return next > this.limit ? undefined : next;
  }

  refund(used: number, cost: number): number {
    return used - cost;
  }

  waitMs(used: number | undefined, cost: number, _now: number, ahead = 0): number {
    return (used ?? 0) + cost + ahead > this.limit ? Number.POSITIVE_INFINITY : 0;
  }

  remaining(used: number | undefined): number {
    return Math.max(0, Math.floor(this.limit - (used ?? 0)));
  }

  idleAt(used: number): number {
    return used <= 0 ? 0 : Number.POSITIVE_INFINITY;
  }
}

/** Into how many parts a window is cut: a unit frees at most this fraction of the window late, never early. */
export const WINDOW_SLICES = 32;

/** What one key has used: units per slice, newest slice, their sum. */
export interface WindowUse {
  readonly counts: Float64Array;
  newest: number;
  total: number;
}

/**
 * Sliding window in slices: a unit taken anywhere in a slice counts until a whole window after the slice's end, so no
 * interval of one window's length ever sees more than `limit`. Only what was admitted counts.
 */
export class SlidingWindowAlgorithm implements LimitAlgorithm<WindowUse> {
  private readonly sliceMs: number;
  /** One more place than slices: the slice in progress, and those whose window is not over. */
  private readonly places = WINDOW_SLICES + 1;
  /** What sums of costs that are no whole units may be off by. */
  private readonly rounding: number;

  constructor(
    readonly limit: number,
    windowMs: number,
  ) {
    this.sliceMs = windowMs / WINDOW_SLICES;
    this.rounding = this.limit * ROUNDING_UNITS;
  }

  take(use: WindowUse | undefined, cost: number, now: number): WindowUse | undefined {
    const slice = this.sliceOf(now);
    if (use === undefined) {
      if (cost > this.limit) return undefined;
      use = { counts: new Float64Array(this.places), newest: slice, total: 0 };
    } else {
      this.advance(use, slice);
      if (use.total + cost > this.limit + this.rounding) return undefined;
    }
    use.counts[this.place(use.newest)]! += cost;
    use.total += cost;
    return use;
  }

  refund(use: WindowUse, cost: number, takenAt: number): WindowUse {
    const slice = this.sliceOf(takenAt);
    // Nothing is left of it where the slice has gone, or the state was begun anew.
    if (use.newest - slice < this.places && (use.counts[this.place(slice)] as number) >= cost) {
      use.counts[this.place(slice)]! -= cost;
      use.total -= cost;
    }
    return use;
  }

  waitMs(use: WindowUse | undefined, cost: number, now: number, ahead = 0): number {
    const slice = this.sliceOf(now);
    if (use !== undefined) this.advance(use, slice);
    const total = cost + ahead;
    // Whole windows for what exceeds one window's limit, then until enough of the oldest slices have left.
    const rounds = Math.max(0, Math.ceil(total / this.limit) - 1);
    const needed = total - rounds * this.limit;
    let free = this.limit - (use?.total ?? 0);
    if (free >= needed - this.rounding) return rounds === 0 ? 0 : rounds * this.places * this.sliceMs;
    for (let age = WINDOW_SLICES; age >= 0; age--) {
      free += (use as WindowUse).counts[this.place(slice - age)] as number;
      if (free < needed - this.rounding) continue;
      const leavesAt = (slice - age + this.places) * this.sliceMs;
      return leavesAt - now + rounds * this.places * this.sliceMs;
    }
    return Number.POSITIVE_INFINITY;
  }

  remaining(use: WindowUse | undefined, now: number): number {
    if (use === undefined) return this.limit;
    this.advance(use, this.sliceOf(now));
    return Math.max(0, Math.floor(this.limit - use.total + this.rounding));
  }

  idleAt(use: WindowUse): number {
    return use.total <= this.rounding ? 0 : (use.newest + this.places) * this.sliceMs;
  }

  private sliceOf(now: number): number {
    return Math.floor(now / this.sliceMs);
  }

  private place(slice: number): number {
    return ((slice % this.places) + this.places) % this.places;
  }

  private advance(use: WindowUse, slice: number): void {
    if (slice <= use.newest) return;
    if (slice - use.newest >= this.places) {
      use.counts.fill(0);
      use.total = 0;
    } else {
      for (let number = use.newest + 1; number <= slice; number++) {
        const place = this.place(number);
        use.total -= use.counts[place] as number;
        use.counts[place] = 0;
      }
    }
    use.newest = slice;
  }
}
