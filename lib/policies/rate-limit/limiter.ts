import type { Clock } from '../../core/clock.js';
import type { Duration } from '../../core/duration.js';
import { clockOf, type PolicyEnvironment } from '../../core/environment.js';
import { defineOptions, readOptions } from '../../core/option-table.js';
import type { RateLimitDecision } from '../../core/errors.js';
import {
  Allowance,
  Gcra,
  Pacer,
  SlidingWindowAlgorithm,
  type LimitAlgorithm,
  type WindowUse,
} from './algorithm.js';

/** What a call is told about a state, once it was asked for `cost` units; `ahead` units are wanted by those in line. */
export function decisionOf<S>(
  algorithm: LimitAlgorithm<S>,
  state: S | undefined,
  allowed: boolean,
  cost: number,
  now: number,
  ahead = 0,
): RateLimitDecision {
  const idleAt = state === undefined ? now : algorithm.idleAt(state);
  return {
    allowed,
    remaining: algorithm.remaining(state, now),
    limit: algorithm.limit,
    retryAfterMs: allowed ? 0 : algorithm.waitMs(state, cost, now, ahead),
    resetMs: Math.max(0, idleAt - now),
  };
}

/** A cost that could never be served. A mistake in the program, as its code says: nothing tries it again. */
export function costError(cost: number, limit: number, where: string): RangeError {
  const message = `${where}: a cost must be above 0 and at most the limit of ${limit}, got ${cost}.`;
  return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' });
}

/** One limit without keys, for use without a policy around it. */
abstract class SingleLimiter<S> {
  private state: S | undefined = undefined;
  private readonly clock: Clock;

  protected constructor(
    private readonly algorithm: LimitAlgorithm<S>,
    environment: PolicyEnvironment | undefined,
  ) {
    this.clock = clockOf(environment);
  }

  /**
   * Takes `cost` units if they are there now.
   *
   * @throws RangeError where `cost` could never be served.
   */
  tryAcquire(cost = 1): boolean {
    const { limit } = this.algorithm;
    if (!(cost > 0 && cost <= limit)) throw costError(cost, limit, this.constructor.name);
    const next = this.algorithm.take(this.state, cost, this.clock.now());
    if (next === undefined) return false;
    this.state = next;
    return true;
  }

  /** Milliseconds until one unit is there; 0 where one is now, `Infinity` where none ever will be. */
  retryAfterMs(): number {
    return this.algorithm.waitMs(this.state, 1, this.clock.now());
  }

  /** Whole units that could be taken now. */
  remaining(): number {
    return this.algorithm.remaining(this.state, this.clock.now());
  }
}

const capacityRow = {
  name: 'capacity',
  kind: 'number',
  above: 0,
  sentence: 'Units at most at one moment.',
} as const;

const tokenBucketTable = defineOptions<{ capacity: number; refillPerSecond: number }>(capacityRow, {
  name: 'refillPerSecond',
  kind: 'number',
  min: 0,
  sentence: 'Units that come back per second; 0 leaves the burst, once.',
});

const leakyBucketTable = defineOptions<{ capacity: number; leakPerSecond: number }>(capacityRow, {
  name: 'leakPerSecond',
  kind: 'number',
  min: 0,
  sentence: 'Units that leave per second; 0 leaves the burst, once.',
});

const slidingWindowTable = defineOptions<
  { limit: number; window: Duration },
  { limit: number; window: number }
>(
  { name: 'limit', kind: 'number', above: 0, sentence: 'Units at most in any window.' },
  { name: 'window', kind: 'duration', sentence: 'How long the window is.' },
);

/**
 * `capacity` at once, then `refillPerSecond`; idle time banks no more than `capacity`. Kept as GCRA: one number.
 *
 * @example
 * const bucket = new TokenBucket({ capacity: 100, refillPerSecond: 10 });
 * if (!bucket.tryAcquire()) return tooManyRequests(bucket.retryAfterMs());
 *
 * @publicApi
 */
export class TokenBucket extends SingleLimiter<number> {
  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(options: { capacity: number; refillPerSecond: number }, environment?: PolicyEnvironment) {
    const { capacity, refillPerSecond } = readOptions(tokenBucketTable, options, 'TokenBucket');
    super(tokenBucket(capacity, refillPerSecond), environment);
  }
}

/**
 * At most `limit` in any interval of length `window`; a unit frees up to a 32nd of the window late, never early.
 *
 * @publicApi
 */
export class SlidingWindow extends SingleLimiter<WindowUse> {
  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(options: { limit: number; window: Duration }, environment?: PolicyEnvironment) {
    const { limit, window } = readOptions(slidingWindowTable, options, 'SlidingWindow');
    super(new SlidingWindowAlgorithm(limit, window), environment);
  }
}

/**
 * A bucket that `leakPerSecond` leave; a call is let in while the bucket has room for it. As a meter it is the token
 * bucket seen from the other side.
 *
 * @publicApi
 */
export class LeakyBucket extends SingleLimiter<number> {
  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(options: { capacity: number; leakPerSecond: number }, environment?: PolicyEnvironment) {
    const { capacity, leakPerSecond } = readOptions(leakyBucketTable, options, 'LeakyBucket');
    super(tokenBucket(capacity, leakPerSecond), environment);
  }
}

/** A burst of `capacity` and a rate; a rate of 0 leaves the burst, once. */
export function tokenBucket(capacity: number, perSecond: number): LimitAlgorithm<number> {
  return perSecond === 0 ? new Allowance(capacity) : new Gcra(capacity, perSecond);
}

/** Even spacing at a rate; a rate of 0 lets out one bucketful, once. */
export function pacer(capacity: number, perSecond: number): LimitAlgorithm<number> {
  return perSecond === 0 ? new Allowance(capacity) : new Pacer(capacity, perSecond);
}
