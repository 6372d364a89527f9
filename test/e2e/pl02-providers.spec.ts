import { Global, Inject, Injectable, Module, Scope, forwardRef, type OnModuleInit } from '@nestjs/common';
import { ContextIdFactory, LazyModuleLoader, ModuleRef, NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from '@jest/globals';
import {
  CircuitBreaker,
  InjectCircuitBreaker,
  ResilienceModule,
  ResilienceService,
  Retry,
  type CircuitBreakerPolicy,
} from 'nestjs-breakwater';
import { lastValueFrom, of, type Observable } from 'rxjs';
import { callsOf } from './counted.js';

const refund = Symbol('refund');

@Injectable()
class PaymentsService {
  charged = 0;

  @CircuitBreaker('charge')
  async charge(amount: number): Promise<string> {
    this.charged++;
    return `charged ${amount}`;
  }

  @CircuitBreaker('refund')
  async [refund](amount: number): Promise<string> {
    return `refunded ${amount}`;
  }
}

async function startWith(
  ...providers: NonNullable<Parameters<typeof Test.createTestingModule>[0]['providers']>
) {
  const testing = await Test.createTestingModule({
    imports: [ResilienceModule.forRoot()],
    providers,
  }).compile();
  return testing.init();
}

describe('providers', () => {
  it('PL-02 services', async () => {
    const app = await startWith(PaymentsService);
    const payments = app.get(PaymentsService);
    expect(await payments.charge(42)).toBe('charged 42');
    expect(callsOf(app, 'charge')).toBe(1);
    expect(payments.charged).toBe(1);
    await app.close();
  });

  it('PL-02 Symbol-named methods', async () => {
    const app = await startWith(PaymentsService);
    expect(await app.get(PaymentsService)[refund](1)).toBe('refunded 1');
    expect(callsOf(app, 'refund')).toBe(1);
    expect(app.get(ResilienceService).describe(PaymentsService, refund)).toContain('Symbol(refund)');
    await app.close();
  });

  it('PL-02 services in a TestingModule without init()', async () => {
    const testing = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot()],
      providers: [PaymentsService],
    }).compile();
    await testing.get(PaymentsService).charge(1);
    expect(callsOf(testing, 'charge')).toBe(1);
    await testing.close();
  });

  it('PL-02 CB-23 request-scoped providers share the state of their class', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Cart {
      @CircuitBreaker()
      async load(): Promise<Cart> {
        return this;
      }
    }
    const app = await startWith(Cart);
    const first = await app.resolve(Cart, ContextIdFactory.create());
    const second = await app.resolve(Cart, ContextIdFactory.create());
    expect(await first.load()).toBe(first);
    expect(await second.load()).toBe(second);
    expect(callsOf(app, 'Cart.load')).toBe(2);
    await app.close();
  });

  it('PL-02 transient providers', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Connection {
      @CircuitBreaker('connection')
      async query(): Promise<string> {
        return 'row';
      }
    }
    @Injectable()
    class Reader {
      constructor(readonly connection: Connection) {}
    }
    @Injectable()
    class Writer {
      constructor(readonly connection: Connection) {}
    }
    const app = await startWith(Connection, Reader, Writer);
    const reader = app.get(Reader).connection;
    const writer = app.get(Writer).connection;
    expect(reader).not.toBe(writer);
    await reader.query();
    await writer.query();
    expect(callsOf(app, 'connection')).toBe(2);
    await app.close();
  });

  it('PL-02 moduleRef.create', async () => {
    class Unlisted {
      @CircuitBreaker('unlisted')
      async run(): Promise<string> {
        return 'ran';
      }
    }
    const app = await startWith();
    const made = await app.get(ModuleRef).create(Unlisted);
    expect(await made.run()).toBe('ran');
    expect(callsOf(app, 'unlisted')).toBe(1);
    await app.close();
  });

  it('PL-02 lazy modules, with a forFeature of their own', async () => {
    @Injectable()
    class Reports {
      @CircuitBreaker('lazy-reports')
      async build(): Promise<string> {
        throw new Error('down');
      }
    }
    @Module({
      imports: [
        ResilienceModule.forFeature({ circuitBreakers: { 'lazy-reports': { failureThreshold: 1 } } }),
      ],
      providers: [Reports],
      exports: [Reports],
    })
    class LazyModule {}
    const app = await startWith();
    const lazy = await app.get(LazyModuleLoader).load(() => LazyModule);
    await expect(lazy.get(Reports).build()).rejects.toThrow('down');
    expect(callsOf(app, 'lazy-reports')).toBe(1);
    // The feature's own options, not the defaults.
    await expect(lazy.get(Reports).build()).rejects.toThrow('Circuit breaker "lazy-reports" is open');
    await app.close();
  });

  it('PL-02 lazy modules: factories, values, and what files loaded with them ask for', async () => {
    const app = await startWith();
    // As in a file that is imported now.
    class Late {
      @CircuitBreaker('late-calls')
      async call(): Promise<string> {
        return 'fine';
      }
    }
    @Injectable()
    class Observer {
      constructor(@InjectCircuitBreaker('late-calls') readonly breaker: CircuitBreakerPolicy) {}
    }
    @Module({
      providers: [
        { provide: 'value', useValue: new Late() },
        { provide: 'factory', useFactory: () => new Late() },
        { provide: 'promise', useFactory: async () => new Late() },
        Observer,
      ],
    })
    class LazyModule {}

    const lazy = await app.get(LazyModuleLoader).load(() => LazyModule);
    for (const token of ['value', 'factory', 'promise']) {
      expect(await lazy.get<Late>(token).call()).toBe('fine');
    }

    expect(callsOf(app, 'late-calls')).toBe(3);
    expect(lazy.get(Observer).breaker).toBe(app.get(ResilienceService).circuitBreaker('late-calls'));
    lazy.get(Observer).breaker.forceOpen();
    await expect(lazy.get<Late>('value').call()).rejects.toThrow('was forced open');
    await app.close();
  });

  it('PL-07 CB-26 options of a class that comes later are refused by its answer, not by a throw', async () => {
    @Injectable()
    class Wrong {
      @CircuitBreaker({ failureThreshold: 0 })
      async call(): Promise<string> {
        return 'fine';
      }
      @CircuitBreaker({ failureThreshold: 0, returns: 'observable' })
      watch(): Observable<string> {
        return of('fine');
      }
    }
    const app = await startWith();
    const late = await app.get(ModuleRef).create(Wrong);

    await expect(late.call()).rejects.toThrow('"failureThreshold"');
    await expect(lastValueFrom(late.watch())).rejects.toThrow('"failureThreshold"');
    await app.close();
  });

  it('PL-02 circular providers', async () => {
    @Injectable()
    class Egg {
      constructor(@Inject(forwardRef(() => Hen)) readonly hen: { cluck(): Promise<string> }) {}
      @CircuitBreaker('egg')
      async hatch(): Promise<string> {
        return 'chick';
      }
    }
    @Injectable()
    class Hen {
      constructor(@Inject(forwardRef(() => Egg)) readonly egg: Egg) {}
      @CircuitBreaker('hen')
      async cluck(): Promise<string> {
        return this.egg.hatch();
      }
    }
    const app = await startWith(Egg, Hen);
    expect(await app.get(Egg).hen.cluck()).toBe('chick');
    expect(await app.get(Egg).hatch()).toBe('chick');
    expect(callsOf(app, 'hen')).toBe(1);
    expect(callsOf(app, 'egg')).toBe(2);
    await app.close();
  });
});

describe('values and factories', () => {
  it('PL-02 useValue', async () => {
    const payments = new PaymentsService();
    const app = await startWith({ provide: 'payments', useValue: payments });
    await payments.charge(1);
    expect(callsOf(app, 'charge')).toBe(1);
    await app.close();
    await payments.charge(2);
    expect(payments.charged).toBe(2);
  });

  it('PL-02 useFactory, synchronous', async () => {
    const app = await startWith({ provide: 'payments', useFactory: () => new PaymentsService() });
    await app.get<PaymentsService>('payments').charge(1);
    expect(callsOf(app, 'charge')).toBe(1);
    await app.close();
  });

  it('PL-02 useFactory, asynchronous, without init()', async () => {
    const testing = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot()],
      providers: [
        {
          provide: 'payments',
          useFactory: async () => {
            await new Promise((resolve) => setImmediate(resolve));
            return new PaymentsService();
          },
        },
      ],
    }).compile();
    await testing.get<PaymentsService>('payments').charge(1);
    expect(callsOf(testing, 'charge')).toBe(1);
    await testing.close();
  });

  it('PL-02 useFactory, request-scoped', async () => {
    const app = await startWith({
      provide: 'payments',
      scope: Scope.REQUEST,
      useFactory: () => new PaymentsService(),
    });
    const first = await app.resolve<PaymentsService>('payments', ContextIdFactory.create());
    const second = await app.resolve<PaymentsService>('payments', ContextIdFactory.create());
    expect(first).not.toBe(second);
    await first.charge(1);
    await second.charge(2);
    expect(callsOf(app, 'charge')).toBe(2);
    await app.close();
  });

  it('PL-02 useClass and useExisting', async () => {
    const app = await startWith(
      { provide: 'one', useClass: PaymentsService },
      { provide: 'same', useExisting: 'one' },
    );
    expect(app.get('same')).toBe(app.get('one'));
    await app.get<PaymentsService>('same').charge(1);
    expect(callsOf(app, 'charge')).toBe(1);
    await app.close();
  });

  it('PL-02 overrides of a TestingModule', async () => {
    const testing = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot()],
      providers: [
        { provide: 'payments', useValue: {} },
        { provide: 'billing', useValue: {} },
      ],
    })
      .overrideProvider('payments')
      .useClass(PaymentsService)
      .overrideProvider('billing')
      .useFactory({ factory: () => new PaymentsService() })
      .compile();
    await testing.get<PaymentsService>('payments').charge(1);
    await testing.get<PaymentsService>('billing').charge(1);
    expect(callsOf(testing, 'charge')).toBe(2);
    await testing.close();
  });

  it('PL-02 modules, which are providers too', async () => {
    @Module({})
    class StartingModule implements OnModuleInit {
      @CircuitBreaker('start')
      async onModuleInit(): Promise<void> {}
    }
    const testing = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot(), StartingModule],
    }).compile();
    const app = await testing.init();
    expect(callsOf(app, 'start')).toBe(1);
    await app.close();
  });
});

describe('inheritance', () => {
  abstract class Repository {
    abstract readonly table: string;

    @CircuitBreaker()
    async find(id: number): Promise<string> {
      return `${this.table} ${id}`;
    }

    @CircuitBreaker()
    async save(): Promise<string> {
      return `saved to ${this.table}`;
    }
  }

  @Injectable()
  class Orders extends Repository {
    readonly table = 'orders';

    @CircuitBreaker()
    override async save(): Promise<string> {
      return `${await super.save()}, audited`;
    }
  }

  @Injectable()
  class Users extends Repository {
    readonly table = 'users';

    override async save(): Promise<string> {
      return `${await super.save()}, unaudited`;
    }
  }

  it('PL-02 CB-23 methods inherited from an abstract class, with a state for each class', async () => {
    const app = await startWith(Orders, Users);
    expect(await app.get(Orders).find(1)).toBe('orders 1');
    expect(await app.get(Users).find(2)).toBe('users 2');
    expect(await app.get(Users).find(3)).toBe('users 3');
    expect(callsOf(app, 'Orders.find')).toBe(1);
    expect(callsOf(app, 'Users.find')).toBe(2);
    await app.close();
  });

  it('PL-02 super calls: each of the two methods once, with its own policies', async () => {
    const app = await startWith(Orders, Users);
    expect(await app.get(Orders).save()).toBe('saved to orders, audited');
    expect(callsOf(app, 'Orders.save')).toBe(1);
    expect(callsOf(app, 'Orders.save of Repository')).toBe(1);
    expect(await app.get(Users).save()).toBe('saved to users, unaudited');
    expect(callsOf(app, 'Users.save of Repository')).toBe(1);
    await app.close();
  });

  it('PL-02 an instance of the base class beside one of the derived', async () => {
    @Injectable()
    class Base {
      @CircuitBreaker()
      async name(): Promise<string> {
        return 'base';
      }
    }
    @Injectable()
    class Derived extends Base {}
    const app = await startWith(Base, Derived);
    await app.get(Base).name();
    await app.get(Derived).name();
    await app.get(Derived).name();
    expect(callsOf(app, 'Base.name')).toBe(1);
    expect(callsOf(app, 'Derived.name')).toBe(2);
    await app.close();
  });
});

describe('before the application is up', () => {
  it("PL-02 called from other modules' onModuleInit", async () => {
    const seen: string[] = [];
    @Module({ providers: [PaymentsService], exports: [PaymentsService] })
    class PaymentsModule {}
    @Module({ imports: [PaymentsModule] })
    class WarmUpModule implements OnModuleInit {
      constructor(private readonly payments: PaymentsService) {}
      async onModuleInit(): Promise<void> {
        seen.push(await this.payments.charge(1));
      }
    }
    @Module({ imports: [WarmUpModule, ResilienceModule.forRoot()] })
    class AppModule {}
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
    expect(seen).toEqual(['charged 1']);
    expect(callsOf(app, 'charge')).toBe(1);
    await app.close();
  });

  it('PL-02 called from async factories and constructors', async () => {
    @Injectable()
    class Eager {
      readonly answer: Promise<string>;
      constructor(payments: PaymentsService) {
        this.answer = payments.charge(2);
      }
    }
    const app = await startWith(PaymentsService, Eager, {
      provide: 'rates',
      inject: [PaymentsService],
      useFactory: async (payments: PaymentsService) => payments.charge(1),
    });
    expect(app.get('rates')).toBe('charged 1');
    expect(await app.get(Eager).answer).toBe('charged 2');
    expect(callsOf(app, 'charge')).toBe(2);
    await app.close();
  });

  it('PL-02 what a factory made before the module was up, called from another factory', async () => {
    @Global()
    @Module({
      providers: [
        {
          provide: 'early',
          useFactory: async () => {
            await new Promise((resolve) => setImmediate(resolve));
            return new PaymentsService();
          },
        },
        {
          provide: 'answer',
          inject: ['early'],
          useFactory: (payments: PaymentsService) => payments.charge(1),
        },
      ],
      exports: ['early'],
    })
    class EarlyModule {}
    @Module({ imports: [EarlyModule, ResilienceModule.forRoot()] })
    class AppModule {}
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
    expect(app.get('answer', { strict: false })).toBe('charged 1');
    expect(callsOf(app, 'charge')).toBe(1);
    await app.close();
  });

  it('PL-02 several decorators on one method are one pipeline', async () => {
    @Injectable()
    class Flaky {
      runs = 0;
      @Retry({ maxRetries: 2, baseDelay: 0, budget: false })
      @CircuitBreaker()
      async call(): Promise<number> {
        if (++this.runs < 3) throw new Error('flaky');
        return this.runs;
      }
    }
    const app = await startWith(Flaky);
    expect(await app.get(Flaky).call()).toBe(3);
    expect(callsOf(app, 'Flaky.call')).toBe(3);
    expect(app.get(ResilienceService).find('retry', 'Flaky.call')?.stats().totalCalls).toBe(1);
    await app.close();
  });
});
