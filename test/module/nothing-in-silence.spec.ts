import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Post,
  Injectable,
  Module,
  Scope,
  UseInterceptors,
  type ModuleMetadata,
} from '@nestjs/common';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Test } from '@nestjs/testing';
import {
  CircuitBreaker,
  CircuitBreakerInterceptor,
  Fallback,
  HealthProbe,
  Idempotent,
  InjectCircuitBreaker,
  RateLimit,
  ResilienceHealthModule,
  ResilienceInterceptor,
  ResilienceModule,
  ResilienceService,
  Resilient,
  Retry,
  byHeader,
  byIp,
  byTenant,
  byUser,
  type CircuitBreakerPolicy,
} from '../../lib/index.js';

async function problemsOf(metadata: ModuleMetadata, options = {}): Promise<string> {
  const imports = [ResilienceModule.forRoot(options), ...(metadata.imports ?? [])];
  try {
    const module = await Test.createTestingModule({ ...metadata, imports }).compile();
    await module.init();
    await module.close();
    return 'none';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('nothing that was asked for is dropped in silence', () => {
  it('PL-07 a limit by request on a method that no request reaches', async () => {
    @Injectable()
    class Prices {
      @RateLimit({ limit: 1, by: byIp() })
      async price() {}
    }
    @Controller()
    class PricesController {
      @RateLimit({ limit: 1, by: byIp() })
      @Get('prices')
      async price() {}
    }

    expect(await problemsOf({ providers: [Prices] })).toContain(
      '@RateLimit on Prices.price: "by" needs a request, and Prices.price is no handler',
    );
    expect(await problemsOf({ controllers: [PricesController] })).toBe('none');
  });

  it('PL-07 a limit by HTTP request on a handler of messages', async () => {
    @Controller()
    class StockController {
      @MessagePattern('stock')
      @RateLimit({ limit: 1, by: byIp() })
      async stock() {}
      @EventPattern('sold')
      @RateLimit('sold')
      async sold(_sku: string) {}
      @MessagePattern('own')
      @RateLimit({ limit: 1, by: (context) => context.switchToRpc().getData<string>() })
      async own() {}
      @Get('both')
      @MessagePattern('both')
      @RateLimit({ limit: 1, by: byTenant() })
      async both() {}
    }
    @WebSocketGateway()
    class ChatGateway {
      @SubscribeMessage('say')
      @RateLimit({ limit: 1, by: byUser() })
      async say() {}
    }
    const rateLimiters = { sold: { limit: 1, by: byHeader('x-tenant-id') } };

    const problems = await problemsOf(
      { controllers: [StockController], providers: [ChatGateway] },
      { rateLimiters },
    );

    expect(problems.split('\n').slice(1)).toEqual([
      expect.stringContaining('@RateLimit on ChatGateway.say: byUser() looks at HTTP requests'),
      expect.stringContaining(
        '@RateLimit on StockController.stock: byIp() looks at HTTP requests, and StockController.stock gets messages: nothing would ever limit it.',
      ),
      expect.stringContaining('@RateLimit on StockController.sold: byHeader() looks'),
    ]);
  });

  it('PL-07 an idempotency that no call could ever bring a key', async () => {
    @Injectable()
    class Orders {
      @Idempotent()
      async place() {}
      @Idempotent('by-name', { wait: '1s' })
      async change() {}
      @Idempotent('configured')
      async cancel() {}
      @Idempotent({ onMissingKey: 'pass' })
      async look() {}
    }
    @Controller()
    class OrdersController {
      @Post('orders')
      @UseInterceptors(ResilienceInterceptor.for({ idempotency: { wait: '1s' } }))
      async place() {}
    }
    const options = { idempotencies: { configured: { key: () => 'k' } } };

    const problems = await problemsOf({ providers: [Orders], controllers: [OrdersController] }, options);

    expect(problems.split('\n').slice(1)).toEqual([
      expect.stringContaining(
        '@Idempotent on Orders.place: "key" is missing, so every call would be refused. Say what tells a repeated call from a new one, such as key: ({ args: [order] }) => order.id.',
      ),
      expect.stringContaining('@Idempotent on Orders.change: "key" is missing'),
      expect.stringContaining('({ args: [context] }) => context.switchToHttp()'),
    ]);
    // Whoever executes by hand may give it with the call.
    const module = await Test.createTestingModule({ imports: [ResilienceModule.forRoot()] }).compile();
    const pipeline = module.get(ResilienceService).pipeline('orders', { idempotency: {} });
    expect(await pipeline.execute(() => 'placed', { idempotencyKey: 'k' })).toBe('placed');
    await module.close();
  });

  it('PL-07 unknown options of @Resilient, of a pipeline of the service, and what all decorators take', async () => {
    @Injectable()
    class Prices {
      @Resilient({ retrys: {}, timout: '1s' } as object)
      async price() {}

      @Retry({ enabled: 'no', name: '' } as object)
      async other() {}

      @Retry(null as unknown as object)
      async third() {}
    }
    const module = await Test.createTestingModule({ imports: [ResilienceModule.forRoot()] }).compile();

    const problems = await problemsOf({ providers: [Prices] });

    expect(problems).toContain('"retrys" is not an option of @Resilient; did you mean "retry"?');
    expect(problems).toContain('"timout" is not an option of @Resilient; did you mean "timeout"?');
    expect(problems).toContain('@Retry on Prices.other: "enabled" must be true or false, got "no".');
    expect(problems).toContain('@Retry on Prices.other: "name" must be a non-empty string, got "".');
    expect(problems).toContain('@Retry on Prices.third: Options must be an object, got null.');
    expect(() => module.get(ResilienceService).pipeline('p', { retri: {} } as object)).toThrow(
      /did you mean "retry"/,
    );
  });

  it('a decorator without its parentheses', () => {
    const decorate = () => {
      class Prices {
        // @ts-expect-error The compiler says so, too.
        @Retry
        async price() {}
      }
      return Prices;
    };

    expect(decorate).toThrow('@Retry needs parentheses: write @Retry().');
  });

  it('PL-13 an injected name that the configuration does not have', async () => {
    @Injectable()
    class Prices {
      constructor(@InjectCircuitBreaker('paymnts') readonly breaker: CircuitBreakerPolicy) {}
    }

    expect(await problemsOf({ providers: [Prices] }, { circuitBreakers: { payments: {} } })).toContain(
      '@InjectCircuitBreaker in Prices: There is no circuit breaker "paymnts": add it to forRoot({ circuitBreakers }). Did you mean "payments"?',
    );
  });

  it('PL-13 one name in two modules, each named', async () => {
    @Module({ imports: [ResilienceModule.forFeature({ retries: { mail: { maxRetries: 1 } } })] })
    class OrdersModule {}
    @Module({ imports: [ResilienceModule.forFeature({ retries: { mail: { maxRetries: 2 } } })] })
    class InvoicesModule {}

    expect(await problemsOf({ imports: [OrdersModule, InvoicesModule] })).toContain(
      'ResilienceModule.forFeature (InvoicesModule) retries.mail: "maxRetries" is 2 here, but 1 at ResilienceModule.forFeature (OrdersModule) retries.mail; one name is one policy.',
    );
  });

  it('PL-04 a second forRoot would split the application', async () => {
    @Module({ imports: [ResilienceModule.forRoot({ defaults: { retry: { maxRetries: 1 } } })] })
    class Feature {}

    expect(await problemsOf({ imports: [Feature] })).toContain('forRoot is imported more than once');
  });

  it('options that a factory forgot to return', async () => {
    const starting = Test.createTestingModule({
      imports: [ResilienceModule.forRootAsync({ useFactory: () => undefined as unknown as object })],
    }).compile();

    await expect(starting).rejects.toThrow('The factory of forRootAsync must return options, got undefined.');
  });

  it('HL-02 two probes of one name, and a probe that has no one instance', async () => {
    @Injectable()
    class Probes {
      @HealthProbe({ kind: 'readiness', name: 'db' })
      one() {}

      @HealthProbe({ kind: 'deep', name: 'db' })
      two() {}

      @HealthProbe({ kind: 'liveness', name: 'process' })
      three() {}
    }
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      @HealthProbe({ kind: 'readiness' })
      probe() {}
    }

    const problems = await problemsOf({
      imports: [ResilienceHealthModule.register()],
      providers: [Probes, PerRequest],
    });

    expect(problems).toContain('@HealthProbe on Probes.two: "name" must be one that nothing else');
    expect(problems).toContain('@HealthProbe on Probes.three: "name" must be one that nothing else');
    expect(problems).toContain('@HealthProbe on PerRequest.probe: It needs a provider with one instance');
  });
});

describe('what belongs together', () => {
  it('FB-04 the error stands behind the declared parameters, one with a default included', async () => {
    @Injectable()
    class Prices {
      @Fallback('known')
      async price(sku: string, _currency = 'EUR'): Promise<string> {
        throw new Error(`no ${sku}`);
      }

      async known(sku: string, currency: string | undefined, error: unknown): Promise<string> {
        return `${sku} ${currency ?? '-'} ${(error as Error).message}`;
      }
    }
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot()],
      providers: [Prices],
    }).compile();
    const prices = module.get(Prices);

    expect([await prices.price('tea'), await prices.price('tea', 'USD')]).toEqual([
      'tea - no tea',
      'tea USD no tea',
    ]);
  });

  it('CB-23 an inherited handler behind an interceptor has a state of its own in each class', async () => {
    class Base {
      @UseInterceptors(CircuitBreakerInterceptor.for({ failureThreshold: 1 }))
      @Get()
      async get() {
        if (this instanceof Ill) throw new Error('down');
        return 'fine';
      }
    }
    @Controller('ill')
    class Ill extends Base {}
    @Controller('well')
    class Well extends Base {}
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot()],
      controllers: [Ill, Well],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    const statusOf = async (path: string) => (await fetch(`${url}/${path}`)).status;

    const statuses = [await statusOf('ill'), await statusOf('ill'), await statusOf('well')];

    expect(statuses).toEqual([500, 503, 200]);
    await app.close();
  });

  it('one frozen object of a factory is refused, and no other', async () => {
    class Prices {
      @CircuitBreaker()
      async price() {}
    }
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot()],
      providers: [
        { provide: 'frozen', scope: Scope.TRANSIENT, useFactory: () => Object.freeze(new Prices()) },
        { provide: 'plain', scope: Scope.TRANSIENT, useFactory: () => ({ plain: true }) },
      ],
    }).compile();

    await expect(module.resolve('frozen')).rejects.toThrow('An instance of Prices is frozen');
    expect(await module.resolve('plain')).toEqual({ plain: true });
  });

  it('HL-04 an open keyed circuit shows in health, and its key does not', async () => {
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot(), ResilienceHealthModule.register({ openBreakers: 'unready' })],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
    const breaker = app
      .get(ResilienceService)
      .circuitBreaker('tenants', { failureThreshold: 1, key: () => 'acme' });
    await breaker.execute(() => Promise.reject(new Error('down'))).catch(() => undefined);

    const response = await fetch(`${await app.getUrl()}/health/ready`);

    expect(response.status).toBe(503);
    const body = await response.text();
    expect(JSON.parse(body)).toMatchObject({
      error: { circuitBreakers: { open: ['tenants'], openKeys: { tenants: 1 } } },
    });
    expect(body).not.toContain('acme');
    await app.close();
  });
});
