import { Readable } from 'node:stream';
import { describe, expect, it, jest } from '@jest/globals';
import type { Call, CallInfo } from '../../../lib/core/call.js';
import {
  BulkheadFullError,
  CircuitOpenError,
  DrainingError,
  InvalidOptionsError,
  RateLimitExceededError,
  TimeoutExceededError,
} from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/index.js';
import { HedgePolicy } from '../../../lib/policies/hedge/index.js';
import { RateLimitPolicy } from '../../../lib/policies/rate-limit/index.js';
import { FINAL_ERRORS, RetryPolicy, type RetryOptions } from '../../../lib/policies/retry/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { loadOf } from '../../models/runs.js';
import { deferred } from '../deferred.js';
import { placesOf } from '../../problems-of.js';

const DOWN = new Error('down');

function setUp(options: RetryOptions = {}) {
  const clock = new ManualClock();
  const retry = new RetryPolicy('inventory', { jitter: 'none', budget: false, ...options }, { clock });
  const startedAt: number[] = [];
  /** A method that records when each attempt began, and does what the list says; the last entry goes on. */
  const doing = (...attempts: (() => unknown)[]) => {
    let next = 0;
    return () => {
      startedAt.push(clock.now());
      return (attempts[Math.min(next++, attempts.length - 1)] as () => unknown)();
    };
  };
  return { clock, retry, startedAt, doing };
}

const fail = () => Promise.reject(DOWN);
const failWith = (error: unknown) => () => Promise.reject(error);
const succeed = () => 'fine';
const withStatus = (status: number) => Object.assign(new Error(String(status)), { status });

/** Where and for which options a policy cannot be. */
/** Waits for the end of a call, however long it takes on the clock. */
async function outcomeOf(clock: ManualClock, call: Promise<unknown>): Promise<unknown> {
  const ended = call.catch((error: unknown) => error);
  await clock.advance(10_000_000);
  return ended;
}

describe('RetryPolicy', () => {
  it('RT-01 maxRetries: 3 makes at most four attempts', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 3 });

    expect(await outcomeOf(clock, retry.execute(doing(fail)))).toBe(DOWN);

    expect(startedAt).toHaveLength(4);
  });

  it('RT-01 maxRetries: 0 is legal and makes one', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 0 });

    await outcomeOf(clock, retry.execute(doing(fail)));

    expect(startedAt).toHaveLength(1);
  });

  it('RT-02 delays double from baseDelay', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 4, baseDelay: '100ms' });

    await outcomeOf(clock, retry.execute(doing(fail)));

    expect(startedAt).toEqual([0, 100, 300, 700, 1_500]);
  });

  it('RT-02 a function gives the delay of each retry, cut at maxDelay', async () => {
    const { clock, retry, startedAt, doing } = setUp({
      maxDelay: 250,
      backoff: (attempt, error) => (error === DOWN ? `${attempt * 100}ms` : 0),
    });

    await outcomeOf(clock, retry.execute(doing(fail)));

    expect(startedAt).toEqual([0, 100, 300, 550]);
  });

  it('RT-05 a zero delay creates no timer', async () => {
    const { clock, retry, doing } = setUp({ baseDelay: 0 });
    const delay = jest.spyOn(clock, 'delay');

    await expect(retry.execute(doing(fail, fail, succeed))).resolves.toBe('fine');

    expect(delay).not.toHaveBeenCalled();
  });

  it("RT-05 a back-off waits on the clock's delay, which keeps the process alive", async () => {
    const { clock, retry, doing } = setUp();
    const delay = jest.spyOn(clock, 'delay');
    const arm = jest.spyOn(clock, 'arm');

    const call = retry.execute(doing(fail, succeed));
    await clock.advance(0);
    expect(delay.mock.calls.map(([delayMs]) => delayMs)).toEqual([100]);
    expect(arm.mock.calls).toHaveLength(1);
    await clock.advance(100);

    await expect(call).resolves.toBe('fine');
    expect(clock.pending).toBe(0);
  });

  it.each([
    ['axios', { response: { status: 503, headers: { 'retry-after': '7' } } }],
    ['fetch', new Response(null, { status: 503, headers: { 'Retry-After': '7' } })],
    ['HttpException', { getStatus: () => 503, getResponse: () => ({ retryAfter: 7 }) }],
    ['an HTTP date', { status: 503, headers: { 'retry-after': 'Wed, 01 Jan 2025 00:00:07 GMT' } }],
  ])('RT-06 Retry-After of %s is honoured', async (_name, error) => {
    const { clock, retry, startedAt, doing } = setUp();

    await outcomeOf(clock, retry.execute(doing(failWith(error), succeed)));

    expect(startedAt).toEqual([0, 7_000]);
  });

  it('RT-06 a past date means now', async () => {
    const { clock, retry, startedAt, doing } = setUp();
    clock.setWallTime(Date.UTC(2025, 0, 2));
    const error = { status: 503, headers: { 'retry-after': 'Wed, 01 Jan 2025 00:00:07 GMT' } };

    await outcomeOf(clock, retry.execute(doing(failWith(error), succeed)));

    expect(startedAt).toEqual([0, 0]);
  });

  it.each([0, 0.999])('RT-06 jitter only adds to what was asked (random %d)', async (random) => {
    const clock = new ManualClock();
    const options = { jitter: 0.5, baseDelay: 100, budget: false } as const;
    const retry = new RetryPolicy('inventory', options, { clock, random: () => random });
    let startedAt = 0;
    let attempts = 0;

    const call = retry.execute(() => {
      startedAt = clock.now();
      if (attempts++ === 0)
        throw Object.assign(new Error(), { status: 503, headers: { 'retry-after': '7' } });
    });
    await outcomeOf(clock, call);

    expect(startedAt).toBeCloseTo(7_000 + 50 * random);
  });

  it('RT-06 above maxDelay it gives up with the last error', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxDelay: '5s' });
    const error = Object.assign(new Error(), { status: 503, headers: { 'retry-after': '6' } });

    expect(await outcomeOf(clock, retry.execute(doing(failWith(error))))).toBe(error);

    expect(startedAt).toHaveLength(1);
  });

  it('RT-06 respectRetryAfter: false goes by the back-off', async () => {
    const { clock, retry, startedAt, doing } = setUp({ respectRetryAfter: false });
    const error = { status: 503, headers: { 'retry-after': '7' } };

    await outcomeOf(clock, retry.execute(doing(failWith(error), succeed)));

    expect(startedAt).toEqual([0, 100]);
  });

  it.each([
    ['status 503', withStatus(503)],
    ['statusCode 500', { statusCode: 500 }],
    ['response.status 502', { response: { status: 502 } }],
    ['status 408', withStatus(408)],
    ['status 425', withStatus(425)],
    ['status 429', withStatus(429)],
    ['code ECONNRESET', { code: 'ECONNRESET' }],
    ['code ETIMEDOUT', { code: 'ETIMEDOUT' }],
    ['code UND_ERR_SOCKET', { code: 'UND_ERR_SOCKET' }],
    ['a wrapped cause of status 503', new Error('wrapped', { cause: withStatus(503) })],
    ['an attempt that timed out', new TimeoutExceededError('late')],
    ['an error that says nothing', new Error('?')],
    ['a rejection with undefined', undefined],
  ])('RT-07 %s is retried', async (_name, error) => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1 });

    await outcomeOf(clock, retry.execute(doing(failWith(error))));

    expect(startedAt).toHaveLength(2);
  });

  it.each([
    ['status 400', withStatus(400)],
    ['status 404', withStatus(404)],
    ['response.status 422', { response: { status: 422 } }],
    ['a wrapped cause of status 403', new Error('wrapped', { cause: withStatus(403) })],
    ['an AbortError', new DOMException('stop', 'AbortError')],
    ['a mistake in the program', Object.assign(new TypeError(), { code: 'ERR_INVALID_ARG_TYPE' })],
  ])('RT-07 %s is not retried', async (_name, error) => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1 });

    expect(await outcomeOf(clock, retry.execute(doing(failWith(error))))).toBe(error);

    expect(startedAt).toHaveLength(1);
  });

  it('RT-07 retryOn, abortOn and retryOnStatus decide where they are given', async () => {
    const attempts = async (options: RetryOptions, error: unknown) => {
      const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1, ...options });
      await outcomeOf(clock, retry.execute(doing(failWith(error))));
      return startedAt.length;
    };

    expect(await attempts({ retryOn: TypeError }, new TypeError())).toBe(2);
    expect(await attempts({ retryOn: TypeError }, new RangeError())).toBe(1);
    expect(await attempts({ retryOn: Error, abortOn: TypeError }, new TypeError())).toBe(1);
    expect(await attempts({ retryOnStatus: [404] }, withStatus(404))).toBe(2);
    expect(await attempts({ retryOnStatus: [404] }, withStatus(503))).toBe(1);
  });

  it('RT-08 aborted before the first attempt there is none, and the caller sees its own reason', async () => {
    const { retry, startedAt, doing } = setUp();
    const reason = { mine: true };

    await expect(retry.execute(doing(succeed), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);

    expect(startedAt).toHaveLength(0);
  });

  it('RT-08 aborted during an attempt there is no further one', async () => {
    const { clock, retry, startedAt, doing } = setUp();
    const caller = new AbortController();
    const running = deferred();

    const call = retry.execute(
      doing(() => running.promise),
      { signal: caller.signal },
    );
    caller.abort('gone');
    running.reject(DOWN);

    expect(await outcomeOf(clock, call)).toBe('gone');
    expect(startedAt).toHaveLength(1);
  });

  it('RT-08 aborted during back-off it ends at once and clears the timer', async () => {
    const { clock, retry, startedAt, doing } = setUp();
    const caller = new AbortController();
    const call = retry.execute(doing(fail), { signal: caller.signal });
    const ended = call.catch((error: unknown) => error);
    await clock.advance(50);
    expect(clock.pending).toBe(1);

    caller.abort('gone');

    expect(clock.pending).toBe(0);
    expect(await ended).toBe('gone');
    expect(startedAt).toHaveLength(1);
  });

  it('RT-09 a delay that does not fit into maxElapsed is not slept', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxElapsed: 300 });
    const call = retry.execute(doing(fail)).catch((error: unknown) => error);

    await clock.advance(100);

    expect(await call).toBe(DOWN);
    expect(startedAt).toEqual([0, 100]);
    expect(clock.pending).toBe(0);
  });

  it("RT-09 a delay that does not fit into the call's deadline is not slept", async () => {
    const { clock, retry, startedAt, doing } = setUp();
    const call = retry.execute(doing(fail), { deadline: 300 }).catch((error: unknown) => error);

    await clock.advance(100);

    expect(await call).toBe(DOWN);
    expect(startedAt).toEqual([0, 100]);
  });

  it('RT-09 a timer that comes late starts no attempt after maxElapsed', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxElapsed: 150 });
    const now = jest.spyOn(clock, 'now');
    const call = retry.execute(doing(fail)).catch((error: unknown) => error);
    await clock.advance(50);

    now.mockReturnValue(200);
    await clock.advance(50);

    expect(await call).toBe(DOWN);
    expect(startedAt).toHaveLength(1);
  });

  it('RT-09 maxElapsed counts the wait of the first attempt in the queue of a bulkhead', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxElapsed: '5s' });
    const bulkhead = new BulkheadPolicy('inventory', { maxConcurrent: 1 }, { clock });
    const running = deferred();
    void bulkhead.execute(() => running.promise);
    const pipeline = new Pipeline('inventory', [retry, bulkhead], clock);

    const call = pipeline.execute(doing(fail)).catch((error: unknown) => error);
    await clock.advance(6_000);
    running.resolve('fine');
    await clock.advance(60_000);

    expect(await call).toBe(DOWN);
    expect(startedAt).toEqual([6_000]);
  });

  it.each([
    [1, 'up to 1 retry, '],
    [2, 'up to 2 retries, '],
  ])('says what it is set to do, with %j retries', (maxRetries, text) => {
    expect(new RetryPolicy('inventory', { maxRetries }).describe()).toContain(text);
  });

  it('RT-10 exhausted on errors the caller sees the last error, untouched', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 1 });
    const last = Object.freeze(new Error('second'));

    expect(await outcomeOf(clock, retry.execute(doing(fail, failWith(last))))).toBe(last);
  });

  it('RT-10 exhausted on results the caller sees the last result', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 2, retryOnResult: (value) => value !== 'fine' });
    const results = ['first', 'second', 'third'];

    expect(await outcomeOf(clock, retry.execute(doing(...results.map((result) => () => result))))).toBe(
      'third',
    );
  });

  it('RT-10 where a later attempt is refused the caller sees the last error of the method', async () => {
    const { clock, retry, doing, startedAt } = setUp({ maxRetries: 3 });
    const breaker = new CircuitBreakerPolicy(
      'inventory',
      { failureThreshold: 2, openDuration: '1d' },
      { clock },
    );
    const pipeline = new Pipeline('inventory', [retry, breaker], clock);
    const last = Object.freeze(new Error('second'));

    expect(await outcomeOf(clock, pipeline.execute(doing(fail, failWith(last))))).toBe(last);
    expect(startedAt).toHaveLength(2);
    // The method does not run at all.
    expect(await outcomeOf(clock, pipeline.execute(doing(fail)))).toBeInstanceOf(CircuitOpenError);
    expect(retry.stats()).toMatchObject({ failedWithRetry: 1, failedWithoutRetry: 1 });
  });

  it('RT-10 so it does where a refusal was waited for in vain, and whatever was thrown', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 5, maxElapsed: '3s', retryOn: () => true });
    const limit = new RateLimitPolicy('inventory', { capacity: 2, refillPerSecond: 0.25 }, { clock });
    const pipeline = new Pipeline('inventory', [retry, limit], clock);

    expect(await outcomeOf(clock, pipeline.execute(doing(fail, failWith(undefined))))).toBeUndefined();
  });

  it('RT-10 nor is it seen where a hedge stands in between', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 3 });
    const hedge = new HedgePolicy('inventory', { delay: '10s', idempotent: true }, { clock });
    const breaker = new CircuitBreakerPolicy(
      'inventory',
      { failureThreshold: 2, openDuration: '1d' },
      { clock },
    );
    const pipeline = new Pipeline('inventory', [retry, hedge, breaker], clock);
    const last = new Error('second');

    expect(await outcomeOf(clock, pipeline.execute(doing(fail, failWith(last))))).toBe(last);
    expect(await outcomeOf(clock, pipeline.execute(doing(fail)))).toBeInstanceOf(CircuitOpenError);
  });

  it('RT-10 a refusal that the method itself answers with is its error', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 3 });
    const hedge = new HedgePolicy('inventory', { delay: '10s', idempotent: true }, { clock });
    const broken = new CircuitBreakerPolicy('another', {}, { clock });
    broken.forceOpen();
    const another = new Pipeline('another', [hedge, broken], clock);
    const pipeline = new Pipeline('inventory', [retry, hedge], clock);
    const calling = doing(fail, () => another.execute(succeed));

    expect(await outcomeOf(clock, pipeline.execute(calling))).toMatchObject({ policy: 'another' });
  });

  it('RT-10 a mistake in a function of an option is not hidden by what was before', async () => {
    const mistake = new TypeError('a mistake');
    const wrong = (call: CallInfo) => {
      if (call.attempt > 1) throw mistake;
      return 'key';
    };
    const { clock, retry, doing } = setUp({ maxRetries: 3 });
    const limit = new RateLimitPolicy(
      'inventory',
      { capacity: 9, refillPerSecond: 1, key: wrong },
      { clock },
    );
    const keyed = new Pipeline('inventory', [retry, limit], clock);
    expect(await outcomeOf(clock, keyed.execute(doing(fail)))).toBe(mistake);

    const recordErrors = (error: unknown) => {
      if (error instanceof RateLimitExceededError) throw mistake;
      return true;
    };
    const breaker = new CircuitBreakerPolicy('inventory', { recordErrors }, { clock });
    const few = new RateLimitPolicy('few', { capacity: 1, refillPerSecond: 0.0001 }, { clock });
    const order = ['retry', 'circuitBreaker', 'rateLimit'] as const;
    const outside = new Pipeline('inventory', [retry, breaker, few], clock, order);
    expect(await outcomeOf(clock, outside.execute(doing(fail)))).toBe(mistake);
  });

  it('BU-04 the error that is shown in place of a refusal is the one that a budget has refused', async () => {
    const { clock, doing, startedAt } = setUp();
    const budget = { max: 1, window: '60s' };
    const nested = (options: RetryOptions) => {
      const inner = new RetryPolicy('inner', { maxRetries: 5, budget, ...options }, { clock });
      const limit = new RateLimitPolicy('inner', { capacity: 1, refillPerSecond: 1 }, { clock });
      return new Pipeline('inner', [inner, limit], clock);
    };
    const outer = new RetryPolicy('outer', { maxRetries: 3, budget: false }, { clock });
    const marked = nested({});
    let calls = 0;
    const twice = () => {
      calls++;
      return marked.execute(doing(fail));
    };

    expect(await outcomeOf(clock, outer.execute(twice))).toBe(DOWN);
    expect([calls, startedAt.length]).toEqual([1, 1]);
    expect(await outcomeOf(clock, nested({ onExhausted: 'throw' }).execute(doing(fail)))).toMatchObject({
      name: 'RetryBudgetExhaustedError',
      cause: DOWN,
    });
  });

  it('RT-10 a refusal is what the caller sees after a result whose body was let go', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 3, retryOnResult: () => true });
    const limit = new RateLimitPolicy('inventory', { capacity: 1, refillPerSecond: 0 }, { clock });
    const pipeline = new Pipeline('inventory', [retry, limit], clock);

    const call = pipeline.execute(doing(() => ({ body: new ReadableStream() })));
    expect(await outcomeOf(clock, call)).toBeInstanceOf(RateLimitExceededError);
  });

  it('RT-10 who gives up sees that, whatever was before', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 3 });
    const slots = new BulkheadPolicy('inventory', { maxConcurrent: 1, maxQueue: 1 }, { clock });
    const pipeline = new Pipeline('inventory', [retry, slots], clock);
    const giving = new AbortController();
    const busy = deferred();
    const call = pipeline.execute(doing(fail), { signal: giving.signal });
    await clock.advance(0);
    // The only slot goes to somebody else before the second attempt, which then waits.
    void slots.execute(() => busy.promise);
    await clock.advance(1_000);
    expect(slots.stats()).toMatchObject({ activeCalls: 1, queuedCalls: 1 });
    giving.abort(new Error('gone'));

    expect(await outcomeOf(clock, call)).toMatchObject({ message: 'gone' });
    busy.resolve(undefined);
  });

  it.each([new CircuitOpenError(''), new BulkheadFullError(''), new DrainingError('')])(
    'RT-11 %p is not retried unless that is asked for',
    async (rejection) => {
      const plain = setUp({ maxRetries: 1 });
      const asked = setUp({ maxRetries: 1, retryOn: Error });

      await outcomeOf(plain.clock, plain.retry.execute(plain.doing(failWith(rejection))));
      await outcomeOf(asked.clock, asked.retry.execute(asked.doing(failWith(rejection))));

      expect(plain.startedAt).toHaveLength(1);
      expect(asked.startedAt).toHaveLength(2);
    },
  );

  it.each([
    ['fits', 2_000, [0, 2_000]],
    ['does not fit', 6_000, [0]],
    ['never ends', undefined, [0]],
  ])('RT-11 a rate limit whose wait %s', async (_name, retryAfterMs, expected) => {
    const { clock, retry, startedAt, doing } = setUp({ maxDelay: '5s', maxRetries: 1 });

    await outcomeOf(clock, retry.execute(doing(failWith(new RateLimitExceededError('', { retryAfterMs })))));

    expect(startedAt).toEqual(expected);
  });

  it('RT-12 every attempt is recorded by an inner breaker', async () => {
    const { clock, retry } = setUp({ maxRetries: 2 });
    const breaker = new CircuitBreakerPolicy('inventory', { failureThreshold: 10 }, { clock });
    const pipeline = new Pipeline('inventory', [retry, breaker], clock);

    await outcomeOf(clock, pipeline.execute(fail));

    expect(breaker.stats().totalFailures).toBe(3);
  });

  it('RT-12 a retry leaves the bulkhead in back-off and rejoins at the back of the queue', async () => {
    const { clock, retry } = setUp({ maxRetries: 1 });
    const bulkhead = new BulkheadPolicy('inventory', { maxConcurrent: 1 }, { clock });
    const pipeline = new Pipeline('inventory', [retry, bulkhead], clock);
    const started: string[] = [];
    const run = (name: string, method: () => unknown) =>
      pipeline
        .execute(() => {
          started.push(name);
          return method();
        })
        .catch((error: unknown) => error);
    const slow = deferred();

    const retried = run('retried', fail);
    const second = run('second', () => slow.promise);
    await clock.advance(50);
    expect(bulkhead.stats().activeCalls).toBe(1);
    const third = run('third', succeed);
    await clock.advance(100);
    slow.resolve('fine');
    await Promise.all([retried, second, third]);

    expect(started).toEqual(['retried', 'second', 'third', 'retried']);
  });

  it('RT-13 a throwing retryOn rejects with that error', async () => {
    const { retry } = setUp({
      retryOn: () => {
        throw new RangeError('matcher');
      },
    });

    await expect(retry.execute(fail)).rejects.toThrow('matcher');
  });

  it('RT-13 a synchronous throw on attempt 2 rejects', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 1 });
    const second = new Error('second');
    const method = doing(fail, () => {
      throw second;
    });

    expect(await outcomeOf(clock, retry.execute(method))).toBe(second);
  });

  it('RT-14 a million immediate retries do not overflow the stack', async () => {
    const { retry } = setUp({ maxRetries: loadOf(1_000_000), baseDelay: 0 });
    let attempts = 0;

    await expect(
      retry.execute(() => {
        attempts++;
        throw DOWN;
      }),
    ).rejects.toBe(DOWN);

    expect(attempts).toBe(loadOf(1_000_000) + 1);
  });

  it('RT-15 a discarded response is released, the returned one is not', async () => {
    const { clock, retry, doing } = setUp();
    const cancelled: string[] = [];
    const response = (name: string, status: number) =>
      new Response(new ReadableStream({ cancel: () => void cancelled.push(name) }), { status });

    const answer = await outcomeOf(
      clock,
      retry.execute(
        doing(
          () => response('first', 503),
          () => response('second', 200),
        ),
      ),
    );

    expect(cancelled).toEqual(['first']);
    expect((answer as Response).status).toBe(200);
  });

  it.each(['itself', 'body', 'data'])('RT-15 a discarded Node stream is destroyed: %s', async (where) => {
    const { clock, retry, doing } = setUp({ retryOnResult: (value) => value !== 'fine' });
    const stream = new Readable({
      read: () => undefined,
      // As the bodies of undici do, which report their destruction as an error.
      destroy: (_error, callback) => callback(new Error('aborted')),
    });
    const result = where === 'itself' ? stream : { [where]: stream };

    expect(await outcomeOf(clock, retry.execute(doing(() => result, succeed)))).toBe('fine');

    expect(stream.destroyed).toBe(true);
  });

  it('RT-15 only what is a stream is let go of, each as its kind', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 9, retryOnResult: (value) => value !== 'fine' });
    const called: string[] = [];
    const calls = (name: string) => () => void called.push(name);
    const results = [
      { cancel: calls('no reader'), destroy: calls('no pipe') },
      {
        getReader: calls('reader'),
        cancel: calls('cancel'),
        destroy: calls('destroy, reader'),
        pipe: calls('pipe'),
      },
      { getReader: calls('reader'), cancel: calls('cancel, locked'), locked: true },
      { getReader: calls('reader') },
      { pipe: calls('pipe') },
      { pipe: calls('pipe'), destroy: calls('destroy'), cancel: calls('cancel, piped') },
      { pipe: calls('pipe'), destroy: calls('destroy 2'), on: calls('on') },
    ];

    expect(
      await outcomeOf(clock, retry.execute(doing(...results.map((result) => () => result), succeed))),
    ).toBe('fine');

    expect(called).toEqual(['cancel', 'destroy', 'on', 'destroy 2']);
  });

  it('RT-15 what cannot be released fails nothing', async () => {
    const { clock, retry, doing } = setUp({ retryOnResult: (value) => value !== 'fine' });
    const broken = new ReadableStream({ cancel: () => Promise.reject(new Error('cannot')) });
    const locked = new ReadableStream();
    locked.getReader();
    const results = [broken, locked, null, undefined, 7, { body: null }].map((result) => () => result);
    const patient = new RetryPolicy(
      'inventory',
      { maxRetries: 9, budget: false, retryOnResult: (value) => value !== 'fine' },
      { clock },
    );

    expect(await outcomeOf(clock, patient.execute(doing(...results, succeed)))).toBe('fine');
    expect(retry.stats().totalCalls).toBe(0);
  });

  it('RT-16 a 429 without Retry-After waits from rateLimitedDelay, ten times the base delay', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 2 });

    await outcomeOf(clock, retry.execute(doing(failWith(withStatus(429)))));

    expect(startedAt).toEqual([0, 1_000, 3_000]);
  });

  it('RT-16 a 429 that is a cause waits as long', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1, rateLimitedDelay: '4s' });

    await outcomeOf(clock, retry.execute(doing(failWith(new Error('wrapped', { cause: withStatus(429) })))));

    expect(startedAt).toEqual([0, 4_000]);
  });

  it.each([
    ['a fetch response', () => new Response(null, { status: 503 })],
    ['an axios response', () => ({ status: 503, data: {} })],
    ['an object with a statusCode', () => ({ statusCode: 503 })],
  ])('RT-17 a returned 503 is retried: %s', async (_name, result) => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1 });

    expect(await outcomeOf(clock, retry.execute(doing(result)))).toHaveProperty(
      'constructor',
      result().constructor,
    );

    expect(startedAt).toHaveLength(2);
  });

  it('RT-17 a returned 404 is returned as it is', async () => {
    const { clock, retry, startedAt, doing } = setUp();
    const response = new Response(null, { status: 404 });

    expect(await outcomeOf(clock, retry.execute(doing(() => response)))).toBe(response);

    expect(startedAt).toHaveLength(1);
  });

  it('RT-17 exhausted, the last response is returned, its Retry-After having been honoured', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1 });
    const last = new Response(null, { status: 503 });
    const first = new Response(null, { status: 503, headers: { 'retry-after': '2' } });

    expect(
      await outcomeOf(
        clock,
        retry.execute(
          doing(
            () => first,
            () => last,
          ),
        ),
      ),
    ).toBe(last);

    expect(startedAt).toEqual([0, 2_000]);
  });

  it('a call says which statuses are retried', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1 });

    await outcomeOf(clock, retry.execute(doing(failWith(withStatus(404))), { retryOnStatus: [404] }));

    expect(startedAt).toHaveLength(2);
  });

  it.each<[string, RetryOptions, number, number]>([
    ['abortOn has the last word', { abortOn: 503 }, 503, 1],
    ['also against a status that is retried', { abortOn: 503, retryOnStatus: [503] }, 503, 1],
    ['what is named is all that is retried', { retryOn: [TypeError] }, 503, 1],
    ['unless statuses are named as well', { retryOn: [TypeError], retryOnStatus: [503] }, 503, 3],
    ['a status among the errors', { retryOn: [418] }, 418, 3],
    [
      'a predicate sees an error with status and response',
      {
        retryOn: (error: Error & { response: unknown }) => error.message.includes('418') && !!error.response,
      },
      418,
      3,
    ],
    ['with matchers of what is final alone, statuses count', { abortOn: 418 }, 503, 3],
    ['the first status that is a failure', { retryOn: () => true }, 400, 3],
    ['nobody asks about what went well', { retryOn: () => true }, 399, 1],
    ['nor whether it is final', { abortOn: () => true, retryOnResult: () => true }, 399, 3],
    ['nothing named', {}, 503, 3],
  ])(
    'RT-17 a returned response means what its error would: %s',
    async (_title, options, status, attempts) => {
      const { clock, retry, startedAt, doing } = setUp({ maxRetries: 2, baseDelay: 1, ...options });

      const last = await outcomeOf(clock, retry.execute(doing(() => ({ status }))));

      expect([last, startedAt.length]).toEqual([{ status }, attempts]);
    },
  );

  it('RT-17 matchers of errors are not asked about what is no response', async () => {
    const { clock, retry, startedAt, doing } = setUp({
      maxRetries: 2,
      retryOnResult: (value) => value === 'again',
      retryOn: () => true,
      abortOn: () => true,
    });
    const values = ['again', { statusCode: '503' }];
    const last = await outcomeOf(clock, retry.execute(doing(...values.map((value) => () => value))));

    expect([last, startedAt.length]).toEqual([{ statusCode: '503' }, 2]);
  });

  it('RT-17 a word for a status is none, whatever is retried', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 2, retryOn: () => true });

    await outcomeOf(clock, retry.execute(doing(() => ({ statusCode: '503' }))));
    expect(startedAt).toHaveLength(1);
  });

  it('RT-17 a response that opened the breaker is what the caller gets, not the refusal after it', async () => {
    const clock = new ManualClock();
    const retry = new RetryPolicy('r', { maxRetries: 2, baseDelay: 1, budget: false }, { clock });
    const failed = ({ status }: { status: number }) => status >= 500;
    const breaker = () =>
      new CircuitBreakerPolicy('b', { failureThreshold: 1, recordResult: failed }, { clock });
    const outcome = (answer: () => unknown) =>
      outcomeOf(clock, new Pipeline('p', [retry, breaker()], clock).execute(answer));
    const body = new ReadableStream();

    expect(await outcome(() => ({ status: 503 }))).toEqual({ status: 503 });
    // What nobody can read any more is no answer.
    expect(await outcome(() => ({ status: 503, body }))).toBeInstanceOf(CircuitOpenError);
    expect(retry.stats()).toMatchObject({ failedWithRetry: 2, totalCalls: 2 });
  });

  it('BU-04 a retry further out leaves an error alone that was wrapped after its budget refused it', async () => {
    const clock = new ManualClock();
    const inner = new RetryPolicy('inner', { baseDelay: 1, budget: { max: 1 } }, { clock });
    const outer = new RetryPolicy('outer', { baseDelay: 1, budget: false }, { clock });
    let runs = 0;
    const call = outer.execute(async () => {
      try {
        return await inner.execute(() => {
          runs++;
          throw new Error('down');
        });
      } catch (cause) {
        throw new Error('wrapped', { cause });
      }
    });

    expect(await outcomeOf(clock, call)).toMatchObject({ message: 'wrapped' });
    expect(runs).toBe(2);
  });

  it("a mistake in a user's key is not tried again", async () => {
    const clock = new ManualClock();
    let asked = 0;
    const key = () => {
      asked++;
      throw new Error('no tenant');
    };
    const policies = [
      new RetryPolicy('r', { baseDelay: 1, budget: false }, { clock }),
      new BulkheadPolicy('b', { key }, { clock }),
    ];
    const call = new Pipeline('p', policies, clock).execute(succeed);

    expect(await outcomeOf(clock, call)).toMatchObject({ message: 'no tenant' });
    expect(asked).toBe(1);
  });

  it('PL-08 a refused update leaves all of the old options in force', () => {
    const { retry } = setUp({ maxRetries: 1 });
    const before = retry.describe();

    expect(() => retry.update({ maxRetries: 9, budget: 'of nobody' })).toThrow(InvalidOptionsError);

    expect(retry.describe()).toBe(before);
  });

  it('counts calls by how they ended', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 1 });
    for (const attempts of [[succeed], [fail, succeed], [fail], [failWith(withStatus(404))]]) {
      await outcomeOf(clock, retry.execute(doing(...attempts)));
    }

    expect(retry.stats()).toMatchObject({
      totalCalls: 4,
      totalRetries: 2,
      successfulWithoutRetry: 1,
      successfulWithRetry: 1,
      failedWithRetry: 1,
      failedWithoutRetry: 1,
    });
  });

  it('counts a call that is aborted in its first back-off as failed without a retry', async () => {
    const { clock, retry, doing } = setUp({ baseDelay: 100 });
    const caller = new AbortController();
    const call = retry.execute(doing(fail), { signal: caller.signal }).catch((error: unknown) => error);
    await clock.advance(50);

    caller.abort('gone');

    expect(await call).toBe('gone');
    expect(retry.stats()).toMatchObject({ totalRetries: 0, failedWithoutRetry: 1, failedWithRetry: 0 });
  });

  it('RT-07 the statuses that a call names are the only ones, for errors and for results', async () => {
    const attempts = async (options: RetryOptions, method: () => unknown) => {
      const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1, ...options });
      await outcomeOf(clock, retry.execute(doing(method), { retryOnStatus: [404] }));
      return startedAt.length;
    };

    expect(await attempts({}, failWith(withStatus(503)))).toBe(1);
    expect(await attempts({}, () => ({ status: 404 }))).toBe(2);
    expect(await attempts({}, () => ({ status: 503 }))).toBe(1);
    expect(await attempts({ retryOn: TypeError }, failWith(withStatus(404)))).toBe(2);
  });

  it('RT-07 with retryOn a status is retried only where the policy names statuses too', async () => {
    const attempts = async (options: RetryOptions) => {
      const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1, retryOn: TypeError, ...options });
      await outcomeOf(clock, retry.execute(doing(failWith(withStatus(503)))));
      return startedAt.length;
    };

    expect([await attempts({}), await attempts({ retryOnStatus: [503] })]).toEqual([1, 2]);
  });

  it.each([
    ['invalid options', new InvalidOptionsError([])],
    [
      'a cause that somebody gave up',
      new Error('wrapped', { cause: new DOMException('stop', 'AbortError') }),
    ],
  ])('RT-07 %s is not retried', async (_name, error) => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1 });

    await outcomeOf(clock, retry.execute(doing(failWith(error))));

    expect(startedAt).toHaveLength(1);
  });

  it.each(FINAL_ERRORS.transientCodePrefixes)(
    'RT-07 code %s means the network, and is retried',
    async (code) => {
      const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1 });

      await outcomeOf(clock, retry.execute(doing(failWith({ code: `${code}_X` }))));

      expect(startedAt).toHaveLength(2);
    },
  );

  it('RT-11 a rate limit is not retried where retryOn names other errors', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1, retryOn: TypeError });
    const limited = new RateLimitExceededError('', { retryAfterMs: 10 });

    await outcomeOf(clock, retry.execute(doing(failWith(limited))));

    expect(startedAt).toHaveLength(1);
  });

  it('RT-11 the wait of a rate limit is kept, whether or not Retry-After is respected', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1, respectRetryAfter: false });
    const limited = new RateLimitExceededError('', { retryAfterMs: 2_000 });

    await outcomeOf(clock, retry.execute(doing(failWith(limited))));

    expect(startedAt).toEqual([0, 2_000]);
  });

  it('RT-06 what is asked for as long as maxDelay is still waited for, and no longer', async () => {
    const clock = new ManualClock();
    const options = { jitter: 0.5, baseDelay: 100, maxDelay: '7s', maxRetries: 1, budget: false } as const;
    const retry = new RetryPolicy('inventory', options, { clock, random: () => 0.999 });
    const startedAt: number[] = [];
    const error = Object.assign(new Error(), { status: 503, headers: { 'retry-after': '7' } });

    const call = retry.execute(() => {
      startedAt.push(clock.now());
      throw error;
    });
    await outcomeOf(clock, call);

    expect(startedAt).toEqual([0, 7_000]);
  });

  it('RT-02 a backoff function that returns no duration is a mistake that is told', async () => {
    const { retry } = setUp({ backoff: () => 'soon' });

    await expect(retry.execute(fail)).rejects.toThrow(
      new TypeError('A backoff function must return a duration of at least 0, got soon.'),
    );
  });

  it('RT-09 an attempt that would begin at the very end of maxElapsed or of the deadline is not made', async () => {
    const bounded = setUp({ maxElapsed: 100 });
    const due = setUp();
    const roomy = setUp({ maxElapsed: 101, maxRetries: 1 });

    await outcomeOf(bounded.clock, bounded.retry.execute(bounded.doing(fail)));
    await outcomeOf(due.clock, due.retry.execute(due.doing(fail), { deadline: 100 }));
    await outcomeOf(roomy.clock, roomy.retry.execute(roomy.doing(fail)));

    expect([bounded.startedAt, due.startedAt, roomy.startedAt]).toEqual([[0], [0], [0, 100]]);
  });

  it('RT-09 maxElapsed bounds a call whose deadline is far', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxElapsed: 150 });

    await outcomeOf(clock, retry.execute(doing(fail), { deadline: 100_000 }));

    expect(startedAt).toEqual([0, 100]);
  });

  it('PL-10 after a first value nothing is tried again', async () => {
    const { retry, startedAt, doing } = setUp({ baseDelay: 0 });
    const method = doing(fail);

    await expect(
      retry.execute((call) => {
        (call as Call).emitted = true;
        return method();
      }),
    ).rejects.toBe(DOWN);

    expect(startedAt).toHaveLength(1);
  });

  it('OP-04 says when it tries again, and why', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ kind, policy, type, details }) => {
      if (kind === 'retry') seen.push([policy, type, details]);
    });
    const options: RetryOptions = { jitter: 'none', maxRetries: 2, budget: false };
    const retry = new RetryPolicy('inventory', options, { clock, events });
    const answers = [fail, () => ({ status: 503 }), succeed];
    const next = () => (answers.shift() as () => unknown)();

    await outcomeOf(clock, retry.execute(next));
    retry.reset();
    await clock.advance(0);

    expect(seen).toEqual([
      ['inventory', 'retried', { attempt: 1, delayMs: 100, error: DOWN }],
      ['inventory', 'retried', { attempt: 2, delayMs: 200, error: undefined }],
      ['inventory', 'cleared', undefined],
    ]);
  });

  it('a reset forgets the numbers, but for calls that are under way', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 1 });
    for (const attempts of [[succeed], [fail, succeed], [fail], [failWith(withStatus(404))]])
      await outcomeOf(clock, retry.execute(doing(...attempts)));
    const slow = deferred<string>();
    const running = retry.execute(() => slow.promise);

    retry.reset();

    const nothing = {
      totalRetries: 0,
      successfulWithoutRetry: 0,
      successfulWithRetry: 0,
      failedWithoutRetry: 0,
      failedWithRetry: 0,
      budgetExhausted: 0,
    };
    expect(retry.stats()).toMatchObject({ ...nothing, totalCalls: 1 });
    slow.resolve('fine');
    await running;
    expect(retry.stats()).toMatchObject({ ...nothing, totalCalls: 1, successfulWithoutRetry: 1 });
  });

  it.each([
    [{ baseDelay: '2s', maxDelay: '1s' }, 'baseDelay'],
    [{ budget: { max: 1, percent: 10 } }, 'budget.percent'],
    [{ budget: { max: 1, minPerSecond: 1 } }, 'budget.minPerSecond'],
    [{ budget: { percent: -1, max: 1 } }, 'budget.percent'],
    [{ maxRetries: -1, baseDelay: '2s', maxDelay: '1s' }, 'maxRetries'],
  ] as [RetryOptions, string][])('PL-07 %j is refused for %s alone', (options, option) => {
    const build = () => new RetryPolicy('inventory', options);

    expect(build).toThrow(InvalidOptionsError);
    expect(placesOf(build)).toEqual([[`retry "inventory"`, option]]);
  });

  it('PL-07 a delay as long as the longest is legal', () => {
    expect(() => new RetryPolicy('inventory', { baseDelay: '1s', maxDelay: '1s' })).not.toThrow();
  });

  it('PL-07 a budget that nobody provides is refused, and so is an update that cannot be', () => {
    const { retry } = setUp();

    expect(placesOf(() => new RetryPolicy('inventory', { budget: 'of nobody' }))).toEqual([
      ['"inventory"', 'budget'],
    ]);
    expect(placesOf(() => retry.update({ maxRetries: -1 }))).toEqual([['retry "inventory"', 'maxRetries']]);
  });

  it.each([null, undefined, 'text', 503, {}, { status: 'busy' }])(
    'RT-17 a returned %j is no response',
    async (value) => {
      const { clock, retry, startedAt, doing } = setUp();

      expect(await outcomeOf(clock, retry.execute(doing(() => value)))).toBe(value);

      expect(startedAt).toHaveLength(1);
    },
  );

  it('RT-06 jitter as a word adds up to the base delay to what was asked', async () => {
    const clock = new ManualClock();
    const options = { jitter: 'full', baseDelay: 100, maxRetries: 1, budget: false } as const;
    const retry = new RetryPolicy('inventory', options, { clock, random: () => 0.5 });
    const startedAt: number[] = [];

    const call = retry.execute(() => {
      startedAt.push(clock.now());
      throw Object.assign(new Error(), { status: 503, headers: { 'retry-after': '7' } });
    });
    await outcomeOf(clock, call);

    expect(startedAt).toEqual([0, 7_050]);
  });

  it('RT-08 a call that its caller gave up costs the budget nothing', async () => {
    const { retry } = setUp({ budget: { max: 5 } });
    const caller = new AbortController();
    const call = retry.execute(() => new Promise(() => {}), { signal: caller.signal });
    caller.abort('gone');

    await expect(call).rejects.toBe('gone');
    expect(retry.stats().budget?.totalRetries).toBe(0);
  });

  it('RT-11 a limit that never ends costs the budget nothing', async () => {
    const { retry } = setUp({ budget: { max: 5 } });

    await expect(retry.execute(failWith(new RateLimitExceededError('')))).rejects.toThrow(
      RateLimitExceededError,
    );
    expect(retry.stats().budget?.totalRetries).toBe(0);
  });

  it('RT-15 what was thrown is not let go of: whoever threw it may hold it', async () => {
    const { clock, retry, doing } = setUp({ maxRetries: 1 });
    const cancelled = jest.fn<() => void>();
    const thrown = new Response(new ReadableStream({ cancel: cancelled }), { status: 503 });

    await outcomeOf(clock, retry.execute(doing(failWith(thrown))));

    expect(cancelled).not.toHaveBeenCalled();
  });

  it('RT-09 a result that was let go of is tried again, though the timer came late', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxElapsed: 150 });
    const now = jest.spyOn(clock, 'now');
    const call = retry.execute(
      doing(
        () => ({ status: 503 }),
        () => 'fine',
      ),
    );
    await clock.advance(50);

    now.mockReturnValue(200);
    await clock.advance(50);

    expect(await call).toBe('fine');
    expect(startedAt).toHaveLength(2);
  });

  it('RT-09 maxElapsed counts from the beginning of the call', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxElapsed: 150 });
    await clock.advance(5_000);

    await outcomeOf(clock, retry.execute(doing(fail)));

    expect(startedAt).toEqual([5_000, 5_100]);
  });

  it('RT-07 what is final can be read, and added to', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1 });
    const malformed = Object.assign(new Error('malformed'), { name: 'MalformedError' });
    expect([...FINAL_ERRORS.names]).toEqual(['AbortError']);

    FINAL_ERRORS.names.add('MalformedError');
    await outcomeOf(clock, retry.execute(doing(failWith(malformed))));
    FINAL_ERRORS.names.delete('MalformedError');

    expect(startedAt).toHaveLength(1);
  });

  it('RT-07 one final code is enough among several', async () => {
    const { clock, retry, startedAt, doing } = setUp({ maxRetries: 1 });
    FINAL_ERRORS.codePrefixes.push('MINE_');

    await outcomeOf(clock, retry.execute(doing(failWith({ code: 'MINE_1' }))));
    FINAL_ERRORS.codePrefixes.pop();

    expect(startedAt).toHaveLength(1);
  });
});
