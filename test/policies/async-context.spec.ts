import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from '@jest/globals';
import type { CallInfo, CallOptions } from '../../lib/core/call.js';
import { Pipeline } from '../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../lib/policies/bulkhead/index.js';
import { HedgePolicy } from '../../lib/policies/hedge/index.js';
import { RateLimitPolicy } from '../../lib/policies/rate-limit/index.js';
import { RetryPolicy } from '../../lib/policies/retry/index.js';
import { TimeoutPolicy } from '../../lib/policies/timeout/index.js';
import { ManualClock } from '../../lib/testing/index.js';
import { deferred } from './deferred.js';

const caller = new AsyncLocalStorage<string>();

interface Policy {
  execute<T>(fn: (call: CallInfo) => Promise<T>, options?: CallOptions): Promise<T>;
}

/** Three callers, each in a context of its own; `enter` may hold the first one until all have come. */
async function callAs(policy: Policy, clock: ManualClock, method: (name: string) => Promise<void>) {
  const seen: string[] = [];
  const calls = ['A', 'B', 'C'].map((name) =>
    caller.run(name, () =>
      policy
        .execute(async () => {
          seen.push(`${name} runs in ${String(caller.getStore())}`);
          await method(name);
        })
        .catch(() => undefined),
    ),
  );
  await clock.advance(10_000);
  await Promise.all(calls);
  return seen;
}

describe('the asynchronous context of a call', () => {
  it('PL-01 is its own after a wait for a slot', async () => {
    const clock = new ManualClock();
    const gate = deferred();
    const bulkhead = new BulkheadPolicy('slots', { maxConcurrent: 1 }, { clock });
    setImmediate(() => gate.resolve(undefined));
    const seen = await callAs(bulkhead, clock, async () => void (await gate.promise));
    expect(seen).toEqual(['A runs in A', 'B runs in B', 'C runs in C']);
  });

  it('PL-01 is its own after a wait for a turn', async () => {
    const clock = new ManualClock();
    const limit = new RateLimitPolicy('turns', { capacity: 1, refillPerSecond: 1, maxWait: '1h' }, { clock });
    const seen = await callAs(limit, clock, async () => {});
    expect(seen).toEqual(['A runs in A', 'B runs in B', 'C runs in C']);
  });

  it('PL-01 is its own in a retry after a timeout that another caller had armed', async () => {
    const clock = new ManualClock();
    const environment = { clock, random: () => 0.5 };
    const policies = [
      new RetryPolicy('again', { maxRetries: 1, budget: false }, environment),
      new TimeoutPolicy('hasty', 100, environment),
    ];
    const pipeline = new Pipeline('both', policies, clock);
    const seen = await callAs(pipeline, clock, () => new Promise<void>(() => {}));
    expect(seen.toSorted()).toEqual(['A', 'A', 'B', 'B', 'C', 'C'].map((name) => `${name} runs in ${name}`));
  });

  it('HG-01 is its own in a hedge', async () => {
    const clock = new ManualClock();
    const hedge = new HedgePolicy('twice', { delay: 50, budget: false }, { clock });
    const gate = deferred();
    let attempts = 0;
    const seen = await callAs(hedge, clock, async () => {
      if (++attempts === 6) gate.resolve(undefined);
      await gate.promise;
    });
    expect(seen.toSorted()).toEqual(['A', 'A', 'B', 'B', 'C', 'C'].map((name) => `${name} runs in ${name}`));
  });
});
