import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { InvalidOptionsError, RateLimitExceededError } from '../../../lib/core/errors.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import {
  LeakyBucket,
  RateLimitPolicy,
  SlidingWindow,
  TokenBucket,
  type RateLimitOptions,
} from '../../../lib/policies/rate-limit/index.js';
import { RetryPolicy } from '../../../lib/policies/retry/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { loadOf } from '../../models/runs.js';
import { SteppedClock } from '../../models/stepped-clock.js';

function setUp(options: RateLimitOptions) {
  const clock = new ManualClock();
  const limit = new RateLimitPolicy('search', options, { clock });
  const startedAt: number[] = [];
  const call = (options: { cost?: number; key?: string; signal?: AbortSignal } = {}) =>
    limit.execute(() => startedAt.push(clock.now()), options).catch((error: unknown) => error);
  return { clock, limit, startedAt, call };
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe('TokenBucket', () => {
  it('RL-01 lets capacity in at once, then refillPerSecond', () => {
    const clock = new SteppedClock();
    const bucket = new TokenBucket({ capacity: 3, refillPerSecond: 10 }, { clock });
    const burst = [1, 2, 3, 4].map(() => bucket.tryAcquire());

    clock.time = 99;
    const early = bucket.tryAcquire();
    clock.time = 100;

    expect([...burst, early]).toEqual([true, true, true, false, false]);
    expect([bucket.tryAcquire(), bucket.tryAcquire()]).toEqual([true, false]);
  });

  it('RL-01 never loses a fraction of a token, however often it is asked', () => {
    const clock = new SteppedClock();
    const bucket = new TokenBucket({ capacity: 1, refillPerSecond: 3 }, { clock });
    let allowed = 0;

    for (let us = 0; us <= 10_000_000; us += 500) {
      clock.time = us / 1_000;
      if (bucket.tryAcquire()) allowed++;
    }

    expect(allowed).toBe(30);
  });

  it('RL-01 idle time banks no more than the capacity', () => {
    const clock = new SteppedClock();
    const bucket = new TokenBucket({ capacity: 2, refillPerSecond: 1_000 }, { clock });
    clock.time = 3_600_000;

    expect([1, 2, 3].map(() => bucket.tryAcquire())).toEqual([true, true, false]);
  });

  it('RL-01 a refill rate of 0 is legal: the burst, once', () => {
    const clock = new SteppedClock();
    const bucket = new TokenBucket({ capacity: 2, refillPerSecond: 0 }, { clock });
    const burst = [1, 2, 3].map(() => bucket.tryAcquire());

    clock.time = 2 ** 40;

    expect([...burst, bucket.tryAcquire()]).toEqual([true, true, false, false]);
    expect(bucket.retryAfterMs()).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('LeakyBucket', () => {
  it('RL-03 as a meter it lets in at once while it has room', () => {
    const clock = new SteppedClock();
    const bucket = new LeakyBucket({ capacity: 2, leakPerSecond: 10 }, { clock });
    const burst = [1, 2, 3].map(() => bucket.tryAcquire());

    clock.time = 100;

    expect([...burst, bucket.tryAcquire(), bucket.tryAcquire()]).toEqual([true, true, false, true, false]);
  });
});

describe('RateLimitPolicy', () => {
  it('RL-01 refuses what is above the rate with the right retryAfterMs and the whole decision', async () => {
    const { call } = setUp({ capacity: 2, refillPerSecond: 10 });
    await call();
    await call();

    const error = await call();

    expect(error).toBeInstanceOf(RateLimitExceededError);
    expect(error).toMatchObject({
      retryAfterMs: 100,
      decision: { allowed: false, remaining: 0, limit: 2, retryAfterMs: 100, resetMs: 200 },
    });
  });

  it('RL-02 a call that is refused here does not count', async () => {
    const { clock, startedAt, call } = setUp({ limit: 2, window: 3_200 });
    for (let i = 0; i < 50; i++) await call();

    await clock.advance(3_300);
    await call();
    await call();

    expect(startedAt).toEqual([0, 0, 3_300, 3_300]);
  });

  it.each([
    ['token bucket', { capacity: 1, refillPerSecond: 1 }],
    ['sliding window', { limit: 1, window: 1_000 }],
    ['leaky bucket', { algorithm: 'leaky-bucket', capacity: 1, leakPerSecond: 1 }],
    ['rate of 0', { capacity: 1, refillPerSecond: 0 }],
  ] as const)('RL-02 a call that a later guard refuses does not count: %s', async (_name, options) => {
    const { clock, limit } = setUp(options);
    const closed = new BulkheadPolicy('closed', { maxConcurrent: 0 }, { clock });
    const pipeline = new Pipeline('search', [limit, closed], clock);

    for (let i = 0; i < 10; i++) await pipeline.execute(() => 'fine').catch(() => undefined);

    expect(limit.stats()).toMatchObject({ remaining: 1, totalAllowed: 0, totalRejected: 0 });
  });

  it('RL-02 what has come back by itself since is not given back again by a late refusal', async () => {
    const { clock, limit, call, startedAt } = setUp({ capacity: 1, refillPerSecond: 1 });
    const bulkhead = new BulkheadPolicy('slow', { maxConcurrent: 1, maxWait: 2_500 }, { clock });
    const pipeline = new Pipeline('search', [limit, bulkhead], clock);
    const slow = bulkhead.execute(() => new Promise(() => {}));
    const refused = pipeline.execute(() => 'fine').catch((error: unknown) => error);

    await clock.advance(2_400);
    await call();
    await clock.advance(100);
    await refused;
    await call();

    expect(startedAt).toEqual([2_400]);
    void slow;
  });

  it('RL-03 maxWait: 0 is a meter, in any mode', async () => {
    const { startedAt, call } = setUp({
      algorithm: 'leaky-bucket',
      mode: 'wait',
      maxWait: 0,
      capacity: 3,
      leakPerSecond: 10,
    });

    for (let i = 0; i < 4; i++) await call();

    expect(startedAt).toEqual([0, 0, 0]);
  });

  it('RL-03 waiting calls leave evenly, and at most capacity wait', async () => {
    const { clock, limit, startedAt, call } = setUp({
      algorithm: 'leaky-bucket',
      mode: 'wait',
      capacity: 3,
      leakPerSecond: 10,
    });

    const calls = Array.from({ length: 6 }, () => call());
    expect(limit.stats().waiting).toBe(3);
    await clock.advance(1_000);

    expect(startedAt).toEqual([0, 100, 200, 300]);
    expect(await calls[4]).toBeInstanceOf(RateLimitExceededError);
    expect(clock.pending).toBe(0);
  });

  it('RL-03 a call of cost 2 is followed by two intervals, and waits no longer itself', async () => {
    const { clock, startedAt, call } = setUp({
      algorithm: 'leaky-bucket',
      mode: 'wait',
      capacity: 9,
      leakPerSecond: 10,
    });

    void call();
    void call({ cost: 2 });
    void call();
    await clock.advance(1_000);

    expect(startedAt).toEqual([0, 100, 300]);
  });

  it('RL-03 timers that come late do not add up to a lower rate', async () => {
    const { clock, startedAt, call } = setUp({
      algorithm: 'leaky-bucket',
      mode: 'wait',
      capacity: 20,
      leakPerSecond: 10,
    });
    const delay = clock.delay.bind(clock);
    jest.spyOn(clock, 'delay').mockImplementation((delayMs, callback) => delay(delayMs + 5, callback));

    for (let i = 0; i < 11; i++) void call();
    await clock.advance(1_005);

    expect(startedAt).toEqual([0, 105, 205, 305, 405, 505, 605, 705, 805, 905, 1_005]);
  });

  it('RL-03 a leak rate of 0 is legal', async () => {
    const { startedAt, call } = setUp({
      algorithm: 'leaky-bucket',
      mode: 'wait',
      capacity: 2,
      leakPerSecond: 0,
    });

    const answers = [await call(), await call(), await call()];

    expect(startedAt).toEqual([0, 0]);
    expect(answers[2]).toBeInstanceOf(RateLimitExceededError);
    expect((answers[2] as RateLimitExceededError).retryAfterMs).toBeUndefined();
  });

  it('RL-05 a wait that cannot succeed within maxWait is refused at once with the right retryAfterMs', async () => {
    const { clock, startedAt, call } = setUp({ capacity: 1, refillPerSecond: 10, maxWait: 250 });
    void call();
    void call();
    void call();

    expect(await call()).toMatchObject({ retryAfterMs: 300 });
    await clock.advance(1_000);

    expect(startedAt).toEqual([0, 100, 200]);
    expect(clock.pending).toBe(0);
  });

  it('RL-05 waiters are served in order, a cheap one behind a dear one too', async () => {
    const { clock, limit } = setUp({ capacity: 5, refillPerSecond: 10, maxWait: '10s' });
    const served: string[] = [];
    const call = (name: string, cost: number) => limit.execute(() => served.push(name), { cost });

    const calls = [call('first', 5), call('dear', 4)];
    await clock.advance(300);
    calls.push(call('cheap', 1));
    await clock.advance(1_000);
    await Promise.all(calls);

    expect(served).toEqual(['first', 'dear', 'cheap']);
  });

  it('RL-05 an aborted waiter gives its turn back', async () => {
    const { clock, startedAt, call } = setUp({ capacity: 1, refillPerSecond: 10, maxWait: '1s' });
    const caller = new AbortController();
    void call();
    const aborted = call({ signal: caller.signal });
    void call();
    await clock.advance(50);

    caller.abort('gone');
    await clock.advance(100);

    expect(await aborted).toBe('gone');
    expect(startedAt).toEqual([0, 100]);
    expect(clock.pending).toBe(0);
  });

  it('RL-05 behind a dear waiter that is aborted a cheap one goes as soon as it can', async () => {
    const { clock, startedAt, call } = setUp({ capacity: 5, refillPerSecond: 10, maxWait: '1s' });
    const caller = new AbortController();
    await call({ cost: 5 });
    const dear = call({ cost: 5, signal: caller.signal });
    void call();
    await clock.advance(50);

    caller.abort('gone');
    await clock.advance(1_000);

    expect(await dear).toBe('gone');
    expect(startedAt).toEqual([0, 100]);
  });

  it('RL-05 one that is aborted right after its turn has come never starts, and gives it back', async () => {
    const { clock, limit, startedAt, call } = setUp({ capacity: 1, refillPerSecond: 10, maxWait: '1s' });
    const caller = new AbortController();
    await call();
    const aborted = call({ signal: caller.signal });

    limit.reset();
    caller.abort('gone');

    expect(await aborted).toBe('gone');
    expect(startedAt).toEqual([0]);
    expect(limit.stats().remaining).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('RL-06 a cost above the capacity is a clear error, never a wait for ever', async () => {
    const { limit, call } = setUp({ capacity: 5, refillPerSecond: 1, maxWait: '1h' });

    expect(await call({ cost: 6 })).toEqual(
      new RangeError('Rate limit "search": a cost must be above 0 and at most the limit of 5, got 6.'),
    );

    expect(limit.stats()).toMatchObject({ remaining: 5, waiting: 0 });
  });

  it('RL-06 a cost above the capacity is a mistake in the program: it is not retried', async () => {
    const { clock, limit } = setUp({ capacity: 5, refillPerSecond: 1, cost: () => 6 });
    const retry = new RetryPolicy('search', { baseDelay: 0 }, { clock });

    const call = new Pipeline('search', [retry, limit], clock).execute(() => 'found');

    await expect(call).rejects.toThrow(RangeError);
    expect(retry.stats().totalRetries).toBe(0);
  });

  it('RL-06 a waiter that a new, lower capacity can never serve is refused', async () => {
    const { clock, limit, call } = setUp({ capacity: 5, refillPerSecond: 1, maxWait: '1h' });
    await call({ cost: 5 });
    const waiting = call({ cost: 5 });
    const other = call({ cost: 1 });

    limit.update({ capacity: 2 });
    expect(await waiting).toBeInstanceOf(RateLimitExceededError);
    await clock.advance(10_000);

    expect(await other).toBe(2);
    expect(clock.pending).toBe(0);
  });

  it.each([
    new TokenBucket({ capacity: 2, refillPerSecond: 1 }),
    new SlidingWindow({ limit: 2, window: 1_000 }),
  ])('RL-06 nor does %p wait or refuse silently', (limiter) => {
    expect(() => limiter.tryAcquire(3)).toThrow(RangeError);
  });

  it('RL-07 each key has its own state', async () => {
    const { startedAt, call } = setUp({ capacity: 1, refillPerSecond: 0 });

    await call({ key: 'a' });
    await call({ key: 'b' });
    await call({ key: 'a' });

    expect(startedAt).toHaveLength(2);
  });

  it('RL-07 memory is bounded by maxKeys, and idle keys vanish', async () => {
    const { clock, limit } = setUp({ capacity: 1, refillPerSecond: 1, maxKeys: 10_000 });

    for (let i = 0; i < 1_000; i++) limit.decide(`old ${i}`);
    expect(limit.stats().keys).toBe(1_000);
    await clock.advance(1_000);
    for (let i = 0; i < 600; i++) limit.decide(`new ${i}`);

    expect(limit.stats().keys).toBe(600);
    for (let i = 0; i < 20_000; i++) {
      limit.decide(`newer ${i}`);
      if (i % 1_000 === 0) await clock.advance(1_000);
    }
    expect(limit.stats().keys).toBeLessThanOrEqual(10_000);
  });

  it.each([
    { capacity: 1, refillPerSecond: 1 },
    { limit: 1, window: 1_000 },
    { algorithm: 'leaky-bucket', capacity: 1, leakPerSecond: 1 },
    { algorithm: 'leaky-bucket', mode: 'wait', capacity: 1, leakPerSecond: 1 },
  ] as const)('RL-07 a key that is used up makes no room: %p', async (options) => {
    const { clock, limit } = setUp({ ...options, maxKeys: 1 });
    jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    limit.decide('blocked');

    await clock.advance(900);
    limit.decide('other');

    expect(limit.decide('blocked').allowed).toBe(false);
  });

  it('RL-07 a hot and a blocked key are never evicted by a million others', async () => {
    const { clock, limit } = setUp({ capacity: 2, refillPerSecond: 1, maxKeys: 100 });
    jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    limit.decide('blocked');
    limit.decide('blocked');
    const allowed = { hot: 0, blocked: 0 };

    const others = loadOf(1_000_000);
    for (let i = 0; i < others; i++) {
      limit.decide(`other ${i}`);
      if (i % (others / 10) !== 0) continue;
      for (const key of ['hot', 'blocked'] as const) while (limit.decide(key).allowed) allowed[key]++;
      await clock.advance(500);
      expect(limit.stats().keys).toBeLessThanOrEqual(101);
    }

    // The burst, and one for each second; "blocked" had its burst before.
    expect(allowed).toEqual({ hot: 2 + 4, blocked: 4 });
  });

  it('RL-07 when nothing is evictable new keys share one overflow state, with one warning', async () => {
    const { limit, call } = setUp({ capacity: 2, refillPerSecond: 0, maxKeys: 2 });
    const warning = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    await call({ key: 'a' });
    await call({ key: 'b' });

    const answers = [await call({ key: 'c' }), await call({ key: 'd' }), await call({ key: 'e' })];

    expect(answers[2]).toBeInstanceOf(RateLimitExceededError);
    expect(limit.decide('a').allowed).toBe(true);
    expect(warning).toHaveBeenCalledTimes(1);
  });

  it.each([-3_600_000, 3_600_000])(
    'RL-08 a wall clock that steps by %d ms changes nothing',
    async (stepMs) => {
      const { clock, startedAt, call } = setUp({ capacity: 1, refillPerSecond: 10 });
      await call();
      clock.setWallTime(clock.wallTime() + stepMs);

      expect(await call()).toMatchObject({ retryAfterMs: 100 });
      await clock.advance(100);
      await call();

      expect(startedAt).toEqual([0, 100]);
    },
  );

  it('RL-08 two calls in the same instant are counted apart', async () => {
    const { startedAt, call } = setUp({ limit: 2, window: 1_000 });

    await Promise.all([call(), call(), call()]);

    expect(startedAt).toHaveLength(2);
  });

  it('RL-10 no key has a timer', () => {
    const { clock, limit } = setUp({ capacity: 1, refillPerSecond: 1 });

    for (let i = 0; i < 5_000; i++) limit.decide(`key ${i}`);

    expect(clock.pending).toBe(0);
  });

  it('RL-10 a key keeps as much whatever its window has let in', () => {
    const kept = [10, loadOf(1_000_000)].map((calls) => {
      const clock = new SteppedClock();
      const limiter = new SlidingWindow({ limit: 2_000_000, window: 1_000 }, { clock });
      for (let i = 0; i < calls; i++) {
        clock.time = (i * 900) / calls;
        limiter.tryAcquire();
      }
      return (limiter as unknown as { state: { counts: Float64Array } }).state.counts.length;
    });

    expect(kept[1]).toBe(kept[0]);
  });

  it('RL-05 3,000 waiting calls are let in window by window', async () => {
    const { clock, startedAt, call } = setUp({ limit: 1_000, window: 3_200, maxWait: '10s' });

    const calls = Array.from({ length: 3_000 }, () => call());
    await clock.advance(10_000);
    await Promise.all(calls);

    expect(new Set(startedAt)).toEqual(new Set([0, 3_300, 6_600]));
    expect(startedAt).toHaveLength(3_000);
  });
});

describe('a limiter without a policy', () => {
  it('a window is a duration', () => {
    const clock = new ManualClock();
    const limiter = new SlidingWindow({ limit: 1, window: '2s' }, { clock });

    limiter.tryAcquire();

    // A unit frees up to a 32nd of the window late.
    expect(limiter.retryAfterMs()).toBeGreaterThanOrEqual(2_000);
    expect(limiter.retryAfterMs()).toBeLessThanOrEqual(2_063);
  });

  it.each([
    ['SlidingWindow: "window" must be a duration', () => new SlidingWindow({ limit: 1, window: 'soon' })],
    ['SlidingWindow: "limit" must be', () => new SlidingWindow({ limit: 0, window: 1_000 })],
    ['TokenBucket: "refillPerSecond" must be', () => new TokenBucket({ capacity: 1, refillPerSecond: -1 })],
    ['LeakyBucket: "capacity" must be', () => new LeakyBucket({ capacity: Number.NaN, leakPerSecond: 1 })],
  ])('PL-07 refuses what cannot be: %s', (message, build) => {
    expect(build).toThrow(InvalidOptionsError);
    expect(build).toThrow(message);
  });
});
