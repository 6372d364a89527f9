import {
  Controller,
  Get,
  Injectable,
  Module,
  UseInterceptors,
  type Provider,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { describe, expect, it, jest } from '@jest/globals';
import {
  Bulkhead,
  CircuitBreaker,
  CircuitBreakerPolicy,
  Fallback,
  FallbackChain,
  FallbackLevel,
  InvalidOptionsError,
  RateLimit,
  ResilienceInterceptor,
  ResilienceModule,
  ResilienceService,
  Resilient,
  Retry,
  Timeout,
  type InterceptorPolicies,
  type ResilienceModuleOptions,
} from 'nestjs-breakwater';

/** Starts an application, and answers with all that is wrong with it. */
async function problemsOf(
  providers: Provider[],
  options?: ResilienceModuleOptions,
  imports: NonNullable<Parameters<typeof Module>[0]['imports']> = [],
  controllers: Type[] = [],
): Promise<string[]> {
  const testing = Test.createTestingModule({
    imports: [ResilienceModule.forRoot(options), ...imports],
    providers,
    controllers,
  });
  let error: unknown;
  try {
    const app = await (await testing.compile()).init();
    await app.close();
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) return [];
  if (!(error instanceof InvalidOptionsError)) throw error;
  return error.problems.map(({ where, message }) => `${where}: ${message}`);
}

/** A decorator as JavaScript, or a type that lies, would call it. */
const loosely = <T>(value: unknown): T => value as T;

describe('PL-07 options that cannot be', () => {
  it('PL-07 all problems of an application come together', async () => {
    @Injectable()
    class PaymentsService {
      @Retry({ maxRetries: -1 })
      async charge(): Promise<void> {}

      @Bulkhead(loosely({ maxConcurent: 5 }))
      async refund(): Promise<void> {}
    }
    @Controller()
    class ReportsController {
      @Get()
      @Timeout(0)
      async build(): Promise<void> {}
    }
    const problems = await problemsOf(
      [PaymentsService],
      { circuitBreakers: { payments: { openDuration: '1 parsec' } }, maxPolicies: 0 },
      [ResilienceModule.forFeature({ retries: { mail: { jitter: 2 } } })],
      [ReportsController],
    );
    expect(problems.toSorted()).toEqual([
      '@Bulkhead on PaymentsService.refund: "maxConcurent" is not an option of @Bulkhead; did you mean "maxConcurrent"?',
      '@Retry on PaymentsService.charge: "maxRetries" must be an integer of at least 0, got -1.',
      '@Timeout on ReportsController.build: "duration" must be a duration above 0 (milliseconds, or a string such as "30s"), got 0.',
      'ResilienceModule.forFeature (RootTestModule) retries.mail: "jitter" must be a number between 0 and 1, "full", "equal" or "none", got 2.',
      'ResilienceModule.forRoot circuitBreakers.payments: "openDuration" must be a duration above 0 (milliseconds, or a string such as "30s") or a function, got "1 parsec".',
      'ResilienceModule.forRoot: "maxPolicies" must be an integer of at least 1, got 0.',
    ]);
  });

  const cases: readonly (readonly [string, () => Type, ResilienceModuleOptions | undefined, string])[] = [
    [
      'an unknown option far from any',
      () => {
        class Service {
          @CircuitBreaker(loosely({ colour: 'red' }))
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@CircuitBreaker on Service.run: "colour" is not an option of @CircuitBreaker; it takes',
    ],
    [
      'options that are no object',
      () => {
        class Service {
          @Retry('name', loosely(5))
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Retry on Service.run: Options must be an object, got 5.',
    ],
    [
      'a name that nobody describes, where names are configured',
      () => {
        class Service {
          @CircuitBreaker('paymants')
          async run(): Promise<void> {}
        }
        return Service;
      },
      { circuitBreakers: { payments: {} } },
      '@CircuitBreaker on Service.run: There is no circuit breaker "paymants": give it options here, or add it to forRoot({ circuitBreakers }). Did you mean "payments"?',
    ],
    [
      'an unknown retry budget',
      () => {
        class Service {
          @Retry({ budget: 'shared' })
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Retry on Service.run: There is no retry budget "shared": give it options here, or add it to forRoot({ retryBudgets }).',
    ],
    [
      'an unknown retry budget of a named retry',
      () => {
        class Service {
          @Retry('mail')
          async run(): Promise<void> {}
        }
        return Service;
      },
      { retries: { mail: { budget: 'shard' } }, retryBudgets: { shared: {} } },
      'There is no retry budget "shard": give it options here, or add it to forRoot({ retryBudgets }). Did you mean "shared"?',
    ],
    [
      'FB-04 a fallback that does not exist',
      () => {
        class Service {
          @Fallback({ use: 'cachd' })
          async run(): Promise<void> {}
          async cached(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Fallback on Service.run: Service has no method "cachd" to fall back to. Did you mean "cached"?',
    ],
    [
      'FB-04 a level that does not exist',
      () => {
        class Service {
          @Fallback({ levels: [{ level: FallbackLevel.REPLICA, use: 'nowhere' }] })
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Fallback on Service.run: Service has no method "nowhere" to fall back to.',
    ],
    [
      'FB-04 two fallbacks for the same errors',
      () => {
        class Service {
          @Fallback('first', { on: TypeError })
          @Fallback('second', { on: [RangeError, TypeError] })
          async run(): Promise<void> {}
          async first(): Promise<void> {}
          async second(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Fallback on Service.run: Two fallbacks answer for TypeError; give each its own "on".',
    ],
    [
      'FB-04 a method as its own fallback',
      () => {
        class Service {
          @Resilient({ fallback: 'run' })
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Resilient fallback on Service.run: A method cannot be its own fallback.',
    ],
    [
      'an attempt timeout above the total',
      () => {
        class Service {
          @Timeout({ duration: '5s', total: '2s' })
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Timeout on Service.run: "duration" of 5000 ms, for one attempt, is above "total" of 2000 ms, for all of them.',
    ],
    [
      'an attempt timeout above the total of another timeout',
      () => {
        class Service {
          @Timeout({ total: '2s' })
          @Timeout('5s')
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Timeout on Service.run: "duration" of 5000 ms, for one attempt, is above "total" of 2000 ms, for all of them.',
    ],
    [
      'a back-off that cannot fit the total',
      () => {
        class Service {
          @Timeout({ total: '2s' })
          @Retry({ baseDelay: '2s' })
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Retry on Service.run: "baseDelay" of 2000 ms does not fit into the timeout\'s "total" of 2000 ms: no retry could ever run.',
    ],
    [
      'a back-off that cannot fit what it may take itself, from the defaults',
      () => {
        class Service {
          @Retry({ maxElapsed: '1s' })
          async run(): Promise<void> {}
        }
        return Service;
      },
      { defaults: { retry: { baseDelay: '3s' } } },
      '@Retry on Service.run: "baseDelay" of 3000 ms does not fit into "maxElapsed" of 1000 ms: no retry could ever run.',
    ],
    [
      'an order that holds no policy',
      () => {
        class Service {
          @Resilient({ order: ['retry', loosely('bulkhed')] })
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Resilient on Service.run: "order" holds "bulkhed", which is no kind of policy; did you mean "bulkhead".',
    ],
    [
      'an order of the module that holds a policy twice',
      () => class Service {},
      { order: ['retry', 'retry'] },
      'ResilienceModule.forRoot: "order" holds "retry" twice.',
    ],
    [
      'a policy of another kind',
      () => {
        class Service {
          @Resilient({ retry: loosely(new CircuitBreakerPolicy('x')) })
          async run(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@Resilient retry on Service.run: This place takes a policy of kind "retry", got one of kind "circuitBreaker".',
    ],
    [
      'one name with two meanings',
      () => {
        class Service {
          @CircuitBreaker('gateway', { failureThreshold: 3 })
          async one(): Promise<void> {}
          @CircuitBreaker('gateway', { failureThreshold: 4 })
          async two(): Promise<void> {}
        }
        return Service;
      },
      undefined,
      '@CircuitBreaker on Service.two: "failureThreshold" is 4 here, but 3 at @CircuitBreaker on Service.one; one name is one policy.',
    ],
    [
      'a limit of requests with wrong options, by configuration',
      () => {
        class Service {
          @RateLimit('api')
          async run(): Promise<void> {}
        }
        return Service;
      },
      { rateLimiters: { api: { limit: 0 } } },
      'ResilienceModule.forRoot rateLimiters.api: "limit" must be an integer of at least 1, got 0.',
    ],
    [
      'a primary of a method that is its own',
      () => {
        class Service {
          @Fallback({ levels: [{ level: FallbackLevel.PRIMARY, use: () => 'never' }] })
          async run(): Promise<string> {
            return 'fine';
          }
        }
        return Service;
      },
      undefined,
      '@Fallback on Service.run: Level "primary" is the method itself, and its "use" would never run: leave it out, or make it a "replica".',
    ],
    [
      'defaults that cannot be',
      () => class Service {},
      { defaults: loosely({ retries: {} }) },
      'ResilienceModule.forRoot: "defaults.retries" is not possible',
    ],
  ];

  it.each(cases)('PL-07 %s', async (_what, declare, options, expected) => {
    const problems = await problemsOf([declare()], options);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(expected);
  });

  it('PL-07 interceptors are looked at before the first request', async () => {
    @Controller()
    class PlainController {
      @Get()
      @UseInterceptors(ResilienceInterceptor.for({ retry: { maxRetries: -1 }, fallback: 'cached' }))
      get(): string {
        return 'fine';
      }
    }
    expect(await problemsOf([], undefined, [], [PlainController])).toEqual([
      expect.stringContaining('ResilienceInterceptor.for retry on RootTestModule: "maxRetries" must be'),
      expect.stringContaining('"cached" would be a method, and there is no class here; give a function.'),
    ]);
  });

  const keyless = { level: FallbackLevel.LOCAL_CACHE } as const;
  const keyed = { level: FallbackLevel.DISTRIBUTED_CACHE, key: () => 'k', store: new Map() } as const;
  const handled = { level: FallbackLevel.DEFAULT, use: () => 'default' } as const;

  /** Around a handler. */
  async function problemsOfFallback(
    fallback: InterceptorPolicies['fallback'],
    options?: ResilienceModuleOptions,
  ): Promise<unknown> {
    @Controller()
    class PlainController {
      @Get()
      @UseInterceptors(ResilienceInterceptor.for({ fallback }))
      get(): string {
        return 'fine';
      }
    }
    return problemsOf([], options, [], [PlainController]);
  }

  it.each<[string, InterceptorPolicies['fallback'], ResilienceModuleOptions | undefined]>([
    ['by options', { levels: [keyless] }, undefined],
    ['by options, beside one that has a key', { levels: [keyless, keyed] }, undefined],
    ['that was made', new FallbackChain('cached').cache(keyless.level), undefined],
    [
      'that was made, beside one that has a key',
      new FallbackChain('cached', { levels: [keyless, keyed] }),
      undefined,
    ],
    ['by name', { name: 'cached' }, { fallbacks: { cached: { levels: [keyless] } } }],
  ])('PL-07 a cache around a handler needs a key: %s', async (_how, fallback, options) => {
    expect(await problemsOfFallback(fallback, options)).toEqual([
      expect.stringContaining(
        'ResilienceInterceptor.for fallback on RootTestModule: A cache level around a handler needs "key"',
      ),
    ]);
  });

  it.each<[string, InterceptorPolicies['fallback']]>([
    ['by options', { levels: [keyed, handled] }],
    ['that was made', new FallbackChain('cached', { levels: [keyed, handled] })],
  ])('PL-07 a cache around a handler is taken with a key: %s', async (_how, fallback) => {
    expect(await problemsOfFallback(fallback)).toEqual([]);
  });

  it('PL-07 classes that only a factory makes are looked at before the application is up', async () => {
    class Made {
      @Retry({ maxRetries: 1.5 })
      async run(): Promise<void> {}
    }
    const useFactory = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return new Made();
    };
    expect(await problemsOf([{ provide: 'made', useFactory }])).toEqual([
      '@Retry on Made.run: "maxRetries" must be an integer of at least 0, got 1.5.',
    ]);
  });

  it('PL-07 what a decorator leaves open, the configuration may say, and the other way round', async () => {
    @Injectable()
    class Service {
      @RateLimit('api', { limit: 5 })
      async limited(): Promise<string> {
        return 'fine';
      }
      @Retry('mail', { maxDelay: '10m' })
      async mail(): Promise<void> {}
    }
    const options = {
      rateLimiters: { api: { window: '1m' } },
      retries: { mail: { baseDelay: '2m' } },
    } as const;
    expect(await problemsOf([Service], options)).toEqual([]);
  });

  it('CB-23 a wrong default is named once, at the defaults, also where nobody uses it', async () => {
    @Injectable()
    class Service {
      @CircuitBreaker()
      async first(): Promise<void> {}

      @CircuitBreaker('second', { failureThreshold: 0 })
      async second(): Promise<void> {}
    }
    const defaults = {
      circuitBreaker: { openDuratoin: '1s' },
      bulkhead: { maxConcurrent: -4 },
      fallback: {},
    } as never;
    expect(await problemsOf([Service], { defaults, circuitBreakers: { third: {} } })).toEqual([
      expect.stringMatching(/^@CircuitBreaker on Service\.second: "failureThreshold" must be /),
      expect.stringMatching(/forRoot defaults\.circuitBreaker: "openDuratoin" is not .*"openDuration"\?$/),
      expect.stringMatching(/forRoot defaults\.bulkhead: "maxConcurrent" must be .*, got -4\.$/),
    ]);
  });

  it('CB-23 the decorator wins over the configuration', async () => {
    @Injectable()
    class Service {
      @CircuitBreaker('gateway', { failureThreshold: 1 })
      async run(): Promise<void> {}
    }
    const testing = await Test.createTestingModule({
      imports: [
        ResilienceModule.forRoot({
          circuitBreakers: { gateway: { failureThreshold: 9, successThreshold: 2 } },
          defaults: { circuitBreaker: { successThreshold: 7, openDuration: '7s' } },
        }),
      ],
      providers: [Service],
    }).compile();
    expect(testing.get(ResilienceService).circuitBreaker('gateway').stats().config).toMatchObject({
      failureThreshold: 1,
      successThreshold: 2,
      openDurationMs: 7000,
    });
    await testing.close();
  });
});

describe('the module', () => {
  @Injectable()
  class Service {
    @Retry()
    async run(): Promise<void> {}
  }

  it('PL-06 is missed at start, by an error that says what to import', async () => {
    @Module({ providers: [Service] })
    class AppModule {}
    await expect(
      NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false }),
    ).rejects.toThrow('ResilienceModule.forRoot()');
  });

  it('PL-06 is missed in a TestingModule too', async () => {
    await expect(Test.createTestingModule({ providers: [Service] }).compile()).rejects.toThrow(
      'add ResilienceModule.forRoot() to the imports of your root module',
    );
  });

  /** An application, and what it warned of at its start. */
  async function startWith(...providers: Type[]) {
    const warnings: unknown[] = [];
    const logger = { log: jest.fn(), error: jest.fn(), warn: (message: unknown) => warnings.push(message) };
    const testing = await Test.createTestingModule({ imports: [ResilienceModule.forRoot()], providers })
      .setLogger(logger)
      .compile();
    return { app: await testing.init(), warnings };
  }

  it('PL-01 reports an override that takes the place of a protected method, and none that calls it', async () => {
    class Base {
      @Timeout('20ms')
      async load(): Promise<string> {
        return 'base';
      }

      @Timeout('20ms')
      async save(): Promise<string> {
        return 'base';
      }
    }
    @Injectable()
    class Silent extends Base {
      override async load(): Promise<string> {
        return 'child';
      }

      @Retry()
      override async save(): Promise<string> {
        return 'child';
      }
    }
    @Injectable()
    class Calling extends Base {
      override async load(): Promise<string> {
        return `child of ${await super.load()}`;
      }
    }
    @Injectable()
    class Inheriting extends Base {}
    const { app, warnings } = await startWith(Silent, Calling, Inheriting);

    expect(warnings).toEqual([
      'Silent.load overrides a method of Base and does not call super.load(), so that the decorators there protect nothing. Decorate it as well.',
    ]);
    expect(await app.get(Calling).load()).toBe('child of base');
    await app.close();
  });

  it('reports a foreign wrapper between two of our decorators, however many stand above it', async () => {
    const Foreign = (): MethodDecorator => (_target, _key, descriptor) => {
      const inner = descriptor.value as unknown as (...args: unknown[]) => unknown;
      const wrapper = function (this: unknown, ...args: unknown[]) {
        return inner.apply(this, args);
      };
      return { ...descriptor, value: wrapper } as unknown as typeof descriptor;
    };
    @Injectable()
    class Wrapped {
      @Timeout('1s')
      @Bulkhead()
      @Foreign()
      @CircuitBreaker()
      async run(): Promise<string> {
        return 'ran';
      }
    }
    const { app, warnings } = await startWith(Wrapped);
    expect(warnings).toEqual([
      'Wrapped.run: another decorator replaced the method between two of ours, which makes two pipelines. Put ours next to each other.',
    ]);
    expect(await app.get(Wrapped).run()).toBe('ran');
    const resilience = app.get(ResilienceService);
    const described = resilience.describe(Wrapped, 'run');
    expect(described).toContain('bulkhead');
    expect(described).toContain('timeout');
    expect(described).not.toContain('circuitBreaker');
    expect(resilience.find('circuitBreaker', 'Wrapped.run')?.stats().totalCalls).toBe(1);
    expect(resilience.find('bulkhead', 'Wrapped.run')?.stats().totalCalls).toBe(1);
    expect(resilience.find('timeout', 'Wrapped.run')?.stats().totalAttempts).toBe(1);
    await app.close();
  });
});
