import {
  Catch,
  Controller,
  Get,
  HttpException,
  Injectable,
  NotFoundException,
  Post,
  Res,
  Sse,
  UseInterceptors,
  type ArgumentsHost,
  type ExceptionFilter,
  type ExecutionContext,
} from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import {
  Bulkhead,
  BulkheadInterceptor,
  CircuitBreaker,
  CircuitBreakerInterceptor,
  Fallback,
  FallbackInterceptor,
  RateLimit,
  RateLimitInterceptor,
  ResilienceInterceptor,
  ResilienceService,
  RetryInterceptor,
  Timeout,
  TimeoutInterceptor,
  type ErrorBody,
} from 'nestjs-breakwater';
import { ManualClock } from 'nestjs-breakwater/testing';
import { interval, map, of, take, type Observable } from 'rxjs';
import { deferred } from '../policies/deferred.js';
import { listen, moduleOf, platforms } from './platforms.js';

function down(): Promise<never> {
  return Promise.reject(new Error('down'));
}

async function answerOf(url: string): Promise<[number, string | null, ErrorBody]> {
  const response = await fetch(url);
  return [response.status, response.headers.get('retry-after'), (await response.json()) as ErrorBody];
}

describe.each(platforms)('errors of policies over HTTP, on %s', (_platform, create) => {
  @Controller()
  class DecoratedController {
    readonly entered = deferred<void>();

    @Get('open')
    @CircuitBreaker('open', { initialState: 'open', openDuration: '1500ms' })
    async open(): Promise<string> {
      return 'fine';
    }

    @Get('full')
    @Bulkhead('closed', { maxConcurrent: 0 })
    async full(): Promise<string> {
      return 'fine';
    }

    @Get('limited')
    @RateLimit('scarce', { capacity: 1, refillPerSecond: 0.4 })
    async limited(): Promise<string> {
      return 'fine';
    }

    @Get('slow')
    @Timeout('2s', { name: 'patience' })
    async slow(): Promise<never> {
      this.entered.resolve();
      return new Promise<never>(() => undefined);
    }

    @Get('exhausted')
    @Fallback(() => down())
    async exhausted(): Promise<string> {
      return down();
    }

    @Get('missing')
    @CircuitBreaker({ failureThreshold: 1 })
    async missing(): Promise<string> {
      throw new NotFoundException('No such order');
    }
  }

  const cases: readonly (readonly [string, number, string, string, string, number | undefined])[] = [
    ['open', 503, 'Service Unavailable', 'CIRCUIT_OPEN', 'open', 1500],
    ['full', 503, 'Service Unavailable', 'BULKHEAD_FULL', 'closed', undefined],
    [
      'exhausted',
      503,
      'Service Unavailable',
      'FALLBACK_EXHAUSTED',
      'DecoratedController.exhausted',
      undefined,
    ],
  ];

  it.each(cases)('RL-09 GET /%s answers %i', async (path, status, error, code, policy, retryAfterMs) => {
    const app = await create(moduleOf({ controllers: [DecoratedController] }, { clock: new ManualClock() }));
    const url = await listen(app);
    const [got, retryAfter, body] = await answerOf(`${url}/${path}`);
    expect([got, retryAfter]).toEqual([status, retryAfterMs === undefined ? null : '2']);
    expect(body).toEqual({
      statusCode: status,
      error,
      message: expect.stringContaining(policy),
      code,
      policy,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
    await app.close();
  });

  it('RL-09 a used-up limit answers 429, with Retry-After rounded up and the limit', async () => {
    const app = await create(moduleOf({ controllers: [DecoratedController] }, { clock: new ManualClock() }));
    const url = await listen(app);
    const first = await fetch(`${url}/limited`);
    expect([first.status, first.headers.get('ratelimit')]).toEqual([200, '"scarce";r=0;t=3']);
    const refused = await fetch(`${url}/limited`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '3']);
    expect(refused.headers.get('ratelimit')).toBe('"scarce";r=0;t=3');
    expect(refused.headers.get('ratelimit-policy')).toBe('"scarce";q=1;w=3');
    expect(await refused.json()).toMatchObject({
      code: 'RATE_LIMITED',
      policy: 'scarce',
      retryAfterMs: 2500,
    });
    await app.close();
  });

  it('a timeout answers 504', async () => {
    const clock = new ManualClock();
    const app = await create(moduleOf({ controllers: [DecoratedController] }, { clock }));
    const url = await listen(app);
    const answer = answerOf(`${url}/slow`);
    await app.get(DecoratedController).entered.promise;
    await clock.advance(2000);
    const [status, retryAfter, body] = await answer;
    expect([status, retryAfter]).toEqual([504, null]);
    expect(body).toMatchObject({ error: 'Gateway Timeout', code: 'TIMEOUT', policy: 'patience' });
    await app.close();
  });

  it("the method's own error stays what it is", async () => {
    const app = await create(moduleOf({ controllers: [DecoratedController] }));
    const url = await listen(app);
    for (let call = 0; call < 2; call++) {
      const response = await fetch(`${url}/missing`);
      expect([response.status, await response.json()]).toEqual([
        404,
        { statusCode: 404, error: 'Not Found', message: 'No such order' },
      ]);
    }
    await app.close();
  });

  @Injectable()
  class Gateway {
    @CircuitBreaker('gateway', { initialState: 'open', openDuration: '30s' })
    async charge(): Promise<string> {
      return 'charged';
    }
  }
  @Controller()
  class PlainController {
    constructor(readonly gateway: Gateway) {}

    @Get('charge')
    async charge(): Promise<string> {
      return this.gateway.charge();
    }

    @Get('plain')
    plain(): string {
      throw new Error('secret');
    }
  }

  it('a plain controller over a decorated service answers the same', async () => {
    const app = await create(
      moduleOf({ controllers: [PlainController], providers: [Gateway] }, { clock: new ManualClock() }),
    );
    const url = await listen(app);
    const [status, retryAfter, body] = await answerOf(`${url}/charge`);
    expect([status, retryAfter]).toEqual([503, '30']);
    expect(body).toMatchObject({ code: 'CIRCUIT_OPEN', policy: 'gateway', retryAfterMs: 30_000 });
    const other = await fetch(`${url}/plain`);
    expect([other.status, await other.json()]).toEqual([
      500,
      { statusCode: 500, message: 'Internal server error' },
    ]);
    await app.close();
  });

  it('http.translateErrors: false leaves errors alone', async () => {
    const app = await create(
      moduleOf(
        { controllers: [PlainController, DecoratedController], providers: [Gateway] },
        { http: { translateErrors: false } },
      ),
    );
    const url = await listen(app);
    for (const path of ['charge', 'open']) {
      const response = await fetch(`${url}/${path}`);
      expect([response.status, response.headers.get('retry-after')]).toEqual([500, null]);
      expect(await response.json()).toEqual({ statusCode: 500, message: 'Internal server error' });
    }
    await app.close();
  });

  it("an application's own filter for all errors sees Nest's kind from a decorated handler", async () => {
    const seen: unknown[] = [];
    @Catch()
    class CatchAll implements ExceptionFilter {
      catch(error: unknown, host: ArgumentsHost): void {
        seen.push(error);
        const response = host
          .switchToHttp()
          .getResponse<{ status(code: number): { send(body: string): void } }>();
        response.status(error instanceof HttpException ? error.getStatus() : 500).send('mine');
      }
    }
    const app = await create(
      moduleOf({
        controllers: [DecoratedController],
        providers: [{ provide: APP_FILTER, useClass: CatchAll }],
      }),
    );
    const response = await fetch(`${await listen(app)}/open`);
    expect([response.status, await response.text()]).toEqual([503, 'mine']);
    expect((seen[0] as Error).cause).toMatchObject({ code: 'CIRCUIT_OPEN' });
    await app.close();
  });
});

describe.each(platforms)('rate-limit headers on %s', (_platform, create) => {
  @Controller()
  class SearchController {
    @Get('search')
    @RateLimit('search', { limit: 3, window: '10s' })
    async search(): Promise<string> {
      return 'hits';
    }

    @Get('tenants')
    @RateLimit({ limit: 3, window: '10s', key: () => 'acme' })
    async perTenant(): Promise<string> {
      return 'hits';
    }

    @Get('manual')
    @RateLimit('manual', { limit: 3 })
    async manual(@Res() response: { send(body: string): void }): Promise<void> {
      response.send('sent by hand');
    }

    @Sse('events')
    @RateLimit('events', { limit: 3, returns: 'observable' })
    events(): Observable<{ data: string }> {
      return interval(0).pipe(
        take(3),
        map((count) => ({ data: `tick ${count}` })),
      );
    }
  }

  const ietf = { ratelimit: '"search";r=2;t=11', 'ratelimit-policy': '"search";q=3;w=10' };
  const legacy = { 'x-ratelimit-limit': '3', 'x-ratelimit-remaining': '2', 'x-ratelimit-reset': '11' };

  it.each([
    ['standard', ietf],
    ['legacy', legacy],
    ['both', { ...ietf, ...legacy }],
    ['none', {}],
  ] as const)('RL-09 %s', async (rateLimitHeaders, expected) => {
    const app = await create(
      moduleOf({ controllers: [SearchController] }, { clock: new ManualClock(), http: { rateLimitHeaders } }),
    );
    const response = await fetch(`${await listen(app)}/search`);
    const headers = [...response.headers].filter(([name]) => name.includes('ratelimit'));
    expect(Object.fromEntries(headers)).toEqual(expected);
    await app.close();
  });

  it("RL-09 a limit per key says nothing where the call's key is not known", async () => {
    const app = await create(moduleOf({ controllers: [SearchController] }));
    const response = await fetch(`${await listen(app)}/tenants`);
    expect([response.status, response.headers.get('ratelimit')]).toEqual([200, null]);
    await app.close();
  });

  it('RL-09 an answer that has begun gets no more headers', async () => {
    const app = await create(moduleOf({ controllers: [SearchController] }));
    const url = await listen(app);
    expect(await (await fetch(`${url}/manual`)).text()).toBe('sent by hand');
    expect(await (await fetch(`${url}/events`)).text()).toContain('data: tick 2');
    await app.close();
  });
});

describe.each(platforms)('interceptors that apply policies, on %s', (_platform, create) => {
  @Controller()
  class ReportsController {
    runs = 0;
    receipts = 0;
    readonly entered = deferred<void>();

    @Get('breaker')
    @UseInterceptors(CircuitBreakerInterceptor.for({ failureThreshold: 1, openDuration: '5s' }))
    async breaker(): Promise<string> {
      return down();
    }

    @Get('retry')
    @UseInterceptors(RetryInterceptor.for({ maxRetries: 2, baseDelay: 0, budget: false }))
    async retry(): Promise<string> {
      return ++this.runs < 3 ? down() : 'third';
    }

    @Get('bulkhead')
    @UseInterceptors(BulkheadInterceptor.for({ maxConcurrent: 0 }))
    async bulkhead(): Promise<string> {
      return 'fine';
    }

    @Get('limit')
    @UseInterceptors(RateLimitInterceptor.for({ limit: 1, window: '1m' }))
    async limit(): Promise<string> {
      return 'fine';
    }

    @Get('timeout')
    @UseInterceptors(TimeoutInterceptor.for('2s'))
    async timeout(): Promise<string> {
      this.entered.resolve();
      return new Promise<never>(() => undefined);
    }

    @Get('fallback')
    @UseInterceptors(FallbackInterceptor.for(() => 'cached'))
    async fallback(): Promise<string> {
      return down();
    }

    @Get('all')
    @UseInterceptors(
      ResilienceInterceptor.for({
        retry: { maxRetries: 1, baseDelay: 0, budget: false },
        circuitBreaker: 'reports',
        fallback: () => 'stale',
      }),
    )
    async all(): Promise<string> {
      return down();
    }

    @Post('orders')
    @UseInterceptors(
      ResilienceInterceptor.for({
        idempotency: {
          key: ({ args: [context] }) =>
            (context as ExecutionContext)
              .switchToHttp()
              .getRequest<{ headers: Record<string, string | undefined> }>().headers['idempotency-key'],
        },
      }),
    )
    async orders(): Promise<string> {
      return `receipt ${++this.receipts}`;
    }

    @Get('values')
    @UseInterceptors(TimeoutInterceptor.for('2s'))
    values(): Observable<string> {
      return of('first', 'last');
    }

    @Post('sync')
    @UseInterceptors(CircuitBreakerInterceptor.for())
    sync(): string {
      return 'sync';
    }
  }

  const start = async (clock = new ManualClock()) => {
    const app = await create(moduleOf({ controllers: [ReportsController] }, { clock }));
    return { app, clock, url: await listen(app) };
  };

  it('circuit breaker, named after the handler', async () => {
    const { app, url } = await start();
    expect((await fetch(`${url}/breaker`)).status).toBe(500);
    const [status, retryAfter, body] = await answerOf(`${url}/breaker`);
    expect([status, retryAfter, body.policy]).toEqual([503, '5', 'ReportsController.breaker']);
    await app.close();
  });

  it('retry', async () => {
    const { app, url } = await start();
    expect(await (await fetch(`${url}/retry`)).text()).toBe('third');
    expect(app.get(ReportsController).runs).toBe(3);
    await app.close();
  });

  it('bulkhead', async () => {
    const { app, url } = await start();
    expect((await answerOf(`${url}/bulkhead`))[2]).toMatchObject({ statusCode: 503, code: 'BULKHEAD_FULL' });
    await app.close();
  });

  it('RL-09 rate limit, with its headers', async () => {
    const { app, url } = await start();
    const allowed = await fetch(`${url}/limit`);
    expect([allowed.status, allowed.headers.get('ratelimit')]).toEqual([
      200,
      '"ReportsController.limit";r=0;t=62',
    ]);
    expect((await answerOf(`${url}/limit`)).slice(0, 2)).toEqual([429, '62']);
    await app.close();
  });

  it('timeout', async () => {
    const { app, clock, url } = await start();
    const answer = answerOf(`${url}/timeout`);
    await app.get(ReportsController).entered.promise;
    await clock.advance(2000);
    expect((await answer)[0]).toBe(504);
    await app.close();
  });

  it('FB-07 fallback, which marks the answer', async () => {
    const { app, url } = await start();
    const response = await fetch(`${url}/fallback`);
    expect([response.status, await response.text()]).toEqual([200, 'cached']);
    expect([response.headers.get('x-degraded-mode'), response.headers.get('x-degraded-level')]).toEqual([
      'true',
      'default',
    ]);
    await app.close();
  });

  it('several in one', async () => {
    const { app, url } = await start();
    expect(await (await fetch(`${url}/all`)).text()).toBe('stale');
    expect(app.get(ResilienceService).find('circuitBreaker', 'reports')?.stats().totalFailures).toBe(2);
    await app.close();
  });

  it('ID-01 ID-03 idempotency, which compares requests by method, URL and body', async () => {
    const { app, url } = await start();
    const order = async (path: string, body: unknown) => {
      const headers = { 'content-type': 'application/json', 'idempotency-key': 'k1' };
      const response = await fetch(`${url}/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
      return [response.status, await response.text()];
    };

    expect(await order('orders?to=a', { sku: 'a', count: 1 })).toEqual([201, 'receipt 1']);
    expect(await order('orders?to=a', { count: 1, sku: 'a' })).toEqual([201, 'receipt 1']);
    expect((await order('orders?to=a', { sku: 'a', count: 2 }))[0]).toBe(422);
    expect((await order('orders?to=b', { sku: 'a', count: 1 }))[0]).toBe(422);
    await app.close();
  });

  it('handlers that return values, or an observable', async () => {
    const { app, url } = await start();
    expect(await (await fetch(`${url}/values`)).text()).toBe('last');
    const response = await fetch(`${url}/sync`, { method: 'POST' });
    expect([response.status, await response.text()]).toEqual([201, 'sync']);
    await app.close();
  });

  it('as APP_INTERCEPTOR: for every handler, each with a state of its own', async () => {
    @Controller()
    class TwoController {
      @Get('one')
      async one(): Promise<string> {
        return down();
      }
      @Get('two')
      async two(): Promise<string> {
        return 'two';
      }
    }
    const everywhere = CircuitBreakerInterceptor.for({ failureThreshold: 1 });
    const app = await create(
      moduleOf({
        controllers: [TwoController],
        providers: [{ provide: APP_INTERCEPTOR, useClass: everywhere }],
      }),
    );
    const url = await listen(app);
    expect((await fetch(`${url}/one`)).status).toBe(500);
    expect((await fetch(`${url}/one`)).status).toBe(503);
    expect((await fetch(`${url}/two`)).status).toBe(200);
    await app.close();
  });

  it('RL-11 a request-keyed limit in an interceptor counts by its key', async () => {
    @Controller()
    class KeyedController {
      @Get()
      @UseInterceptors(
        RateLimitInterceptor.for({
          limit: 1,
          by: (context) =>
            context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-user'],
        }),
      )
      async get(): Promise<string> {
        return 'fine';
      }
    }
    const app = await create(moduleOf({ controllers: [KeyedController] }));
    const url = await listen(app);
    const as = async (user: string) => (await fetch(url, { headers: { 'x-user': user } })).status;
    expect([await as('ann'), await as('ann'), await as('bob')]).toEqual([200, 429, 200]);
    await app.close();
  });
});
