import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import {
  All,
  Controller,
  Get,
  Injectable,
  Patch,
  Post,
  Put,
  UseInterceptors,
  type CanActivate,
} from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { diagnose } from '../../lib/doctor/index.js';
import {
  Bulkhead,
  CircuitBreaker,
  Fallback,
  FallbackLevel,
  Hedge,
  HedgePolicy,
  Idempotent,
  RateLimit,
  RateLimitGuard,
  ResilienceAdminModule,
  ResilienceInterceptor,
  ResilienceModule,
  ResilienceService,
  Resilient,
  Retry,
  Timeout,
  type BulkheadOptions,
  type CircuitBreakerOptions,
  type HedgeOptions,
  type PipelineSlot,
  type RateLimitOptions,
  type RetryOptions,
  type TimeoutOptions,
} from '../../lib/index.js';
import { ResilienceDashboardModule } from '../../lib/observability/dashboard/index.js';
import { MemoryState, MemoryWorld } from '../../lib/shared-state/memory-state.js';
import { ManualClock } from '../../lib/testing/index.js';
import { findingsOf, onlyFinding } from './examine.js';

interface Given {
  readonly retry?: RetryOptions;
  readonly timeout?: TimeoutOptions;
  readonly hedge?: HedgeOptions;
  readonly bulkhead?: BulkheadOptions;
  readonly circuitBreaker?: CircuitBreakerOptions;
  readonly rateLimit?: Omit<RateLimitOptions, 'by' | 'skip'>;
  readonly order?: readonly PipelineSlot[];
}

/** A service whose one method has these policies. */
function service(policies: Given) {
  @Injectable()
  class Payments {
    @Resilient(policies)
    async pay() {
      return 'paid';
    }
  }
  return { providers: [Payments] };
}

describe('back-off and the time of the call', () => {
  const retry: RetryOptions = { maxRetries: 5, baseDelay: '100ms', jitter: 'none' };

  it('warns of retries that a total timeout leaves no time for, and says how many fit', async () => {
    // 100, 200, 400, 800, 1600 ms
    const finding = await onlyFinding(service({ retry, timeout: { total: '1s', duration: '100ms' } }));

    expect(finding).toMatchObject({ code: 'backoff-exceeds-bound', where: 'Payments.pay' });
    expect(finding.message).toBe(
      'The shortest waits between 5 retries of retry "Payments.pay" add up to 3.1 s, and the total of timeout "Payments.pay" leaves 1 s: only 3 of them can run, even if every attempt fails at once.',
    );
    expect(finding.advice).toContain('"maxRetries: 3"');
  });

  it('warns of the same by "maxElapsed"', async () => {
    const bounded = { ...retry, maxElapsed: '300ms' };

    const { message } = await onlyFinding(service({ retry: bounded, timeout: { duration: '1s' } }));

    expect(message).toContain('"maxElapsed" leaves 300 ms: only 1 of them');
  });

  it.each([
    ['there is time for all', { timeout: { total: '3.2s', duration: '100ms' } }],
    ['jitter can make them short', { retry: { ...retry, jitter: 'full' as const } }],
    ['they are few', { retry: { ...retry, maxRetries: 3 } }],
    ['the timeout is inside', { order: ['totalTimeout', 'retry'].toReversed() as PipelineSlot[] }],
    ['a function of the user decides', { retry: { ...retry, backoff: () => '1s' } }],
  ])('says nothing where %s', async (_, given) => {
    const policies = { retry, timeout: { total: '1s', duration: '100ms' }, ...given };

    expect(await findingsOf(service(policies))).toEqual([]);
  });
});

describe('timeouts', () => {
  it.each([
    ['a retry', { retry: {} }],
    ['a circuit breaker', { circuitBreaker: {} }],
  ])('are missed around %s', async (_, given) => {
    expect(await findingsOf(service(given))).toEqual(['no-timeout: Payments.pay']);
  });

  it.each([
    ['one bounds the attempts', { retry: {}, timeout: { duration: '1s' } }],
    ['one bounds the call', { retry: {}, timeout: { total: '10s' } }],
    ['the retry is off', { retry: { maxRetries: 0 } }],
    ['nothing waits for an outcome', { bulkhead: {} }],
  ])('are not missed where %s', async (_, given) => {
    expect(await findingsOf(service(given))).toEqual([]);
  });

  it('of an interceptor count for the handler that it stands in front of', async () => {
    @Controller('prices')
    class Prices {
      @Get()
      @UseInterceptors(ResilienceInterceptor.for({ timeout: '1s' }))
      @CircuitBreaker('prices')
      async price() {
        return 1;
      }
    }

    expect(await findingsOf({ controllers: [Prices] })).toEqual([]);
  });

  it('of what a method calls count for it', async () => {
    @Injectable()
    class Gateway {
      @Timeout('1s')
      async charge() {}

      async look() {}
    }

    @Injectable()
    class Payments {
      constructor(private readonly gateway: Gateway) {}

      @CircuitBreaker('payments')
      async pay() {
        await this.gateway.charge();
      }

      @CircuitBreaker('balances')
      async balance() {
        await this.gateway.look();
      }
    }

    expect(await findingsOf({ providers: [Gateway, Payments] })).toEqual(['no-timeout: Payments.balance']);
  });

  it('are missed in the pipeline of a function as well', async () => {
    @Injectable()
    class Mailer {
      constructor(resilience: ResilienceService) {
        resilience.pipeline('bounded', { retry: {}, timeout: '1s' });
        resilience.pipeline('unbounded', { retry: {} });
      }
    }

    expect(await findingsOf({ providers: [Mailer] })).toEqual(['no-timeout: unbounded']);
  });

  it('leave no retry where an attempt may take all of the time', async () => {
    const timeout = { total: '2s', duration: '2s' };

    expect(await findingsOf(service({ retry: {}, timeout }))).toEqual([
      'timeout-leaves-no-retry: Payments.pay',
    ]);
    expect(await findingsOf(service({ retry: {}, timeout: { ...timeout, duration: '1s' } }))).toEqual([]);
    expect(await findingsOf(service({ timeout }))).toEqual([]);
    expect(await findingsOf(service({ retry: {}, timeout: { total: '2s', adaptive: true } }))).toEqual([]);
  });
});

describe('budgets', () => {
  it('are missed where a retry has none', async () => {
    const finding = await onlyFinding(service({ retry: { budget: false }, timeout: { duration: '1s' } }));

    expect(finding).toMatchObject({ code: 'no-retry-budget', where: 'Payments.pay' });
    expect(finding.message).toContain('4 times the usual load');
  });

  it('are missed once per policy', async () => {
    @Injectable()
    class Payments {
      @Retry('payments')
      @Timeout('1s')
      async pay() {}

      @Retry('payments')
      @Timeout('1s')
      async refund() {}
    }

    expect(await findingsOf({ providers: [Payments] }, { retries: { payments: { budget: false } } })).toEqual(
      ['no-retry-budget: Payments.pay, Payments.refund'],
    );
  });

  it('are missed where a hedge has none, but once where its retry has none', async () => {
    const hedge = { idempotent: true };
    const timeout = { duration: '1s' };

    expect(await findingsOf(service({ hedge: { ...hedge, budget: false } }))).toEqual([
      'no-retry-budget: Payments.pay',
    ]);
    expect(await findingsOf(service({ hedge, retry: { budget: false }, timeout }))).toEqual([
      'no-retry-budget: Payments.pay',
    ]);
    expect(await findingsOf(service({ hedge, retry: {}, timeout }))).toEqual([]);
  });
});

describe('bulkheads', () => {
  it('need slots for an attempt and its hedges', async () => {
    const hedge = { idempotent: true, maxHedges: 2 };
    const finding = await onlyFinding(service({ hedge, bulkhead: { maxConcurrent: 2 } }));

    expect(finding).toMatchObject({ code: 'bulkhead-below-hedge', where: 'Payments.pay' });
    expect(finding.message).toContain('up to 3 attempts at once');
    expect(await findingsOf(service({ hedge, bulkhead: { maxConcurrent: 3 } }))).toEqual([]);
    expect(
      await findingsOf(service({ hedge, bulkhead: { maxConcurrent: 1 }, order: ['bulkhead', 'hedge'] })),
    ).toEqual([]);
  });

  it('should not stand around a retry', async () => {
    const given = { retry: {}, bulkhead: {}, timeout: { duration: '1s' } };

    expect(await findingsOf(service({ ...given, order: ['bulkhead', 'retry'] }))).toEqual([
      'bulkhead-around-retry: Payments.pay',
    ]);
    expect(await findingsOf(service(given))).toEqual([]);
    expect(
      await findingsOf(service({ ...given, retry: { maxRetries: 0 }, order: ['bulkhead', 'retry'] })),
    ).toEqual([]);
  });

  it('should not be asked to let calls wait beyond the timeout', async () => {
    const timeout = { total: '2s' };

    expect(await findingsOf(service({ bulkhead: { maxWait: '5s' }, timeout }))).toEqual([
      'bulkhead-waits-beyond-timeout: Payments.pay',
    ]);
    expect(await findingsOf(service({ bulkhead: { maxWait: '1s' }, timeout }))).toEqual([]);
    expect(await findingsOf(service({ bulkhead: { maxWait: '5s', maxQueue: 0 }, timeout }))).toEqual([]);
    expect(await findingsOf(service({ bulkhead: {}, timeout }))).toEqual([]);
  });
});

describe('circuit breakers', () => {
  const timeout = { duration: '2s' };
  const circuitBreaker = { failureRatePercent: 50, window: { duration: '10s' }, minimumCalls: 100 };

  it.each([
    ['a token bucket', { capacity: 19, refillPerSecond: 8 }, 99],
    ['a bucket that is not filled again', { capacity: 50, refillPerSecond: 0 }, 50],
    ['a sliding window', { limit: 30, window: '4s' }, 90],
    ['a cost', { limit: 198, window: '10s', cost: 2 }, 99],
  ])('never open behind a rate limit that lets too few pass: %s', async (_, rateLimit, most) => {
    const finding = await onlyFinding(service({ circuitBreaker, rateLimit, timeout }));

    expect(finding).toMatchObject({ code: 'breaker-never-opens', severity: 'error', where: 'Payments.pay' });
    expect(finding.message).toContain(`must see 100 calls within 10 s`);
    expect(finding.message).toContain(`at most ${most} pass`);
  });

  it.each([
    ['enough pass', { rateLimit: { capacity: 20, refillPerSecond: 8 } }],
    ['it has a state per key', { rateLimit: { capacity: 1, refillPerSecond: 1, key: () => 'tenant' } }],
    ['the window is one of calls', { circuitBreaker: { failureRatePercent: 50, window: { calls: 100 } } }],
    [
      'retries between them make more',
      { order: ['rateLimit', 'retry'] as PipelineSlot[], retry: { jitter: 'full' as const } },
    ],
  ])('can open where %s', async (_, given) => {
    const rateLimit = { capacity: 10, refillPerSecond: 2 };

    expect(await findingsOf(service({ circuitBreaker, rateLimit, timeout, ...given }))).toEqual([]);
  });

  it('can open where another method that has no limit uses it, too', async () => {
    @Injectable()
    class Payments {
      @CircuitBreaker('payments', circuitBreaker)
      @RateLimit({ capacity: 10, refillPerSecond: 1 })
      @Timeout('1s')
      async pay() {}

      @CircuitBreaker('payments')
      @Timeout('1s')
      async refund() {}
    }

    expect(await findingsOf({ providers: [Payments] })).toEqual([]);
  });

  it('count methods that share a limit once', async () => {
    @Injectable()
    class Payments {
      @CircuitBreaker('payments', circuitBreaker)
      @RateLimit('payments', { capacity: 10, refillPerSecond: 5 })
      @Timeout('1s')
      async pay() {}

      @CircuitBreaker('payments')
      @RateLimit('payments')
      @Timeout('1s')
      async refund() {}
    }

    expect((await onlyFinding({ providers: [Payments] })).message).toContain('at most 60 pass');
  });

  it('do not see calls hang that a bulkhead lets through a few at a time', async () => {
    const finding = await onlyFinding(service({ circuitBreaker, bulkhead: { maxConcurrent: 10 }, timeout }));

    expect(finding).toMatchObject({ code: 'breaker-blind-to-hangs', severity: 'warning' });
    expect(finding.message).toContain('lets at most 60 end in that time');
    expect(await findingsOf(service({ circuitBreaker, bulkhead: { maxConcurrent: 20 }, timeout }))).toEqual(
      [],
    );
  });
});

describe('handlers that write', () => {
  it.each([
    ['POST', Post],
    ['PATCH', Patch],
    ['ALL', All],
  ])('should not be repeated without a key: %s', async (verb, Method) => {
    @Controller('payments')
    class Payments {
      @Method(':id')
      @Retry()
      @Timeout('1s')
      async pay() {}
    }

    const finding = await onlyFinding({ controllers: [Payments] });

    expect(finding).toMatchObject({ code: 'repeated-write', severity: 'error', where: 'Payments.pay' });
    expect(finding.message).toContain(`${verb} /payments/:id`);
  });

  it('should not be hedged on a promise alone', async () => {
    @Controller('payments')
    class Payments {
      @Post()
      @Hedge({ idempotent: true })
      async declared() {}

      @Post('made')
      @Resilient({ hedge: new HedgePolicy('made') })
      async made() {}
    }

    expect(await findingsOf({ controllers: [Payments] })).toEqual([
      'repeated-write: Payments.made',
      'unproven-idempotence: Payments.declared',
    ]);
  });

  it('may be repeated with a key, and handlers that read or replace without', async () => {
    @Controller('payments')
    class Payments {
      @Post()
      @Idempotent({ key: () => 'key' })
      @Hedge()
      @Retry()
      @Timeout('1s')
      async pay() {}

      @Get()
      @Hedge({ idempotent: true })
      @Retry()
      @Timeout('1s')
      async list() {}

      @Put()
      @Retry()
      @Timeout('1s')
      async replace() {}
    }

    expect(await findingsOf({ controllers: [Payments] })).toEqual([]);
  });
});

describe('routes of operators', () => {
  class Doorkeeper implements CanActivate {
    canActivate() {
      return true;
    }
  }
  const open = [
    ResilienceAdminModule.register({ public: true }),
    ResilienceDashboardModule.register({ public: true }),
  ];

  it('should have a guard in front', async () => {
    expect(await findingsOf({ imports: open })).toEqual([
      'open-operator-routes: /resilience',
      'open-operator-routes: /resilience-dashboard',
    ]);
  });

  it('may have one of their own, or one for the whole application', async () => {
    const guards = [Doorkeeper];
    const guarded = [
      ResilienceAdminModule.register({ guards }),
      ResilienceDashboardModule.register({ guards }),
    ];

    expect(await findingsOf({ imports: guarded })).toEqual([]);
    const everywhere = { provide: APP_GUARD, useClass: Doorkeeper };
    expect(await findingsOf({ imports: open, providers: [everywhere] })).toEqual([]);
  });

  it('are open where a guard only limits rates, also one of a derived class', async () => {
    // By name: the package need not be there.
    class ThrottlerGuard extends Doorkeeper {}
    class ThrottlerBehindProxyGuard extends ThrottlerGuard {}
    class PerUserGuard extends RateLimitGuard {}

    for (const useClass of [ThrottlerBehindProxyGuard, PerUserGuard]) {
      const everywhere = { provide: APP_GUARD, useClass };
      expect(await findingsOf({ imports: open, providers: [everywhere] })).toHaveLength(2);
    }
    expect(
      await findingsOf({ imports: [ResilienceAdminModule.register({ guards: [PerUserGuard] })] }),
    ).toEqual(['open-operator-routes: /resilience']);
  });

  it('may have one that main.ts has set', async () => {
    const root = { module: class Root {}, imports: [ResilienceModule.forRoot(), ...open] };
    const app = await NestFactory.create(root, { logger: false });

    expect(diagnose(app).findings).toHaveLength(2);
    app.useGlobalGuards(new Doorkeeper());

    expect(diagnose(app).findings).toEqual([]);
  });
});

describe('what instances share', () => {
  @Injectable()
  class Payments {
    @RateLimit('limit', { capacity: 10, shared: true })
    @Bulkhead('slots', { shared: true })
    @CircuitBreaker('circuit', { shared: true })
    @Idempotent('once', { key: () => 'key', shared: true })
    @Timeout('1s')
    async pay() {}

    @Fallback({ levels: [{ level: FallbackLevel.DISTRIBUTED_CACHE, shared: true }] })
    async rates() {}
  }

  it('needs a store', async () => {
    const found = await findingsOf({ providers: [Payments] });

    expect(found.toSorted()).toEqual([
      'shared-without-store: bulkhead "slots"',
      'shared-without-store: circuit breaker "circuit"',
      'shared-without-store: fallback "Payments.rates"',
      'shared-without-store: idempotency "once"',
      'shared-without-store: rate limit "limit"',
    ]);
  });

  it('has one', async () => {
    const sharedState = new MemoryState(new MemoryWorld(new ManualClock()));

    expect(await findingsOf({ providers: [Payments] }, { sharedState })).toEqual([]);
  });
});

describe('what the start only logs', () => {
  it('is found as well', async () => {
    @Injectable()
    @Retry()
    class Payments {
      async pay() {}
    }

    expect(await findingsOf({ providers: [Payments] })).toEqual(['start-up-warning: Payments']);
  });
});
