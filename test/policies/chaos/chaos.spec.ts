import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { CallInfo } from '../../../lib/core/call.js';
import {
  BulkheadFullError,
  ChaosInjectedError,
  CircuitOpenError,
  TimeoutExceededError,
} from '../../../lib/core/errors.js';
import { EventHub, type PolicyEvent } from '../../../lib/core/events.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import {
  ChaosPolicy,
  isChaosInjected,
  type ChaosOptions,
  type Latency,
} from '../../../lib/policies/chaos/index.js';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/index.js';
import { FallbackChain } from '../../../lib/policies/fallback/index.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import { RetryPolicy } from '../../../lib/policies/retry/index.js';
import { TimeoutPolicy } from '../../../lib/policies/timeout/index.js';
import { ManualClock, seededRandom } from '../../../lib/testing/index.js';
import { loadOf } from '../../models/runs.js';
import { deferred } from '../deferred.js';
import { messagesOf } from '../../problems-of.js';

function setUp(options: ChaosOptions, processEnv: Record<string, string> = {}) {
  const clock = new ManualClock();
  const events = new EventHub();
  const chaos = new ChaosPolicy('payments', options, { clock, random: seededRandom(1), events, processEnv });
  let runs = 0;
  const method = () => {
    runs++;
    return Promise.resolve('receipt');
  };
  const call = () => chaos.execute(method).catch((error: unknown) => error);
  return { clock, chaos, events, method, call, runs: () => runs };
}

describe('ChaosPolicy', () => {
  it('CH-01 is off by default', async () => {
    const { chaos, call } = setUp({ error: 503 });

    expect(await call()).toBe('receipt');
    expect(chaos.stats()).toMatchObject({ enabled: false, active: false, totalCalls: 0, totalInjected: 0 });
    expect(chaos.describe()).toBe('off');
  });

  it('CH-01 takes no part in a pipeline while it is off, and joins when it is enabled', async () => {
    const { clock, chaos, method } = setUp({ error: 503 });
    const pipeline = new Pipeline('payments', [chaos], clock);
    const before = pipeline.steps.length;

    chaos.update({ enabled: true });

    expect([before, pipeline.steps.length]).toEqual([0, 1]);
    await expect(pipeline.execute(method)).rejects.toMatchObject({ status: 503 });
    chaos.stop();
    expect(await pipeline.execute(method)).toBe('receipt');
    expect(pipeline.steps).toHaveLength(0);
  });

  it.each([
    [{}, {}, ['"allowInProduction" is not true', 'RESILIENCE_CHAOS is not "allow"']],
    [{ allowInProduction: true }, {}, ['RESILIENCE_CHAOS is not "allow"']],
    [{}, { RESILIENCE_CHAOS: 'allow' }, ['"allowInProduction" is not true']],
    [{ allowInProduction: true }, { RESILIENCE_CHAOS: 'yes' }, ['RESILIENCE_CHAOS is not "allow"']],
    [{ allowInProduction: true }, { RESILIENCE_CHAOS: 'allow' }, []],
  ])('CH-01 in production %j with %j', (options, environment, missing) => {
    const processEnv = { NODE_ENV: 'production', ...environment };

    const [message = ''] = messagesOf(() => setUp({ enabled: true, error: 503, ...options }, processEnv));

    expect(message === '').toBe(missing.length === 0);
    for (const part of missing) expect(message).toContain(part);
    // Off is allowed everywhere; to enable it later is not.
    const { chaos } = setUp({ error: 503, ...options }, processEnv);
    const enabling = messagesOf(() => chaos.update({ enabled: true }));
    expect(enabling).toHaveLength(missing.length === 0 ? 0 : 1);
    expect(chaos.stats().enabled).toBe(missing.length === 0);
  });

  it('CH-01 who changes the options cannot give the permission of who wrote them', () => {
    const processEnv = { NODE_ENV: 'production', RESILIENCE_CHAOS: 'allow' };
    const { chaos } = setUp({ error: 503 }, processEnv);
    const allowed = setUp({ error: 503, allowInProduction: true }, processEnv).chaos;

    const together = messagesOf(() => chaos.update({ enabled: true, allowInProduction: true }));
    const before = messagesOf(() => chaos.update({ allowInProduction: true }));
    const after = messagesOf(() => chaos.update({ enabled: true }));
    allowed.update({ allowInProduction: false });
    allowed.update({ enabled: true, allowInProduction: true });

    const refusal =
      '"allowInProduction" is said where the policy is made, and cannot be given to it while it runs.';
    expect([together, before]).toEqual([[refusal], [refusal]]);
    expect(after).toHaveLength(1);
    expect([chaos.stats().enabled, allowed.stats().enabled]).toEqual([false, true]);
  });

  it('CH-01 a rate holds within three standard deviations over 100,000 calls', async () => {
    for (const ratePercent of [0.5, 7, 50, 93]) {
      const { chaos, method } = setUp({ enabled: true, result: 'wrong', ratePercent });
      const calls = loadOf(100_000);
      let failed = 0;
      for (let i = 0; i < calls; i++) if ((await chaos.execute(method)) === 'wrong') failed++;

      const share = ratePercent / 100;
      const deviation = Math.sqrt(calls * share * (1 - share));
      expect(Math.abs(failed - calls * share)).toBeLessThanOrEqual(3 * deviation);
      expect(chaos.stats()).toMatchObject({ totalCalls: calls, totalInjected: failed });
    }
  });

  it('CH-01 a rate of 0 never hits, one of 100 always', async () => {
    const never = setUp({ enabled: true, error: 500, ratePercent: 0 });
    const always = setUp({ enabled: true, error: 500 });
    for (let i = 0; i < 1_000; i++) await Promise.all([never.call(), always.call()]);

    expect([never.runs(), always.runs()]).toEqual([1_000, 0]);
  });

  it('CH-01 whatever it throws is marked, and so is what has it as a cause', async () => {
    class GatewayError extends Error {}
    const frozen = Object.freeze(new Error('frozen'));
    const faults: ChaosOptions[] = [
      { error: 500 },
      { error: GatewayError },
      { error: frozen },
      { error: () => new TypeError('made') },
      { error: () => 'a string' },
      { fault: 'timeout', latency: 0 },
      { fault: 'circuit-open' },
      { fault: 'resource-exhausted' },
      { fault: 'partition' },
      { fault: 'service-unavailable' },
    ];
    for (const fault of faults) {
      const { call } = setUp({ enabled: true, ...fault });
      const error = await call();
      expect(isChaosInjected(error)).toBe(true);
      expect(isChaosInjected(new Error('outer', { cause: error }))).toBe(true);
    }
    expect(isChaosInjected(new GatewayError())).toBe(false);
    expect(isChaosInjected(new CircuitOpenError('open'))).toBe(false);
    expect([undefined, null, 'text', 5].some(isChaosInjected)).toBe(false);
  });

  it('CH-01 tells of each fault in an event and counts it', async () => {
    const { chaos, events, call, clock } = setUp({ enabled: true, fault: 'latency', latency: 50, every: 2 });
    const seen: PolicyEvent[] = [];
    events.listen((event) => seen.push(event));

    await call();
    const second = call();
    await clock.advance(50);
    await second;

    expect(seen).toEqual([
      {
        kind: 'chaos',
        policy: 'payments',
        type: 'injected',
        at: 0,
        details: { fault: 'latency', latencyMs: 50 },
      },
    ]);
    expect(chaos.stats()).toMatchObject({ totalCalls: 2, totalInjected: 1, waiting: 0 });
  });

  it('CH-01 stopping it lets calls that it keeps go on into the method at once', async () => {
    const { clock, chaos, call, runs } = setUp({ enabled: true, fault: 'timeout' });
    const calls = [call(), call()];
    await clock.advance(10_000);
    const kept = [chaos.stats().waiting, runs()];

    chaos.stop();

    expect(await Promise.all(calls)).toEqual(['receipt', 'receipt']);
    expect(kept).toEqual([2, 0]);
    expect(chaos.stats()).toMatchObject({ enabled: false, waiting: 0, totalInjected: 2, totalReleased: 2 });
    expect(clock.pending).toBe(0);
  });

  it('CH-01 the end of its duration lets calls that it keeps go on, too', async () => {
    const { clock, chaos, call } = setUp({ enabled: true, fault: 'timeout', duration: '5s' });
    await clock.advance(4_000);
    const kept = call();
    await clock.advance(1_000);

    expect(await kept).toBe('receipt');
    expect(await call()).toBe('receipt');
    expect(chaos.stats()).toMatchObject({ enabled: true, active: false, totalReleased: 1 });
    expect(clock.pending).toBe(0);
  });

  it('CH-02 latency: the method runs later, its result is its own', async () => {
    const { clock, call, runs } = setUp({ enabled: true, latency: '300ms' });
    const first = call();
    await clock.advance(299);
    const before = runs();
    await clock.advance(1);

    expect(await first).toBe('receipt');
    expect(before).toBe(0);
  });

  it('CH-02 latency follows its distribution', async () => {
    const draw = async (latency: Latency) => {
      const { events, clock, call } = setUp({ enabled: true, latency });
      const seen: number[] = [];
      events.listen(({ details }) => seen.push(details?.['latencyMs'] as number));
      const calls = Array.from({ length: 2_000 }, call);
      await clock.advance(60_000);
      await Promise.all(calls);
      const mean = seen.reduce((sum, one) => sum + one, 0) / seen.length;
      const variance = seen.reduce((sum, one) => sum + (one - mean) ** 2, 0) / seen.length;
      return { mean, deviation: Math.sqrt(variance), least: Math.min(...seen), most: Math.max(...seen) };
    };

    const uniform = await draw({ min: 100, max: '5s' });
    const normal = await draw({ mean: '1s', deviation: 200 });
    const cut = await draw({ mean: 0, deviation: 200 });

    expect(uniform.least).toBeGreaterThanOrEqual(100);
    expect(uniform.most).toBeLessThanOrEqual(5_000);
    // Three standard errors of a mean of 2,000.
    expect(Math.abs(uniform.mean - 2_550)).toBeLessThan((3 * 1_415) / Math.sqrt(2_000));
    expect(Math.abs(normal.mean - 1_000)).toBeLessThan((3 * 200) / Math.sqrt(2_000));
    expect(Math.abs(normal.deviation - 200)).toBeLessThan((3 * 200) / Math.sqrt(4_000));
    expect(cut.least).toBe(0);
  }, 60_000);

  it('CH-02 each fault throws what the real thing throws', async () => {
    const outcome = async (options: ChaosOptions) => {
      const { clock, call, runs } = setUp({ enabled: true, ...options });
      const answer = call();
      await clock.advance(60_000);
      expect(runs()).toBe(0);
      return answer;
    };

    expect(await outcome({ fault: 'error' })).toMatchObject({ status: expect.any(Number) });
    expect(await outcome({ fault: 'timeout' })).toBeInstanceOf(TimeoutExceededError);
    expect(await outcome({ fault: 'circuit-open' })).toBeInstanceOf(CircuitOpenError);
    expect(await outcome({ fault: 'resource-exhausted' })).toBeInstanceOf(BulkheadFullError);
    expect(await outcome({ fault: 'partition' })).toMatchObject({
      code: expect.stringMatching(/^ECONN(REFUSED|RESET)$/),
    });
    expect(await outcome({ fault: 'service-unavailable' })).toMatchObject({ status: 503 });
    expect(await outcome({ fault: 'wrong-result' })).toBeNull();
    expect(await outcome({ result: { total: -1 } })).toEqual({ total: -1 });
    expect(await outcome({ result: ({ args }: CallInfo) => args.length })).toBe(0);
    expect(await outcome({ result: async () => 'later' })).toBe('later');
  });

  it('CH-02 a timeout hangs for 30 to 60 s', async () => {
    const { clock, chaos, events, method } = setUp({ enabled: true, fault: 'timeout' });
    const hung: number[] = [];
    events.listen(({ details }) => hung.push(details?.['latencyMs'] as number));
    const calls = Array.from({ length: 200 }, () => chaos.execute(method).catch((error: unknown) => error));
    await clock.advance(29_999);
    const waiting = chaos.stats().waiting;
    await clock.advance(30_001);

    const errors = await Promise.all(calls);

    expect(waiting).toBe(200);
    expect(Math.min(...hung)).toBeLessThan(32_000);
    expect(Math.max(...hung)).toBeGreaterThan(58_000);
    expect(errors[0]).toMatchObject({ timeoutMs: hung[0], scope: 'attempt' });
  });

  it('CH-02 errors of several kinds are drawn in equal shares', async () => {
    const { chaos, method } = setUp({
      enabled: true,
      error: [500, RangeError, () => new SyntaxError('bad')],
    });
    const counts = new Map<string, number>();
    for (let i = 0; i < 9_000; i++) {
      const { name } = (await chaos.execute(method).catch((error: unknown) => error)) as Error;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }

    const deviation = Math.sqrt(9_000 * (1 / 3) * (2 / 3));
    expect([...counts.keys()].toSorted()).toEqual(['ChaosInjectedError', 'RangeError', 'SyntaxError']);
    for (const count of counts.values()) expect(Math.abs(count - 3_000)).toBeLessThanOrEqual(3 * deviation);
  });

  it('CH-02 hits the first calls, every n-th, for a while, as a model says', async () => {
    const options = fc.record({
      firstCalls: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
      every: fc.integer({ min: 1, max: 4 }),
      duration: fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
    });
    const steps = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 12 });

    await fc.assert(
      fc.asyncProperty(options, steps, async ({ firstCalls, every, duration }, waits) => {
        const { clock, call } = setUp({
          enabled: true,
          error: 500,
          every,
          ...(firstCalls !== undefined && { firstCalls }),
          ...(duration !== undefined && { duration }),
        });
        const hits: boolean[] = [];
        const expected: boolean[] = [];
        let number = 0;
        for (const wait of waits) {
          await clock.advance(wait);
          hits.push((await call()) instanceof ChaosInjectedError);
          number++;
          const inTime = duration === undefined || clock.now() < duration;
          expected.push(inTime && number <= (firstCalls ?? Infinity) && number % every === 0);
        }
        expect(hits).toEqual(expected);
      }),
      { numRuns: loadOf(30) },
    );
  });

  it('begins anew when it is enabled again', async () => {
    const { clock, chaos, call } = setUp({ enabled: true, error: 500, firstCalls: 1, duration: '1s' });
    await call();
    await clock.advance(2_000);
    chaos.stop();

    chaos.update({ enabled: true });

    expect(await call()).toBeInstanceOf(ChaosInjectedError);
    expect(await call()).toBe('receipt');
    expect(chaos.stats().remainingMs).toBe(1_000);
  });

  it('reset clears the numbers and keeps the options', async () => {
    const { chaos, call } = setUp({ enabled: true, error: 500, firstCalls: 1 });
    await call();

    chaos.reset();

    expect(chaos.stats()).toMatchObject({ enabled: true, totalCalls: 0, totalInjected: 0 });
    expect(await call()).toBeInstanceOf(ChaosInjectedError);
  });

  it('an abort ends an injected wait, and the method never runs', async () => {
    const { clock, chaos, method, runs } = setUp({ enabled: true, fault: 'timeout' });
    const giveUp = new AbortController();
    const call = chaos.execute(method, { signal: giveUp.signal });
    await clock.advance(100);

    giveUp.abort(new Error('enough'));

    await expect(call).rejects.toThrow('enough');
    await clock.advance(60_000);
    expect([runs(), chaos.stats().waiting, clock.pending]).toEqual([0, 0, 0]);
  });

  it('an abort ends a wrong result that takes its time', async () => {
    const { chaos, method } = setUp({ enabled: true, result: () => new Promise(() => undefined) });
    const giveUp = new AbortController();
    const call = chaos.execute(method, { signal: giveUp.signal });

    giveUp.abort(new Error('enough'));

    await expect(call).rejects.toThrow('enough');
  });

  it('the other policies see a fault as the method’s own: breaker, retry, fallback and timeout', async () => {
    const { clock, chaos, method, runs } = setUp({ enabled: true, error: 503, firstCalls: 2 });
    const random = seededRandom(3);
    const retry = new RetryPolicy('p', { maxRetries: 2, baseDelay: 0, budget: false }, { clock, random });
    const breaker = new CircuitBreakerPolicy('p', { failureThreshold: 5 }, { clock });
    const retried = new Pipeline('p', [retry, breaker, chaos], clock);

    expect(await retried.execute(method)).toBe('receipt');
    expect(breaker.stats()).toMatchObject({ totalFailures: 2, totalSuccesses: 1 });
    expect(runs()).toBe(1);

    chaos.update({ fault: 'timeout', error: undefined, firstCalls: undefined });
    const timeout = new TimeoutPolicy('p', { duration: '1s' }, { clock });
    const bulkhead = new BulkheadPolicy('p', { maxConcurrent: 1 }, { clock });
    const fallback = new FallbackChain('p', { use: () => 'cached' }, { clock });
    const bounded = new Pipeline('p', [fallback, bulkhead, breaker, timeout, chaos], clock);
    const call = bounded.execute(method);
    await clock.advance(1_000);

    expect(await call).toBe('cached');
    // Nothing is left behind: the method never ran, so the slot is free at once.
    expect(bulkhead.stats().activeCalls).toBe(0);
    expect(breaker.stats().totalFailures).toBe(3);
    expect(clock.pending).toBe(0);
  });

  it('an injected rejection of a policy counts for no breaker, as the real one would not', async () => {
    const { clock, chaos, method } = setUp({ enabled: true, fault: 'resource-exhausted' });
    const breaker = new CircuitBreakerPolicy('p', { failureThreshold: 1 }, { clock });
    const pipeline = new Pipeline('p', [breaker, chaos], clock);

    await expect(pipeline.execute(method)).rejects.toBeInstanceOf(BulkheadFullError);

    expect(breaker.stats()).toMatchObject({ totalIgnored: 1, state: 'closed' });
  });

  it('a call that is over before its fault does not run the method', async () => {
    const { clock, chaos } = setUp({ enabled: true, latency: 10 });
    const started = deferred<void>();
    const giveUp = new AbortController();
    giveUp.abort(new Error('gone'));

    await expect(chaos.execute(() => started.resolve(), { signal: giveUp.signal })).rejects.toThrow('gone');

    expect(clock.pending).toBe(0);
  });

  it('names everything that is wrong with its options', () => {
    expect(messagesOf(() => new ChaosPolicy('p', { enabled: true }))).toEqual([
      '"enabled" needs something to inject: "fault", "latency", "error" or "result".',
    ]);
    const both = messagesOf(() => new ChaosPolicy('p', { error: 500, result: 1 }));
    expect(both).toEqual([expect.stringContaining('"error" and "result" exclude each other')]);
    expect(messagesOf(() => new ChaosPolicy('p', { fault: 'timeout', error: 500 }))).toEqual([
      '"error" does not go with the fault "timeout".',
    ]);
    const given = { latency: { min: 2, max: 1 }, error: 99, ratePercent: 101, firstCalls: 0, fault: 'flood' };
    expect(messagesOf(() => new ChaosPolicy('p', given as ChaosOptions))).toEqual([
      expect.stringContaining('"fault" must be "latency", "error", "timeout"'),
      '"latency.min" must be at most "latency.max", got 2 and 1.',
      expect.stringContaining('"error" must be an HTTP status'),
      expect.stringContaining('"ratePercent" must be a percentage'),
      expect.stringContaining('"firstCalls" must be an integer of at least 1'),
    ]);
  });

  it('says what it does', () => {
    const { chaos } = setUp({
      enabled: true,
      fault: 'timeout',
      ratePercent: 5,
      firstCalls: 10,
      every: 3,
      duration: '1m',
    });

    expect(chaos.describe()).toBe(
      'injects timeout of 30 s to 1 min into 5 % of calls, the first 10, one in 3, for 1 min',
    );
  });
});
