import { describe, expect, it } from '@jest/globals';
import { BulkheadFullError, CircuitOpenError } from '../../lib/core/errors.js';
import { Pipeline, type PipelinePolicy, type PipelineSlot } from '../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../lib/policies/bulkhead/index.js';
import { CircuitBreakerPolicy } from '../../lib/policies/circuit-breaker/index.js';
import { RateLimitPolicy } from '../../lib/policies/rate-limit/index.js';
import { RetryPolicy } from '../../lib/policies/retry/index.js';
import { TimeoutPolicy } from '../../lib/policies/timeout/index.js';
import { ManualClock } from '../../lib/testing/index.js';

const never = () => new Promise<never>(() => {});

function setUp(make: (environment: { clock: ManualClock }) => PipelinePolicy[], order?: PipelineSlot[]) {
  const clock = new ManualClock();
  const policies = make({ clock });
  return { clock, pipeline: new Pipeline('under test', policies, clock, order) };
}

describe('what guards further in refuse', () => {
  it('CB-21 is heard by a breaker around them that records it', async () => {
    let breaker!: CircuitBreakerPolicy;
    const { pipeline } = setUp(
      (environment) => {
        breaker = new CircuitBreakerPolicy(
          'outer',
          { failureThreshold: 3, recordErrors: [BulkheadFullError] },
          environment,
        );
        return [breaker, new BulkheadPolicy('closed', { maxConcurrent: 0, maxQueue: 0 }, environment)];
      },
      ['circuitBreaker', 'bulkhead'],
    );
    for (let i = 0; i < 3; i++) {
      expect(breaker.state).toBe('closed');
      await expect(pipeline.execute(async () => 1)).rejects.toThrow(BulkheadFullError);
    }
    expect(breaker.state).toBe('open');
    expect(breaker.stats()).toMatchObject({ totalFailures: 3, totalCalls: 3 });
  });

  it('CB-21 an outer breaker hears an inner one that is open', async () => {
    let outer!: CircuitBreakerPolicy;
    const { pipeline } = setUp((environment) => {
      outer = new CircuitBreakerPolicy(
        'outer',
        { failureThreshold: 2, recordErrors: [CircuitOpenError] },
        environment,
      );
      const inner = new CircuitBreakerPolicy('inner', { initialState: 'forced-open' } as object, environment);
      inner.forceOpen();
      return [outer, inner];
    });
    for (let i = 0; i < 2; i++) await expect(pipeline.execute(async () => 1)).rejects.toThrow('"inner"');
    await expect(pipeline.execute(async () => 1)).rejects.toThrow('"outer"');
    expect(outer.state).toBe('open');
  });

  it('CB-21 is nothing to a breaker that does not record it', async () => {
    let breaker!: CircuitBreakerPolicy;
    const { pipeline } = setUp(
      (environment) => {
        breaker = new CircuitBreakerPolicy('outer', { failureThreshold: 1 }, environment);
        return [breaker, new BulkheadPolicy('closed', { maxConcurrent: 0 }, environment)];
      },
      ['circuitBreaker', 'bulkhead'],
    );
    await expect(pipeline.execute(async () => 1)).rejects.toThrow(BulkheadFullError);
    expect(breaker.stats()).toMatchObject({ state: 'closed', totalCalls: 0, totalIgnored: 0 });
  });

  it('CB-05 a timeout that ends the wait inside a breaker is a failure of it', async () => {
    let breaker!: CircuitBreakerPolicy;
    const { pipeline, clock } = setUp(
      (environment) => {
        breaker = new CircuitBreakerPolicy('outer', { failureThreshold: 1 }, environment);
        const bulkhead = new BulkheadPolicy('one', { maxConcurrent: 1 }, environment);
        void bulkhead.execute(never);
        return [breaker, bulkhead, new TimeoutPolicy('hasty', { total: 100 }, environment)];
      },
      ['totalTimeout', 'circuitBreaker', 'bulkhead'],
    );
    const call = pipeline.execute(async () => 1).catch((error: unknown) => error);
    await clock.advance(200);
    expect(await call).toMatchObject({ scope: 'total' });
    expect(breaker.state).toBe('open');
  });
});

describe('what a timeout counts', () => {
  it.each([
    [{ total: 100 }, { totalAttempts: 1, timedOutAttempts: 1, timedOutCalls: 1 }],
    [
      { total: 100, duration: 50 },
      { totalAttempts: 0, timedOutAttempts: 0, timedOutCalls: 1 },
    ],
  ])('TO-05 a total time that runs out in a queue counts: %j', async (options, expected) => {
    let timeout!: TimeoutPolicy;
    const { pipeline, clock } = setUp((environment) => {
      timeout = new TimeoutPolicy('hasty', options, environment);
      const bulkhead = new BulkheadPolicy('one', { maxConcurrent: 1 }, environment);
      void bulkhead.execute(never);
      return [timeout, bulkhead];
    });
    const call = pipeline.execute(async () => 1).catch((error: unknown) => error);
    await clock.advance(200);
    expect(await call).toMatchObject({ scope: 'total' });
    expect(timeout.stats()).toMatchObject(expected);
  });

  it('TO-05 an attempt that was refused further in is none', async () => {
    let timeout!: TimeoutPolicy;
    const { pipeline } = setUp(
      (environment) => {
        timeout = new TimeoutPolicy('hasty', { duration: 50, total: 100 }, environment);
        return [timeout, new BulkheadPolicy('closed', { maxConcurrent: 0 }, environment)];
      },
      ['totalTimeout', 'timeout', 'bulkhead'],
    );
    await expect(pipeline.execute(async () => 1)).rejects.toThrow(BulkheadFullError);
    expect(timeout.stats()).toMatchObject({ totalAttempts: 0, timedOutAttempts: 0, timedOutCalls: 0 });
  });
});

describe('a retry outside a total timeout', () => {
  it.each([true, false])('PL-01 tries as often with a signal as without: %s', async (withSignal) => {
    let runs = 0;
    const { pipeline, clock } = setUp(
      (environment) => [
        new RetryPolicy(
          'again',
          { maxRetries: 2, backoff: 'constant', baseDelay: 10, budget: false },
          environment,
        ),
        new TimeoutPolicy('hasty', { total: 100 }, environment),
      ],
      ['retry', 'totalTimeout'],
    );
    const call = pipeline
      .execute(
        () => {
          runs++;
          return never();
        },
        withSignal ? { signal: new AbortController().signal } : undefined,
      )
      .catch((error: unknown) => error);
    await clock.advance(1_000);
    expect(await call).toMatchObject({ scope: 'total' });
    expect(runs).toBe(3);
  });
});

describe('a rate limit that is reset while a call is further in', () => {
  it('RL-01 does not give back what it has forgotten', async () => {
    let limit!: RateLimitPolicy;
    const { pipeline, clock } = setUp((environment) => {
      limit = new RateLimitPolicy('two', { capacity: 2, refillPerSecond: 0.001 }, environment);
      const bulkhead = new BulkheadPolicy('one', { maxConcurrent: 1, maxWait: 100 }, environment);
      void bulkhead.execute(never);
      return [limit, bulkhead];
    });
    const call = pipeline.execute(async () => 1).catch((error: unknown) => error);
    limit.reset();
    expect(limit.decide().allowed).toBe(true);
    await clock.advance(200);
    expect(await call).toBeInstanceOf(BulkheadFullError);
    expect([limit.decide().allowed, limit.decide().allowed]).toEqual([true, false]);
    expect(limit.stats().totalAllowed).toBe(2);
  });

  it('RL-05 shows a key without a place what it would meet', () => {
    const limit = new RateLimitPolicy(
      'few',
      { capacity: 2, refillPerSecond: 0.001, maxKeys: 1, key: () => undefined },
      { clock: new ManualClock() },
    );
    limit.decide('a');
    limit.decide('b', 2);
    expect(limit.decide('c').allowed).toBe(false);
    expect(limit.look('c')).toMatchObject({ allowed: false, remaining: 0 });
  });
});
