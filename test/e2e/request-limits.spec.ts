import {
  Controller,
  Get,
  Inject,
  Injectable,
  UnauthorizedException,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import {
  CircuitBreaker,
  RateLimit,
  RateLimitGuard,
  ResilienceService,
  Resilient,
  Retry,
  byHeader,
  byIp,
  byTenant,
  byUser,
} from 'nestjs-breakwater';
import { ManualClock } from 'nestjs-breakwater/testing';
import { listen, moduleOf, platforms } from './platforms.js';

interface RequestLike {
  readonly headers: Readonly<Record<string, string | undefined>>;
  user?: unknown;
}

function requestOf(context: ExecutionContext): RequestLike {
  return context.switchToHttp().getRequest<RequestLike>();
}

@Injectable()
class AuthenticationGuard implements CanActivate {
  constructor(@Inject('seen') readonly seen: string[]) {}

  canActivate(context: ExecutionContext): boolean {
    const user = requestOf(context).headers['x-user'];
    this.seen.push(user ?? 'nobody');
    if (user === undefined) throw new UnauthorizedException();
    requestOf(context).user = { id: user };
    return true;
  }
}

/** As decorators for tracing or transactions do: a function of its own, with the metadata of the method. */
function Wrapped(): MethodDecorator {
  return (_target, _key, descriptor: PropertyDescriptor) => {
    const method = descriptor.value as (...args: unknown[]) => unknown;
    const wrapper = function (this: unknown, ...args: unknown[]) {
      return method.apply(this, args);
    };
    for (const key of Reflect.getMetadataKeys(method))
      Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapper);
    descriptor.value = wrapper;
  };
}

describe.each(platforms)('request-keyed limits on %s', (_platform, create) => {
  it('PL-02 RL-11 handlers that another decorator has wrapped', async () => {
    const limit = { limit: 1, window: '1m', by: () => 'all' } as const;
    @Controller()
    class WrappedController {
      @Wrapped()
      @Get('above')
      @RateLimit('above', limit)
      async above(): Promise<string> {
        return 'above';
      }
      @Get('between')
      @Wrapped()
      @RateLimit('between', limit)
      async between(): Promise<string> {
        return 'between';
      }
      @Wrapped()
      @Get('calls')
      @RateLimit('calls', { limit: 5, window: '1m' })
      async calls(): Promise<string> {
        return 'calls';
      }
    }
    class DerivedController extends WrappedController {}
    Controller('derived')(DerivedController);
    const app = await create(moduleOf({ controllers: [WrappedController, DerivedController] }));
    const url = await listen(app);
    for (const path of ['above', 'between']) {
      const statuses = [];
      for (const prefix of ['', '', 'derived/']) {
        statuses.push((await fetch(`${url}/${prefix}${path}`)).status);
      }
      expect([path, ...statuses]).toEqual([path, 200, 429, 429]);
    }
    expect((await fetch(`${url}/calls`)).headers.get('ratelimit')).toContain('r=4');
    await app.close();
  });

  @Controller()
  class SearchController {
    attempts = 0;

    @Get('search')
    @RateLimit('search', { limit: 2, window: '1m', by: byHeader('x-user') })
    async search(): Promise<string> {
      return 'hits';
    }

    @Get('skipping')
    @RateLimit({
      limit: 1,
      window: '1m',
      by: () => 'all',
      skip: (context) => requestOf(context).headers['x-user'] === 'admin',
    })
    async skipping(): Promise<string> {
      return 'hits';
    }

    @Get('retried')
    @RateLimit({ limit: 1, window: '1m', by: () => 'all' })
    @Retry({ maxRetries: 2, baseDelay: 0, budget: false })
    async retried(): Promise<string> {
      if (++this.attempts < 3) throw new Error('flaky');
      return 'third';
    }

    @Get('twice')
    @RateLimit('per-user', { limit: 5, window: '1m', by: byHeader('x-user') })
    @RateLimit('for-all', { limit: 1, window: '1m', by: () => 'all' })
    async twice(): Promise<string> {
      return 'hits';
    }

    @Get('both')
    @RateLimit('requests', { limit: 5, window: '10s', by: () => 'all' })
    @RateLimit('attempts', { capacity: 7, refillPerSecond: 0 })
    async both(): Promise<string> {
      return 'hits';
    }

    @Get('waiting')
    @RateLimit('patient', { capacity: 1, refillPerSecond: 1, maxWait: '5s', by: () => 'all' })
    async waiting(): Promise<string> {
      return 'hits';
    }

    @Get('configured')
    @RateLimit('configured')
    async configured(): Promise<string> {
      return 'hits';
    }

    @Get('partly')
    @RateLimit('partly', { limit: 1 })
    async partly(): Promise<string> {
      return 'hits';
    }
  }

  const start = async (providers: NonNullable<Parameters<typeof moduleOf>[0]['providers']> = []) => {
    const clock = new ManualClock();
    const options = {
      clock,
      rateLimiters: {
        configured: { limit: 1, window: '1m', by: byHeader('x-user') },
        partly: { window: '1m', by: byHeader('x-user') },
      },
    };
    const app = await create(moduleOf({ controllers: [SearchController], providers }, options));
    const url = await listen(app);
    const get = (path: string, user?: string) =>
      fetch(`${url}/${path}`, { headers: user === undefined ? {} : { 'x-user': user } });
    const statusOf = async (path: string, user?: string) => (await get(path, user)).status;
    return { app, clock, get, statusOf };
  };

  it('RL-11 a limit by header: each key its own, none without a key', async () => {
    const { app, get, statusOf } = await start();
    const first = await get('search', 'ann');
    expect(first.headers.get('ratelimit')).toBe('"search";r=1;t=62');
    expect([await statusOf('search', 'ann'), await statusOf('search', 'ann')]).toEqual([200, 429]);
    expect(await statusOf('search', 'bob')).toBe(200);
    expect([await statusOf('search'), await statusOf('search'), await statusOf('search')]).toEqual([
      200, 200, 200,
    ]);
    await app.close();
  });

  it('RL-11 RL-09 the refusal says which limit, and when to come back', async () => {
    const { app, clock, get } = await start();
    await get('search', 'ann');
    await get('search', 'ann');
    await clock.advance(1000);
    const refused = await get('search', 'ann');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '61']);
    expect(refused.headers.get('ratelimit')).toBe('"search";r=0;t=61');
    expect(await refused.json()).toMatchObject({
      statusCode: 429,
      code: 'RATE_LIMITED',
      policy: 'search',
    });
    await app.close();
  });

  it('RL-11 skip skips', async () => {
    const { app, statusOf } = await start();
    expect([await statusOf('skipping', 'admin'), await statusOf('skipping', 'admin')]).toEqual([200, 200]);
    expect([await statusOf('skipping', 'ann'), await statusOf('skipping', 'bob')]).toEqual([200, 429]);
    await app.close();
  });

  it('RL-11 once per request, however many attempts it takes', async () => {
    const { app, statusOf } = await start();
    expect(await statusOf('retried')).toBe(200);
    expect(app.get(SearchController).attempts).toBe(3);
    expect(app.get(ResilienceService).find('rateLimit', 'SearchController.retried')?.stats()).toMatchObject({
      totalAllowed: 1,
    });
    await app.close();
  });

  it('RL-02 what a second limit refuses does not count for the first', async () => {
    const { app, get, statusOf } = await start();
    expect((await get('twice', 'ann')).headers.get('ratelimit')).toBe(
      '"per-user";r=4;t=62, "for-all";r=0;t=62',
    );
    expect([await statusOf('twice', 'ann'), await statusOf('twice', 'ann')]).toEqual([429, 429]);
    expect(app.get(ResilienceService).find('rateLimit', 'per-user')?.stats().totalAllowed).toBe(1);
    await app.close();
  });

  it('RL-09 limits of requests and of calls stand side by side', async () => {
    const { app, get } = await start();
    expect((await get('both')).headers.get('ratelimit')).toBe('"requests";r=4;t=11, "attempts";r=6');
    await app.close();
  });

  it('RL-05 a request may wait for its turn', async () => {
    const { app, clock, statusOf } = await start();
    expect(await statusOf('waiting')).toBe(200);
    const second = statusOf('waiting');
    const limit = app.get(ResilienceService).rateLimiter('patient');
    while (limit.stats().waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(1000);
    expect(await second).toBe(200);
    await app.close();
  });

  it('RL-11 a limit that only its configuration keys by the request', async () => {
    const { app, statusOf } = await start();
    expect([await statusOf('configured', 'ann'), await statusOf('configured', 'ann')]).toEqual([200, 429]);
    expect(await statusOf('configured', 'bob')).toBe(200);
    expect([await statusOf('partly', 'ann'), await statusOf('partly', 'ann')]).toEqual([200, 429]);
    await app.close();
  });

  it('RL-11 a limit that only the defaults key by the request', async () => {
    @Controller()
    class ReportsController {
      @Get('reports')
      @RateLimit({ limit: 1 })
      async reports(): Promise<string> {
        return 'reports';
      }
    }
    const defaults = { rateLimit: { by: byHeader('x-user') } };
    const app = await create(moduleOf({ controllers: [ReportsController] }, { defaults }));
    const url = await listen(app);
    const as = async (user: string) =>
      (await fetch(`${url}/reports`, { headers: { 'x-user': user } })).status;
    expect([await as('ann'), await as('ann'), await as('bob')]).toEqual([200, 429, 200]);
    await app.close();
  });

  it('RL-11 as APP_GUARD before authentication it counts what that refuses, once per request', async () => {
    const seen: string[] = [];
    const { app, statusOf } = await start([
      { provide: 'seen', useValue: seen },
      { provide: APP_GUARD, useClass: RateLimitGuard },
      { provide: APP_GUARD, useClass: AuthenticationGuard },
    ]);
    expect([await statusOf('skipping'), await statusOf('skipping', 'ann')]).toEqual([401, 429]);
    // The second was refused before authentication saw it.
    expect(seen).toEqual(['nobody']);
    expect(app.get(ResilienceService).find('rateLimit', 'SearchController.skipping')?.stats()).toMatchObject({
      totalAllowed: 1,
      totalRejected: 1,
    });
    await app.close();
  });

  it('RL-11 a limit by user runs after the authentication that stands before it', async () => {
    @Controller()
    @UseGuards(AuthenticationGuard)
    class AccountController {
      @Get('account')
      @RateLimit({ limit: 1, window: '1m', by: byUser() })
      async account(): Promise<string> {
        return 'account';
      }
    }
    const app = await create(
      moduleOf({ controllers: [AccountController], providers: [{ provide: 'seen', useValue: [] }] }),
    );
    const url = await listen(app);
    const as = async (user: string) =>
      (await fetch(`${url}/account`, { headers: { 'x-user': user } })).status;
    expect([await as('ann'), await as('ann'), await as('bob')]).toEqual([200, 429, 200]);
    await app.close();
  });

  it('RL-11 PL-01 the limit comes after all guards of a handler, in whatever order they are written', async () => {
    const perUser = { limit: 1, window: '1m', by: byUser() } as const;
    class BaseController {
      @Get('inherited')
      @UseGuards(AuthenticationGuard)
      @Resilient()
      async inherited(): Promise<string> {
        return 'inherited';
      }
    }
    @RateLimit(perUser)
    @Controller()
    class AccountController extends BaseController {
      @UseGuards(AuthenticationGuard)
      @Get('above')
      @RateLimit(perUser)
      async above(): Promise<string> {
        return 'above';
      }
      @RateLimit(perUser)
      @Get('below')
      @UseGuards(AuthenticationGuard)
      async below(): Promise<string> {
        return 'below';
      }
      @Get('of-class')
      @UseGuards(AuthenticationGuard)
      @Resilient()
      async ofClass(): Promise<string> {
        return 'of-class';
      }
      @Wrapped()
      @Get('wrapped')
      @UseGuards(AuthenticationGuard)
      @Resilient()
      async wrapped(): Promise<string> {
        return 'wrapped';
      }
    }
    @Controller('derived')
    class DerivedController extends AccountController {
      @Get('own')
      @UseGuards(AuthenticationGuard)
      @Resilient()
      async own(): Promise<string> {
        return 'own';
      }
    }
    const providers = [{ provide: 'seen', useValue: [] }];
    // In a second application too, which finds what the first one has put right.
    for (const controllers of [[AccountController], [DerivedController, AccountController]]) {
      const app = await create(moduleOf({ controllers, providers }));
      const url = await listen(app);
      const as = async (path: string, user: string) =>
        (await fetch(`${url}/${path}`, { headers: { 'x-user': user } })).status;
      const paths = ['above', 'below', 'of-class', 'wrapped', 'inherited'];
      if (controllers.length > 1) paths.push('derived/own', 'derived/inherited', 'derived/above');
      for (const path of paths) {
        const statuses = [await as(path, 'ann'), await as(path, 'ann'), await as(path, 'bob')];
        expect([path, ...statuses]).toEqual([path, 200, 429, 200]);
      }
      await app.close();
    }
  });

  it('RL-11 a limit whose key the guards of the handler find is counted behind them, beside a global guard too', async () => {
    @Controller()
    class AccountController {
      @Get('account')
      @UseGuards(AuthenticationGuard)
      @RateLimit('per-user', { limit: 1, window: '1m', by: byUser() })
      @RateLimit('per-address', { limit: 6, window: '1m', by: byIp() })
      async account(): Promise<string> {
        return 'account';
      }

      @Get('own')
      @UseGuards(AuthenticationGuard)
      @RateLimit({
        limit: 1,
        window: '1m',
        by: (context) => (requestOf(context).user as { id: string } | undefined)?.id,
      })
      async own(): Promise<string> {
        return 'own';
      }

      @Get('open')
      @RateLimit({ limit: 1, window: '1m', by: byUser() })
      async open(): Promise<string> {
        return 'open';
      }
    }
    const app = await create(
      moduleOf({
        controllers: [AccountController],
        providers: [
          { provide: 'seen', useValue: [] },
          { provide: APP_GUARD, useClass: RateLimitGuard },
        ],
      }),
    );
    const url = await listen(app);
    const get = (path: string, headers: Record<string, string> = {}) => fetch(`${url}/${path}`, { headers });
    const as = async (path: string, user: string) => (await get(path, { 'x-user': user })).status;

    const first = await get('account', { 'x-user': 'ann' });
    expect([first.status, first.headers.get('ratelimit')]).toEqual([
      200,
      expect.stringMatching(/"per-address";r=5;.*"per-user";r=0;/),
    ]);
    expect([await as('account', 'ann'), await as('account', 'bob')]).toEqual([429, 200]);
    expect([await as('own', 'ann'), await as('own', 'ann'), await as('own', 'bob')]).toEqual([200, 429, 200]);
    // What authentication refuses has been counted by address; nobody needs a user for that.
    const refused = [];
    for (let i = 0; i < 4; i++) refused.push((await get('account')).status);
    expect(refused).toEqual([401, 401, 401, 429]);
    // Where nobody authenticates, the address stands for the user.
    expect([(await get('open')).status, (await get('open')).status]).toEqual([200, 429]);
    await app.close();
  });

  it('RL-11 a guard of ours that a user writes stays where it was written', async () => {
    const seen: string[] = [];
    @Controller()
    class LoginController {
      @Get('login')
      @UseGuards(RateLimitGuard, AuthenticationGuard)
      @RateLimit({ limit: 1, window: '1m', by: () => 'all' })
      async login(): Promise<string> {
        return 'in';
      }
    }
    const app = await create(
      moduleOf({ controllers: [LoginController], providers: [{ provide: 'seen', useValue: seen }] }),
    );
    const url = await listen(app);
    expect([(await fetch(`${url}/login`)).status, (await fetch(`${url}/login`)).status]).toEqual([401, 429]);
    expect(seen).toEqual(['nobody']);
    await app.close();
  });

  it('RL-11 by address and by tenant; a class-level limit, and guards that refuse', async () => {
    @Controller()
    @RateLimit({ limit: 1, window: '1m', by: byTenant() })
    class TenantController {
      @Get('tenant')
      @Resilient()
      async tenant(): Promise<string> {
        return 'tenant';
      }

      @Get('unmarked')
      unmarked(): string {
        return 'unmarked';
      }

      @Get('address')
      @RateLimit({ limit: 1, window: '1m', by: byIp({ trustedProxies: 1 }) })
      @CircuitBreaker()
      async address(): Promise<string> {
        return 'address';
      }
    }
    const app = await create(moduleOf({ controllers: [TenantController] }));
    const url = await listen(app);
    const get = async (path: string, headers: Record<string, string>) =>
      (await fetch(`${url}/${path}`, { headers })).status;
    expect(await get('tenant', { 'x-tenant-id': 'acme' })).toBe(200);
    expect(await get('tenant', { 'x-tenant-id': 'acme' })).toBe(429);
    expect(await get('tenant', { 'x-tenant-id': 'other' })).toBe(200);
    expect(await get('unmarked', { 'x-tenant-id': 'acme' })).toBe(200);
    expect(await get('unmarked', { 'x-tenant-id': 'acme' })).toBe(200);
    expect(await get('address', { 'x-forwarded-for': '6.6.6.6, 2001:db8:1:2::7' })).toBe(200);
    // Another host of the same IPv6 network, behind another forged hop.
    expect(await get('address', { 'x-forwarded-for': '7.7.7.7, 2001:db8:1:2::8' })).toBe(429);
    expect(await get('address', { 'x-forwarded-for': '2001:db8:1:3::7' })).toBe(200);
    expect(
      app.get(ResilienceService).find('circuitBreaker', 'TenantController.address')?.stats(),
    ).toMatchObject({ totalCalls: 2 });
    await app.close();
  });

  it('PL-01 describe() shows limits of requests outside everything', async () => {
    const { app } = await start();
    const lines = app.get(ResilienceService).describe(SearchController, 'retried').split('\n');
    expect(lines[0]).toBe('SearchController.retried');
    expect(lines[1]).toContain(
      '(guard) rateLimit  "SearchController.retried": sliding-window: 1 in 1 min per key',
    );
    expect(lines[2]).toContain('retry');
    await app.close();
  });
});
