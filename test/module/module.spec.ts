import { Injectable, Module, Scope, type Type } from '@nestjs/common';
import { ContextIdFactory, LazyModuleLoader, NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from '@jest/globals';
import {
  Bulkhead,
  BulkheadPolicy,
  CircuitBreaker,
  CircuitBreakerPolicy,
  Fallback,
  FallbackChain,
  HedgePolicy,
  FallbackLevel,
  InjectBulkhead,
  InjectCircuitBreaker,
  InjectFallback,
  InjectHedge,
  InjectRateLimiter,
  InjectRetry,
  InjectRetryBudget,
  InjectTimeout,
  RateLimit,
  RateLimitPolicy,
  ResilienceModule,
  ResilienceService,
  Resilient,
  Retry,
  RetryBudget,
  RetryPolicy,
  Timeout,
  TimeoutPolicy,
  getCircuitBreakerToken,
  type PolicyEvent,
  type ResilienceModuleOptions,
  type ResilienceOptionsFactory,
} from 'nestjs-breakwater';
import { ManualClock } from 'nestjs-breakwater/testing';
import { deferred } from '../policies/deferred.js';

@Injectable()
class Gateway {
  answer: () => Promise<string> = async () => 'fine';

  @CircuitBreaker('gateway')
  @Retry('gateway')
  @Bulkhead('gateway')
  @RateLimit('gateway')
  @Timeout({ name: 'gateway' })
  @Fallback({ name: 'gateway' })
  async call(): Promise<string> {
    return this.answer();
  }
}

@Injectable()
class Observer {
  constructor(
    @InjectCircuitBreaker('gateway') readonly circuitBreaker: CircuitBreakerPolicy,
    @InjectRetry('gateway') readonly retry: RetryPolicy,
    @InjectRetryBudget('gateway') readonly budget: RetryBudget,
    @InjectBulkhead('gateway') readonly bulkhead: BulkheadPolicy,
    @InjectRateLimiter('gateway') readonly rateLimit: RateLimitPolicy,
    @InjectTimeout('gateway') readonly timeout: TimeoutPolicy,
    @InjectFallback('gateway') readonly fallback: FallbackChain,
    @InjectHedge('gateway') readonly hedge: HedgePolicy,
  ) {}

  @InjectCircuitBreaker('gateway') readonly asProperty!: CircuitBreakerPolicy;
}

const named = {
  circuitBreakers: { gateway: { failureThreshold: 7 } },
  retries: { gateway: { budget: 'gateway', maxRetries: 1, baseDelay: 0 } },
  retryBudgets: { gateway: { percent: 20 } },
  bulkheads: { gateway: { maxConcurrent: 3 } },
  rateLimiters: { gateway: { capacity: 9 } },
  timeouts: { gateway: { duration: '3s' } },
  hedges: { gateway: { delay: '5ms' } },
  fallbacks: { gateway: { use: () => 'stale' } },
} as const;

async function compile(imports: NonNullable<Parameters<typeof Module>[0]['imports']>, ...providers: Type[]) {
  return Test.createTestingModule({ imports, providers }).compile();
}

const start = async (options: ResilienceModuleOptions | undefined, ...providers: Type[]) =>
  compile([ResilienceModule.forRoot(options)], ...providers);

class OptionsFactory implements ResilienceOptionsFactory {
  createResilienceOptions(): ResilienceModuleOptions {
    return named;
  }
}
@Module({ providers: [OptionsFactory], exports: [OptionsFactory] })
class ConfigModule {}

describe('PL-13 injection', () => {
  it.each([
    ['forRoot', () => [ResilienceModule.forRoot(named)]],
    [
      'forRootAsync with useFactory',
      () => [ResilienceModule.forRootAsync({ useFactory: async () => named })],
    ],
    ['forRootAsync with useClass', () => [ResilienceModule.forRootAsync({ useClass: OptionsFactory })]],
    [
      'forRootAsync with useExisting',
      () => [ResilienceModule.forRootAsync({ imports: [ConfigModule], useExisting: OptionsFactory })],
    ],
    ['forFeature', () => [ResilienceModule.forRoot(), ResilienceModule.forFeature(named)]],
  ])('PL-13 every kind is the very instance that the decorator uses, under %s', async (_how, imports) => {
    const app = await compile(imports(), Gateway, Observer);
    const gateway = app.get(Gateway);
    const policies = app.get(Observer);
    let runs = 0;
    gateway.answer = async () => {
      if (++runs === 1) throw new Error('flaky');
      return 'second';
    };
    expect(await gateway.call()).toBe('second');
    expect(policies.circuitBreaker.stats()).toMatchObject({ totalFailures: 1, totalSuccesses: 1 });
    expect(policies.circuitBreaker.stats().config.failureThreshold).toBe(7);
    expect(policies.retry.stats()).toMatchObject({ totalCalls: 1, totalRetries: 1 });
    expect(policies.retry.stats().budget).toEqual(policies.budget.stats());
    expect(policies.bulkhead.stats()).toMatchObject({ totalCalls: 2, maxConcurrent: 3 });
    expect(policies.rateLimit.stats()).toMatchObject({ totalAllowed: 2, limit: 9 });
    expect(policies.timeout.stats()).toMatchObject({ totalAttempts: 2, currentTimeoutMs: 3000 });
    expect(policies.fallback.stats()).toMatchObject({ totalCalls: 1 });
    expect(policies.hedge.describe()).toContain('after 5 ms');
    expect(policies.asProperty).toBe(policies.circuitBreaker);
    expect(app.get(getCircuitBreakerToken('gateway'), { strict: false })).toBe(policies.circuitBreaker);
    expect(app.get(ResilienceService).circuitBreaker('gateway')).toBe(policies.circuitBreaker);
    await app.close();
  });

  it('PL-13 forRoot() needs no argument, and names no configuration', async () => {
    @Injectable()
    class Unconfigured {
      constructor(@InjectCircuitBreaker('free') readonly breaker: CircuitBreakerPolicy) {}
      @CircuitBreaker('free')
      async call(): Promise<void> {}
    }
    const app = await start(undefined, Unconfigured);
    await app.get(Unconfigured).call();
    expect(app.get(Unconfigured).breaker.stats().totalCalls).toBe(1);
    await app.close();
  });

  it("PL-13 the policy of a method by the method's name", async () => {
    @Injectable()
    class Owner {
      @CircuitBreaker()
      async call(): Promise<void> {}
    }
    @Injectable()
    class Watcher {
      constructor(@InjectCircuitBreaker('Owner.call') readonly breaker: CircuitBreakerPolicy) {}
    }
    const app = await start(undefined, Watcher, Owner);
    await app.get(Owner).call();
    expect(app.get(Watcher).breaker.stats().totalCalls).toBe(1);
    await app.close();
  });

  it('PL-13 a class that is loaded late is given the policy of those that come with it', async () => {
    @Injectable()
    class Late {
      constructor(
        @InjectCircuitBreaker('late') readonly breaker: CircuitBreakerPolicy,
        @InjectFallback('late') readonly chain: FallbackChain,
      ) {}
      @CircuitBreaker('late', { failureThreshold: 1 })
      @Fallback({ name: 'late', use: () => 'stale' })
      async call(): Promise<string> {
        throw new Error('down');
      }
    }
    @Module({ providers: [Late], exports: [Late] })
    class LateModule {}
    const app = await start(undefined);
    expect(Object.keys(app.get(ResilienceService).stats().circuitBreakers)).not.toContain('late');
    const late = (await app.get(LazyModuleLoader).load(() => LateModule)).get(Late);
    expect(await late.call()).toBe('stale');
    expect(late.breaker.state).toBe('open');
    expect(late.chain.stats().degradedCalls).toBe(1);
    expect(app.get(ResilienceService).circuitBreaker('late')).toBe(late.breaker);
    await app.close();
  });
});

describe('ResilienceService', () => {
  it('gets or creates: the same name is the same policy', async () => {
    const app = await start({});
    const resilience = app.get(ResilienceService);
    const breaker = resilience.circuitBreaker('mail', { failureThreshold: 2, openDuration: '10s' });
    expect(resilience.circuitBreaker('mail')).toBe(breaker);
    expect(resilience.circuitBreaker('mail', { openDuration: 10_000 })).toBe(breaker);
    expect(() => resilience.circuitBreaker('mail', { failureThreshold: 3 })).toThrow(
      'ResilienceService.circuitBreaker("mail"): "failureThreshold" is 3 here, but 2 at ResilienceService.circuitBreaker("mail"); one name is one policy.',
    );
    expect(() => resilience.circuitBreaker('mail', { successThreshold: 3 })).toThrow(
      '"successThreshold" is 3 here, but not given',
    );
    const matching = () => resilience.retry('match', { retryOn: [(error) => error === 1, /gone/] });
    expect(matching()).toBe(matching());
    expect(resilience.find('bulkhead', 'mail')).toBeUndefined();
    expect(resilience.bulkhead('mail').stats().maxConcurrent).toBe(100);
    await app.close();
  });

  it('a pipeline is got or created too, and composed once', async () => {
    const app = await start({});
    const resilience = app.get(ResilienceService);
    const get = () =>
      resilience.pipeline('mailer', {
        retry: { maxRetries: 1, baseDelay: 0, budget: false },
        fallback: () => 'queued',
      });
    const pipeline = get();
    expect(get()).toBe(pipeline);
    expect(await pipeline.execute(() => Promise.reject(new Error('down')))).toBe('queued');
    expect(resilience.find('retry', 'mailer')?.stats().totalRetries).toBe(1);
    expect(Object.keys(resilience.stats().retries)).toEqual(['mailer']);
    expect(() => resilience.pipeline('mailer', { timeout: '1s' })).toThrow('one name is one policy');
    expect(() => resilience.pipeline('limited', { rateLimit: { limit: 1, by: () => 'x' } })).toThrow(
      '"by" needs a request',
    );
    await app.close();
  });

  it('PL-09 names from user input cannot fill the memory', async () => {
    const app = await start({ maxPolicies: 2 });
    const resilience = app.get(ResilienceService);
    resilience.bulkhead('a');
    resilience.bulkhead('b');
    expect(() => resilience.bulkhead('c')).toThrow('There are 2 of these already ("maxPolicies")');
    expect(resilience.bulkhead('a').name).toBe('a');
    resilience.pipeline('a', {});
    resilience.pipeline('b', {});
    expect(() => resilience.pipeline('c', {})).toThrow('"maxPolicies"');
    await app.close();
  });

  it('PL-08 update() changes options and keeps the state; a refused one changes nothing', async () => {
    const app = await start({ circuitBreakers: named.circuitBreakers }, Gateway);
    const resilience = app.get(ResilienceService);
    const breaker = resilience.circuitBreaker('gateway');
    const fail = () => breaker.execute(() => Promise.reject(new Error('down'))).catch(() => undefined);
    await fail();
    await fail();
    expect(() => resilience.update('circuitBreaker', 'gateway', { failureThreshold: 0 })).toThrow(
      '"failureThreshold" must be',
    );
    expect(breaker.stats().config.failureThreshold).toBe(7);
    expect(resilience.update('circuitBreaker', 'gateway', { failureThreshold: 3 })).toBe(true);
    await fail();
    expect(breaker.state).toBe('open');
    expect(resilience.update('circuitBreaker', 'nobody', {})).toBe(false);
    expect([resilience.reset('circuitBreaker', 'gateway'), breaker.state]).toEqual([true, 'closed']);
    expect(resilience.reset('circuitBreaker', 'nobody')).toBe(false);
    await app.close();
  });

  it('PL-08 update() reaches methods that have been called already', async () => {
    const clock = new ManualClock();
    @Injectable()
    class Slow {
      @Timeout('10s', { name: 'slow' })
      async run(): Promise<string> {
        return new Promise((resolve) => clock.delay(4000, () => resolve('late')));
      }
    }
    const app = await start({ clock }, Slow);
    const first = app.get(Slow).run();
    await clock.advance(4000);
    expect(await first).toBe('late');
    app.get(ResilienceService).update('timeout', 'slow', { total: '2s', duration: '1s' });
    expect(app.get(ResilienceService).describe(Slow, 'run')).toContain('totalTimeout');
    const second = app.get(Slow).run();
    second.catch(() => undefined);
    await clock.advance(1000);
    await expect(second).rejects.toThrow('took longer than the 1 s');
    await clock.advance(4000);
    await app.close();
  });

  it('OP-01 stats() and events$ show every policy, before and after the first call', async () => {
    const clock = new ManualClock();
    const app = await start({ ...named, clock }, Gateway);
    const resilience = app.get(ResilienceService);
    const stats = resilience.stats();
    expect(stats.timestamp).toBe('2025-01-01T00:00:00.000Z');
    for (const kind of Object.keys(named) as (keyof typeof named)[]) {
      expect(Object.keys(stats[kind])).toEqual(['gateway']);
    }
    const events: PolicyEvent[] = [];
    const subscription = resilience.events$.subscribe((event) => events.push(event));
    app.get(Gateway).answer = () => Promise.reject(new Error('down'));
    expect(await app.get(Gateway).call()).toBe('stale');
    await clock.advance(0);
    expect(events.map(({ kind, type }) => `${kind} ${type}`)).toEqual(['retry retried', 'fallback degraded']);
    subscription.unsubscribe();
    await app.get(Gateway).call();
    await clock.advance(0);
    expect(events).toHaveLength(2);
    await app.close();
  });
});

describe('pipelines of methods', () => {
  it('PL-01 the order is by kind, whatever the textual order', async () => {
    @Injectable()
    class Service {
      @Timeout({ duration: '1s', total: '5s', name: 'time' })
      @CircuitBreaker('breaker')
      @Bulkhead('slots')
      @RateLimit('rate')
      @Retry('again')
      @Fallback(() => 'stale')
      async run(): Promise<string> {
        return 'ran';
      }
      @Fallback(() => 'stale')
      @Retry('again')
      @Resilient({ order: ['bulkhead', 'circuitBreaker', 'retry', 'fallback'] })
      @CircuitBreaker('breaker')
      @Bulkhead('slots')
      async reordered(): Promise<string> {
        return 'ran';
      }
      @Resilient()
      async nothing(): Promise<string> {
        return 'ran';
      }
    }
    const app = await start(undefined, Service);
    const slots = (method: string) =>
      app
        .get(ResilienceService)
        .describe(Service, method)
        .split('\n')
        .map((line) => line.trim().split(' ')[0]);
    expect(slots('run')).toEqual([
      'Service.run',
      'fallback',
      'totalTimeout',
      'retry',
      'rateLimit',
      'bulkhead',
      'circuitBreaker',
      'timeout',
    ]);
    expect(slots('reordered')).toEqual([
      'Service.reordered',
      'bulkhead',
      'circuitBreaker',
      'retry',
      'fallback',
    ]);
    expect(app.get(ResilienceService).describe(Service, 'nothing')).toBe('Service.nothing\n  (nothing)');
    expect(() => app.get(ResilienceService).describe(Service, 'constructor')).toThrow(
      'Service.constructor carries no decorator of this package.',
    );
    await app.close();
  });

  it("PL-01 the module's order holds where a method gives none", async () => {
    @Injectable()
    class Service {
      @Retry()
      @Bulkhead()
      async run(): Promise<void> {}
    }
    const app = await start({ order: ['bulkhead', 'retry'] }, Service);
    const described = app.get(ResilienceService).describe(Service, 'run');
    expect(described.indexOf('bulkhead')).toBeLessThan(described.indexOf('retry'));
    await app.close();
  });

  it('PL-14 several of one kind, outermost first, each with its own state', async () => {
    @Injectable()
    class Service {
      @RateLimit('per-second', { capacity: 5, refillPerSecond: 0 })
      @RateLimit({ capacity: 2, refillPerSecond: 0 })
      @RateLimit({ capacity: 9, refillPerSecond: 0 })
      async run(): Promise<void> {}
    }
    const app = await start(undefined, Service);
    const resilience = app.get(ResilienceService);
    const names = resilience.describe(Service, 'run').match(/"[^"]+"/g);
    expect(names).toEqual(['"per-second"', '"Service.run"', '"Service.run#2"']);
    await app.get(Service).run();
    await app.get(Service).run();
    await expect(app.get(Service).run()).rejects.toThrow('Rate limit "Service.run" is used up');
    const allowed = ['per-second', 'Service.run', 'Service.run#2'].map(
      (name) => resilience.rateLimiter(name).stats().totalAllowed,
    );
    expect(allowed).toEqual([2, 2, 2]);
    await app.close();
  });

  it('FB-04 several fallbacks: the nearest error class answers, with arguments and error', async () => {
    @Injectable()
    class Service {
      @Fallback('forAll')
      @Fallback('forType', { on: TypeError })
      async run(what: unknown, note?: string): Promise<string> {
        throw note === 'type' ? new TypeError(String(what)) : new Error(String(what));
      }
      async forType(what: unknown, note: string | undefined, error: TypeError): Promise<string> {
        return `type ${String(what)} ${note} ${error.message}`;
      }
      forAll(what: unknown, note: string | undefined, error: Error): string {
        return `all ${String(what)} ${note} ${error.message}`;
      }
    }
    const app = await start(undefined, Service);
    expect(await app.get(Service).run(1, 'type')).toBe('type 1 type 1');
    expect(await app.get(Service).run(2)).toBe('all 2 undefined 2');
    expect(Object.keys(app.get(ResilienceService).stats().fallbacks)).toEqual(['Service.run']);
    await app.close();
  });

  it('FB-04 more arguments than are declared do not take the place of the error', async () => {
    @Injectable()
    class Service {
      @Fallback('stale')
      async load(id: string): Promise<string> {
        throw new Error(`no ${id}`);
      }
      async stale(id: string, error: Error): Promise<string> {
        return `${id}: ${error.message}`;
      }
      @Fallback('sumOfAll')
      async sum(...parts: number[]): Promise<number> {
        throw new Error(String(parts.length));
      }
      async sumOfAll(...partsAndError: unknown[]): Promise<number> {
        return partsAndError.length - 1;
      }
    }
    const app = await start(undefined, Service);
    const service = app.get(Service);
    expect(await Promise.all(['a', 'b'].map(service.load, service))).toEqual(['a: no a', 'b: no b']);
    expect(await service.sum(1, 2, 3)).toBe(3);
    await app.close();
  });

  it('levels of a fallback, as methods and functions', async () => {
    @Injectable()
    class Service {
      readonly replicaName = 'replica';
      @Fallback({
        levels: [
          { level: FallbackLevel.DEFAULT, use: () => 'default' },
          { level: FallbackLevel.REPLICA, use: 'replica' },
        ],
      })
      async read(key: string): Promise<string> {
        throw new Error(key);
      }
      async replica(key: string, error: Error): Promise<string> {
        if (key === 'lost') throw error;
        return `${this.replicaName} ${key}`;
      }
    }
    const app = await start(undefined, Service);
    expect(await app.get(Service).read('a')).toBe('replica a');
    expect(await app.get(Service).read('lost')).toBe('default');
    await app.close();
  });

  it("a class's decorators are the default for its marked methods; a method's own wins", async () => {
    @CircuitBreaker({ failureThreshold: 2 })
    @Retry({ maxRetries: 5, baseDelay: 0, budget: false })
    @Injectable()
    class Service {
      runs = 0;
      @Resilient()
      async marked(): Promise<void> {
        this.runs++;
        throw new Error('down');
      }
      @Retry({ maxRetries: 0 })
      async once(): Promise<void> {
        this.runs++;
        throw new Error('down');
      }
      @Retry({ enabled: false })
      @CircuitBreaker({ enabled: false })
      async bare(): Promise<void> {
        this.runs++;
        throw new Error('down');
      }
      unmarked(): string {
        return 'synchronous';
      }
    }
    const app = await start(undefined, Service);
    const service = app.get(Service);
    const runsOf = async (call: () => Promise<void>) => {
      service.runs = 0;
      await call().catch(() => undefined);
      return service.runs;
    };
    // Two failures open the circuit of this method, which is no other's.
    expect(await runsOf(() => service.marked())).toBe(2);
    expect(await runsOf(() => service.once())).toBe(1);
    expect(await runsOf(() => service.bare())).toBe(1);
    expect(app.get(ResilienceService).describe(Service, 'bare')).toBe('Service.bare\n  (nothing)');
    expect(service.unmarked()).toBe('synchronous');
    expect(Object.keys(app.get(ResilienceService).stats().circuitBreakers)).toEqual([
      'Service.marked',
      'Service.once',
    ]);
    await app.close();
  });

  it('the defaults of a base class hold for those that inherit, unless they say otherwise', async () => {
    @Timeout('9s')
    @Bulkhead({ maxConcurrent: 4 })
    class Base {
      @Resilient()
      async run(): Promise<void> {}
    }
    @Timeout('3s')
    @Injectable()
    class Derived extends Base {}
    const app = await start(undefined, Derived);
    const described = app.get(ResilienceService).describe(Derived, 'run');
    expect(described).toContain('4 at once');
    expect(described).toContain('3 s');
    expect(described).not.toContain('9 s');
    await app.close();
  });

  it('enabled: false turns everything off, for the module', async () => {
    @Injectable()
    class Service {
      @CircuitBreaker({ initialState: 'forced-open' })
      async run(): Promise<string> {
        return 'ran';
      }
    }
    const app = await start({ enabled: false }, Service);
    expect(await app.get(Service).run()).toBe('ran');
    await app.close();
  });

  it('a policy that the user made takes part as it is', async () => {
    const mine = new CircuitBreakerPolicy('mine', { failureThreshold: 1 });
    @Injectable()
    class Service {
      @Resilient({ circuitBreaker: mine })
      async run(): Promise<void> {}
    }
    const app = await start(undefined, Service);
    await app.get(Service).run();
    expect(mine.stats().totalCalls).toBe(1);
    await app.close();
  });
});

describe('CB-23 identity', () => {
  it('CB-23 one state for a class: all instances, all requests', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Service {
      @CircuitBreaker({ failureThreshold: 2, openDuration: '1m' })
      async run(): Promise<void> {
        throw new Error('down');
      }
    }
    const app = await start({ clock: new ManualClock() }, Service);
    for (let request = 0; request < 2; request++) {
      const service = await app.resolve(Service, ContextIdFactory.create());
      await expect(service.run()).rejects.toThrow('down');
    }
    const third = await app.resolve(Service, ContextIdFactory.create());
    await expect(third.run()).rejects.toThrow('is open');
    await app.close();
  });

  it('CB-23 two classes of one name share nothing', async () => {
    const declare = () => {
      @Injectable()
      class Service {
        @CircuitBreaker()
        async run(): Promise<void> {}
      }
      return Service;
    };
    const One = declare();
    const Two = declare();
    const app = await start(undefined, One, Two);
    await app.get(One).run();
    await app.get(Two).run();
    await app.get(Two).run();
    const { circuitBreakers } = app.get(ResilienceService).stats();
    expect(Object.values(circuitBreakers).map(({ name, totalCalls }) => [name, totalCalls])).toEqual([
      ['Service.run', 1],
      ['Service.run#2', 2],
    ]);
    await app.close();
  });
});

describe('PL-04 two applications in one process', () => {
  it('PL-04 share nothing; closing one leaves the other whole', async () => {
    const first = await start(named, Gateway, Observer);
    const second = await start(named, Gateway, Observer);
    await first.get(Gateway).call();
    expect(first.get(Observer).circuitBreaker.stats().totalCalls).toBe(1);
    expect(second.get(Observer).circuitBreaker.stats().totalCalls).toBe(0);
    // What only classes of other applications ask for takes no place here.
    const third = await start(undefined);
    expect(Object.keys(third.get(ResilienceService).stats().circuitBreakers)).toEqual([]);
    await third.close();
    await first.close();
    await second.get(Gateway).call();
    expect(second.get(Observer).circuitBreaker.stats().totalCalls).toBe(1);
    await second.close();
  });

  it('PL-04 what an application whose start failed had taken is free for the next one', async () => {
    const shared = new Gateway();
    let isDown = true;
    @Module({
      imports: [ResilienceModule.forRoot({ fallbacks: named.fallbacks })],
      providers: [
        { provide: 'gateway', useValue: shared },
        {
          provide: 'database',
          useFactory: () => {
            if (isDown) throw new Error('database is down');
            return {};
          },
        },
      ],
    })
    class AppModule {}
    const start = () =>
      NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });

    await expect(start()).rejects.toThrow('database is down');
    isDown = false;
    const app = await start();

    expect(await shared.call()).toBe('fine');
    expect(app.get(ResilienceService).stats().circuitBreakers).not.toEqual({});
    await app.close();
  });

  it('PL-04 of two that start at the same time with one object, one is refused', async () => {
    const shared = new Gateway();
    @Module({
      imports: [ResilienceModule.forRoot({ fallbacks: named.fallbacks })],
      providers: [{ provide: 'gateway', useValue: shared }],
    })
    class FirstModule {}
    @Module({
      imports: [ResilienceModule.forRoot({ fallbacks: named.fallbacks })],
      providers: [{ provide: 'gateway', useValue: shared }],
    })
    class SecondModule {}
    const starts = await Promise.allSettled(
      [FirstModule, SecondModule].map((module) =>
        NestFactory.createApplicationContext(module, { logger: false, abortOnError: false }),
      ),
    );

    expect(starts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    for (const started of starts) {
      if (started.status === 'fulfilled') await started.value.close();
      else expect(String(started.reason)).toContain('is shared with another application');
    }
  });

  it('PL-04 an object of both is refused; once the first has let go, the second may have it', async () => {
    const shared = new Gateway();
    const withShared = async () => {
      @Module({
        imports: [ResilienceModule.forRoot({ fallbacks: named.fallbacks })],
        providers: [{ provide: 'gateway', useValue: shared }],
      })
      class AppModule {}
      return NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
    };
    const first = await withShared();
    await expect(withShared()).rejects.toThrow('An instance of Gateway is shared with another application');
    await shared.call();
    expect(first.get(ResilienceService).circuitBreaker('gateway').stats().totalCalls).toBe(1);
    await first.close();
    const second = await withShared();
    await shared.call();
    expect(second.get(ResilienceService).circuitBreaker('gateway').stats().totalCalls).toBe(1);
    await second.close();
  });

  it('calls under way when an application closes end as they would have', async () => {
    const app = await start({ fallbacks: named.fallbacks }, Gateway);
    const gate = deferred<string>();
    const gateway = app.get(Gateway);
    gateway.answer = () => gate.promise;
    const call = gateway.call();
    await app.close();
    gate.resolve('late');
    expect(await call).toBe('late');
  });
});
