import { describe, expect, it, jest } from '@jest/globals';
import { Priority, type CallInfo, type CallOptions } from '../../../lib/core/call.js';
import { BulkheadFullError, TimeoutExceededError } from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { BulkheadPolicy, type BulkheadOptions } from '../../../lib/policies/bulkhead/index.js';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/index.js';
import { RateLimitPolicy } from '../../../lib/policies/rate-limit/index.js';
import { RetryPolicy } from '../../../lib/policies/retry/index.js';
import { TimeoutPolicy } from '../../../lib/policies/timeout/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { loadOf } from '../../models/runs.js';
import { deferred } from '../deferred.js';

function setUp(options: BulkheadOptions = {}) {
  const clock = new ManualClock();
  const bulkhead = new BulkheadPolicy('reads', options, { clock });
  const started: string[] = [];
  /** Begins a call whose method runs until it is settled by hand. */
  const begin = (name: string, priority?: Priority, signal?: AbortSignal) => {
    const method = deferred<string>();
    const run = () => {
      started.push(name);
      return method.promise;
    };
    const result = bulkhead.execute(run, { priority, signal }).catch((error: unknown) => error);
    return { ...method, result, finish: async () => (method.resolve(name), await result) };
  };
  return { clock, bulkhead, started, begin };
}

describe('BulkheadPolicy', () => {
  it('BH-01 more than maxConcurrent wait, more than maxQueue are refused', async () => {
    const { bulkhead, clock, started, begin } = setUp({ maxConcurrent: 2, maxQueue: 1 });
    begin('a');
    begin('b');
    begin('c');

    const refused = await begin('d').result;
    await clock.advance(0);

    expect(refused).toBeInstanceOf(BulkheadFullError);
    expect(started).toEqual(['a', 'b']);
    expect(bulkhead.stats()).toMatchObject({ activeCalls: 2, queuedCalls: 1, rejectedCalls: 1 });
  });

  it('BH-01 counts the runs that have not settled, not the attempts: a timed-out attempt still holds its slot', async () => {
    const clock = new ManualClock();
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 1, maxQueue: 5 }, { clock });
    const timeout = new TimeoutPolicy('reads', 100, { clock });
    const retry = new RetryPolicy(
      'reads',
      { maxRetries: 1, baseDelay: 10, jitter: 'none', budget: false },
      { clock },
    );
    const pipeline = new Pipeline('reads', [retry, bulkhead, timeout], clock);
    const slow = deferred();
    let runs = 0;

    const call = pipeline.execute(() => (runs++ === 0 ? slow.promise : 'fine'));
    await clock.advance(200);
    expect(runs).toBe(1);
    expect(bulkhead.stats()).toMatchObject({ activeCalls: 1, queuedCalls: 1 });
    slow.resolve('late');

    await expect(call).resolves.toBe('fine');
    expect(bulkhead.stats()).toMatchObject({ activeCalls: 0, queuedCalls: 0 });
  });

  it('BH-02 a waiter whose maxWait ends in the tick in which it is granted leaks no slot', async () => {
    const { bulkhead, clock, begin } = setUp({ maxConcurrent: 1, maxWait: 100 });
    const first = begin('first');
    clock.delay(100, () => first.resolve('first'));
    const second = begin('second');

    await clock.advance(100);
    second.resolve('second');
    await second.result;

    expect(bulkhead.stats().activeCalls).toBe(0);
    expect(clock.pending).toBe(0);
    expect(await begin('third').finish()).toBe('third');
  });

  it('BH-02 a waiter that is aborted right after it was granted never starts and leaks no slot', async () => {
    const { bulkhead, clock, started, begin } = setUp({ maxConcurrent: 1 });
    begin('first');
    const caller = new AbortController();
    const second = begin('second', Priority.NORMAL, caller.signal);
    const third = begin('third');
    await clock.advance(0);

    bulkhead.update({ maxConcurrent: 2 });
    caller.abort('gone');

    expect(await second.result).toBe('gone');
    expect(await third.finish()).toBe('third');
    expect(started).toEqual(['first', 'third']);
    expect(bulkhead.stats()).toMatchObject({ activeCalls: 1, queuedCalls: 0, totalCalls: 2 });
  });

  it('BH-03 aborted while queued it leaves at once and never starts', async () => {
    const { bulkhead, clock, started, begin } = setUp({ maxConcurrent: 1 });
    const first = begin('first');
    const caller = new AbortController();
    const second = begin('second', Priority.NORMAL, caller.signal);

    caller.abort('gone');

    expect(bulkhead.stats().queuedCalls).toBe(0);
    expect(clock.pending).toBe(0);
    expect(await second.result).toBe('gone');
    await first.finish();
    expect(started).toEqual(['first']);
  });

  it('BH-03 timed out while queued, by maxWait, a deadline or a total timeout, it never starts', async () => {
    const { bulkhead, clock, begin } = setUp({ maxConcurrent: 1, maxWait: 300 });
    const total = new TimeoutPolicy('reads', { total: 200 }, { clock });
    const first = begin('first');
    const method = jest.fn();
    const waiting = [
      bulkhead.execute(method),
      bulkhead.execute(method, { deadline: 100 }),
      new Pipeline('reads', [total, bulkhead], clock).execute(method),
    ].map((call) => call.catch((error: unknown) => error));

    await clock.advance(100);
    expect(bulkhead.stats().queuedCalls).toBe(2);
    await clock.advance(100);
    expect(bulkhead.stats().queuedCalls).toBe(1);
    await clock.advance(100);
    await first.finish();

    expect(await waiting[0]).toBeInstanceOf(BulkheadFullError);
    expect(await waiting[1]).toBeInstanceOf(TimeoutExceededError);
    expect(await waiting[2]).toBeInstanceOf(TimeoutExceededError);
    expect(method).not.toHaveBeenCalled();
    expect(clock.pending).toBe(0);
  });

  it('BH-04 a running call that ignores its abort keeps its slot until it settles', async () => {
    const { bulkhead, begin } = setUp({ maxConcurrent: 1 });
    const caller = new AbortController();
    const first = begin('first', Priority.NORMAL, caller.signal);
    const second = begin('second');

    caller.abort('gone');
    expect(await first.result).toBe('gone');
    expect(bulkhead.stats()).toMatchObject({ activeCalls: 1, queuedCalls: 1 });
    first.reject(new Error('late'));

    expect(await second.finish()).toBe('second');
    expect(bulkhead.stats().activeCalls).toBe(0);
  });

  it('BH-05 the highest priority waits least, first in first out within one', async () => {
    const { clock, started, begin } = setUp({ maxConcurrent: 1 });
    const names = ['low 1', 'high 1', 'critical', 'low 2', 'high 2'];
    const priorities = [Priority.LOW, Priority.HIGH, Priority.CRITICAL, Priority.LOW, Priority.HIGH];
    const first = begin('first');
    const rest = names.map((name, index) => begin(name, priorities[index]));

    for (const call of [first, ...rest]) call.resolve('');
    await clock.advance(0);

    expect(started).toEqual(['first', 'critical', 'high 1', 'high 2', 'low 1', 'low 2']);
  });

  it('BH-05 a full queue sheds the last of the lowest priority for a higher newcomer', async () => {
    const { bulkhead, begin } = setUp({ maxConcurrent: 1, maxQueue: 3 });
    begin('first');
    begin('normal', Priority.NORMAL);
    begin('background 1', Priority.BACKGROUND);
    const last = begin('background 2', Priority.BACKGROUND);

    begin('high', Priority.HIGH);

    expect(await last.result).toBeInstanceOf(BulkheadFullError);
    expect(bulkhead.stats().queuedByPriority).toMatchObject({ HIGH: 1, NORMAL: 1, BACKGROUND: 1 });
    expect(bulkhead.stats().rejectedBy).toMatchObject({ shed: 1, full: 0 });
  });

  it('BH-05 a newcomer of the lowest priority sheds nobody', async () => {
    const { bulkhead, begin } = setUp({ maxConcurrent: 1, maxQueue: 1 });
    begin('first');
    begin('normal', Priority.NORMAL);

    expect(await begin('equal', Priority.NORMAL).result).toBeInstanceOf(BulkheadFullError);
    expect(await begin('lower', Priority.LOW).result).toBeInstanceOf(BulkheadFullError);

    expect(bulkhead.stats().queuedByPriority.NORMAL).toBe(1);
  });

  it('BH-05 with aging a background call does not starve behind a stream of critical ones', async () => {
    const { clock, started, begin } = setUp({ maxConcurrent: 1, aging: 100 });
    let running = begin('first');
    begin('background', Priority.BACKGROUND);

    for (let i = 0; i < 8; i++) {
      const next = begin(`critical ${i}`, Priority.CRITICAL);
      await clock.advance(60);
      running.resolve('');
      await clock.advance(0);
      if (started.includes('background')) break;
      running = next;
    }

    expect(started.at(-1)).toBe('background');
  });

  it('BH-06 lowering the limit lets what runs finish, and starts nobody until it is met', async () => {
    const { bulkhead, started, begin } = setUp({ maxConcurrent: 2 });
    const first = begin('first');
    const second = begin('second');
    begin('third');

    bulkhead.update({ maxConcurrent: 1 });
    expect(await first.finish()).toBe('first');
    expect(started).toEqual(['first', 'second']);
    expect(await second.finish()).toBe('second');

    expect(started).toEqual(['first', 'second', 'third']);
  });

  it('BH-06 raising the limit starts waiting calls at once', async () => {
    const { bulkhead, clock, started, begin } = setUp({ maxConcurrent: 1 });
    for (const name of ['a', 'b', 'c', 'd']) begin(name);

    bulkhead.update({ maxConcurrent: 3 });
    await clock.advance(0);

    expect(started).toEqual(['a', 'b', 'c']);
  });

  it('BH-06 0 closes', async () => {
    const { started, begin } = setUp({ maxConcurrent: 0 });

    expect(await begin('a').result).toMatchObject({ message: 'Bulkhead "reads" is closed: its limit is 0.' });

    expect(started).toEqual([]);
  });

  it('BH-07 a call that is aborted, and then settles, gives its slot back once', async () => {
    const { bulkhead, started, begin, clock } = setUp({ maxConcurrent: 1 });
    const caller = new AbortController();
    const first = begin('first', Priority.NORMAL, caller.signal);
    caller.abort('gone');
    first.resolve('late');
    first.reject(new Error('later'));
    await first.result;
    await clock.advance(0);

    for (const name of ['a', 'b']) begin(name);
    await clock.advance(0);

    expect(bulkhead.stats()).toMatchObject({ activeCalls: 1, queuedCalls: 1, availableSlots: 0 });
    expect(started).toEqual(['first', 'a']);
  });

  it('BH-07 a method that throws synchronously gives its slot back', async () => {
    const { bulkhead, begin } = setUp({ maxConcurrent: 1, maxQueue: 0 });
    const thrower = () => {
      throw new Error('at once');
    };

    await expect(bulkhead.execute(thrower)).rejects.toThrow('at once');
    await expect(bulkhead.execute(thrower)).rejects.toThrow('at once');

    expect(await begin('next').finish()).toBe('next');
  });

  it('BH-08 10,000 calls that complete at once, one starting the next, neither recurse nor strand the queue', async () => {
    const { bulkhead } = setUp({ maxConcurrent: 1, maxQueue: 10_000 });
    let runs = 0;

    const calls = Array.from({ length: 10_000 }, () => bulkhead.execute(() => ++runs));
    await Promise.all(calls);

    expect(runs).toBe(10_000);
    expect(bulkhead.stats()).toMatchObject({ activeCalls: 0, queuedCalls: 0 });
  });

  it('BH-09 a queued call costs the same, abort included, in a queue of 100 as in one of 100,000', async () => {
    /** How many fields of waiting calls are touched to queue one more and to abort one in the middle. */
    const touches = async (length: number) => {
      const { bulkhead } = setUp({ maxConcurrent: 1, maxQueue: length + 1 });
      void bulkhead.execute(() => new Promise(() => {}));
      const callers = Array.from({ length }, () => new AbortController());
      const calls = callers.map(({ signal }) => bulkhead.execute(() => 'fine', { signal }));
      const ended = Promise.allSettled(calls);
      const line = (bulkhead as unknown as { slots: { line: { heads: Link[] } } }).slots.line;
      const waiting: Link[] = [];
      for (let waiter = line.heads[Priority.NORMAL]; waiter !== undefined; waiter = waiter.after)
        waiting.push(waiter);
      let count = 0;
      for (const waiter of waiting) watch(waiter, () => count++);
      callers[length >> 1]?.abort();
      void bulkhead.execute(() => 'fine').catch(() => undefined);
      const counted = count;
      callers.forEach((caller) => caller.abort());
      await ended;
      expect(bulkhead.stats().queuedCalls).toBe(1);
      return counted;
    };

    const ofHundred = await touches(100);

    expect(ofHundred).toBeGreaterThan(0);
    expect(await touches(loadOf(100_000))).toBe(ofHundred);
  });

  it('BH-10 queue wait and execution time are measured apart', async () => {
    const clock = new ManualClock();
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 1 }, { clock });
    const timed = new CircuitBreakerPolicy('reads', { slowCallRatePercent: 50 }, { clock });
    const pipeline = new Pipeline('reads', [bulkhead, timed], clock);
    const methods = [deferred(), deferred()];

    const calls = methods.map(({ promise }) => pipeline.execute(() => promise));
    await clock.advance(30);
    methods[0]?.resolve('');
    await clock.advance(70);
    methods[1]?.resolve('');
    await Promise.all(calls);

    expect(bulkhead.stats().waited).toEqual({ count: 1, meanMs: 30, maxMs: 30 });
    expect(bulkhead.stats().executed).toEqual({ count: 2, meanMs: 50 });
  });

  it('BH-11 a call once queued is not refused because others of its priority arrive', async () => {
    const { started, begin } = setUp({ maxConcurrent: 1, maxQueue: 2 });
    const first = begin('first');
    const second = begin('second');
    const third = begin('third');
    for (let i = 0; i < 10; i++) expect(await begin('more').result).toBeInstanceOf(BulkheadFullError);

    await first.finish();
    await second.finish();
    await third.finish();

    expect(started).toEqual(['first', 'second', 'third']);
  });

  it('BH-11 one that is shed learns so', async () => {
    const { begin } = setUp({ maxConcurrent: 1, maxQueue: 1 });
    begin('first');
    const low = begin('low', Priority.LOW);
    begin('high', Priority.HIGH);

    expect(await low.result).toMatchObject({ message: expect.stringContaining('higher priority') });
  });

  it('BH-12 a priority is refused above its utilisation threshold while higher ones still enter', async () => {
    const { bulkhead, clock, started, begin } = setUp({
      maxConcurrent: 4,
      maxQueue: 0,
      shedAbovePercent: { LOW: 25, BACKGROUND: 0 },
    });
    begin('background 1', Priority.BACKGROUND);
    begin('low 1', Priority.LOW);

    expect(await begin('background 2', Priority.BACKGROUND).result).toBeInstanceOf(BulkheadFullError);
    expect(await begin('low 2', Priority.LOW).result).toBeInstanceOf(BulkheadFullError);
    begin('normal', Priority.NORMAL);
    await clock.advance(0);

    expect(started).toEqual(['background 1', 'low 1', 'normal']);
    expect(bulkhead.stats().rejectedBy.utilisation).toBe(2);
  });

  it('BH-12 CRITICAL is never shed by utilisation', async () => {
    const shedAbovePercent = { HIGH: 0, CRITICAL: 0 } as BulkheadOptions['shedAbovePercent'];

    expect(() => setUp({ shedAbovePercent })).toThrow('CRITICAL');
  });

  it('has slots of their own for each key, and forgets a key without calls, refused ones included', async () => {
    const clock = new ManualClock();
    const options = { maxConcurrent: 1, maxQueue: 0, key: () => undefined };
    const bulkhead = new BulkheadPolicy('reads', options, { clock });
    const method = deferred();
    const busy = bulkhead.execute(() => method.promise, { key: 'a' });

    await expect(bulkhead.execute(() => 'fine', { key: 'a' })).rejects.toThrow('key "a"');
    await expect(bulkhead.execute(() => 'fine', { key: 'b' })).resolves.toBe('fine');
    expect(bulkhead.stats().keys).toBe(1);
    method.resolve('');
    await busy;
    bulkhead.update({ maxConcurrent: 0, shedAbovePercent: { NORMAL: 0 } });
    await expect(bulkhead.execute(() => 'fine', { key: 'c' })).rejects.toThrow(BulkheadFullError);

    expect(bulkhead.stats().keys).toBe(0);
  });

  it('gives back what earlier guards took when it refuses', async () => {
    const clock = new ManualClock();
    const limit = new RateLimitPolicy('reads', { capacity: 1, refillPerSecond: 0 }, { clock });
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 0 }, { clock });
    const pipeline = new Pipeline('reads', [limit, bulkhead], clock);

    await expect(pipeline.execute(() => 'fine')).rejects.toThrow(BulkheadFullError);

    expect(limit.stats()).toMatchObject({ remaining: 1, totalAllowed: 0 });
  });

  it.each(['HIGH', 7, -1, 1.5, Number.NaN, null])(
    'BH-05 a priority of %p is refused, and the call is not queued',
    async (given) => {
      const clock = new ManualClock();
      const options = { priority: () => given as Priority, key: () => 'tenant' };
      const bulkhead = new BulkheadPolicy('reads', options, { clock });
      const method = jest.fn();

      const call = bulkhead.execute(method);

      await expect(call).rejects.toThrow(TypeError);
      await expect(call).rejects.toThrow(
        /^Bulkhead "reads": a priority must be Priority\.CRITICAL \(0\), .* or Priority\.BACKGROUND \(4\), got /,
      );
      expect(method).not.toHaveBeenCalled();
      expect(bulkhead.stats()).toMatchObject({ activeCalls: 0, queuedCalls: 0, keys: 0 });
    },
  );

  it('BH-05 a wrong priority of a call is a mistake in the program: it is not retried', async () => {
    const clock = new ManualClock();
    const bulkhead = new BulkheadPolicy('reads', {}, { clock });
    const retry = new RetryPolicy('reads', { baseDelay: 0 }, { clock });
    const pipeline = new Pipeline('reads', [retry, bulkhead], clock);

    const call = pipeline.execute(() => 'read', { priority: 'HIGH' as unknown as Priority });

    await expect(call).rejects.toThrow('got "HIGH"');
    expect(retry.stats().totalRetries).toBe(0);
  });

  it('OP-06 the numbers: calls, refusals by their reason, who waits, and how long it took', async () => {
    const { bulkhead, clock, begin } = setUp({ maxConcurrent: 1, maxQueue: 2, maxWait: 100 });
    const running = begin('running');
    const critical = begin('critical', Priority.CRITICAL);
    begin('background', Priority.BACKGROUND);
    begin('high', Priority.HIGH);
    begin('one too many', Priority.LOW);
    await clock.advance(40);
    expect(bulkhead.stats()).toMatchObject({
      queuedByPriority: { CRITICAL: 1, HIGH: 1, NORMAL: 0, LOW: 0, BACKGROUND: 0 },
      utilizationPercent: 100,
      availableSlots: 0,
    });
    await running.finish();
    await clock.advance(60);
    bulkhead.update({ maxConcurrent: 0 });
    await critical.finish();
    await begin('closed').result;

    expect(bulkhead.stats()).toEqual({
      name: 'reads',
      activeCalls: 0,
      queuedCalls: 0,
      maxConcurrent: 0,
      maxQueue: 2,
      availableSlots: 0,
      utilizationPercent: 100,
      totalCalls: 2,
      rejectedCalls: 4,
      rejectedBy: { full: 1, closed: 1, waited: 1, shed: 1, utilisation: 0 },
      queuedByPriority: { CRITICAL: 0, HIGH: 0, NORMAL: 0, LOW: 0, BACKGROUND: 0 },
      waited: { count: 1, meanMs: 40, maxMs: 40 },
      executed: { count: 0, meanMs: 0 },
    });
  });

  it('OP-06 the longest and the mean wait', async () => {
    const { bulkhead, clock, begin } = setUp({ maxConcurrent: 1 });
    const calls = [begin('first'), begin('second'), begin('third'), begin('fourth')];
    for (const [index, ms] of [90, 10, 0].entries()) {
      await clock.advance(ms);
      await calls[index]?.finish();
    }
    await calls[3]?.finish();

    expect(bulkhead.stats().waited).toEqual({ count: 3, meanMs: (90 + 100 + 100) / 3, maxMs: 100 });
  });

  it('OP-06 a run whose end nobody has read from the clock is in no mean', async () => {
    const clock = new ManualClock();
    const bulkhead = new BulkheadPolicy('reads', {}, { clock });
    const timeout = new TimeoutPolicy('reads', '1s', { clock });
    await new Pipeline('reads', [bulkhead, timeout], clock).execute(() => 'fine');

    expect(bulkhead.stats()).toMatchObject({ totalCalls: 1, executed: { count: 0, meanMs: 0 } });
  });

  it('OP-06 who waits is counted over all keys', async () => {
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 1, key: () => undefined });
    const hold = (key?: string, priority?: Priority) =>
      void bulkhead.execute(() => new Promise(() => {}), { key, priority });
    for (const key of [undefined, 'a', 'b']) hold(key);
    hold(undefined, Priority.LOW);
    hold('a', Priority.LOW);
    hold('b', Priority.HIGH);

    expect(bulkhead.stats()).toMatchObject({
      activeCalls: 3,
      queuedCalls: 3,
      keys: 2,
      queuedByPriority: { HIGH: 1, NORMAL: 0, LOW: 2 },
    });
  });

  it('a reset forgets the numbers, and neither who runs nor who waits', async () => {
    const { bulkhead, clock, begin } = setUp({ maxConcurrent: 1, maxQueue: 1 });
    const calls = [begin('a'), begin('b')];
    await begin('refused').result;
    await clock.advance(10);
    await calls[0]?.finish();
    const waiting = begin('c');

    bulkhead.reset();

    expect(bulkhead.stats()).toMatchObject({
      activeCalls: 1,
      queuedCalls: 1,
      // From now on: who runs.
      totalCalls: 1,
      rejectedCalls: 0,
      rejectedBy: { full: 0 },
      waited: { count: 0, meanMs: 0, maxMs: 0 },
      executed: { count: 0, meanMs: 0 },
    });
    for (const call of [...calls, waiting]) await call.finish();
  });

  it('OP-01 after a reset the calls that run count from then on, those of keys too', async () => {
    const { bulkhead, begin } = setUp({ maxConcurrent: 1, key: () => 'a' });
    const running = [begin('a')];
    bulkhead.update({ key: () => 'b' });
    running.push(begin('b'));

    bulkhead.reset();

    expect(bulkhead.stats()).toMatchObject({ keys: 2, activeCalls: 2, totalCalls: 2 });
    for (const call of running) await call.finish();
  });

  it('OP-01 a reset between a grant and a refusal further in leaves totals that add up', async () => {
    const clock = new ManualClock();
    const outer = new BulkheadPolicy('outer', { maxConcurrent: 5 }, { clock });
    const inner = new BulkheadPolicy('inner', { maxConcurrent: 1, maxQueue: 5, maxWait: '1s' }, { clock });
    const timeout = new TimeoutPolicy('total', { total: '1h' }, { clock });
    const pipeline = new Pipeline('both', [timeout, outer, inner], clock);
    const gate = deferred<string>();
    const calls = [1, 2].map(() => pipeline.execute(() => gate.promise).catch(() => 'refused'));
    await clock.advance(0);

    outer.reset();
    timeout.reset();
    await clock.advance(1_000);
    gate.resolve('done');

    expect(await Promise.all(calls)).toEqual(['done', 'refused']);
    expect(outer.stats()).toMatchObject({ totalCalls: 1, activeCalls: 0 });
    expect(timeout.stats()).toMatchObject({ totalAttempts: 1, successfulAttempts: 1, failedAttempts: 0 });
  });

  it('OP-04 says whom it refuses, why, and under which key', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ kind, policy, type, details }) => seen.push([kind, policy, type, details]));
    const options = { maxConcurrent: 0, key: () => undefined };
    const bulkhead = new BulkheadPolicy('reads', options, { clock, events });

    const unkeyed: unknown = await bulkhead.execute(() => 'fine').catch((error: unknown) => error);
    const keyed: unknown = await bulkhead
      .execute(() => 'fine', { key: 'a' })
      .catch((error: unknown) => error);
    bulkhead.reset();
    await clock.advance(0);

    expect(seen).toEqual([
      ['bulkhead', 'reads', 'rejected', { reason: 'closed', error: unkeyed }],
      ['bulkhead', 'reads', 'rejected', { reason: 'closed', error: keyed, key: 'a' }],
      ['bulkhead', 'reads', 'cleared', undefined],
    ]);
    expect(unkeyed).toMatchObject({ policy: 'reads' });
  });

  it('a key comes from the call, or else from the option; without either the calls share slots', async () => {
    const key = (call: CallInfo) => call.args[0] as string | undefined;
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 1, maxQueue: 0, key });
    const hold = (options: CallOptions) => {
      bulkhead.execute(() => new Promise(() => {}), options).catch(() => undefined);
      return bulkhead.stats();
    };

    expect(hold({ args: ['a'] })).toMatchObject({ keys: 1, activeCalls: 1 });
    expect(hold({ args: ['a'], key: 'b' })).toMatchObject({ keys: 2, activeCalls: 2 });
    expect(hold({ args: [] })).toMatchObject({ keys: 2, activeCalls: 3 });
    expect(hold({ args: ['a'] })).toMatchObject({ activeCalls: 3, rejectedBy: { full: 1 } });
  });

  it('a key is kept as long as somebody runs or waits under it', async () => {
    const clock = new ManualClock();
    const options = { maxConcurrent: 1, maxWait: 100, key: () => 'a' };
    const bulkhead = new BulkheadPolicy('reads', options, { clock });
    const [first, second] = [deferred(), deferred()];
    const caller = new AbortController();
    const calls = [first, second].map(({ promise }) => bulkhead.execute(() => promise));
    const third = bulkhead.execute(() => 'third', { signal: caller.signal }).catch((error: unknown) => error);
    first.resolve('');
    await calls[0];
    const whileOneWaits = bulkhead.stats();
    caller.abort('gone');
    await third;
    const whileOneRuns = bulkhead.stats();
    second.resolve('');
    await calls[1];

    expect(whileOneWaits).toMatchObject({ keys: 1, activeCalls: 1, queuedCalls: 1 });
    expect(whileOneRuns).toMatchObject({ keys: 1, activeCalls: 1, queuedCalls: 0 });
    expect(bulkhead.stats()).toMatchObject({ keys: 0, totalCalls: 2 });
  });

  it('a new limit holds for keys that have calls already', async () => {
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 1, key: () => 'a' });
    for (let i = 0; i < 3; i++) void bulkhead.execute(() => new Promise(() => {}));

    bulkhead.update({ maxConcurrent: 2 });

    expect(bulkhead.stats()).toMatchObject({ activeCalls: 2, queuedCalls: 1 });
  });

  it('BH-12 at its threshold a priority still enters; who waits counts as used', async () => {
    const { bulkhead, begin } = setUp({ maxConcurrent: 1, maxQueue: 3, shedAbovePercent: { LOW: 50 } });
    begin('normal 1');
    begin('normal 2');
    begin('low 1', Priority.LOW);
    begin('low 2', Priority.LOW);

    expect(bulkhead.stats()).toMatchObject({ queuedCalls: 2, rejectedBy: { utilisation: 1 } });
  });

  it('BH-12 without any place it is wholly used', async () => {
    const { bulkhead, begin } = setUp({ maxConcurrent: 0, maxQueue: 0, shedAbovePercent: { NORMAL: 99 } });

    await begin('normal').result;
    await begin('critical', Priority.CRITICAL).result;

    expect(bulkhead.stats().rejectedBy).toMatchObject({ utilisation: 1, closed: 1 });
  });

  it('BH-05 with aging a newcomer takes the place of who counts lowest at that time, and of nobody who has aged to it', async () => {
    const { bulkhead, clock, begin } = setUp({ maxConcurrent: 1, maxQueue: 2, aging: 100 });
    begin('running');
    begin('background', Priority.BACKGROUND);
    await clock.advance(200);
    const low = begin('low', Priority.LOW);

    begin('normal', Priority.NORMAL);
    expect(await low.result).toBeInstanceOf(BulkheadFullError);
    const refused = begin('normal 2', Priority.NORMAL);

    expect(await refused.result).toBeInstanceOf(BulkheadFullError);
    expect(bulkhead.stats()).toMatchObject({
      rejectedBy: { shed: 1, full: 1 },
      queuedByPriority: { NORMAL: 1, LOW: 0, BACKGROUND: 1 },
    });
  });

  it('OP-06 the longest wait is not the last one', async () => {
    const clock = new ManualClock({ now: 1_000 });
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 1 }, { clock });
    for (const ms of [90, 10]) {
      const method = deferred();
      const running = bulkhead.execute(() => method.promise);
      const waiting = bulkhead.execute(() => 'fine');
      await clock.advance(ms);
      method.resolve('');
      await Promise.all([running, waiting]);
    }

    expect(bulkhead.stats().waited).toEqual({ count: 2, meanMs: 50, maxMs: 90 });
  });

  it.each([
    ['the longest waiting first', [Priority.NORMAL, 50, Priority.HIGH], ['2', '1']],
    ['the longest waiting first, whichever it is', [Priority.HIGH, 50, Priority.NORMAL], ['1', '2']],
    ['of one instant the higher first', [Priority.NORMAL, 0, Priority.HIGH], ['1', '2']],
  ] as const)('BH-05 with aging, among equals %s', async (_which, [first, between, second], expected) => {
    const { clock, started, begin } = setUp({ maxConcurrent: 1, aging: 100 });
    const running = begin('running');
    const calls = [begin(String(first), first)];
    await clock.advance(between);
    calls.push(begin(String(second), second));
    await clock.advance(250);

    for (const call of [running, ...calls]) call.resolve('');
    await clock.advance(0);

    expect(started).toEqual(['running', ...expected]);
  });

  it('BH-05 a priority may be a function of the call', async () => {
    const clock = new ManualClock();
    const priority = ({ args }: CallInfo) => args[0] as Priority;
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 1, priority }, { clock });
    const hold = (given: Priority) => void bulkhead.execute(() => new Promise(() => {}), { args: [given] });
    for (const given of [Priority.NORMAL, Priority.LOW, Priority.HIGH]) hold(given);

    expect(bulkhead.stats().queuedByPriority).toMatchObject({ HIGH: 1, LOW: 1 });
  });

  it('BH-06 a limit may be raised above what waits', async () => {
    const { bulkhead, begin } = setUp({ maxConcurrent: 1 });
    begin('running');
    begin('waiting');

    bulkhead.update({ maxConcurrent: 10 });

    expect(bulkhead.stats()).toMatchObject({ activeCalls: 2, queuedCalls: 0 });
  });

  it('a key whose waiting calls may not start is kept, and so is one that refuses while it runs', async () => {
    const clock = new ManualClock();
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 1, key: () => 'a' }, { clock });
    const method = deferred();
    const running = bulkhead.execute(() => method.promise);
    void bulkhead.execute(() => 'waiting').catch(() => undefined);
    bulkhead.update({ shedAbovePercent: { NORMAL: 0 } });
    await bulkhead.execute(() => 'refused').catch(() => undefined);
    const whileItRuns = bulkhead.stats();
    bulkhead.update({ maxConcurrent: 0 });
    method.resolve('');
    await running;

    expect(whileItRuns).toMatchObject({ keys: 1, activeCalls: 1, queuedCalls: 1 });
    expect(bulkhead.stats()).toMatchObject({ keys: 1, activeCalls: 0, queuedCalls: 1 });
    await clock.advance(60_000);
    expect(bulkhead.stats()).toMatchObject({ keys: 0, queuedCalls: 0, rejectedBy: { waited: 1 } });
  });

  it('RT-05 a wait keeps the process alive until it is over', () => {
    const { clock, begin } = setUp({ maxConcurrent: 1 });
    const arm = jest.spyOn(clock, 'arm');
    begin('running');
    begin('waiting');

    expect(arm.mock.calls.map(([entry]) => entry.keepAlive)).toEqual([true]);
  });

  it('PL-07 refuses options that cannot be, also in an update, which then leaves the old in force', () => {
    const { bulkhead } = setUp({ maxConcurrent: 3 });
    const before = bulkhead.describe();

    expect(() => setUp({ maxConcurrent: -1 })).toThrow('bulkhead "reads": "maxConcurrent"');
    expect(() => bulkhead.update({ maxQueue: 7, maxConcurrent: -1 })).toThrow(
      'bulkhead "reads": "maxConcurrent"',
    );

    expect(bulkhead.describe()).toBe(before);
  });

  it.each([
    [{ maxConcurrent: 1, maxQueue: 0 }, 'Bulkhead "reads" is full: 1 running, 0 waiting.'],
    [{ maxConcurrent: 0 }, 'Bulkhead "reads" is closed: its limit is 0.'],
    [{ maxConcurrent: 1, maxWait: 100 }, 'Bulkhead "reads" had no free slot within 100 ms.'],
    [
      { maxConcurrent: 1, shedAbovePercent: { NORMAL: 0 } },
      'Bulkhead "reads" is 0 % used and refuses calls of this priority.',
    ],
  ])('%j is refused with words that fit', async (options, message) => {
    const { clock, begin } = setUp(options);
    begin('running');
    const refused = begin('refused');
    await clock.advance(100);

    expect((await refused.result) as Error).toMatchObject({ message });
  });

  it('OP-01 with keys the stats show the fullest', () => {
    const bulkhead = new BulkheadPolicy('reads', { maxConcurrent: 4, key: () => undefined });
    const hold = (key?: string) => void bulkhead.execute(() => new Promise(() => {}), { key });
    for (const key of [undefined, 'busy', 'busy', 'busy', 'quiet']) hold(key);

    expect(bulkhead.stats()).toMatchObject({ activeCalls: 5, availableSlots: 1, utilizationPercent: 75 });
  });
});

interface Link {
  before: Link | undefined;
  after: Link | undefined;
}

/** Counts each time that a link of a list is read or written. */
function watch(link: Link, touched: () => void): void {
  for (const name of ['before', 'after'] as const) {
    let value = link[name];
    Object.defineProperty(link, name, {
      get: () => {
        touched();
        return value;
      },
      set: (next: Link | undefined) => {
        touched();
        value = next;
      },
    });
  }
}
