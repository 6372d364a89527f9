import { getEventListeners } from 'node:events';
import { queryObjects } from 'node:v8';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from '@jest/globals';
import {
  Bulkhead,
  CallSignal,
  CircuitBreaker,
  Fallback,
  RateLimit,
  ResilienceModule,
  ResilienceService,
  Retry,
  SystemClock,
  Timeout,
} from 'nestjs-breakwater';
import { Call } from '../../lib/core/call.js';

const CALLS = 100_000;
const AT_ONCE = 100;

describe('PL-11 what calls leave behind', () => {
  @Injectable()
  class Service {
    @Fallback(() => -1)
    @Retry({ maxRetries: 1, baseDelay: 0, budget: false })
    @RateLimit({
      capacity: 10_000_000,
      refillPerSecond: 0,
      key: (call) => `tenant ${Number(call.args[0]) % 10}`,
    })
    @Bulkhead({ maxConcurrent: 10, maxQueue: AT_ONCE })
    @CircuitBreaker({ failureRatePercent: 100, window: { calls: 100 } })
    @Timeout({ duration: '30s', total: '60s' })
    async call(index: number, @CallSignal() signal?: AbortSignal): Promise<number> {
      // Some fail at once, some on their way, some read their signal.
      if (index % 10 === 0) throw new Error('down');
      if (index % 10 === 1) await Promise.resolve();
      return signal?.aborted === false ? index : -2;
    }
  }

  it('PL-11 100,000 calls leave no timer, listener, promise or map entry', async () => {
    const clock = new SystemClock();
    const app = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock })],
      providers: [Service],
    }).compile();
    const service = app.get(Service);
    const caller = new AbortController();
    const burst = (from: number) =>
      Promise.all(
        Array.from({ length: AT_ONCE }, (_, i) =>
          i % 2 === 0 ? service.call(from + i) : service.call(from + i, caller.signal),
        ),
      );
    // Promises, maps, closures' contexts, errors: whatever a call makes is an object.
    const objects = () => Number(queryObjects(Object));
    await burst(0);
    await new Promise((resolve) => setImmediate(resolve));
    const before = objects();
    for (let from = 0; from < CALLS; from += AT_ONCE) await burst(from);
    await new Promise((resolve) => setImmediate(resolve));
    const after = objects();

    expect(clock.armedTimers).toBe(0);
    expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
    expect(Number(queryObjects(Call))).toBe(0);
    // Compiled code and the loop above account for a few: not one for a hundred calls.
    expect(after - before).toBeLessThan(CALLS / 100);
    const stats = app.get(ResilienceService).stats();
    expect(stats.bulkheads['Service.call']).toMatchObject({ activeCalls: 0, queuedCalls: 0 });
    expect(stats.rateLimiters['Service.call']).toMatchObject({ keys: 10, waiting: 0 });
    await app.close();
  }, 60_000);
});
