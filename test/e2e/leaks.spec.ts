import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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

const CALLS = 100_000;
const AT_ONCE = 100;

interface Order {
  readonly number: number;
}

/** What the calls have touched, without keeping it alive. */
const touched = {
  arguments: [] as WeakRef<object>[],
  promises: [] as WeakRef<object>[],
  signals: [] as WeakRef<object>[],
  errors: [] as WeakRef<object>[],
};

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

@Injectable()
class Service {
  @Fallback(() => 'stale')
  @Retry({ maxRetries: 1, baseDelay: 0, budget: false })
  @RateLimit({
    capacity: 10_000_000,
    refillPerSecond: 0,
    key: ({ args: [order] }) => `tenant ${(order as Order).number % 10}`,
  })
  @Bulkhead({ maxConcurrent: 10, maxQueue: AT_ONCE })
  @CircuitBreaker({ failureRatePercent: 100, window: { calls: 100 } })
  @Timeout({ duration: '30s', total: '60s' })
  async place({ number }: Order, @CallSignal() signal?: AbortSignal): Promise<string> {
    if (signal !== undefined) touched.signals.push(new WeakRef(signal));
    if (number % 10 === 0) {
      const error = new Error('down');
      touched.errors.push(new WeakRef(error));
      throw error;
    }
    if (number % 10 === 1) await Promise.resolve();
    return 'placed';
  }
}

describe('PL-11 what calls leave behind', () => {
  it('PL-11 100,000 calls leave no timer, listener, promise or map entry', async () => {
    const clock = new SystemClock();
    const app = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock })],
      providers: [Service],
    }).compile();
    const service = app.get(Service);
    const caller = new AbortController();
    const place = (number: number): Promise<string> => {
      const order = { number };
      const call = number % 2 === 0 ? service.place(order) : service.place(order, caller.signal);
      touched.arguments.push(new WeakRef(order));
      touched.promises.push(new WeakRef(call));
      return call;
    };

    for (let from = 0; from < CALLS; from += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => place(from + i)));
    }
    // What a weak reference has touched lives until the turn is over.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();

    expect(clock.armedTimers).toBe(0);
    expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
    for (const [what, references] of Object.entries(touched)) {
      const alive = references.filter((reference) => reference.deref() !== undefined).length;
      // The loop above may hold its last burst; the policies, their last error.
      expect({ what, leaked: alive > AT_ONCE }).toEqual({ what, leaked: false });
      expect(references.length).toBeGreaterThanOrEqual(CALLS / 10);
    }
    const stats = app.get(ResilienceService).stats();
    expect(stats.bulkheads['Service.place']).toMatchObject({ activeCalls: 0, queuedCalls: 0 });
    expect(stats.rateLimiters['Service.place']).toMatchObject({ keys: 10, waiting: 0 });
    await app.close();
  }, 300_000);
});
