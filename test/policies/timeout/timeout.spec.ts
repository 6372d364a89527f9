import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Call } from '../../../lib/core/call.js';
import { BulkheadFullError, InvalidOptionsError, TimeoutExceededError } from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { SystemClock } from '../../../lib/core/system-clock.js';
import { TimerEntry } from '../../../lib/core/timer-entry.js';
import { WHEEL_TICK_MS } from '../../../lib/core/timer-wheel.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import { RetryPolicy } from '../../../lib/policies/retry/index.js';
import { TimeoutPolicy, type TimeoutOptions } from '../../../lib/policies/timeout/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { FakeHost } from '../../core/fake-host.js';
import { deferred } from '../deferred.js';
import { placesOf } from '../../problems-of.js';

const never = () => new Promise(() => {});
const errorOf = (call: Promise<unknown>) => call.catch((error: unknown) => error);

function setUp(options: TimeoutOptions | string | number = 100) {
  const clock = new ManualClock();
  return { clock, timeout: new TimeoutPolicy('search', options, { clock }) };
}

/** Lets promise jobs run, without moving any clock. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe('TimeoutPolicy', () => {
  it('TO-01 the timer is released on success and on failure, and armed on the wheel that lets the process exit', async () => {
    const { clock, timeout } = setUp({ duration: 100, total: 500 });
    const arm = jest.spyOn(clock, 'arm');

    await expect(timeout.execute(() => 'fine')).resolves.toBe('fine');
    await expect(timeout.execute(() => Promise.reject(new Error('down')))).rejects.toThrow('down');
    await expect(
      timeout.execute(() => {
        throw new Error('at once');
      }),
    ).rejects.toThrow('at once');

    expect(clock.pending).toBe(0);
    expect(arm.mock.calls.map(([entry]) => entry.keepAlive)).toEqual(new Array(6).fill(false));
  });

  it("TO-02 the method's late rejection after a timeout is nobody's unhandled rejection", async () => {
    const { clock, timeout } = setUp();
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const method = deferred();

    const call = errorOf(timeout.execute(() => method.promise));
    await clock.advance(100);
    method.reject(new Error('late'));
    await clock.advance(100);
    process.off('unhandledRejection', unhandled);

    expect(await call).toBeInstanceOf(TimeoutExceededError);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it.each(['resolves', 'rejects'])(
    'TO-03 a method that %s in the tick in which the wheel fires keeps its own outcome',
    async (how) => {
      const host = new FakeHost();
      const clock = new SystemClock(host);
      const events = new EventHub();
      const seen = jest.fn();
      events.listen(seen);
      const timeout = new TimeoutPolicy('search', 100, { clock, events });
      const method = deferred();
      let signal: AbortSignal | undefined;
      // On the same wheel as the timeout, and ahead of it: both run in one wake, with no promise job in between.
      const ends = new (class extends TimerEntry {
        override onDue(): void {
          if (how === 'resolves') method.resolve('fine');
          else method.reject('own');
        }
      })();
      clock.arm(ends, 100);
      const call = timeout.execute((info) => {
        ({ signal } = info);
        return method.promise;
      });

      host.pass(200);
      const outcome = await call.catch((error: unknown) => error);

      expect(outcome).toBe(how === 'resolves' ? 'fine' : 'own');
      expect(signal?.aborted).toBe(false);
      expect(timeout.stats().timedOutAttempts).toBe(0);
      expect(seen).not.toHaveBeenCalled();
      expect(clock.armedTimers).toBe(0);
    },
  );

  it("TO-04 on a timeout the call's signal aborts with the TimeoutExceededError that the caller gets", async () => {
    const { clock, timeout } = setUp();
    let signal: AbortSignal | undefined;
    const call = errorOf(
      timeout.execute((info) => {
        ({ signal } = info);
        return never();
      }),
    );
    expect(signal?.aborted).toBe(false);

    await clock.advance(100);

    expect(await call).toBeInstanceOf(TimeoutExceededError);
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toBe(await call);
  });

  it('TO-04 a signal that nobody reads is never made', async () => {
    const { clock, timeout } = setUp();
    const controllers = jest.spyOn(globalThis, 'AbortController');

    const call = errorOf(timeout.execute(never));
    await clock.advance(100);
    await call;

    expect(controllers).not.toHaveBeenCalled();
  });

  it("TO-04 a caller's long-lived signal keeps no listener, however the calls ended", async () => {
    const { clock, timeout } = setUp();
    const { signal } = new AbortController();
    const add = jest.spyOn(signal, 'addEventListener');
    const remove = jest.spyOn(signal, 'removeEventListener');

    const calls = [() => 'fine', () => Promise.reject(new Error('down')), never].map((method) =>
      errorOf(timeout.execute<unknown>(method, { signal })),
    );
    await clock.advance(100);
    await Promise.all(calls);

    expect(add).toHaveBeenCalledTimes(1);
    expect(remove).toHaveBeenCalledTimes(1);
    expect(remove.mock.calls[0]?.[1]).toBe(add.mock.calls[0]?.[1]);
  });

  it("TO-04 a hundred calls at once on a caller's signal are no leak to Node, and all of them hear of its abort", async () => {
    const { timeout } = setUp();
    const warning = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const caller = new AbortController();
    const add = jest.spyOn(caller.signal, 'addEventListener');

    const calls = Array.from({ length: 100 }, () =>
      errorOf(timeout.execute(never, { signal: caller.signal })),
    );
    caller.abort('gone');

    expect(await Promise.all(calls)).toEqual(new Array(100).fill('gone'));
    expect(add).toHaveBeenCalledTimes(1);
    expect(warning).not.toHaveBeenCalled();
  });

  it('TO-05 total covers all attempts and back-offs', async () => {
    const { clock, timeout } = setUp({ total: 250 });
    const retry = new RetryPolicy(
      'search',
      { baseDelay: 100, backoff: 'constant', jitter: 'none', budget: false },
      { clock },
    );
    const pipeline = new Pipeline('search', [timeout, retry], clock);
    const startedAt: number[] = [];

    const call = errorOf(
      pipeline.execute(() => {
        startedAt.push(clock.now());
        return startedAt.length < 3 ? Promise.reject(new Error('down')) : never();
      }),
    );
    await clock.advance(249);
    expect(startedAt).toEqual([0, 100, 200]);
    await clock.advance(1);

    expect(await call).toMatchObject({ scope: 'total', timeoutMs: 250 });
    expect(timeout.stats().timedOutCalls).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('TO-05 a back-off that cannot fit into the total is not slept', async () => {
    const { clock, timeout } = setUp({ total: 250 });
    const retry = new RetryPolicy('search', { baseDelay: 300, jitter: 'none', budget: false }, { clock });
    const pipeline = new Pipeline('search', [timeout, retry], clock);

    await expect(pipeline.execute(() => Promise.reject(new Error('down')))).rejects.toThrow('down');

    expect(clock.now()).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('TO-05 an attempt gets its own time, or what is left of the total', async () => {
    const { clock, timeout } = setUp({ duration: 100, total: 250 });
    const retry = new RetryPolicy('search', { baseDelay: 0, jitter: 'none', budget: false }, { clock });
    const pipeline = new Pipeline('search', [timeout, retry], clock);
    const ended: number[] = [];

    const call = errorOf(
      pipeline.execute(({ signal }) => {
        signal.addEventListener('abort', () => ended.push(clock.now()));
        return never();
      }),
    );
    await clock.advance(1_000);

    expect(ended).toEqual([100, 200, 250]);
    expect(await call).toMatchObject({ scope: 'total' });
    expect(timeout.stats()).toMatchObject({ timedOutAttempts: 2, timedOutCalls: 1 });
  });

  it('TO-05 of two timeouts on one attempt the earlier deadline holds, whichever stands outside', async () => {
    const clock = new ManualClock();
    const short = new TimeoutPolicy('short', 100, { clock });
    const long = new TimeoutPolicy('long', 500, { clock });
    const deadlines: unknown[] = [];

    for (const timeouts of [
      [short, long],
      [long, short],
    ]) {
      await new Pipeline('search', timeouts, clock).execute((call) =>
        deadlines.push((call as Call).attemptDeadline),
      );
    }

    expect(deadlines).toEqual([100, 100]);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, '0s', 'soon'])(
    'TO-06 a duration of %s is a configuration error',
    (duration) => {
      expect(() => new TimeoutPolicy('search', duration)).toThrow(InvalidOptionsError);
      expect(() => new TimeoutPolicy('search', { total: duration })).toThrow(InvalidOptionsError);
    },
  );

  it('TO-06 a duration of over 2^31-1 ms does not fire at once, on the wheel either', async () => {
    const host = new FakeHost();
    const timeout = new TimeoutPolicy('search', 2 ** 32, { clock: new SystemClock(host) });
    const ended = jest.fn();

    const call = errorOf(timeout.execute(never)).then(ended);
    host.pass(2 ** 32 - 1);
    await settle();
    expect(ended).not.toHaveBeenCalled();
    host.pass(1 + WHEEL_TICK_MS);
    await call;

    expect(ended).toHaveBeenCalledWith(expect.any(TimeoutExceededError));
  });

  it.each([1, 7, 8, 9, 100, 1_003.5])(
    'TO-09 a timeout of %d ms is never early and at most a tick late',
    async (duration) => {
      const host = new FakeHost(12_345.25);
      const timeout = new TimeoutPolicy('search', duration, { clock: new SystemClock(host) });
      let endedAfter: number | undefined;
      const call = errorOf(timeout.execute(never)).then(() => (endedAfter ??= host.time - 12_345.25));

      for (let passed = 0; passed < duration + WHEEL_TICK_MS; passed += 0.5) {
        host.pass(0.5);
        await settle();
      }
      await call;

      expect(endedAfter).toBeGreaterThanOrEqual(duration);
      expect(endedAfter).toBeLessThanOrEqual(duration + WHEEL_TICK_MS);
    },
  );

  it('TO-09 a ManualClock is exact', async () => {
    const { clock, timeout } = setUp('100ms');
    const ended = jest.fn();
    const call = errorOf(timeout.execute(never)).then(ended);

    await clock.advance(99.999);
    expect(ended).not.toHaveBeenCalled();
    await clock.advance(0.001);
    await call;

    expect(ended).toHaveBeenCalledTimes(1);
  });

  it('OP-06 counts attempts by how they ended, and calls that ran out of time', async () => {
    const { clock, timeout } = setUp({ duration: 100, total: 150 });
    const retry = new RetryPolicy('search', { baseDelay: 0, jitter: 'none', budget: false }, { clock });
    await timeout.execute(() => 'fine');
    await errorOf(timeout.execute(() => Promise.reject(new Error('down'))));
    const call = errorOf(new Pipeline('search', [timeout, retry], clock).execute(never));
    await clock.advance(150);
    await call;

    expect(timeout.stats()).toEqual({
      name: 'search',
      currentTimeoutMs: 100,
      totalTimeoutMs: 150,
      adaptiveEnabled: false,
      totalAttempts: 4,
      successfulAttempts: 1,
      failedAttempts: 2,
      timedOutAttempts: 1,
      timedOutCalls: 1,
      timedOutByPhase: { connect: 0, read: 0, request: 1 },
      adaptive: undefined,
    });
  });

  it('OP-06 of a timeout that bounds only whole calls the attempts are whole calls', async () => {
    const { clock, timeout } = setUp({ total: 100 });
    await timeout.execute(() => 'fine');
    await errorOf(timeout.execute(() => Promise.reject(new Error('down'))));
    const call = errorOf(timeout.execute(never));
    await clock.advance(100);
    await call;

    expect(timeout.stats()).toMatchObject({
      currentTimeoutMs: undefined,
      totalTimeoutMs: 100,
      totalAttempts: 3,
      successfulAttempts: 1,
      failedAttempts: 1,
      timedOutAttempts: 1,
      timedOutCalls: 1,
    });
  });

  it.each([{ duration: 100 }, { total: 100 }, { duration: 100, total: 200 }])(
    'OP-06 with %j what a later guard refuses was no attempt, but a wait that was too long was one',
    async (options) => {
      const { clock, timeout } = setUp(options);
      const bulkhead = new BulkheadPolicy('search', { maxConcurrent: 1, maxQueue: 1 }, { clock });
      // The bulkhead inside, so that its wait is the timeout's.
      const order = ['totalTimeout', 'timeout', 'bulkhead'] as const;
      const pipeline = new Pipeline('search', [timeout, bulkhead], clock, order);
      void errorOf(bulkhead.execute(never));
      const waiting = errorOf(pipeline.execute(() => 'fine'));
      const refused = await errorOf(pipeline.execute(() => 'fine'));
      await clock.advance(100);

      expect(refused).toBeInstanceOf(BulkheadFullError);
      expect(await waiting).toBeInstanceOf(TimeoutExceededError);
      expect(timeout.stats()).toMatchObject({
        totalAttempts: 1,
        successfulAttempts: 0,
        failedAttempts: 0,
        timedOutAttempts: 1,
        timedOutCalls: options.total === 100 ? 1 : 0,
      });
      expect(clock.pending).toBe(0);
    },
  );

  it('a reset forgets the numbers', async () => {
    const { clock, timeout } = setUp({ duration: 100, total: 100 });
    await timeout.execute(() => 'fine');
    await errorOf(timeout.execute(() => Promise.reject(new Error('down'))));
    const call = errorOf(timeout.execute(never));
    await clock.advance(100);
    await call;

    timeout.reset();

    expect(timeout.stats()).toMatchObject({
      totalAttempts: 0,
      successfulAttempts: 0,
      failedAttempts: 0,
      timedOutAttempts: 0,
      timedOutCalls: 0,
      timedOutByPhase: { connect: 0, read: 0, request: 0 },
    });
  });

  it('OP-01 attempts that ran out of time are forgotten, too', async () => {
    const { clock, timeout } = setUp({ duration: 100 });
    const call = errorOf(timeout.execute(never));
    await clock.advance(100);
    await call;
    const before = timeout.stats();
    timeout.reset();

    expect([before, timeout.stats()]).toMatchObject([
      { totalAttempts: 1, timedOutAttempts: 1 },
      { totalAttempts: 0, timedOutAttempts: 0 },
    ]);
  });

  it('PL-08 a call under way ends well, though its timeout adapts no more', async () => {
    const { timeout } = setUp({ duration: 1_000, adaptive: true });
    const slow = deferred<string>();
    const call = timeout.execute(() => slow.promise);
    timeout.update({ adaptive: false });
    slow.resolve('fine');

    expect(await call).toBe('fine');
    expect(timeout.stats()).toMatchObject({ successfulAttempts: 1, adaptive: undefined });
  });

  it('OP-04 says what ran out of time, after how long, and that it was reset', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ kind, policy, type, details }) => seen.push([kind, policy, type, details]));
    const timeout = new TimeoutPolicy('search', { duration: 100, total: 150 }, { clock, events });
    const retry = new RetryPolicy('search', { baseDelay: 0, jitter: 'none', budget: false }, { clock });
    const call = errorOf(new Pipeline('search', [timeout, retry], clock).execute(never));
    await clock.advance(150);
    const error = await call;
    timeout.reset();
    await clock.advance(0);

    expect(seen).toEqual([
      [
        'timeout',
        'search',
        'timed-out',
        { scope: 'attempt', limitMs: 100, error: expect.any(TimeoutExceededError) },
      ],
      ['timeout', 'search', 'timed-out', { scope: 'total', limitMs: 150, error }],
      ['timeout', 'search', 'cleared', undefined],
    ]);
    const [, , , { error: first }] = seen[0] as [string, string, string, { error: Error }];
    expect(first.message).toBe('The attempt took longer than the 100 ms of timeout "search".');
    expect(error).toMatchObject({
      policy: 'search',
      message: 'The whole call took longer than the 150 ms of timeout "search".',
    });
  });

  it("PL-10 with until: 'first' a call that has emitted is not timed out", async () => {
    const first = setUp({ duration: 100, until: 'first' });
    const complete = setUp({ duration: 100 });
    const outcomes = [first, complete].map(({ timeout }) => {
      const method = deferred<string>();
      const call = errorOf(
        timeout.execute((info) => {
          (info as Call).emitted = true;
          return method.promise;
        }),
      );
      return { method, call };
    });

    for (const [index, { clock }] of [first, complete].entries()) {
      await clock.advance(100);
      outcomes[index]?.method.resolve('complete');
    }

    expect(await outcomes[0]?.call).toBe('complete');
    expect(await outcomes[1]?.call).toBeInstanceOf(TimeoutExceededError);
    expect(first.timeout.stats()).toMatchObject({ successfulAttempts: 1, timedOutAttempts: 0 });
  });

  it.each<[TimeoutOptions, number | undefined, number | undefined]>([
    [{}, 60_000, undefined],
    [{ total: '2s' }, undefined, 2_000],
    [{ request: '2s' }, 2_000, undefined],
    [{ duration: '1s', request: '2s' }, 1_000, undefined],
    [{ total: '2s', adaptive: true }, 2_000, 2_000],
    [{ total: '2s', read: '1s' }, 2_000, 2_000],
    [{ total: '90s', connect: '1s' }, 60_000, 90_000],
    [{ total: '2s', adaptive: false }, undefined, 2_000],
  ])('with %j an attempt may take %p ms, and a call %p ms', (options, attemptMs, totalMs) => {
    const { timeout } = setUp(options);

    expect(timeout.stats()).toMatchObject({ currentTimeoutMs: attemptMs, totalTimeoutMs: totalMs });
    expect(timeout.boundsAttempts).toBe(attemptMs !== undefined);
  });

  it.each<[TimeoutOptions, string[]]>([
    [{ duration: '2s', total: '1s' }, ['total']],
    [{ duration: '1s', total: '1s' }, []],
    [{ duration: '1s', adaptive: { min: '2s' } }, ['adaptive.min']],
    [{ duration: '1s', adaptive: { min: '2s', max: '3s' } }, []],
    [{ duration: '1s', adaptive: { min: '1s', max: '1s' } }, []],
    [{ request: '1s', connect: '2s', read: '3s' }, ['connect', 'read']],
    [{ request: '1s', connect: '1s', read: '1s' }, []],
    [{ duration: -1, total: '1s', request: '1s', read: '3s' }, ['duration']],
  ])('PL-07 of %j it refuses %j', (options, refused) => {
    expect(placesOf(() => setUp(options))).toEqual(refused.map((option) => ['timeout "search"', option]));
  });

  it('PL-08 a refused update leaves the old options in force; another holds for the next call', async () => {
    const { clock, timeout } = setUp({ duration: 100 });
    expect(() => timeout.update({ duration: '2s', total: '1s' })).toThrow('timeout "search": "duration"');
    expect(timeout.describe()).toBe('100 ms');

    timeout.update({ duration: 50, total: 70 });
    const call = errorOf(timeout.execute(never));
    await clock.advance(50);

    expect(await call).toMatchObject({ timeoutMs: 50 });
    expect(timeout.totalMs).toBe(70);
  });

  it('PL-08 adaptive can be switched on, changed with its samples kept, and switched off', async () => {
    const { timeout } = setUp({ duration: 1_000 });
    timeout.update({ adaptive: { minSamples: 1, min: 10 } });
    await timeout.execute(() => 'fine');
    const on = timeout.stats();
    timeout.update({ adaptive: { minSamples: 1, min: 20 } });
    const changed = timeout.stats();
    timeout.update({ adaptive: false });

    expect([on.currentTimeoutMs, on.adaptiveEnabled, on.adaptive?.samples]).toEqual([10, true, 1]);
    expect([changed.currentTimeoutMs, changed.adaptive?.samples]).toEqual([20, 1]);
    expect(timeout.stats()).toMatchObject({
      currentTimeoutMs: 1_000,
      adaptiveEnabled: false,
      adaptive: undefined,
    });
  });

  it('TO-07 adaptive: true follows with the defaults', async () => {
    const { timeout } = setUp({ duration: 1_000, adaptive: true });
    for (let i = 0; i < 99; i++) await timeout.execute(() => 'fine');
    const before = timeout.stats().currentTimeoutMs;
    await timeout.execute(() => 'fine');

    expect([before, timeout.stats().currentTimeoutMs]).toEqual([1_000, 1]);
  });

  it('TO-07 a reset forgets the samples', async () => {
    const { timeout } = setUp({ duration: 1_000, adaptive: { minSamples: 1, min: 10 } });
    await timeout.execute(() => 'fine');

    timeout.reset();

    expect(timeout.stats()).toMatchObject({ currentTimeoutMs: 1_000, adaptive: { samples: 0 } });
  });

  it('TO-07 failures that came in time are no samples', async () => {
    const { timeout } = setUp({ duration: 1_000, adaptive: true });
    await errorOf(timeout.execute(() => Promise.reject(new Error('down'))));

    expect(timeout.stats().adaptive?.samples).toBe(0);
  });

  it('TO-05 a total timeout inside the retries bounds each try, and ends none of the others', async () => {
    const { clock, timeout } = setUp({ total: 100 });
    const retry = new RetryPolicy('search', { maxRetries: 1, baseDelay: 0 }, { clock });
    const pipeline = new Pipeline('search', [retry, timeout], clock, ['retry', 'totalTimeout']);
    let runs = 0;
    const call = errorOf(pipeline.execute(() => (++runs === 1 ? never() : 'fine')));
    await clock.advance(200);

    expect(await call).toBe('fine');
  });

  it('PL-08 a guard whose bound an update has taken away lets calls under way pass, whatever they come to', () => {
    const refusal = new BulkheadFullError('full');
    const { timeout: ofAttempts } = setUp({ duration: 100 });
    const { timeout: ofCalls } = setUp({ total: 100 });
    const guards = [ofAttempts.attempt, ofCalls.total];
    ofAttempts.update({ duration: undefined, total: 100 });
    ofCalls.update({ duration: 100, total: undefined });
    for (const guard of guards) {
      const call = new Call(() => 'fine', undefined, []);
      const permit = guard.enter(call, 0);
      expect(permit).toBeUndefined();
      expect(call.cancellable).toBe(false);
      guard.cancel(undefined, call, refusal);
      guard.settle(undefined, call, true, 'fine', 0, 0);
    }
    expect([ofAttempts, ofCalls].map((timeout) => timeout.stats().totalAttempts)).toEqual([0, 0]);
  });

  it('TO-07 adaptive: true says what its defaults are', () => {
    expect(setUp({ duration: '2s', adaptive: true }).timeout.describe()).toBe('P95 × 1.5, at most 2 s');
  });

  it('without an environment it keeps to the clock of the process, and tells nobody', async () => {
    await expect(new TimeoutPolicy('search', '1h').execute(() => 'fine')).resolves.toBe('fine');
  });

  it('OP-04 who hears that time ran out is in the context of the caller', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const caller = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    events.witness(({ type }) => seen.push([type, caller.getStore()]));
    const timeout = new TimeoutPolicy('search', 100, { clock, events });
    const call = caller.run('caller', () => errorOf(timeout.execute(never)));
    await clock.advance(100);
    await call;

    expect(seen).toEqual([['timed-out', 'caller']]);
  });
});
