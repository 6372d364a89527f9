import { describe, expect, it, jest } from '@jest/globals';
import type { CallInfo } from '../../../lib/core/call.js';
import {
  BulkheadFullError,
  IdempotencyConflictError,
  IdempotencyKeyMissingError,
  IdempotencyMismatchError,
  TimeoutExceededError,
} from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { MemoryOnceStore } from '../../../lib/core/memory-once-store.js';
import type { OnceStore } from '../../../lib/core/once-store.js';
import type { TimerEntry } from '../../../lib/core/timer-entry.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { IdempotencyPolicy, type IdempotencyOptions } from '../../../lib/policies/idempotency/index.js';
import { HedgePolicy } from '../../../lib/policies/hedge/index.js';
import { RetryPolicy } from '../../../lib/policies/retry/index.js';
import { TimeoutPolicy } from '../../../lib/policies/timeout/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred } from '../deferred.js';

function setUp(options: IdempotencyOptions = {}) {
  const clock = new ManualClock();
  return { clock, once: new IdempotencyPolicy('orders', options, { clock }) };
}

const under = (idempotencyKey: string, ...args: unknown[]) => ({ idempotencyKey, args });

/** Two processes with one store. */
function twoProcesses(options: IdempotencyOptions) {
  const clock = new ManualClock();
  const store = new MemoryOnceStore(clock, 100);
  const [first, second] = [0, 1].map(
    () => new IdempotencyPolicy('orders', options, { clock, once: store }),
  ) as [IdempotencyPolicy, IdempotencyPolicy];
  return { clock, store, first, second };
}

/** A run has begun in the first. */
function beginInOneOfTwo() {
  const { clock, first, second } = twoProcesses({ lease: '30s' });
  const work = deferred<string>();
  return { clock, work, first, second, running: first.execute(() => work.promise, under('k1')) };
}

describe('IdempotencyPolicy', () => {
  it.each([['a receipt'], [undefined], [null], [0], ['']])(
    'ID-01 a stored %p is replayed and the method does not run',
    async (value) => {
      const { once } = setUp();
      let runs = 0;
      const place = () => {
        runs++;
        return value;
      };

      const first = await once.execute(place, under('k1'));
      const second = await once.execute(place, under('k1'));

      expect([first, second, runs]).toEqual([value, value, 1]);
      expect(once.stats()).toMatchObject({ totalRuns: 1, totalReplays: 1, records: 1 });
    },
  );

  it('ID-02 a second call waits for the first and shares its outcome', async () => {
    const { once, clock } = setUp({ wait: '5s' });
    const work = deferred<string>();
    let runs = 0;
    const place = () => {
      runs++;
      return work.promise;
    };

    const calls = [once.execute(place, under('k1')), once.execute(place, under('k1'))];
    await clock.advance(4_000);
    work.resolve('receipt');

    expect(await Promise.all(calls)).toEqual(['receipt', 'receipt']);
    expect(runs).toBe(1);
    expect(clock.pending).toBe(1); // The record's expiry.
  });

  it('ID-02 a second call shares the error of the first, too', async () => {
    const { once } = setUp({ wait: '5s' });
    const work = deferred<string>();
    const calls = [
      once.execute(() => work.promise, under('k1')),
      once.execute(() => work.promise, under('k1')),
    ];

    work.reject(new Error('declined'));

    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.message)).toEqual([
      'declined',
      'declined',
    ]);
  });

  it.each([
    [0, 0],
    ['1s', 1_000],
  ])('ID-02 with wait %p a second call is refused after %p ms', async (wait, after) => {
    const { once, clock } = setUp({ wait });
    const work = deferred<string>();
    const first = once.execute(() => work.promise, under('k1'));

    const second = once.execute(() => work.promise, under('k1')).catch((error: unknown) => error);
    await clock.advance(after);

    expect(await second).toBeInstanceOf(IdempotencyConflictError);
    work.resolve('receipt');
    expect(await first).toBe('receipt');
  });

  it('ID-02 who waits and gives up leaves at once, and the first goes on', async () => {
    const { once, clock } = setUp({ wait: '5s' });
    const work = deferred<string>();
    const giveUp = new AbortController();
    const first = once.execute(() => work.promise, under('k1'));
    const second = once.execute(() => work.promise, { ...under('k1'), signal: giveUp.signal });
    await clock.advance(0);

    giveUp.abort(new Error('enough'));

    await expect(second).rejects.toThrow('enough');
    work.resolve('receipt');
    expect(await first).toBe('receipt');
  });

  it('ID-02 the first caller giving up is no outcome for the second, which waits for the method and then for its own turn', async () => {
    const { once, clock } = setUp({ wait: '5s' });
    const work = deferred<string>();
    const giveUp = new AbortController();
    let runs = 0;
    const place = () => {
      runs++;
      return work.promise;
    };
    const first = once.execute(place, { ...under('k1'), signal: giveUp.signal });
    const second = once.execute(place, under('k1'));
    await clock.advance(0);

    giveUp.abort(new Error('enough'));
    await expect(first).rejects.toThrow('enough');
    await clock.advance(1_000);
    const besideTheOrphan = runs;
    work.resolve('receipt');

    expect(await second).toBe('receipt');
    expect([besideTheOrphan, runs]).toEqual([1, 1]);
  });

  it.each([
    ['finished', false],
    ['running', true],
  ])('ID-03 the same key with other arguments never runs, while the first is %s', async (_state, running) => {
    const { once } = setUp({ wait: '5s' });
    const work = deferred<string>();
    const first = once.execute(() => work.promise, under('k1', { amount: 10 }));
    if (!running) {
      work.resolve('receipt');
      await first;
    }
    let ran = false;

    const second = once.execute(() => (ran = true), under('k1', { amount: 11 }));

    await expect(second).rejects.toThrow(IdempotencyMismatchError);
    expect(ran).toBe(false);
    work.resolve('receipt');
    await first;
  });

  it('ID-03 arguments are equal whatever the order of their keys', async () => {
    const { once } = setUp();
    await once.execute(() => 'receipt', under('k1', { amount: 10, currency: 'EUR' }));

    expect(await once.execute(() => 'other', under('k1', { currency: 'EUR', amount: 10 }))).toBe('receipt');
  });

  it('ID-04 a failure is not stored', async () => {
    const { once } = setUp();
    const declined = once.execute(() => Promise.reject(new Error('declined')), under('k1'));
    await expect(declined).rejects.toThrow('declined');

    expect(await once.execute(() => 'receipt', under('k1'))).toBe('receipt');
  });

  it('ID-04 a declared failure is stored; a refusal of another policy never is', async () => {
    const { once } = setUp({ storeErrors: () => true });
    const declined = new Error('declined');
    await once.execute(() => Promise.reject(declined), under('k1')).catch(() => undefined);
    await once
      .execute(() => Promise.reject(new BulkheadFullError('full')), under('k2'))
      .catch(() => undefined);

    await expect(once.execute(() => 'receipt', under('k1'))).rejects.toBe(declined);
    expect(await once.execute(() => 'receipt', under('k2'))).toBe('receipt');
  });

  it('ID-05 after its time the key is free and the record gone, without another call', async () => {
    const { once, clock } = setUp({ ttl: '1m' });
    await once.execute(() => 'first', under('k1'));
    await clock.advance(59_999);
    const within = await once.execute(() => 'second', under('k1'));

    await clock.advance(1);

    expect(within).toBe('first');
    expect(once.stats().records).toBe(0);
    expect(clock.pending).toBe(0);
    expect(await once.execute(() => 'second', under('k1'))).toBe('second');
  });

  it('ID-05 when full the oldest finished record goes, counted, and never a running one', async () => {
    const { once } = setUp({ maxRecords: 2 });
    const work = deferred<string>();
    const running = once.execute(() => work.promise, under('running'));
    for (const key of ['a', 'b', 'c']) await once.execute(() => key, under(key));

    expect(once.stats()).toMatchObject({ records: 2, evicted: 1, running: 1 });
    await expect(once.execute(() => 'again', under('running'))).rejects.toThrow(IdempotencyConflictError);
    expect(await once.execute(() => 'again', under('b'))).toBe('b');
    expect(await once.execute(() => 'again', under('a'))).toBe('again');
    work.resolve('done');
    await running;
  });

  it('ID-06 a run that lost its lease returns its own result and cannot overwrite the next one', async () => {
    // Two processes, one store; the store's time goes on while the first process stands still.
    const storeClock = new ManualClock();
    const store = new MemoryOnceStore(storeClock, 100);
    const first = new IdempotencyPolicy(
      'orders',
      { lease: '30s' },
      { clock: new ManualClock(), once: store },
    );
    const second = new IdempotencyPolicy(
      'orders',
      { lease: '30s' },
      { clock: new ManualClock(), once: store },
    );
    const slow = deferred<string>();
    const stalled = first.execute(() => slow.promise, under('k1'));
    await storeClock.advance(30_000);

    const taken = await second.execute(() => 'of the second', under('k1'));
    slow.resolve('of the first');

    expect([await stalled, taken]).toEqual(['of the first', 'of the second']);
    expect(first.stats().totalLost).toBe(1);
    expect(await first.execute(() => 'again', under('k1'))).toBe('of the second');
  });

  it('ID-06 a run that is alive keeps its lease, however long it takes', async () => {
    const clock = new ManualClock();
    const once = new MemoryOnceStore(clock, 100);
    const first = new IdempotencyPolicy('orders', { lease: '30s' }, { clock, once });
    const second = new IdempotencyPolicy('orders', { lease: '30s' }, { clock, once });
    const slow = deferred<string>();
    const running = first.execute(() => slow.promise, under('k1'));
    await clock.advance(300_000);

    await expect(second.execute(() => 'beside it', under('k1'))).rejects.toThrow(IdempotencyConflictError);
    slow.resolve('receipt');
    expect(await running).toBe('receipt');
    expect(first.stats().totalLost).toBe(0);
  });

  it('ID-07 failing to store after success does not fail the call, and is counted', async () => {
    const clock = new ManualClock();
    const store = new MemoryOnceStore(clock, 100);
    store.complete = () => {
      throw new Error('store down');
    };
    const once = new IdempotencyPolicy('orders', {}, { clock, once: store });

    expect(await once.execute(() => 'receipt', under('k1'))).toBe('receipt');
    expect(once.stats().totalStoreFailures).toBe(1);
  });

  it('ID-08 retries inside one call share one record', async () => {
    const clock = new ManualClock();
    const once = new IdempotencyPolicy('orders', {}, { clock });
    const pipeline = new Pipeline(
      'orders',
      [new RetryPolicy('orders', { baseDelay: 0 }, { clock }), once],
      clock,
    );
    let attempts = 0;
    const place = () => {
      attempts++;
      if (attempts < 3) throw new Error('flaky');
      return 'receipt';
    };

    const results = [await pipeline.execute(place, under('k1')), await pipeline.execute(place, under('k1'))];

    expect(results).toEqual(['receipt', 'receipt']);
    expect(attempts).toBe(3);
    expect(once.stats()).toMatchObject({ totalRuns: 1, totalReplays: 1 });
  });

  it('what a method returns after its caller was told of a timeout is what the next call gets', async () => {
    const clock = new ManualClock();
    const once = new IdempotencyPolicy('orders', {}, { clock });
    const pipeline = new Pipeline('orders', [once, new TimeoutPolicy('orders', '1s', { clock })], clock);
    const slow = deferred<string>();
    let runs = 0;
    const place = () => {
      runs++;
      return slow.promise;
    };
    const first = pipeline.execute(place, under('k1')).catch((error: unknown) => error);
    await clock.advance(1_000);
    const meanwhile = pipeline.execute(place, under('k1')).catch((error: unknown) => error);

    expect(await first).toBeInstanceOf(TimeoutExceededError);
    expect(await meanwhile).toBeInstanceOf(IdempotencyConflictError);
    slow.resolve('charged after all');
    await clock.advance(0);

    expect(await pipeline.execute(place, under('k1'))).toBe('charged after all');
    expect(runs).toBe(1);
  });

  it.each(['a retry', 'a hedge'])(
    'ID-01 ID-08 a success is an outcome at once, though an attempt that %s gave up on never ends',
    async (how) => {
      const clock = new ManualClock();
      const once = new IdempotencyPolicy('orders', {}, { clock });
      const retry = new RetryPolicy('orders', { baseDelay: 0 }, { clock });
      const timeout = new TimeoutPolicy('orders', '100ms', { clock });
      const hedge = new HedgePolicy('orders', { delay: '100ms', idempotent: true }, { clock });
      const policies = how === 'a retry' ? [once, retry, timeout] : [once, hedge];
      const pipeline = new Pipeline('orders', policies, clock);
      let attempts = 0;
      const place = () => (++attempts === 1 ? new Promise(() => {}) : 'receipt');

      const first = pipeline.execute(place, under('k1'));
      await clock.advance(200);

      expect(await first).toBe('receipt');
      expect(await pipeline.execute(place, under('k1'))).toBe('receipt');
      expect(attempts).toBe(2);
      expect(once.stats()).toMatchObject({ totalReplays: 1, running: 0, records: 1 });
      // The record's expiry: no sign of life is given any more.
      expect(clock.pending).toBe(1);
    },
  );

  it('ID-02 who waits shares a success at once, though an attempt that was given up on never ends', async () => {
    const clock = new ManualClock();
    const once = new IdempotencyPolicy('orders', { wait: '5s' }, { clock });
    const retry = new RetryPolicy('orders', { baseDelay: 0 }, { clock });
    const pipeline = new Pipeline(
      'orders',
      [once, retry, new TimeoutPolicy('orders', '100ms', { clock })],
      clock,
    );
    let attempts = 0;
    const place = () => (++attempts === 1 ? new Promise(() => {}) : 'receipt');

    const calls = [pipeline.execute(place, under('k1')), pipeline.execute(place, under('k1'))];
    await clock.advance(100);

    expect(await Promise.all(calls)).toEqual(['receipt', 'receipt']);
    expect(attempts).toBe(2);
  });

  it('ID-02 the deadline of the first caller is no outcome for the second, which has its own turn', async () => {
    const { once, clock } = setUp({ wait: '5s', storeErrors: () => true });
    let runs = 0;
    const place = ({ signal }: CallInfo) =>
      ++runs > 1
        ? 'receipt'
        : new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const first = once.execute(place, { ...under('k1'), deadline: 100 }).catch((error: unknown) => error);
    const second = once.execute(place, under('k1'));
    await clock.advance(100);

    expect(await first).toMatchObject({ constructor: TimeoutExceededError, scope: 'deadline' });
    expect(await second).toBe('receipt');
    expect(once.stats()).toMatchObject({ totalRuns: 2, totalShared: 0 });
  });

  it('ID-02 what a run failed with before its caller gave up is an outcome for who waits', async () => {
    const clock = new ManualClock();
    const store: OnceStore = new MemoryOnceStore(clock, 100);
    const freed = deferred<void>();
    store.fail = () => freed.promise;
    const once = new IdempotencyPolicy('orders', { wait: '5s' }, { clock, once: store });
    const giveUp = new AbortController();
    const work = deferred<string>();
    const first = once
      .execute(() => work.promise, { ...under('k1'), signal: giveUp.signal })
      .catch((error: unknown) => error);
    const second = once.execute(() => 'of the second', under('k1')).catch((error: unknown) => error);
    await clock.advance(0);
    work.reject(new Error('declined'));
    await clock.advance(0);
    giveUp.abort(new Error('enough'));
    freed.resolve();

    expect(await Promise.all([first, second])).toEqual([new Error('declined'), new Error('declined')]);
  });

  it('ID-04 what `storeErrors` throws reaches the caller, and the key is free', async () => {
    const mistake = new TypeError('no status');
    const { once } = setUp({
      storeErrors: () => {
        throw mistake;
      },
    });
    const declined = once.execute(() => Promise.reject(new Error('declined')), under('k1'));

    await expect(declined).rejects.toBe(mistake);
    expect(once.stats()).toMatchObject({ totalStoreFailures: 0, running: 0 });
    expect(await once.execute(() => 'receipt', under('k1'))).toBe('receipt');
  });

  it('ID-01 ID-03 who asks at the same time for what another process has kept shares one question', async () => {
    const { store, first, second } = twoProcesses({ wait: '5s' });
    await first.execute(() => 'receipt', under('k1'));
    const asked = jest.spyOn(store, 'begin');
    const twice = (...args: unknown[]) =>
      Promise.all(
        [1, 2].map(() =>
          second.execute(() => 'again', under('k1', ...args)).catch((error: unknown) => error),
        ),
      );

    expect(await twice()).toEqual(['receipt', 'receipt']);
    expect(asked).toHaveBeenCalledTimes(1);
    for (const error of await twice('other arguments'))
      expect(error).toBeInstanceOf(IdempotencyMismatchError);
  });

  it('ID-06 PL-08 a run keeps the lease that it began with, though that is shortened meanwhile', async () => {
    const { clock, work, first, second, running } = beginInOneOfTwo();
    await clock.advance(1_000);
    first.update({ lease: '5s' });
    await clock.advance(15_000);

    await expect(second.execute(() => 'beside it', under('k1'))).rejects.toThrow(IdempotencyConflictError);
    work.resolve('receipt');
    expect(await running).toBe('receipt');
    expect(first.stats().totalLost).toBe(0);
  });

  it('ID-05 PL-08 a record is let go of after its own time, though one of before is kept longer', async () => {
    const { once, clock } = setUp({ ttl: '1d' });
    await once.execute(() => 'receipt', under('long'));
    once.update({ ttl: '1m' });
    for (const key of ['a', 'b', 'c']) await once.execute(() => key, under(key));
    const before = once.stats().records;

    await clock.advance(60_000);

    expect([before, once.stats().records, clock.pending]).toEqual([4, 1, 1]);
    once.reset();
    expect(clock.pending).toBe(0);
  });

  it('refuses a call without a key, or lets it pass', async () => {
    const refusing = setUp().once;
    const passing = setUp({ onMissingKey: 'pass' }).once;

    await expect(refusing.execute(() => 'ran')).rejects.toThrow(IdempotencyKeyMissingError);
    expect(await passing.execute(() => 'ran')).toBe('ran');
  });

  it('takes the key from the call by an option', async () => {
    const { once } = setUp({ key: (call) => String(call.args[0]) });
    await once.execute(() => 'first', { args: ['order-1'] });

    expect(await once.execute(() => 'second', { args: ['order-1'] })).toBe('first');
    expect(await once.execute(() => 'second', { args: ['order-2'] })).toBe('second');
  });

  it('ID-01 a replay and a shared outcome count apart, and each refusal as what it is', async () => {
    const { once } = setUp({ wait: '5s' });
    const work = deferred<string>();
    const calls = [
      once.execute(() => work.promise, under('k1')),
      once.execute(() => work.promise, under('k1')),
    ];
    await once.execute(() => 'other', under('k1', 'other arguments')).catch(() => undefined);
    await once.execute(() => 'no key').catch(() => undefined);
    work.resolve('receipt');
    await Promise.all(calls);
    await once.execute(() => 'again', under('k1'));
    once.update({ wait: 0 });
    const slow = deferred<string>();
    const running = once.execute(() => slow.promise, under('k2'));
    await once.execute(() => 'beside', under('k2')).catch(() => undefined);

    expect(once.stats()).toEqual({
      name: 'orders',
      totalRuns: 2,
      totalReplays: 1,
      totalShared: 1,
      totalConflicts: 1,
      totalMismatches: 1,
      totalMissingKeys: 1,
      totalLost: 0,
      totalStoreFailures: 0,
      running: 1,
      records: 1,
      evicted: 0,
    });
    slow.resolve('done');
    await running;
    expect(once.stats().running).toBe(0);
  });

  it('a reset forgets the numbers and the records', async () => {
    const { once } = setUp();
    await once.execute(() => 'first', under('k1'));
    await once.execute(() => 'again', under('k1'));

    once.reset();

    expect(once.stats()).toMatchObject({ totalRuns: 0, totalReplays: 0, records: 0 });
    expect(await once.execute(() => 'second', under('k1'))).toBe('second');
  });

  it('ID-02 who waits sees the outcome of the method, though its caller was told of a timeout', async () => {
    const clock = new ManualClock();
    const store = new MemoryOnceStore(clock, 100);
    const asked = jest.spyOn(store, 'begin');
    const once = new IdempotencyPolicy('orders', { wait: '5s' }, { clock, once: store });
    const pipeline = new Pipeline('orders', [once, new TimeoutPolicy('orders', '1s', { clock })], clock);
    const slow = deferred<string>();
    const first = pipeline.execute(() => slow.promise, under('k1')).catch((error: unknown) => error);
    const second = pipeline.execute(() => 'beside', under('k1'));
    await clock.advance(2_000);
    slow.resolve('charged after all');
    await second;
    expect(asked).toHaveBeenCalledTimes(1);

    expect(await first).toBeInstanceOf(TimeoutExceededError);
    expect(await second).toBe('charged after all');
  });

  it('ID-02 a method that fails after its timeout leaves the timeout as the outcome, and the key free', async () => {
    const clock = new ManualClock();
    const once = new IdempotencyPolicy('orders', { wait: '5s' }, { clock });
    const pipeline = new Pipeline('orders', [once, new TimeoutPolicy('orders', '1s', { clock })], clock);
    const slow = deferred<string>();
    const calls = [0, 1].map(() =>
      pipeline.execute(() => slow.promise, under('k1')).catch((error: unknown) => error),
    );
    await clock.advance(2_000);
    slow.reject(new Error('too late'));

    for (const outcome of await Promise.all(calls)) expect(outcome).toBeInstanceOf(TimeoutExceededError);
    expect(await pipeline.execute(() => 'again', under('k1'))).toBe('again');
  });

  it('ID-02 where the first caller gave up and the method failed, who waits runs it', async () => {
    const { once, clock } = setUp({ wait: '5s' });
    const work = deferred<string>();
    const giveUp = new AbortController();
    const first = once.execute(() => work.promise, { ...under('k1'), signal: giveUp.signal });
    const ended = first.catch((error: unknown) => error);
    const second = once.execute(() => 'of the second', under('k1'));
    await clock.advance(0);
    giveUp.abort(new Error('enough'));
    await clock.advance(0);
    work.reject(new Error('interrupted'));

    expect(await ended).toEqual(new Error('enough'));
    expect(await second).toBe('of the second');
    expect(once.stats()).toMatchObject({ totalRuns: 2, totalShared: 0 });
  });

  it('ID-02 who waits leaves no timer and no listener behind, however the wait ends', async () => {
    const { once, clock } = setUp({ wait: '5s' });
    const caller = new AbortController();
    const work = deferred<string>();
    const first = once.execute(() => work.promise, under('k1')).catch(() => undefined);
    const waiting = [undefined, caller.signal].map((signal) =>
      once.execute(() => 'unused', { ...under('k1'), signal }).catch((error: unknown) => error),
    );
    await clock.advance(0);
    caller.abort(new Error('enough'));
    await clock.advance(1_000);
    const beforeTheEnd = clock.pending;
    work.reject(new Error('declined'));

    expect(await Promise.all(waiting)).toEqual([new Error('declined'), new Error('enough')]);
    await first;
    // Before: the run's sign of life, and one wait.
    expect([beforeTheEnd, clock.pending]).toEqual([2, 0]);
  });

  it('ID-02 a wait keeps the process alive until it is over', async () => {
    const armed: TimerEntry[] = [];
    const clock = new ManualClock();
    const arm = clock.arm.bind(clock);
    jest.spyOn(clock, 'arm').mockImplementation((entry, at) => {
      armed.push(entry);
      arm(entry, at);
    });
    const once = new IdempotencyPolicy('orders', { wait: '5s' }, { clock });
    const work = deferred<string>();
    const calls = [once.execute(() => work.promise, under('k1')), once.execute(() => 'unused', under('k1'))];

    expect(armed.map(({ keepAlive }) => keepAlive)).toContain(true);
    work.resolve('receipt');
    await Promise.all(calls);
  });

  it('ID-02 a conflict with another process says how long its lease has left', async () => {
    const { clock, work, second, running } = beginInOneOfTwo();
    await clock.advance(5_000);

    const refusal = await second.execute(() => 'beside', under('k1')).catch((error: unknown) => error);

    expect(refusal).toMatchObject({ policy: 'orders', retryAfterMs: 25_000 });
    work.resolve('receipt');
    await running;
  });

  it('ID-04 what its caller gave up is not stored, though it is declared', async () => {
    const { once, clock } = setUp({ storeErrors: () => true });
    const giveUp = new AbortController();
    const first = once.execute(() => new Promise(() => {}), { ...under('k1'), signal: giveUp.signal });
    const ended = first.catch((error: unknown) => error);
    await clock.advance(0);
    giveUp.abort(new Error('enough'));
    expect(await ended).toEqual(new Error('enough'));

    const failed = await once
      .execute((call) => Promise.reject(call.signal.reason), { ...under('k2'), signal: giveUp.signal })
      .catch((error: unknown) => error);

    expect(failed).toEqual(new Error('enough'));
    expect(once.stats().records).toBe(0);
  });

  it('PL-08 lowering maxRecords leaves a store alone that was given: others may use it', async () => {
    const clock = new ManualClock();
    const store = new MemoryOnceStore(clock, 100);
    const once = new IdempotencyPolicy('orders', {}, { clock, once: store });
    for (const key of ['a', 'b', 'c']) await once.execute(() => key, under(key));

    once.update({ maxRecords: 1 });

    expect(store.size).toBe(3);
  });

  it('ID-07 a failing store is announced, and so is a lost lease', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ kind, type, details }) => seen.push([kind, type, details]));
    const store = new MemoryOnceStore(clock, 100);
    const down = new Error('store down');
    const once = new IdempotencyPolicy('orders', { lease: '30s' }, { clock, events, once: store });
    store.complete = () => false;
    await once.execute(() => 'receipt', under('k1'));
    store.complete = () => {
      throw down;
    };
    await once.execute(() => 'receipt', under('k2'));
    store.beat = () => {
      throw down;
    };
    const slow = deferred<string>();
    const running = once.execute(() => slow.promise, under('k3'));
    await clock.advance(10_000);
    slow.resolve('receipt');
    await running;
    const refusal = await once.execute(() => 'no key').catch((error: unknown) => error);
    once.reset();
    await clock.advance(0);

    expect(seen).toEqual([
      ['idempotency', 'lease-lost', { key: 'k1' }],
      ['idempotency', 'store-failed', { key: 'k2', error: down }],
      ['idempotency', 'store-failed', { key: 'k3', error: down }],
      ['idempotency', 'store-failed', { key: 'k3', error: down }],
      ['idempotency', 'rejected', { error: refusal }],
      ['idempotency', 'cleared', undefined],
    ]);
  });

  it.each([undefined, null, ''])('a key of %j is no key', async (key) => {
    // JSON knows `null`, whatever types say.
    const { once } = setUp({ key: () => key as string });

    await expect(once.execute(() => 'ran', { args: ['order-1'] })).rejects.toMatchObject({
      constructor: IdempotencyKeyMissingError,
      policy: 'orders',
    });
    expect(once.stats()).toMatchObject({ totalMissingKeys: 1, totalRuns: 0 });
  });

  it('ID-03 takes the fingerprint from the call by an option', async () => {
    const { once } = setUp({ fingerprint: (call) => String(call.args[0]) });
    await once.execute(() => 'first', under('k1', 'order-1', 'at noon'));

    expect(await once.execute(() => 'second', under('k1', 'order-1', 'at night'))).toBe('first');
    await expect(once.execute(() => 'second', under('k1', 'order-2'))).rejects.toMatchObject({
      constructor: IdempotencyMismatchError,
      policy: 'orders',
    });
  });

  it('ID-03 keeps a hash of a fingerprint that is longer than 64 characters', async () => {
    const store = new MemoryOnceStore(new ManualClock(), 10);
    const begin = jest.spyOn(store, 'begin');
    const once = new IdempotencyPolicy(
      'orders',
      { key: () => 'k1', fingerprint: (call) => String(call.args[0]) },
      { clock: new ManualClock(), once: store },
    );
    const long = 'x'.repeat(1_000_000);
    await once.execute(() => 'first', { args: [long] });

    expect(await once.execute(() => 'second', { args: [long] })).toBe('first');
    await expect(once.execute(() => 'second', { args: [`${long}y`] })).rejects.toThrow(
      IdempotencyMismatchError,
    );
    for (const length of [64, 65])
      await once.execute(() => 'third', { args: ['y'.repeat(length)] }).catch(() => undefined);
    expect(begin.mock.calls.map(([, fingerprint]) => fingerprint.length)).toEqual([43, 43, 43, 64, 43]);
  });

  it('PL-07 refuses options that cannot be, also in an update, which then leaves the old in force', () => {
    const { once } = setUp({ ttl: '1m' });
    const before = once.describe();

    expect(() => setUp({ ttl: 0 })).toThrow('idempotency "orders": "ttl"');
    expect(() => once.update({ ttl: '2m', lease: -1 })).toThrow('idempotency "orders": "lease"');
    expect(once.describe()).toBe(before);
  });

  it('PL-08 lowering maxRecords lets go of the oldest records', async () => {
    const { once } = setUp({ maxRecords: 3 });
    for (const key of ['a', 'b', 'c']) await once.execute(() => key, under(key));

    once.update({ maxRecords: 1 });

    expect(once.stats()).toMatchObject({ records: 1, evicted: 2 });
    expect(await once.execute(() => 'run again', under('c'))).toBe('c');
  });
});
