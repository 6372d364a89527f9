import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Call } from '../../../lib/core/call.js';
import { InvalidOptionsError, RateLimitExceededError } from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import {
  Allowance,
  Gcra,
  Pacer,
  SlidingWindowAlgorithm,
  type LimitAlgorithm,
  type WindowUse,
} from '../../../lib/policies/rate-limit/algorithm.js';
import {
  LeakyBucket,
  RateLimitPolicy,
  SlidingWindow,
  TokenBucket,
  type RateLimitOptions,
} from '../../../lib/policies/rate-limit/index.js';
import { KeyedStates, OVERFLOW_KEY } from '../../../lib/policies/rate-limit/keyed-states.js';
import { RetryPolicy } from '../../../lib/policies/retry/index.js';
import { MemoryState, MemoryWorld } from '../../../lib/shared-state/memory-state.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { loadOf } from '../../models/runs.js';
import { SteppedClock } from '../../models/stepped-clock.js';
import { placesOf } from '../../problems-of.js';

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

  it('OP-06 the numbers of a limit, what it limits, and what is left of it', async () => {
    const { limit, call } = setUp({ capacity: 3, refillPerSecond: 10, maxWait: 50, cost: 2 });
    await call();
    await call();

    expect(limit.stats()).toMatchObject({
      name: 'search',
      algorithm: 'token-bucket',
      limit: 3,
      remaining: 1,
      totalAllowed: 1,
      totalRejected: 1,
      waiting: 0,
      keys: 1,
    });
    expect([limit.limit, limit.windowMs, limit.isKeyed, limit.requestKey]).toEqual([
      3,
      300,
      false,
      undefined,
    ]);
  });

  it.each([
    [{ limit: 5, window: '2s' }, 'sliding-window', 2_000],
    [{ algorithm: 'leaky-bucket', capacity: 5, leakPerSecond: 10 }, 'leaky-bucket', 500],
    [{ capacity: 5, refillPerSecond: 0 }, 'token-bucket', Number.POSITIVE_INFINITY],
    [{}, 'token-bucket', 10_000],
  ] as [RateLimitOptions, string, number][])('%j is a %s over %d ms', (options, algorithm, windowMs) => {
    const { limit } = setUp(options);

    expect([limit.stats().algorithm, limit.windowMs]).toEqual([algorithm, windowMs]);
  });

  it('RL-11 says how requests are told apart, and whether calls are', () => {
    const by = () => 'tenant';
    const skip = () => false;

    expect(setUp({ by, skip }).limit.requestKey).toMatchObject({ by, skip });
    expect(setUp({ key: () => 'a' }).limit.isKeyed).toBe(true);
  });

  it('takes and looks without a call: what is left, when the next is there, when all is back', async () => {
    const { clock, limit } = setUp({ capacity: 2, refillPerSecond: 10 });
    const before = limit.look('a');
    const first = limit.decide('a', 2);
    const refused = limit.decide('a');
    const looked = limit.look('a');
    await clock.advance(100);

    expect(before).toEqual({ allowed: true, remaining: 2, limit: 2, retryAfterMs: 0, resetMs: 0 });
    expect(first).toEqual({ allowed: true, remaining: 0, limit: 2, retryAfterMs: 0, resetMs: 200 });
    expect(refused).toEqual({ allowed: false, remaining: 0, limit: 2, retryAfterMs: 100, resetMs: 200 });
    expect(looked).toEqual(refused);
    expect(limit.look('a')).toMatchObject({ allowed: true, remaining: 1 });
    expect(limit.look('b')).toMatchObject({ allowed: true, remaining: 2 });
    expect(limit.stats()).toMatchObject({ totalAllowed: 1, totalRejected: 1 });
  });

  it('who only looks learns of the overflow that a new key would meet', () => {
    const { limit } = setUp({ capacity: 1, refillPerSecond: 0, maxKeys: 1 });
    jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    limit.decide('known');
    limit.decide('in the overflow');

    expect(limit.look('new').allowed).toBe(false);
    expect(setUp({ capacity: 1, refillPerSecond: 0, maxKeys: 1 }).limit.look('new').allowed).toBe(true);
  });

  it('RL-05 who asks at once does not overtake who waits, and learns of the wait behind them', async () => {
    const { clock, limit, call } = setUp({ capacity: 1, refillPerSecond: 10, maxWait: '1s' });
    await call();
    const waiting = call();

    const answer = limit.decide();
    await clock.advance(100);
    await waiting;

    expect(answer).toMatchObject({ allowed: false, retryAfterMs: 200 });
    expect(limit.stats()).toMatchObject({ totalAllowed: 2, totalRejected: 1, waiting: 0 });
  });

  it.each([0, -1, 3, Number.NaN])('RL-06 a cost of %d is a mistake that is told', async (cost) => {
    const { limit } = setUp({ capacity: 2, refillPerSecond: 1 });

    expect(() => limit.decide('a', cost)).toThrow(RangeError);
    await expect(limit.acquire('a', cost)).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    expect(limit.decide('a', 2).allowed).toBe(true);
  });

  it('what a call takes is said by the call, or by an option, which may be a function of the call', async () => {
    const { limit, call } = setUp({
      capacity: 10,
      refillPerSecond: 0,
      cost: ({ options }) => (options.key ? 3 : 2),
    });
    await call();
    const left = [limit.stats().remaining];
    await call({ cost: 5 });
    left.push(limit.stats().remaining);
    await call({ key: 'a' });

    expect(left).toEqual([8, 3]);
    expect(limit.look('a').remaining).toBe(7);
    const costs = [undefined, 4].map((cost) => limit.costOf(new Call(() => 0, undefined, [], { cost })));
    expect(costs).toEqual([2, 4]);
    expect(setUp({ cost: 7 }).limit.costOf(new Call(() => 0, undefined, []))).toBe(7);
  });

  it('a key is said by the call, or by an option; without either all calls share one state', async () => {
    const { limit } = setUp({
      capacity: 9,
      refillPerSecond: 0,
      key: ({ args }) => args[0] as string | undefined,
    });
    await limit.execute(() => 1, { args: ['a'] });
    await limit.execute(() => 1, { args: ['a'], key: 'b' });
    await limit.execute(() => 1, { args: [] });

    expect(limit.stats()).toMatchObject({ keys: 3, remaining: 8 });
    expect([limit.look('a').remaining, limit.look('b').remaining]).toEqual([8, 8]);
  });

  it('RL-01 however late it is, no unit is let in for the rounding of its clock', () => {
    const clock = new ManualClock({ now: 1_795_000_000_000 });
    const limit = new RateLimitPolicy('search', { capacity: 10_000, refillPerSecond: 1_000 }, { clock });

    expect(limit.decide('all', 10_000).allowed).toBe(true);
    expect(limit.decide('all').allowed).toBe(false);
  });

  it.each<[string, Partial<RateLimitOptions>, number]>([
    ['a limit with keys of calls', { key: () => undefined }, 0],
    ['a limit with keys of requests', { by: () => undefined }, 0],
    ['a limit without keys', {}, 1],
  ])("in a pipeline a call's key is for policies with keys: %s", async (_which, options, remaining) => {
    const { limit, clock } = setUp({ capacity: 1, refillPerSecond: 0, ...options });
    await new Pipeline('search', [limit], clock).execute(() => 1, { key: 'a' });

    expect([limit.look('a').remaining, limit.stats().remaining]).toEqual([remaining, 1 - remaining]);
  });

  it("a call's key is for policies with keys; by itself a limit takes it at its word", async () => {
    const { limit, clock } = setUp({ capacity: 1, refillPerSecond: 0 });
    const pipeline = new Pipeline('search', [limit], clock);
    const refused = (key: string) =>
      pipeline
        .execute(() => 1, { key })
        .then(
          () => false,
          () => true,
        );

    expect([await refused('a'), await refused('b')]).toEqual([false, true]);
    expect([await limit.execute(() => 'own', { key: 'c' }), limit.look('c').remaining]).toEqual(['own', 0]);
  });

  it('OP-01 a reset while calls wait: what they end as is counted from then on', async () => {
    const { limit, clock } = setUp({ capacity: 1, refillPerSecond: 1, maxWait: '10s' });
    const bulkhead = new BulkheadPolicy('search', { maxConcurrent: 0 }, { clock });
    const pipeline = new Pipeline('search', [limit, bulkhead], clock);
    const call = (inside: Pipeline | RateLimitPolicy) => inside.execute(() => 1).catch(() => undefined);
    await call(limit);
    const waiting = call(pipeline);
    limit.reset();
    await clock.advance(10_000);
    await waiting;

    expect(limit.stats()).toMatchObject({ totalAllowed: 0, totalRejected: 0 });
  });

  it.each([
    [3, 1_000],
    [7, 100],
    [900, 2_000],
  ])(
    'RL-01 at %d a second all %d are there at once, however long the process has run',
    (perSecond, capacity) => {
      const clock = new SteppedClock();
      const counts = [1e3, 86_400e3, 30 * 86_400e3, 400 * 86_400e3].map((time) => {
        clock.time = time + 0.1;
        const bucket = new TokenBucket({ capacity, refillPerSecond: perSecond }, { clock });
        let allowed = 0;
        while (bucket.tryAcquire()) allowed++;
        return allowed;
      });

      expect(counts).toEqual(counts.map(() => capacity));
    },
  );

  it('RL-05 parts of units leave a window as they came, so that a whole one has room in the end', async () => {
    const { limit, clock, call, startedAt } = setUp({
      algorithm: 'sliding-window',
      limit: 1,
      window: 1_000,
      maxWait: '10s',
    });
    const costs: [at: number, cost: number][] = [
      [0, 0.7],
      [150, 0.1],
      [200, 0.1],
      [450, 0.1],
      [1_150, 0.7],
      [1_700, 0.3],
      [2_200, 0.3],
      [2_800, 0.2],
    ];
    for (const [at, cost] of costs) {
      await clock.advance(at - clock.now());
      void call({ cost });
    }
    await clock.advance(0);
    const whole = call({ cost: 1 });
    expect(Number.isFinite(limit.look().retryAfterMs)).toBe(true);
    await clock.advance(10_000);

    expect([await whole, startedAt.at(-1)]).toEqual([9, 3_812.5]);
  });

  it('RL-06 a crowd that gives up in any order leaves the others in theirs', async () => {
    const { clock, call, startedAt, limit } = setUp({ capacity: 1, refillPerSecond: 1, maxWait: '1h' });
    const controllers = Array.from({ length: 6 }, () => new AbortController());
    await call();
    const calls = controllers.map(({ signal }) => call({ signal }));
    for (const index of [3, 5, 0]) controllers[index]!.abort(new Error(`gone ${index}`));
    await clock.advance(0);
    expect(limit.stats().waiting).toBe(3);
    await clock.advance(10_000);

    const ends = (await Promise.all(calls)).map((end) => (end instanceof Error ? end.message : end));
    expect(ends).toEqual(['gone 0', 2, 3, 'gone 3', 4, 'gone 5']);
    expect(startedAt).toEqual([0, 1_000, 2_000, 3_000]);
  });

  it('a reset forgets what was used and the numbers, and lets in who waits', async () => {
    const { limit, call } = setUp({ capacity: 1, refillPerSecond: 1, maxWait: '10s' });
    await call();
    const waiting = call();
    limit.decide();

    limit.reset();

    expect(await waiting).toBe(2);
    expect(limit.stats()).toMatchObject({ totalRejected: 0, waiting: 0, remaining: 0 });
  });

  it('a call that is refused further in after a reset gives nothing back', async () => {
    const { clock, limit } = setUp({ capacity: 2, refillPerSecond: 0 });
    const bulkhead = new BulkheadPolicy('slow', { maxConcurrent: 1, maxWait: 100 }, { clock });
    void bulkhead.execute(() => new Promise(() => {}));
    const pipeline = new Pipeline('search', [limit, bulkhead], clock);
    const refused = pipeline.execute(() => 'fine').catch((error: unknown) => error);
    limit.reset();
    limit.decide();
    await clock.advance(100);
    await refused;

    expect(limit.stats()).toMatchObject({ remaining: 1, totalAllowed: 1 });
  });

  it('what is given back goes to who waits', async () => {
    const { clock, limit, call, startedAt } = setUp({ capacity: 1, refillPerSecond: 0.001, maxWait: '1h' });
    const bulkhead = new BulkheadPolicy('slow', { maxConcurrent: 1, maxWait: 100 }, { clock });
    void bulkhead.execute(() => new Promise(() => {}));
    const pipeline = new Pipeline('search', [limit, bulkhead], clock);
    const refused = pipeline.execute(() => 'fine').catch((error: unknown) => error);
    const waiting = call();
    await clock.advance(100);
    await refused;
    await clock.advance(0);

    expect(startedAt).toEqual([100]);
    expect(await waiting).toBe(1);
  });

  it.each<[RateLimitOptions, RateLimitOptions, number]>([
    [{ capacity: 4, refillPerSecond: 1 }, { capacity: 6 }, 5],
    [{ capacity: 4, refillPerSecond: 1 }, { refillPerSecond: 0 }, 4],
    [{ limit: 4, window: '1s' }, { limit: 6 }, 5],
    [{ limit: 4, window: '1s' }, { window: '2s' }, 4],
    [{ capacity: 4, refillPerSecond: 1 }, { algorithm: 'leaky-bucket', refillPerSecond: undefined }, 3],
    [{ capacity: 4, refillPerSecond: 1 }, { refillPerSecond: 100 }, 3],
    [{ capacity: 4, refillPerSecond: 100 }, { refillPerSecond: 1 }, 3],
    [{ capacity: 4, refillPerSecond: 1 }, { capacity: 8, refillPerSecond: 2 }, 7],
  ])('PL-08 with one of %j used, %j leaves %d', async (options, update, left) => {
    const { limit, call } = setUp(options);
    await call();

    limit.update(update);

    expect(limit.stats().remaining).toBe(left);
  });

  it('PL-08 what is used comes back at the new rate, for who waits too', async () => {
    const { clock, limit, call, startedAt } = setUp({ capacity: 2, refillPerSecond: 0.001, maxWait: '1h' });
    await call({ cost: 2 });
    const waiting = [call(), call()];

    limit.update({ refillPerSecond: 10 });
    await clock.advance(200);
    await Promise.all(waiting);

    expect(startedAt).toEqual([0, 100, 200]);
  });

  it('PL-08 a raised limit lets in who waits', async () => {
    const { limit, call } = setUp({ capacity: 1, refillPerSecond: 0.001, maxWait: '1h' });
    await call();
    const waiting = call();

    limit.update({ capacity: 2 });

    expect(await waiting).toBe(2);
  });

  it('OP-04 says what it refuses', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ kind, policy, type, details }) => seen.push([kind, policy, type, details]));
    const limit = new RateLimitPolicy('search', { capacity: 1, refillPerSecond: 0 }, { clock, events });
    await limit.execute(() => 'fine');
    const refusal: unknown = await limit.execute(() => 'fine').catch((error: unknown) => error);
    limit.reset();
    await clock.advance(0);

    expect(seen).toEqual([
      ['rateLimit', 'search', 'rejected', { error: refusal }],
      ['rateLimit', 'search', 'cleared', undefined],
    ]);
    expect(refusal).toMatchObject({ policy: 'search', message: 'Rate limit "search" is used up.' });
  });

  it('RL-05 a refusal says when to come again', async () => {
    const { call } = setUp({ capacity: 1, refillPerSecond: 4 });
    await call();

    expect(((await call()) as Error).message).toBe('Rate limit "search" is used up; try again in 250 ms.');
  });

  it.each<[RateLimitOptions, string[]]>([
    [{ algorithm: 'sliding-window' }, ['limit']],
    [{ limit: 1, capacity: 1, refillPerSecond: 1 }, ['capacity', 'refillPerSecond']],
    [{ window: '1s' }, ['window']],
    [{ mode: 'wait', leakPerSecond: 1 }, ['leakPerSecond', 'mode']],
    [{ algorithm: 'leaky-bucket', refillPerSecond: 1 }, ['refillPerSecond']],
    [{ algorithm: 'leaky-bucket', capacity: 1, leakPerSecond: 1, mode: 'meter' }, []],
    [{ capacity: 2, cost: 3 }, ['cost']],
    [{ capacity: 2, cost: 2 }, []],
    [{ cost: 1_001 }, ['cost']],
    [{ limit: 2, cost: 3 }, ['cost']],
    [{ by: () => 'a', key: () => 'a' }, ['by']],
    [{ skip: () => true }, ['skip']],
    [{ by: () => 'a', skip: () => true }, []],
    [{ capacity: 0, skip: () => true }, ['capacity']],
    [{ shared: true, algorithm: 'leaky-bucket' }, ['shared']],
    [{ shared: true, refillPerSecond: 0 }, ['shared']],
    [{ shared: false, refillPerSecond: 0 }, []],
  ])('PL-07 of %j it refuses %j', (options, refused) => {
    expect(placesOf(() => setUp(options))).toEqual(refused.map((option) => ['rate limit "search"', option]));
  });

  it('PL-08 a refused update leaves the old options in force', () => {
    const { limit } = setUp({ capacity: 2, refillPerSecond: 1 });
    const before = limit.describe();

    expect(() => limit.update({ capacity: 0 })).toThrow('rate limit "search": "capacity"');

    expect(limit.describe()).toBe(before);
  });

  it('RL-07 an idle key makes room for a new one wherever it is, and a full map is looked through again in time', async () => {
    const { clock, limit } = setUp({ capacity: 10, refillPerSecond: 1, maxKeys: 4 });
    const warning = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    for (const key of ['a', 'b', 'c']) limit.decide(key, 10);
    limit.decide('idle soon', 1);
    await clock.advance(1_000);

    // Two are looked at for each new key; the idle one is the fourth.
    limit.decide('d', 5);
    expect([limit.stats().keys, warning.mock.calls.length]).toEqual([4, 0]);
    limit.decide('overflow', 1);
    expect(warning).toHaveBeenCalledTimes(1);
    await clock.advance(4_999);
    limit.decide('overflow too', 1);
    const before = limit.look('e').remaining;
    await clock.advance(1);
    limit.decide('e', 9);

    expect(before).toBe(9);
    expect(limit.look('e').remaining).toBe(1);
    expect(limit.stats().keys).toBe(5);
  });

  it('RL-07 a key that is given its units back makes room at once', async () => {
    const { clock, limit } = setUp({ capacity: 1, refillPerSecond: 0.001, maxKeys: 1 });
    const warning = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const bulkhead = new BulkheadPolicy('slow', { maxConcurrent: 1, maxWait: 100 }, { clock });
    void bulkhead.execute(() => new Promise(() => {}));
    const refused = new Pipeline('search', [limit, bulkhead], clock)
      .execute(() => 'fine', { key: 'a' })
      .catch(() => undefined);
    limit.decide('in the overflow');
    await clock.advance(100);
    await refused;

    expect(limit.decide('b').allowed).toBe(true);
    expect(warning.mock.calls).toEqual([
      [
        'Rate limit "search" has 1 keys in use; new keys share one state. Raise "maxKeys".',
        'ResilienceWarning',
      ],
    ]);
  });

  it('RL-05 when nobody waits any more who asks at once is served again', async () => {
    const { clock, limit, call } = setUp({ capacity: 1, refillPerSecond: 10, maxWait: '1s' });
    await call();
    const waiting = call();
    await clock.advance(200);
    await waiting;

    expect(limit.decide().allowed).toBe(true);
  });

  it('RL-05 a wait of just maxWait is waited', async () => {
    const { clock, call, startedAt } = setUp({ capacity: 1, refillPerSecond: 10, maxWait: 100 });
    await call();
    const waiting = call();
    await clock.advance(100);
    await waiting;

    expect(startedAt).toEqual([0, 100]);
  });

  it('RL-05 the wait behind others is that of all who are still in line', async () => {
    const { clock, limit, call } = setUp({ capacity: 2, refillPerSecond: 10, maxWait: '1h' });
    const caller = new AbortController();
    await call({ cost: 2 });
    const calls = [call({ cost: 2 }), call({ cost: 2, signal: caller.signal }), call({ cost: 1 })];
    const all = limit.decide().retryAfterMs;
    caller.abort('gone');
    const withoutOne = limit.decide().retryAfterMs;
    await clock.advance(200);
    const withoutTwo = limit.decide().retryAfterMs;
    await clock.advance(1_000);
    await Promise.all(calls);

    expect([all, withoutOne, withoutTwo]).toEqual([600, 400, 200]);
  });

  it('takes from what instances share: counts, refuses, and waits for a turn', async () => {
    const clock = new ManualClock();
    const fleet = { state: new MemoryState(new MemoryWorld(clock), 'one'), size: 1 };
    const options: RateLimitOptions = { capacity: 2, refillPerSecond: 10, shared: { mode: 'exact' } };
    const limit = new RateLimitPolicy('search', options, { clock, fleet });
    const waiting = new RateLimitPolicy('search', { ...options, maxWait: '1s' }, { clock, fleet });

    expect(await limit.acquire()).toMatchObject({ allowed: true, remaining: 1 });
    expect(await limit.execute(() => 'fine')).toBe('fine');
    expect(await limit.acquire()).toMatchObject({ allowed: false, retryAfterMs: 100 });
    const refused = await limit.execute(() => 'fine').catch((error: unknown) => error);
    const waited = waiting.execute(() => clock.now());
    await clock.advance(100);

    expect(refused).toBeInstanceOf(RateLimitExceededError);
    expect(await waited).toBe(100);
    expect(limit.stats()).toMatchObject({ totalAllowed: 2, totalRejected: 2 });
    expect(waiting.stats()).toMatchObject({ totalAllowed: 1, totalRejected: 0 });
    expect(() => limit.decide()).toThrow('Rate limit "search" is shared: ask it with "await acquire()".');
    expect(limit.look().allowed).toBe(false);
    limit.reset();
    expect(limit.look()).toMatchObject({ allowed: true, remaining: 2 });
  });

  it('RL-05 who asks at once gets nothing before who waits for more', async () => {
    const { clock, limit, call } = setUp({ capacity: 2, refillPerSecond: 10, maxWait: '1s' });
    await call({ cost: 2 });
    const waiting = call({ cost: 2 });
    await clock.advance(100);

    expect(limit.decide().allowed).toBe(false);
    await clock.advance(100);
    await waiting;
  });

  it('RL-05 one that is aborted when its turn has come takes nobody else’s place in line', async () => {
    const { clock, limit, call, startedAt } = setUp({ capacity: 1, refillPerSecond: 10, maxWait: '1s' });
    const caller = new AbortController();
    await call();
    const running = limit
      .execute(() => new Promise(() => {}), { signal: caller.signal })
      .catch((error: unknown) => error);
    const next = call();
    await clock.advance(100);

    caller.abort('enough');

    expect([await running, limit.stats().waiting]).toEqual(['enough', 1]);
    await clock.advance(100);
    await next;
    expect(startedAt).toEqual([0, 200]);
  });

  it('RL-05 a line has one timer, and none when all have left it', async () => {
    const { clock, limit, call } = setUp({ capacity: 1, refillPerSecond: 10, maxWait: '1s' });
    const caller = new AbortController();
    await call();
    const calls = [0, 1, 2].map(() => call({ signal: caller.signal }));
    const waiting = [limit.stats().waiting, clock.pending];

    caller.abort('enough');

    expect(await Promise.all(calls)).toEqual(['enough', 'enough', 'enough']);
    expect(waiting).toEqual([3, 1]);
    expect([limit.stats().waiting, clock.pending]).toEqual([0, 0]);
  });

  it('RL-06 a refusal of a waiter that can never be served is counted, and says never', async () => {
    const { limit, call } = setUp({ capacity: 2, refillPerSecond: 10, maxWait: '1s' });
    await call({ cost: 2 });
    const waiting = call({ cost: 2 });

    limit.update({ capacity: 1 });

    expect(await waiting).toMatchObject({
      retryAfterMs: undefined,
      decision: { allowed: false, limit: 1, retryAfterMs: Number.POSITIVE_INFINITY },
    });
    expect(limit.stats()).toMatchObject({ totalAllowed: 1, totalRejected: 1, waiting: 0 });
  });

  it('RL-07 a known key keeps its place in a full map, and the overflow is a state like others', () => {
    const { limit } = setUp({ capacity: 2, refillPerSecond: 0, maxKeys: 1 });
    jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const asked = ['known', 'new', 'known', 'newer', 'newest', 'known'].map((key) => limit.decide(key));

    expect(asked.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 1],
      [true, 1],
      [true, 0],
      [true, 0],
      [false, 0],
      [false, 0],
    ]);
  });

  it('RL-07 calls of a known key keep their place in a full map', async () => {
    const { limit, call } = setUp({ capacity: 2, refillPerSecond: 0, maxKeys: 1 });
    jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    for (const key of ['known', 'new', 'known']) await call({ key });

    expect([limit.look('known').remaining, limit.look('other').remaining]).toEqual([0, 1]);
  });

  it('what is given back to a key that has vanished meanwhile brings it not back', async () => {
    const { clock, limit } = setUp({ capacity: 10, refillPerSecond: 10 });
    const bulkhead = new BulkheadPolicy('slow', { maxConcurrent: 1, maxWait: '2s' }, { clock });
    void bulkhead.execute(() => new Promise(() => {}));
    const refused = new Pipeline('search', [limit, bulkhead], clock)
      .execute(() => 'fine', { key: 'a' })
      .catch(() => undefined);
    await clock.advance(1_500);
    for (const key of ['b', 'c']) limit.decide(key);
    const vanished = limit.stats().keys;
    await clock.advance(500);
    await refused;

    expect([vanished, limit.stats().keys]).toEqual([2, 2]);
    expect(limit.stats().totalAllowed).toBe(2);
  });

  it('PL-08 what is used is as many units under a new rate, however late', async () => {
    const { clock, limit, call } = setUp({ capacity: 4, refillPerSecond: 10 });
    await clock.advance(5_000);
    for (let i = 0; i < 3; i++) await call();

    limit.update({ refillPerSecond: 1 });

    expect(limit.look()).toMatchObject({ remaining: 1, resetMs: 3_000 });
  });

  it('PL-08 even spacing begins anew at another rate', async () => {
    const { clock, limit, call, startedAt } = setUp({
      algorithm: 'leaky-bucket',
      capacity: 4,
      leakPerSecond: 1,
      mode: 'wait',
    });
    await call();

    limit.update({ leakPerSecond: 2 });
    const calls = [call(), call()];
    await clock.advance(500);
    await Promise.all(calls);

    expect(startedAt).toEqual([0, 0, 500]);
  });

  it('RL-03 who looks at even spacing that nobody has used sees one that may go', () => {
    const { limit } = setUp({ algorithm: 'leaky-bucket', capacity: 4, leakPerSecond: 1, mode: 'wait' });

    expect(limit.look()).toMatchObject({ allowed: true, remaining: 1, retryAfterMs: 0 });
  });

  it.each<[RateLimitOptions, string]>([
    [{ capacity: 5, refillPerSecond: 10 }, 'token-bucket: 5, 10/s'],
    [{ limit: 5, window: '2s', key: () => 'a' }, 'sliding-window: 5 in 2 s per key'],
    [
      { algorithm: 'leaky-bucket', leakPerSecond: 2, maxWait: '1s' },
      'leaky-bucket: 1000, 2/s, waits up to 1 s',
    ],
  ])('%j reads "%s"', (options, text) => {
    expect(setUp(options).limit.describe()).toBe(text);
  });

  it('without an environment it keeps to the clock of the process, and shares nothing', async () => {
    const limit = new RateLimitPolicy('search', { capacity: 1, refillPerSecond: 0, shared: false });

    expect(await limit.execute(() => 'fine')).toBe('fine');
    await expect(limit.execute(() => 'fine')).rejects.toThrow(RateLimitExceededError);
  });

  it('shared where there is nothing to share it by, and not shared where there is, it is its own', () => {
    const clock = new ManualClock();
    const fleet = { state: new MemoryState(new MemoryWorld(clock), 'one'), size: 2 };
    const burst: RateLimitOptions = { capacity: 2, refillPerSecond: 1 };
    const alone = new RateLimitPolicy('search', { ...burst, shared: true }, { clock });
    const own = new RateLimitPolicy('search', burst, { clock, fleet });

    expect([alone, own].map((limit) => limit.decide().remaining)).toEqual([1, 1]);
    expect([alone, own].map((limit) => limit.stats().keys)).toEqual([1, 1]);
  });

  it('shared without more, the store is asked for each call', async () => {
    const clock = new ManualClock();
    const fleet = { state: new MemoryState(new MemoryWorld(clock), 'one'), size: 1 };
    const ask = jest.spyOn(fleet.state, 'take');
    const limit = new RateLimitPolicy('search', { shared: true }, { clock, fleet });

    for (let i = 0; i < 3; i++) await limit.execute(() => 'fine');

    expect(ask).toHaveBeenCalledTimes(3);
    expect(limit.stats().shared).toEqual({ store: 3, lease: 0, alone: 0 });
    expect(setUp({}).limit.stats()).not.toHaveProperty('shared');
    ask.mockRejectedValueOnce(new Error('lost'));
    expect(await limit.acquire()).toMatchObject({ allowed: true, remaining: 999 });
  });

  it('RL-02 units that were lent and not used go to the next call', async () => {
    const clock = new ManualClock();
    const fleet = { state: new MemoryState(new MemoryWorld(clock), 'one'), size: 1 };
    const limit = new RateLimitPolicy(
      'search',
      { capacity: 80, refillPerSecond: 100, shared: { mode: 'leased' } },
      { clock, fleet },
    );
    const bulkhead = new BulkheadPolicy('slow', { maxConcurrent: 1, maxQueue: 0 }, { clock });
    void bulkhead.execute(() => new Promise(() => {}));
    const ask = jest.spyOn(fleet.state, 'take');
    const pipeline = new Pipeline('search', [limit, bulkhead], clock);

    // Two are lent at a time.
    for (let i = 0; i < 4; i++) await pipeline.execute(() => 'fine').catch(() => undefined);

    expect(ask).toHaveBeenCalledTimes(1);
    expect(limit.stats()).toMatchObject({ totalAllowed: 0, totalRejected: 0 });
  });

  it('RL-05 of a shared limit a wait that is too long is refused at once, as soon as the answer is known', async () => {
    const clock = new ManualClock();
    const fleet = { state: new MemoryState(new MemoryWorld(clock), 'one'), size: 1 };
    const limit = new RateLimitPolicy(
      'search',
      { capacity: 8, refillPerSecond: 1, maxWait: 1_000, shared: { mode: 'leased' } },
      { clock, fleet },
    );
    for (let i = 0; i < 8; i++) await limit.execute(() => 'fine');
    const call = (cost: number) =>
      limit.execute(() => clock.now(), { cost }).catch((error: unknown) => error);

    // The first asks; what it hears is known to the second.
    expect(await call(2)).toMatchObject({ retryAfterMs: 2_000, decision: { allowed: false } });
    expect(await call(2)).toBeInstanceOf(RateLimitExceededError);
    limit.update({ maxWait: 2_000 });
    const waited = call(2);
    await clock.advance(0);
    // What the store has said is known, and that somebody waits already.
    const alike = call(3);
    await clock.advance(1_999);
    const { totalRejected } = limit.stats();
    await clock.advance(1);

    expect([await waited, totalRejected]).toEqual([2_000, 3]);
    expect(await alike).toBeInstanceOf(RateLimitExceededError);
    expect(limit.stats()).toMatchObject({ totalAllowed: 9, totalRejected: 3 });
  });

  it('RL-02 units that a caller did not wait for go to the next one', async () => {
    const clock = new ManualClock();
    const fleet = { state: new MemoryState(new MemoryWorld(clock), 'one'), size: 1 };
    const limit = new RateLimitPolicy(
      'search',
      { capacity: 8, refillPerSecond: 1, shared: { mode: 'leased' } },
      { clock, fleet },
    );
    const ask = jest.spyOn(fleet.state, 'take');
    const caller = new AbortController();
    const gone = limit.execute(() => 'fine', { signal: caller.signal }).catch((error: unknown) => error);
    caller.abort('enough');

    expect(await gone).toBe('enough');
    await clock.advance(0);
    expect(await limit.execute(() => 'fine')).toBe('fine');
    expect(ask).toHaveBeenCalledTimes(1);
    expect(limit.stats()).toMatchObject({ totalAllowed: 1, totalRejected: 0 });
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

  it('says what is left, and how long until one unit is there', () => {
    const clock = new SteppedClock();
    const limiters = [
      new TokenBucket({ capacity: 2, refillPerSecond: 10 }, { clock }),
      new LeakyBucket({ capacity: 2, leakPerSecond: 10 }, { clock }),
      new SlidingWindow({ limit: 2, window: 320 }, { clock }),
    ];

    const seen = limiters.map((limiter) => {
      const before = [limiter.remaining(), limiter.retryAfterMs()];
      limiter.tryAcquire(2);
      return [...before, limiter.remaining(), limiter.retryAfterMs()];
    });

    expect(seen).toEqual([
      [2, 0, 0, 100],
      [2, 0, 0, 100],
      [2, 0, 0, 330],
    ]);
  });

  it('RL-06 says which limiter was asked for too much', () => {
    expect(() => new TokenBucket({ capacity: 2, refillPerSecond: 1 }).tryAcquire(0)).toThrow(
      'TokenBucket: a cost must be above 0 and at most the limit of 2, got 0.',
    );
  });

  it('a unit that came back leaves a window with its slice, and one that is older than the window is gone', () => {
    const window = new SlidingWindowAlgorithm(4, 320);
    let use = window.take(undefined, 2, 0) as WindowUse;
    use = window.take(use, 1, 10) as WindowUse;

    const left = [window.remaining(use, 10)];
    use = window.refund(use, 1, 10);
    left.push(window.remaining(use, 10));
    use = window.refund(use, 2, 20);
    left.push(window.remaining(use, 20));
    left.push(window.remaining(use, 329), window.remaining(use, 330));
    use = window.refund(use, 2, 0);
    left.push(window.remaining(use, 330));

    expect(left).toEqual([1, 2, 2, 2, 4, 4]);
    expect([window.idleAt(use), window.take(undefined, 5, 0)]).toEqual([0, undefined]);
  });

  it('only what is still there of a slice is given back', () => {
    const left = (give: (window: SlidingWindowAlgorithm, use: WindowUse) => void, ...at: number[]) => {
      const window = new SlidingWindowAlgorithm(4, 320);
      let use = window.take(undefined, 2, 0) as WindowUse;
      use = window.take(use, 1, 20) as WindowUse;
      give(window, use);
      return at.map((now) => window.remaining(use, now));
    };

    // Nobody took any in that slice; its place is taken by a later one; its units leave with it, once.
    expect(left((window, use) => window.refund(use, 1, 10), 20)).toEqual([1]);
    expect(
      left((window, use) => {
        window.take(use, 2, 335);
        window.refund(use, 2, 0);
      }, 335),
    ).toEqual([1]);
    expect(left((window, use) => window.refund(use, 1, 20), 20, 329, 330, 350)).toEqual([2, 2, 4, 4]);
  });

  it('RL-05 who comes behind many waits for whole windows, and for the oldest slices of the last', () => {
    const window = new SlidingWindowAlgorithm(4, 320);
    let use = window.take(undefined, 1, 0) as WindowUse;
    use = window.take(use, 3, 100) as WindowUse;

    const waits = [1, 2, 4].map((cost) => window.waitMs(use, cost, 105));

    expect(waits).toEqual([330 - 105, 430 - 105, 430 - 105]);
    expect(window.waitMs(use, 1, 105, 4)).toBe(330 + 330 - 105);
    expect([window.waitMs(undefined, 4, 105), window.waitMs(undefined, 1, 105, 4)]).toEqual([0, 330]);
    expect(window.idleAt(use)).toBe(430);
  });

  it('RL-03 even spacing knows when the last unit has left', () => {
    const pacer = new Pacer(5, 10);
    const freeAt = pacer.take(undefined, 2, 1_000) as number;

    expect([freeAt, pacer.idleAt(freeAt)]).toEqual([1_200, 1_200]);
    expect([pacer.take(freeAt, 1, 1_199), pacer.take(freeAt, 1, 1_200)]).toEqual([undefined, 1_300]);
    expect([
      pacer.remaining(freeAt, 1_199),
      pacer.remaining(freeAt, 1_200),
      pacer.remaining(undefined, 0),
    ]).toEqual([0, 1, 1]);
    expect([
      pacer.waitMs(freeAt, 9, 1_150),
      pacer.waitMs(freeAt, 9, 1_150, 2),
      pacer.waitMs(freeAt, 1, 1_300),
    ]).toEqual([50, 250, 0]);
    expect([pacer.refund(freeAt, 2, 1_000, 1_000), pacer.refund(freeAt, 2, 1_000, 1_150)]).toEqual([
      1_000, 1_150,
    ]);
    expect(pacer.refund(freeAt, 2, 1_000, 2_000)).toBe(1_200);
  });

  it('RL-01 a burst that comes once is gone for good, unless it is given back', () => {
    const burst = new Allowance(3);
    const used = burst.take(undefined, 2) as number;

    expect([used, burst.take(used, 1), burst.take(used, 2)]).toEqual([2, 3, undefined]);
    expect([burst.refund(used, 2), burst.remaining(used), burst.remaining(undefined)]).toEqual([0, 1, 3]);
    expect([burst.waitMs(used, 1, 0), burst.waitMs(used, 1, 0, 1)]).toEqual([0, Number.POSITIVE_INFINITY]);
    expect([burst.idleAt(0), burst.idleAt(1)]).toEqual([0, Number.POSITIVE_INFINITY]);
  });

  it('RL-01 a token bucket gives back what has not come back by itself', () => {
    const bucket = new Gcra(5, 10);
    const fullAt = bucket.take(undefined, 3, 1_000) as number;

    expect([bucket.idleAt(fullAt), bucket.remaining(fullAt, 1_000), bucket.remaining(fullAt, 1_100)]).toEqual(
      [1_300, 2, 3],
    );
    expect([bucket.refund(fullAt, 3, 1_000, 1_000), bucket.refund(fullAt, 3, 1_000, 1_200)]).toEqual([
      1_000_000, 1_200_000,
    ]);
    expect(bucket.refund(fullAt, 3, 1_000, 1_400)).toBe(1_300_000);
    expect([
      bucket.waitMs(fullAt, 3, 1_000),
      bucket.waitMs(fullAt, 3, 1_000, 2),
      bucket.waitMs(fullAt, 2, 1_000),
    ]).toEqual([100, 300, 0]);
    // Full again long ago.
    expect(bucket.waitMs(fullAt, 3, 9_000, 4)).toBe(200);
  });
});

describe('the keys of a limiter', () => {
  /** Ten keys in a map of ten, of which each says itself when it is idle. */
  function full() {
    const algorithm = { idleAt: ({ at }) => at } as LimitAlgorithm<{ at: number }>;
    const states = new KeyedStates(algorithm, 10, () => undefined);
    const keys = Array.from({ length: 10 }, () => ({ at: 1_000 }));
    for (const [index, state] of keys.entries()) states.set(`key ${index}`, state);
    return { states, keys };
  }

  it('RL-07 a full map is looked through again as soon as the first key is idle, and not the last', () => {
    const { states, keys } = full();
    (keys[5] as { at: number }).at = 100;

    expect([states.placeOf('x', 0), states.placeOf('y', 100)]).toEqual([OVERFLOW_KEY, 'y']);
  });

  it('RL-07 a full map is looked through again where a key may be idle earlier than thought', () => {
    const { states, keys } = full();
    const before = states.placeOf('x', 0);
    (keys[9] as { at: number }).at = 0;
    states.forgetFullness();

    expect([before, states.placeOf('y', 50)]).toEqual([OVERFLOW_KEY, 'y']);
  });

  it('RL-02 a window takes units back at any distance from the origin of its clock', () => {
    const window = new SlidingWindowAlgorithm(2, 32_000);
    const use = window.take(undefined, 2, 1_000_000) as WindowUse;
    window.refund(use, 1, 1_000_000);

    expect(window.remaining(use, 1_000_000)).toBe(1);
  });

  it('a limit that is not shared can be asked like one that is', async () => {
    const limit = new RateLimitPolicy(
      'search',
      { capacity: 1, refillPerSecond: 1 },
      { clock: new ManualClock() },
    );

    expect([await limit.acquire('a'), await limit.acquire('a')].map(({ allowed }) => allowed)).toEqual([
      true,
      false,
    ]);
  });
});
