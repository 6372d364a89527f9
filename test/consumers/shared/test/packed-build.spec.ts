import 'reflect-metadata';
import { Controller, Get, Injectable, Scope } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from '@jest/globals';
import {
  CircuitBreaker,
  CircuitBreakerPolicy,
  CircuitOpenError,
  Fallback,
  InjectCircuitBreaker,
  RateLimit,
  ResilienceError,
  ResilienceModule,
  ResilienceService,
  Retry,
  Timeout,
} from 'nestjs-breakwater';
import { ManualClock } from 'nestjs-breakwater/testing';

describe('the packed build', () => {
  it('exports errors that know their kind', () => {
    const error = new CircuitOpenError('open', { policy: 'payments', retryAfterMs: 5 });
    expect(error).toBeInstanceOf(ResilienceError);
    expect(error.code).toBe('CIRCUIT_OPEN');
    expect(error.retryAfterMs).toBe(5);
  });
});

@Injectable()
class PaymentsService {
  attempts = 0;

  @CircuitBreaker('payments', { failureThreshold: 2, openDuration: '1500ms' })
  @Retry({ maxRetries: 1, baseDelay: 0, budget: false })
  @Timeout('5s')
  async charge(works: boolean): Promise<string> {
    this.attempts++;
    if (!works) throw new Error('down');
    return 'charged';
  }

  @Fallback('cached')
  async rates(): Promise<string> {
    throw new Error('down');
  }

  async cached(): Promise<string> {
    return 'cached';
  }
}

@Injectable({ scope: Scope.REQUEST })
class CartService {
  @CircuitBreaker('cart')
  async load(): Promise<string> {
    return 'cart';
  }
}

@Controller()
class PaymentsController {
  constructor(
    private readonly payments: PaymentsService,
    private readonly cart: CartService,
    @InjectCircuitBreaker('payments') readonly breaker: CircuitBreakerPolicy,
  ) {}

  @Get('charge')
  async charge(): Promise<string> {
    return this.payments.charge(true);
  }

  @Get('fail')
  async fail(): Promise<string> {
    return this.payments.charge(false);
  }

  @Get('rates')
  async rates(): Promise<string> {
    return this.payments.rates();
  }

  @Get('cart')
  async load(): Promise<string> {
    return this.cart.load();
  }

  @Get('state')
  state(): string {
    return this.breaker.state;
  }

  @Get('limited')
  @RateLimit('limited', { capacity: 1, refillPerSecond: 0.5, by: () => 'all' })
  async limited(): Promise<string> {
    return 'fine';
  }
}

describe('an application on the packed build', () => {
  const start = async () => {
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock: new ManualClock(), requestContext: true })],
      controllers: [PaymentsController],
      providers: [
        PaymentsService,
        CartService,
        { provide: 'made', useFactory: async () => new PaymentsService() },
      ],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    return { app, get: (path: string) => fetch(`${url}/${path}`) };
  };

  it('PL-02 PL-13 protects a service, and injects its circuit breaker', async () => {
    const { app, get } = await start();
    expect(await (await get('charge')).text()).toBe('charged');
    expect(await (await get('cart')).text()).toBe('cart');
    await (await get('cart')).text();
    expect((await get('fail')).status).toBe(500);
    expect(await (await get('state')).text()).toBe('open');
    const refused = await get('charge');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2']);
    expect(await refused.json()).toMatchObject({
      code: 'CIRCUIT_OPEN',
      policy: 'payments',
      retryAfterMs: 1500,
    });
    const { circuitBreakers } = app.get(ResilienceService).stats();
    expect(circuitBreakers['payments']).toMatchObject({
      totalSuccesses: 1,
      totalFailures: 2,
      totalRejected: 1,
    });
    expect(circuitBreakers['cart']?.totalCalls).toBe(2);
    await app.close();
  });

  it('PL-02 binds what factories make, and loads modules late', async () => {
    const { app } = await start();
    await app.get<PaymentsService>('made').charge(true);
    expect(app.get(ResilienceService).circuitBreaker('payments').stats().totalCalls).toBe(1);
    const feature = ResilienceModule.forFeature({ bulkheads: { late: { maxConcurrent: 3 } } });
    await app.get(LazyModuleLoader).load(() => feature);
    expect(app.get(ResilienceService).bulkhead('late').stats().maxConcurrent).toBe(3);
    await app.close();
  });

  it('FB-07 RL-11 marks degraded answers, and limits requests', async () => {
    const { app, get } = await start();
    const degraded = await get('rates');
    expect([await degraded.text(), degraded.headers.get('x-degraded-mode')]).toEqual(['cached', 'true']);
    const allowed = await get('limited');
    expect([allowed.status, allowed.headers.get('ratelimit')]).toEqual([200, '"limited";r=0;t=2']);
    expect((await get('limited')).status).toBe(429);
    await app.close();
  });

  it('PL-06 says what to import where the module is missing', async () => {
    await expect(Test.createTestingModule({ providers: [PaymentsService] }).compile()).rejects.toThrow(
      'ResilienceModule.forRoot()',
    );
  });
});
