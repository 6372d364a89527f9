import { describe, expect, it, jest } from '@jest/globals';
import type { CallInfo, CallOptions } from '../../lib/core/call.js';
import type { Clock } from '../../lib/core/clock.js';
import { SystemClock } from '../../lib/core/system-clock.js';
import { Pipeline } from '../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../lib/policies/bulkhead/index.js';
import { CircuitBreakerPolicy } from '../../lib/policies/circuit-breaker/index.js';
import { FallbackChain, FallbackLevel } from '../../lib/policies/fallback/index.js';
import { RateLimitPolicy } from '../../lib/policies/rate-limit/index.js';
import { RetryPolicy } from '../../lib/policies/retry/index.js';
import { TimeoutPolicy } from '../../lib/policies/timeout/index.js';
import { ManualClock } from '../../lib/testing/index.js';
import { FakeHost } from '../core/fake-host.js';

const CALLS = 100_000;

interface Executes {
  execute(fn: (call: CallInfo) => unknown, options?: CallOptions): Promise<unknown>;
}

const POLICIES: Readonly<Record<string, (clock: Clock) => Executes>> = {
  'circuit breaker': (clock) => new CircuitBreakerPolicy('p', { failureThreshold: CALLS }, { clock }),
  retry: (clock) => new RetryPolicy('p', { maxRetries: 1, baseDelay: 0, budget: { max: 100 } }, { clock }),
  bulkhead: (clock) =>
    new BulkheadPolicy('p', { maxConcurrent: 10, maxQueue: 100, key: () => 'one' }, { clock }),
  'rate limit': (clock) => new RateLimitPolicy('p', { capacity: CALLS, refillPerSecond: 1 }, { clock }),
  timeout: (clock) => new TimeoutPolicy('p', { duration: '1s', total: '2s' }, { clock }),
  'all of them': (clock) =>
    new Pipeline(
      'p',
      [
        new FallbackChain('p', {}, { clock }).register(FallbackLevel.DEFAULT, () => 'fallback'),
        new RetryPolicy('p', { maxRetries: 1, baseDelay: 0 }, { clock }),
        new RateLimitPolicy('p', { capacity: 3 * CALLS, refillPerSecond: 1 }, { clock }),
        new BulkheadPolicy('p', { maxConcurrent: 10, maxQueue: 100 }, { clock }),
        new CircuitBreakerPolicy('p', { failureThreshold: CALLS, key: () => 'one' }, { clock }),
        new TimeoutPolicy('p', { duration: '1s', total: '2s' }, { clock }),
      ],
      clock,
    ),
};

/** Calls that succeed, throw, and reject; 50 at a time, so that some wait; all follow one signal and have a deadline. */
async function callOften(policy: Executes, signal: AbortSignal): Promise<void> {
  const methods = [
    () => 'fine',
    () => Promise.resolve('fine'),
    () => Promise.reject(new Error('down')),
    () => {
      throw new Error('at once');
    },
  ];
  for (let done = 0; done < CALLS; done += 50) {
    const calls = Array.from({ length: 50 }, (_, index) =>
      policy.execute(methods[index % methods.length] as () => unknown, { signal, deadline: 60_000 }),
    );
    await Promise.allSettled(calls);
  }
}

describe('After 100,000 calls', () => {
  it.each(Object.keys(POLICIES))('PL-11 through %s nothing is left behind', async (name) => {
    const clock = new ManualClock();
    const policy = (POLICIES[name] as (typeof POLICIES)[string])(clock);
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    jest.spyOn(signal, 'addEventListener').mockImplementation((...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    });
    jest.spyOn(signal, 'removeEventListener').mockImplementation((...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    });

    await callOften(policy, signal);

    expect(clock.pending).toBe(0);
    expect(listeners).toBe(0);
    if (policy instanceof BulkheadPolicy) {
      expect(policy.stats()).toMatchObject({ activeCalls: 0, queuedCalls: 0, keys: 0 });
    }
  });

  it('PL-11 the wheel of a system clock is empty', async () => {
    const clock = new SystemClock(new FakeHost());
    const policy = (POLICIES['all of them'] as (typeof POLICIES)[string])(clock);

    await callOften(policy, new AbortController().signal);

    expect(clock.armedTimers).toBe(0);
  });
});
