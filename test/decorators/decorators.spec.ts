import 'reflect-metadata';
import {
  Body,
  Controller,
  Get,
  Header,
  HttpCode,
  Injectable,
  Param,
  ParseIntPipe,
  Post,
  Query,
  SetMetadata,
  UseGuards,
  DefaultValuePipe,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  Bulkhead,
  CallSignal,
  CircuitBreaker,
  Fallback,
  HealthProbe,
  InjectRateLimiter,
  RateLimit,
  ResilienceInterceptor,
  ResilienceModule,
  ResilienceService,
  Resilient,
  Retry,
  Timeout,
  configureUnmanaged,
} from 'nestjs-breakwater';
import { ManualClock } from 'nestjs-breakwater/testing';
import { listen, platforms, moduleOf } from '../e2e/platforms.js';

type Loose = (...args: unknown[]) => PropertyDecorator & MethodDecorator;
/** A decorator as JavaScript sees it. */
const loosely = (decorator: unknown): Loose => decorator as Loose;

async function start(...providers: NonNullable<Parameters<typeof moduleOf>[0]['providers']>) {
  return Test.createTestingModule({ imports: [ResilienceModule.forRoot()], providers }).compile();
}

describe('what cannot be protected', () => {
  const cases: readonly (readonly [string, () => unknown, string])[] = [
    [
      'a getter',
      () => {
        class Service {
          @(loosely(Retry)())
          get rate(): number {
            return 1;
          }
        }
        return Service;
      },
      '@Retry on Service.rate: this is a getter or setter. It protects asynchronous instance methods only.',
    ],
    [
      'a static method',
      () => {
        class Service {
          @(loosely(CircuitBreaker)())
          static async run(): Promise<void> {}
        }
        return Service;
      },
      '@CircuitBreaker on Service.run: a static method has no instance, so nobody can tell its application.',
    ],
    [
      'an arrow function in a property',
      () => {
        class Service {
          @(loosely(Timeout)('1s'))
          run = async () => undefined;
        }
        return Service;
      },
      '@Timeout on Service.run: this is a property; write it as a method, not as an arrow function.',
    ],
    [
      'a synchronous method, by its declared type',
      () => {
        class Service {
          @(loosely(Bulkhead)())
          add(a: number): number {
            return a;
          }
        }
        return Service;
      },
      '@Bulkhead on Service.add: it is synchronous, and a protected method returns a Promise or an Observable.',
    ],
    [
      'an async generator',
      () => {
        class Service {
          @(loosely(Fallback)(() => undefined))
          async *pages(): AsyncGenerator<number> {
            yield 1;
          }
        }
        return Service;
      },
      '@Fallback on Service.pages: generators are not supported yet.',
    ],
    [
      'a Symbol-named getter',
      () => {
        const key = Symbol('rate');
        class Service {
          @(loosely(Resilient)())
          get [key](): number {
            return 1;
          }
        }
        return Service;
      },
      '@Resilient on Service.Symbol(rate): this is a getter or setter.',
    ],
    [
      'two signals',
      () => {
        class Service {
          async run(@CallSignal() _a: AbortSignal, @CallSignal() _b: AbortSignal): Promise<void> {}
        }
        return Service;
      },
      '@CallSignal on Service.run: one parameter is enough.',
    ],
    [
      "a constructor's signal",
      () => {
        class Service {
          constructor(@CallSignal() readonly signal: AbortSignal) {}
        }
        return Service;
      },
      '@CallSignal belongs on a parameter of an instance method.',
    ],
  ];

  it('PL-07 decorators that the compiler takes for standard ones, saying what to set', () => {
    // What TypeScript emits without `experimentalDecorators`.
    const called = (decorator: unknown, kind: string, name: string) => () =>
      (decorator as (value: unknown, context: object) => void)(
        kind === 'field' ? undefined : () => undefined,
        { kind, name },
      );
    const method = called(Timeout('1s'), 'method', 'charge');
    const wholeClass = called(Timeout('1s'), 'class', 'Payments');
    const probe = called(HealthProbe({ kind: 'deep' }), 'method', 'ping');
    const field = called(InjectRateLimiter('api'), 'field', 'limit');

    expect(method).toThrow('@Timeout on the method charge: it was compiled as a standard decorator');
    expect(wholeClass).toThrow('@Timeout on the class Payments:');
    expect(probe).toThrow('@HealthProbe on the method ping:');
    expect(field).toThrow(
      '@InjectRateLimiter on the field limit: it was compiled as a standard decorator, which Nest cannot work with. Set "experimentalDecorators" and "emitDecoratorMetadata" to true in tsconfig.json.',
    );
  });

  it.each(cases)('%s throws at import, saying where and what', (_what, declare, message) => {
    expect(declare).toThrow(TypeError);
    expect(declare).toThrow(message);
  });
});

describe('PL-03 what others read of a method', () => {
  const Documented = (): MethodDecorator => SetMetadata('swagger/apiResponse', { 200: { type: String } });
  const Role = Reflector.createDecorator<string>();

  @Injectable()
  class RoleGuard implements CanActivate {
    constructor(private readonly reflector: Reflector) {}
    canActivate(context: ExecutionContext): boolean {
      const role = this.reflector.get(Role, context.getHandler());
      return (
        context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-role'] === role
      );
    }
  }

  @Controller('orders')
  class OrdersController {
    @Retry({ maxRetries: 0 })
    @Role('admin')
    @Get(':id')
    @UseGuards(RoleGuard)
    @Header('x-mine', 'yes')
    @CircuitBreaker()
    async find(
      @Param('id', ParseIntPipe) id: number,
      @Query('note', new DefaultValuePipe('none')) note: string,
    ): Promise<string> {
      return `${id} ${typeof id} ${note}`;
    }

    @Documented()
    @CircuitBreaker()
    @Post()
    @HttpCode(202)
    async place(@Body('sku') sku: string, _unused: unknown): Promise<string> {
      return sku;
    }
  }

  it('PL-03 name, length, metadata; the interceptor stands on each handler, once', () => {
    const { find, place } = OrdersController.prototype;
    expect([find.name, find.length, place.name, place.length]).toEqual(['find', 2, 'place', 2]);
    expect(Reflect.getMetadata('swagger/apiResponse', place)).toEqual({ 200: { type: String } });
    expect(Reflect.getMetadata('design:paramtypes', OrdersController.prototype, 'find')).toEqual([
      Number,
      String,
    ]);
    for (const handler of [find, place]) {
      expect(Reflect.getMetadata('__interceptors__', handler)).toEqual([ResilienceInterceptor]);
    }
    expect(Object.getOwnPropertyDescriptor(OrdersController.prototype, 'find')).toMatchObject({
      enumerable: false,
      configurable: true,
      writable: true,
    });
  });

  it.each(platforms)('PL-03 PL-13 param decorators, guards and pipes on %s', async (_platform, create) => {
    const app = await create(moduleOf({ controllers: [OrdersController] }));
    const url = await listen(app);
    const get = (path: string, role = 'admin') =>
      fetch(`${url}/orders/${path}`, { headers: { 'x-role': role } });
    const found = await get('7?note=hi');
    expect([found.status, found.headers.get('x-mine'), await found.text()]).toEqual([
      200,
      'yes',
      '7 number hi',
    ]);
    expect((await get('seven')).status).toBe(400);
    expect((await get('7', 'guest')).status).toBe(403);
    const placed = await fetch(`${url}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"sku":"A1"}',
    });
    expect([placed.status, await placed.text()]).toEqual([202, 'A1']);
    const { circuitBreakers } = app.get(ResilienceService).stats();
    expect(circuitBreakers['OrdersController.find']?.totalCalls).toBe(1);
    await app.close();
  });

  @Injectable()
  class Payments {
    readonly currency = 'EUR';
    @CircuitBreaker('spied')
    async charge(amount: number): Promise<string> {
      return `${amount} ${this.currency}`;
    }
  }

  it('PL-03 jest.spyOn on an instance', async () => {
    const app = await start(Payments);
    const payments = app.get(Payments);
    const spy = jest.spyOn(payments, 'charge');
    expect(await payments.charge(1)).toBe('1 EUR');
    expect(spy).toHaveBeenCalledWith(1);
    spy.mockResolvedValueOnce('mocked');
    expect(await payments.charge(2)).toBe('mocked');
    spy.mockRestore();
    expect(await payments.charge(3)).toBe('3 EUR');
    expect(app.get(ResilienceService).circuitBreaker('spied').stats().totalCalls).toBe(2);
    await app.close();
  });

  it('PL-03 jest.spyOn on the prototype', async () => {
    const app = await start(Payments);
    const spy = jest.spyOn(Payments.prototype, 'charge');
    expect(await app.get(Payments).charge(1)).toBe('1 EUR');
    expect(spy).toHaveBeenCalledTimes(1);
    spy.mockRestore();
    expect(app.get(ResilienceService).circuitBreaker('spied').stats().totalCalls).toBe(1);
    await app.close();
  });

  it('PL-05 keys, JSON and comparisons see nothing of ours', async () => {
    const app = await start(Payments, { provide: 'value', useValue: new Payments() });
    for (const payments of [app.get(Payments), app.get<Payments>('value')]) {
      await payments.charge(1);
      expect(Object.keys(payments)).toEqual(['currency']);
      expect(JSON.stringify(payments)).toBe('{"currency":"EUR"}');
      expect(payments).toEqual(new Payments());
      expect(payments).toStrictEqual(new Payments());
      expect(Object.assign({}, payments)).toEqual({ currency: 'EUR' });
      const seen: string[] = [];
      for (const key in payments) seen.push(key);
      expect(seen).toEqual(['currency']);
    }
    await app.close();
  });

  it('a copy of the wrapper on another object is a pass-through, and a proxy is not ours', async () => {
    const app = await start(Payments);
    const stranger = { currency: 'USD', charge: Payments.prototype.charge };
    expect(await stranger.charge(1)).toBe('1 USD');
    expect(app.get(ResilienceService).circuitBreaker('spied').stats().totalCalls).toBe(0);
    await app.close();
  });
});

describe('PL-12 arguments and signals', () => {
  const clock = new ManualClock();

  @Injectable()
  class Search {
    seen: unknown[] = [];

    @Retry('args', { maxRetries: 0 })
    @Timeout('1m')
    async plain(..._args: unknown[]): Promise<number> {
      this.seen = [...arguments];
      return arguments.length;
    }

    @Timeout('1s')
    async find(query: string, @CallSignal() signal?: AbortSignal, note?: string): Promise<string> {
      this.seen = [query, signal, note];
      if (query !== 'hang') return query;
      return new Promise<string>((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
      });
    }

    @CircuitBreaker()
    async unbounded(@CallSignal() signal?: AbortSignal): Promise<boolean | undefined> {
      return signal?.aborted;
    }
  }

  const startSearch = async () => {
    const app = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock })],
      providers: [Search],
    }).compile();
    return { app, search: app.get(Search) };
  };

  it('PL-12 a method that does not ask sees just what came', async () => {
    const { app, search } = await startSearch();
    expect(await search.plain()).toBe(0);
    const mine = new AbortController().signal;
    expect(await search.plain(1, undefined, mine, undefined)).toBe(4);
    expect(search.seen).toEqual([1, undefined, mine, undefined]);
    await app.close();
  });

  it('PL-12 the signal comes through its parameter; the others stay where they are', async () => {
    const { app, search } = await startSearch();
    expect(await search.find('one')).toBe('one');
    expect(search.seen).toEqual(['one', expect.any(AbortSignal), undefined]);
    await search.find('two', undefined, 'note');
    expect(search.seen).toEqual(['two', expect.any(AbortSignal), 'note']);
    expect(await search.unbounded()).toBe(false);
    await app.close();
  });

  it('PL-12 TO-04 it aborts when the attempt times out, with the error as reason', async () => {
    const { app, search } = await startSearch();
    const call = search.find('hang');
    call.catch(() => undefined);
    await clock.advance(1000);
    await expect(call).rejects.toThrow('took longer than the 1 s');
    const signal = search.seen[1] as AbortSignal;
    expect(signal.reason).toMatchObject({ code: 'TIMEOUT' });
    await app.close();
  });

  it("PL-12 the caller's own signal in that place is followed, and let go of", async () => {
    const { app, search } = await startSearch();
    const caller = new AbortController();
    const added = jest.spyOn(caller.signal, 'addEventListener');
    const removed = jest.spyOn(caller.signal, 'removeEventListener');
    expect(await search.find('quick', caller.signal)).toBe('quick');
    expect(removed).toHaveBeenCalledTimes(added.mock.calls.length);
    const call = search.find('hang', caller.signal);
    await clock.advance(0);
    const reason = new Error('changed my mind');
    caller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect((search.seen[1] as AbortSignal).reason).toBe(reason);
    await expect(search.find('late', caller.signal)).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
    await app.close();
  });
});

describe('PL-06 instances that no application made', () => {
  class Service {
    @CircuitBreaker({ initialState: 'forced-open' })
    async run(@CallSignal() signal?: AbortSignal): Promise<string> {
      return `ran ${typeof signal}`;
    }

    @RateLimit({ capacity: 1 })
    async other(): Promise<string> {
      return 'ran';
    }
  }

  afterEach(() => configureUnmanaged('passthrough'));

  it('PL-06 new Service() passes through', async () => {
    expect(await new Service().run()).toBe('ran undefined');
  });

  it('PL-06 warns once per method, where asked to', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    configureUnmanaged('warn');
    const service = new Service();
    await service.run();
    await service.run();
    await service.other();
    expect(warned.mock.calls.map(([message]) => message)).toEqual([
      'Service.run was called on an instance that no application with ResilienceModule made; its policies do not apply.',
      'Service.other was called on an instance that no application with ResilienceModule made; its policies do not apply.',
    ]);
    warned.mockRestore();
  });

  it('PL-06 throws, where asked to; even without any instance', async () => {
    configureUnmanaged('throw');
    await expect(async () => new Service().run()).rejects.toThrow('Service.run was called on an instance');
    const { run } = new Service();
    await expect(async () => run()).rejects.toThrow('Service.run was called on an instance');
  });
});
