import { describe, expect, it } from '@jest/globals';
import { Call, type CallInfo } from '../../../lib/core/call.js';
import { InvalidOptionsError } from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/index.js';
import { HedgePolicy, type HedgeOptions } from '../../../lib/policies/hedge/index.js';
import { RetryBudget, RetryPolicy } from '../../../lib/policies/retry/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred, type Deferred } from '../deferred.js';
import { placesOf } from '../../problems-of.js';

function setUp(options: HedgeOptions = { delay: 100 }) {
  const clock = new ManualClock();
  const hedge = new HedgePolicy('catalogue', options, { clock });
  const attempts: (Deferred<string> & { signal: AbortSignal })[] = [];
  const method = ({ signal }: CallInfo) => {
    const attempt = deferred<string>();
    attempts.push({ ...attempt, signal });
    return attempt.promise;
  };
  return { clock, hedge, attempts, method };
}

/** A call whose attempts settle when the test says so, whatever becomes of the call. */
function deafSetUp(options: HedgeOptions = { delay: 100 }) {
  const clock = new ManualClock();
  const hedge = new HedgePolicy('catalogue', options, { clock });
  const attempts: (Deferred<string> & { call: Call })[] = [];
  const call = new Call(() => 'unused', undefined, []);
  call.cancellable = true;
  const answer = hedge.run(call, (attempt) => {
    const settled = deferred<string>();
    attempts.push({ ...settled, call: attempt });
    return settled.promise;
  });
  return { clock, hedge, attempts, call, answer };
}

describe('HedgePolicy', () => {
  it('starts a second attempt when the first is slow, and takes whichever answers first', async () => {
    const { clock, hedge, attempts, method } = setUp();
    const call = hedge.execute(method);
    await clock.advance(99);
    const before = attempts.length;
    await clock.advance(1);

    attempts[1]?.resolve('from the hedge');

    expect(await call).toBe('from the hedge');
    expect([before, attempts.length]).toEqual([1, 2]);
    expect(hedge.stats()).toMatchObject({ totalCalls: 1, totalHedges: 1, hedgeWins: 1 });
    expect(clock.pending).toBe(0);
  });

  it('HG-01 the winner does not wait for the loser; the loser is aborted and the winner is not', async () => {
    const { clock, hedge, attempts, method } = setUp();
    const call = hedge.execute(method);
    await clock.advance(100);

    attempts[0]?.resolve('from the first');

    expect(await call).toBe('from the first');
    expect(attempts.map(({ signal }) => signal.aborted)).toEqual([false, true]);
  });

  it("HG-01 a loser's late rejection is observed", async () => {
    const { clock, hedge, attempts, method } = setUp();
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listener);
    const call = hedge.execute(method);
    await clock.advance(100);
    attempts[1]?.resolve('from the hedge');
    await call;

    attempts[0]?.reject(new Error('late'));
    await clock.advance(0);

    process.off('unhandledRejection', listener);
    expect(unhandled).toEqual([]);
  });

  it('a failure only counts when nobody else is running, and the first one is the answer', async () => {
    const { clock, hedge, attempts, method } = setUp();
    const call = hedge.execute(method).catch((error: unknown) => error);
    await clock.advance(100);
    attempts[0]?.reject(new Error('first'));
    await clock.advance(0);
    attempts[1]?.reject(new Error('second'));

    expect(await call).toEqual(new Error('first'));
  });

  it('a failure before the delay is the answer: trying again is the business of retries', async () => {
    const { clock, hedge, attempts, method } = setUp();
    const call = hedge.execute(method).catch((error: unknown) => error);

    attempts[0]?.reject(new Error('refused'));

    expect(await call).toEqual(new Error('refused'));
    await clock.advance(1_000);
    expect(attempts).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it('starts no more than maxHedges', async () => {
    const { clock, hedge, attempts, method } = setUp({ delay: 100, maxHedges: 2 });
    const call = hedge.execute(method);
    await clock.advance(1_000);

    attempts[2]?.resolve('third');

    expect(await call).toBe('third');
    expect(attempts).toHaveLength(3);
  });

  it('HG-02 no hedge after the caller aborts', async () => {
    const { clock, hedge, attempts, method } = setUp();
    const giveUp = new AbortController();
    const call = hedge.execute(method, { signal: giveUp.signal });
    await clock.advance(50);

    giveUp.abort(new Error('enough'));

    await expect(call).rejects.toThrow('enough');
    await clock.advance(1_000);
    expect(attempts).toHaveLength(1);
    expect(attempts[0]?.signal.aborted).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it.each(['open', 'half-open'])('HG-02 no hedge while a breaker inside is %s', async (state) => {
    const { clock, hedge, attempts, method } = setUp();
    const breaker = new CircuitBreakerPolicy(
      'catalogue',
      { failureThreshold: 1, openDuration: 1_000 },
      { clock },
    );
    const pipeline = new Pipeline('catalogue', [hedge, breaker], clock);
    if (state === 'half-open') {
      await breaker.execute(() => Promise.reject(new Error('down'))).catch(() => undefined);
      await clock.advance(1_000);
    }
    const call = pipeline.execute(method);
    await clock.advance(50);
    if (state === 'open')
      await breaker.execute(() => Promise.reject(new Error('down'))).catch(() => undefined);
    await clock.advance(50);

    expect(attempts).toHaveLength(1);
    expect(hedge.stats().totalSuppressed).toBe(1);
    attempts[0]?.resolve('fine');
    expect(await call).toBe('fine');
  });

  it('HG-02 no hedge with the budget spent', async () => {
    const { clock, hedge, attempts, method } = setUp({ delay: 100, budget: { max: 1 } });
    const calls = [hedge.execute(method), hedge.execute(method)];
    await clock.advance(100);

    expect(attempts).toHaveLength(3);
    expect(hedge.stats()).toMatchObject({ totalHedges: 1, totalSuppressed: 1 });
    for (const attempt of attempts) attempt.resolve('fine');
    await Promise.all(calls);
  });

  it('BU-04 a budget is shared by retries and hedges', async () => {
    const clock = new ManualClock();
    const budget = new RetryBudget('shared', { max: 1 }, { clock });
    const retry = new RetryPolicy('other', { budget, baseDelay: 0 }, { clock });
    const hedge = new HedgePolicy('catalogue', { delay: 100, budget }, { clock });
    const slow = deferred<string>();
    let attempts = 0;

    await retry.execute(() => Promise.reject(new Error('down'))).catch(() => undefined);
    const call = hedge.execute(() => {
      attempts++;
      return slow.promise;
    });
    await clock.advance(100);

    expect(attempts).toBe(1);
    slow.resolve('fine');
    await call;
  });

  it('hedges by the observed percentile, once there are enough samples', async () => {
    const { clock, hedge, attempts, method } = setUp({ percentile: 95, minSamples: 20, budget: false });
    for (let i = 1; i <= 20; i++) {
      const call = hedge.execute(method);
      await clock.advance(i * 10);
      attempts[i - 1]?.resolve('fine');
      await call;
    }
    const delayMs = hedge.stats().currentDelayMs as number;
    const call = hedge.execute(method);
    await clock.advance(delayMs);

    expect(delayMs).toBeGreaterThan(185);
    expect(delayMs).toBeLessThan(205);
    expect(attempts).toHaveLength(22);
    for (const attempt of attempts) attempt.resolve('fine');
    await call;
  });

  it("BH-04 a loser that ignores its abort keeps the bulkhead's slot until it settles", async () => {
    const { clock, hedge, attempts, method } = setUp();
    const bulkhead = new BulkheadPolicy('catalogue', { maxConcurrent: 2 }, { clock });
    const pipeline = new Pipeline('catalogue', [hedge, bulkhead], clock);
    const call = pipeline.execute(method);
    await clock.advance(100);
    attempts[1]?.resolve('from the hedge');
    await call;

    const whileItRuns = bulkhead.stats().activeCalls;
    attempts[0]?.resolve('late');
    await clock.advance(0);

    expect([whileItRuns, bulkhead.stats().activeCalls]).toEqual([1, 0]);
  });

  it('HG-01 a loser is told that it is abandoned, and that another was faster', async () => {
    const { clock, attempts, answer } = deafSetUp();
    await clock.advance(100);

    attempts[0]?.resolve('from the first');
    await answer;

    const loser = attempts[1]?.call as Call;
    expect(loser.abortKind).toBe('abandoned');
    expect(loser.abortReason).toMatchObject({ name: 'AbortError', message: 'Another attempt was faster.' });
  });

  it('HG-01 a loser that answers after all counts no more', async () => {
    const { clock, hedge, attempts, answer } = deafSetUp();
    await clock.advance(100);
    attempts[0]?.resolve('from the first');
    expect(await answer).toBe('from the first');

    attempts[1]?.resolve('late');
    await clock.advance(0);

    expect(hedge.stats()).toMatchObject({ totalHedges: 1, hedgeWins: 0 });
  });

  it('a hedge answers where the first attempt fails meanwhile', async () => {
    const { clock, hedge, attempts, method } = setUp();
    const call = hedge.execute(method);
    await clock.advance(100);
    attempts[0]?.reject(new Error('first'));
    await clock.advance(0);

    attempts[1]?.resolve('from the hedge');

    expect(await call).toBe('from the hedge');
  });

  it('what throws at once is a failed attempt', async () => {
    const { clock, hedge } = setUp();
    const answer = hedge.run(new Call(() => 'unused', undefined, []), () => {
      throw new RangeError('at once');
    });

    await expect(answer).rejects.toThrow(RangeError);
    expect(clock.pending).toBe(0);
  });

  it('HG-02 no hedge after the caller aborts, though the attempt does not hear of it', async () => {
    const { clock, hedge, attempts, call, answer } = deafSetUp();
    call.abort('caller', new Error('enough'));
    await clock.advance(1_000);

    expect(attempts).toHaveLength(1);
    expect(hedge.stats()).toMatchObject({ totalHedges: 0, totalSuppressed: 0 });
    attempts[0]?.reject(new Error('interrupted'));
    await expect(answer).rejects.toThrow('enough');
  });

  it('HG-02 no hedge once an observable call has emitted', async () => {
    const { clock, hedge, attempts, call, answer } = deafSetUp();
    call.emitted = true;
    await clock.advance(100);

    expect(attempts).toHaveLength(1);
    expect(hedge.stats()).toMatchObject({ totalHedges: 0, totalSuppressed: 1 });
    attempts[0]?.resolve('fine');
    expect(await answer).toBe('fine');
  });

  it('arms no timer while there are too few samples', async () => {
    const { clock, hedge, attempts, method } = setUp({ minSamples: 20 });
    const call = hedge.execute(method);
    const armed = clock.pending;
    attempts[0]?.resolve('fine');
    await call;

    expect(armed).toBe(0);
    expect(hedge.stats().currentDelayMs).toBeUndefined();
  });

  it('observes how long calls take only where it hedges by that', async () => {
    const { hedge } = setUp({ delay: 100, minSamples: 1 });
    await hedge.execute(() => 'fine');

    hedge.update({ delay: undefined });
    const before = hedge.stats().currentDelayMs;
    await hedge.execute(() => 'fine');

    expect(before).toBeUndefined();
    expect(hedge.stats().currentDelayMs).toBeDefined();
  });

  it('a reset forgets the numbers and what was observed', async () => {
    const { clock, hedge, attempts, method } = setUp({ minSamples: 1, percentile: 50 });
    const first = hedge.execute(method);
    await clock.advance(10);
    attempts[0]?.resolve('fine');
    await first;
    const second = hedge.execute(method);
    await clock.advance(100);
    attempts[2]?.resolve('from the hedge');
    await second;
    expect(hedge.stats()).toMatchObject({ totalCalls: 2, totalHedges: 1, hedgeWins: 1 });

    hedge.reset();

    expect(hedge.stats()).toMatchObject({ totalCalls: 0, totalHedges: 0, hedgeWins: 0, totalSuppressed: 0 });
    expect(hedge.stats().currentDelayMs).toBeUndefined();
  });

  it('OP-04 says when it hedges, and when it is reset', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ kind, policy, type }) => seen.push([kind, policy, type]));
    const hedge = new HedgePolicy('catalogue', { delay: 100 }, { clock, events });
    const slow = deferred<string>();
    const call = hedge.execute(() => slow.promise);
    await clock.advance(100);
    slow.resolve('fine');
    await call;
    hedge.reset();
    await clock.advance(0);

    expect(seen).toEqual([
      ['hedge', 'catalogue', 'hedged'],
      ['hedge', 'catalogue', 'cleared'],
    ]);
  });

  it('PL-08 an update of other options leaves the budget with what was spent of it', async () => {
    const { clock, hedge, attempts, method } = setUp({ delay: 100, budget: { max: 1 } });
    const calls = [hedge.execute(method)];
    await clock.advance(100);

    hedge.update({ delay: 50 });
    calls.push(hedge.execute(method));
    await clock.advance(50);

    expect(attempts).toHaveLength(3);
    for (const attempt of attempts) attempt.resolve('fine');
    await Promise.all(calls);
  });

  it.each([
    [{ delay: 100, percentile: 95 }, ['delay']],
    [{ budget: { max: 1, percent: 5 } }, ['budget.percent']],
    [{ delay: 100, percentile: 95, budget: { max: -1 } }, ['delay', 'budget.max']],
    // What excludes what is only said where each option is right alone.
    [{ delay: -1, percentile: 95 }, ['delay']],
    [{ maxHedges: 11, delay: 100, percentile: 95 }, ['maxHedges']],
  ])('PL-07 %j is refused for %j', (options, expected) => {
    expect(placesOf(() => setUp(options))).toEqual(expected.map((option) => ['hedge "catalogue"', option]));
  });

  it('BU-01 BU-04 a call that a retry and a hedge bound by one budget is counted once', async () => {
    const clock = new ManualClock();
    const budget = new RetryBudget('both', { percent: 10, minPerSecond: 0 }, { clock });
    const retry = new RetryPolicy('r', { baseDelay: 0, budget }, { clock });
    const hedge = new HedgePolicy('h', { delay: 50, budget }, { clock });
    const counted = async (...policies: (RetryPolicy | HedgePolicy)[]) => {
      budget.reset();
      const pipeline = new Pipeline(
        'p',
        policies,
        clock,
        policies.map(({ kind }) => kind),
      );
      const calls = Array.from({ length: 100 }, () =>
        pipeline.execute(() => Promise.reject(new Error('down'))).catch(() => undefined),
      );
      await clock.advance(1_000);
      await Promise.all(calls);
      const { totalRequests, totalRetries } = budget.stats();
      return [totalRequests, totalRetries];
    };

    expect(await counted(retry, hedge)).toEqual([100, 10]);
    expect(await counted(hedge, retry)).toEqual([100, 10]);
    expect(await counted(hedge)).toEqual([100, 0]);
    retry.update({ budget: false });
    expect((await counted(retry, hedge))[0]).toBe(400);
  });

  it.each(['disabled', 'meter-only', 'forced-open'] as const)(
    'HG-01 a circuit that is %s is calm where it lets all pass',
    async (initialState) => {
      const clock = new ManualClock();
      const hedge = new HedgePolicy('h', { delay: 50 }, { clock });
      const breaker = new CircuitBreakerPolicy('b', { initialState }, { clock });
      const pipeline = new Pipeline('p', [hedge, breaker], clock);
      const slow = deferred<string>();
      const call = pipeline.execute(() => slow.promise).catch(() => undefined);
      await clock.advance(50);
      slow.resolve('slow');
      await call;

      expect(hedge.stats().totalHedges).toBe(initialState === 'forced-open' ? 0 : 1);
    },
  );

  it('PL-08 a refused update leaves all of the old options in force', () => {
    const { hedge } = setUp();
    const before = hedge.describe();

    expect(() => hedge.update({ maxHedges: 2, budget: 'of nobody' })).toThrow(InvalidOptionsError);
    expect(() => hedge.update({ maxHedges: 0 })).toThrow('hedge "catalogue": "maxHedges"');

    expect(hedge.describe()).toBe(before);
  });
});
