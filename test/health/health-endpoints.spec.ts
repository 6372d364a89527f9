import 'reflect-metadata';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  SetMetadata,
  UnauthorizedException,
  VersioningType,
  type CanActivate,
  type DynamicModule,
  type ExecutionContext,
  type INestApplication,
  type Provider,
  type Type,
  type VersioningOptions,
} from '@nestjs/common';
import { APP_GUARD, Reflector } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { HealthCheckService } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import {
  CircuitBreaker,
  CircuitBreakerHealthIndicator,
  DrainingService,
  HealthProbe,
  ReadinessHealthIndicator,
  ResilienceHealthModule,
  ResilienceModule,
  ResilienceService,
  heapCheck,
  type GivenProbe,
  type ResilienceHealthOptions,
} from '../../lib/index.js';
import { ManualClock } from '../../lib/testing/index.js';

@Injectable()
class Dependencies {
  database: () => unknown = () => undefined;
  search: () => unknown = () => undefined;
  checks = 0;

  @HealthProbe({ kind: 'readiness', name: 'database', interval: '5s', graceFailures: 2 })
  pingDatabase() {
    this.checks++;
    return this.database();
  }

  @HealthProbe({ kind: 'readiness', name: 'search', critical: false, graceFailures: 1 })
  pingSearch() {
    return this.search();
  }

  @HealthProbe({ kind: 'deep', name: 'replica', graceFailures: 1 })
  async pingReplica() {
    return { lagMs: 12 };
  }

  @CircuitBreaker('payments')
  async charge() {
    return 'charged';
  }
}

/** A field of an answer, however deep. */
function at(answer: unknown, ...path: string[]): unknown {
  return path.reduce((value, name) => (value as Record<string, unknown> | undefined)?.[name], answer);
}

const down = () => {
  throw new Error('connection refused');
};

describe.each(['Express', 'Fastify'])('health endpoints on %s', (platform) => {
  const clock = new ManualClock();
  let app: INestApplication;
  let url: string;

  async function start(
    health: DynamicModule = ResilienceHealthModule.register(),
    controllers: Type[] = [],
    prepare: (dependencies: Dependencies) => void = () => undefined,
    more: Provider[] = [],
  ) {
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock }), health],
      providers: [Dependencies, ...more],
      controllers,
    }).compile();
    app =
      platform === 'Express'
        ? module.createNestApplication()
        : module.createNestApplication(new FastifyAdapter());
    prepare(app.get(Dependencies));
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    await clock.advance(0);
  }

  async function get(path: string) {
    const response = await fetch(`${url}${path}`);
    return {
      status: response.status,
      body: (await response.json()) as object,
      headers: response.headers,
    };
  }

  afterEach(() => app.close());

  it('HL-01 liveness speaks of the process alone: a dead dependency does not kill it', async () => {
    await start(undefined, [], (dependencies) => (dependencies.database = down));
    await clock.advance(30_000);

    const { status, body, headers } = await get('/health/live');

    expect(status).toBe(200);
    expect(at(body, 'details')).toEqual({
      process: {
        status: 'up',
        eventLoopDelayMs: expect.any(Number),
        heapPercent: expect.any(Number),
        uptimeSeconds: expect.any(Number),
      },
    });
    expect(headers.get('cache-control')).toContain('no-store');
  });

  it('HL-02 readiness is starting (503) before the first result, while liveness is up', async () => {
    await start(
      undefined,
      [],
      (dependencies) => (dependencies.database = () => new Promise(() => undefined)),
    );

    const ready = await get('/health/ready');

    expect(ready.status).toBe(503);
    expect(at(ready.body, 'error', 'database')).toMatchObject({ status: 'down', probeStatus: 'starting' });
    expect((await get('/health/live')).status).toBe(200);
  });

  it('HL-02 readiness falls after graceFailures results, and comes back with one', async () => {
    await start();
    const dependencies = app.get(Dependencies);
    const statuses = [(await get('/health/ready')).status];

    dependencies.database = down;
    await clock.advance(5_000);
    statuses.push((await get('/health/ready')).status);
    await clock.advance(5_000);
    statuses.push((await get('/health/ready')).status);
    dependencies.database = () => undefined;
    await clock.advance(5_000);
    statuses.push((await get('/health/ready')).status);

    expect(statuses).toEqual([200, 200, 503, 200]);
  });

  it('HL-02 startup is 503 until readiness knows of all that it needs, and 200 from then on, well or not', async () => {
    let answer = (_works: boolean) => {};
    const first = new Promise<boolean>((resolve) => (answer = resolve));
    await start(undefined, [], (dependencies) => (dependencies.database = () => first));
    expect((await get('/health/startup')).status).toBe(503);

    answer(false);
    await clock.advance(0);

    expect((await get('/health/startup')).status).toBe(200);
    await clock.advance(60_000);
    expect((await get('/health/ready')).status).toBe(503);
    expect((await get('/health/startup')).status).toBe(200);
  });

  it('HL-02 whatever a healthy probe returns, it is shown, and the answer is 200', async () => {
    const ring: Record<string, unknown> = { status: 'ok' };
    ring['self'] = ring;
    const check = () => ({
      rows: [{ n: 1n }],
      ring,
      at: new Date(0),
      url: new URL('http://geo.local/ping'),
      pools: new Map([['eu', new Set([1, Number.NaN, undefined])]]),
      body: Buffer.from('four'),
      cause: new TypeError('reset'),
      send: () => undefined,
      get broken(): never {
        throw new Error('no');
      },
    });
    const probes = [
      { kind: 'readiness', name: 'rows', check: () => [{ n: 1n }] },
      { kind: 'readiness', name: 'ring', check: () => ring },
      { kind: 'readiness', name: 'many', check },
      { kind: 'readiness', name: 'since', check: () => new Date(0) },
      { kind: 'readiness', name: 'broken', check: () => ({ toJSON: down }) },
    ] as const;
    await start(ResilienceHealthModule.register({ probes }));

    const { status, body } = await get('/health/ready');

    expect(status).toBe(200);
    const details = (name: string) => at(body, 'details', name, 'details');
    expect(details('rows')).toEqual([{ n: '1' }]);
    expect(details('ring')).toEqual({ status: 'ok', self: '…' });
    expect(details('many')).toEqual({
      rows: [{ n: '1' }],
      ring: { status: 'ok', self: '…' },
      at: '1970-01-01T00:00:00.000Z',
      url: 'http://geo.local/ping',
      pools: { eu: [1, null, null] },
      body: '4 bytes',
      cause: 'TypeError: reset',
      broken: null,
    });
    expect([details('since'), details('broken')]).toEqual(['1970-01-01T00:00:00.000Z', null]);
    expect((await get('/health')).status).toBe(200);
  });

  it('HL-03 a health answer is never "not modified"', async () => {
    await start();
    const { headers } = await get('/health/ready');
    const again = await fetch(`${url}/health/ready`, {
      headers: { 'if-none-match': headers.get('etag') ?? '*', 'cache-control': 'max-age=60' },
    });
    expect(again.status).toBe(200);
    expect(await again.json()).toMatchObject({ status: 'ok' });
  });

  it('HL-03 probes may be given to register(), with ready-made checks', async () => {
    let works = false;
    const probes = [
      { kind: 'readiness', name: 'mail', graceFailures: 1, check: () => works },
      { kind: 'liveness', name: 'heap', check: heapCheck(100) },
    ] as const;
    await start(ResilienceHealthModule.register({ probes }));
    expect(at((await get('/health/ready')).body, 'error', 'mail', 'status')).toBe('down');
    works = true;
    await clock.advance(5_000);
    expect(at((await get('/health/ready')).body, 'details', 'mail', 'status')).toBe('up');
    expect(at((await get('/health/live')).body, 'details', 'heap', 'status')).toBe('up');
  });

  it('HL-03 a probe of a base class is one of each class that has it, under its name', async () => {
    abstract class Store {
      @HealthProbe({ kind: 'readiness' })
      ping() {
        return { store: this.constructor.name };
      }
    }
    class Orders extends Store {}
    class Invoices extends Store {}

    await start(undefined, [], undefined, [Orders, Invoices]);

    const { body } = await get('/health/ready');
    expect(at(body, 'details', 'Orders.ping', 'details')).toEqual({ store: 'Orders' });
    expect(at(body, 'details', 'Invoices.ping', 'details')).toEqual({ store: 'Invoices' });
  });

  it('HL-03 refuses probes without a name or a check, and names that are taken, all at once', async () => {
    expect(() =>
      ResilienceHealthModule.register({ probes: [{ kind: 'deep' } as unknown as GivenProbe] }),
    ).toThrow(/probes.*name[^]*probes.*check/);
    const probes = ['database', 'process'].map(
      (name) => ({ kind: 'deep', name, check: () => true }) as const,
    );
    const starting = start(ResilienceHealthModule.register({ probes }));
    await expect(starting).rejects.toThrow(/"database"[^]*"process"|"process"[^]*"database"/);
  });

  it('HL-03 probes run on their interval and not on requests, and stop with the application', async () => {
    await start();
    const dependencies = app.get(Dependencies);
    await get('/health/ready');
    await get('/health/ready');
    const byRequests = dependencies.checks;
    await clock.advance(10_000);
    const byTime = dependencies.checks;
    await app.close();
    await clock.advance(60_000);

    expect([byRequests, byTime, dependencies.checks]).toEqual([1, 3, 3]);
    expect(clock.pending).toBe(0);
  });

  it('HL-03 every probe runs once, however many modules of the application have indicators', async () => {
    const check = jest.fn(() => true);
    const mine = { kind: 'readiness', name: 'mine', check } as const;
    @Injectable()
    class Status {
      constructor(readonly readiness: ReadinessHealthIndicator) {}
    }
    @Module({ imports: [ResilienceHealthModule.forIndicators({ probes: [mine] })], providers: [Status] })
    class StatusModule {}
    await start({ module: StatusModule, imports: [ResilienceHealthModule.register()] });
    await clock.advance(10_000);

    expect(check).toHaveBeenCalledTimes(3);
    expect(app.get(Dependencies).checks).toBe(3);
    const names = ['mine', 'database', 'search'];
    expect(Object.keys(await app.get(Status).readiness.check())).toEqual(names);
    expect(at((await get('/health/ready')).body, 'details')).toMatchObject({
      mine: { status: 'up' },
      database: { status: 'up' },
    });
    await app.close();
    await clock.advance(60_000);
    expect(check).toHaveBeenCalledTimes(3);
    expect(clock.pending).toBe(0);
  });

  it('HL-03 a deep check is only made now where that is asked for', async () => {
    await start();
    await clock.advance(1_000);

    const cached = await get('/health/deep');
    const fresh = await get('/health/deep?fresh=true');

    expect(at(cached.body, 'info', 'replica')).toMatchObject({
      status: 'up',
      details: { lagMs: 12 },
      ageMs: 1_000,
    });
    expect(at(fresh.body, 'info', 'replica')).toMatchObject({ status: 'up', ageMs: 0 });
  });

  it.each([
    ['degraded', 200, { status: 'degraded', open: ['payments'] }],
    ['unready', 503, { status: 'down', open: ['payments'] }],
    ['ignore', 200, undefined],
  ] as const)('HL-04 an open breaker with openBreakers: %s', async (openBreakers, status, shown) => {
    await start(ResilienceHealthModule.register({ openBreakers } satisfies ResilienceHealthOptions));
    app.get(ResilienceService).circuitBreaker('payments').forceOpen();

    const ready = await get('/health/ready');

    expect(ready.status).toBe(status);
    if (shown === undefined) expect(at(ready.body, 'details', 'circuitBreakers')).toBeUndefined();
    else expect(at(ready.body, 'details', 'circuitBreakers')).toMatchObject(shown);
  });

  it('HL-04 open keys are counted, and never shown to whoever asks', async () => {
    await start();
    const resilience = app.get(ResilienceService);
    resilience.circuitBreaker('payments').forceOpen();
    const breaker = resilience.circuitBreaker('tenants', {
      failureThreshold: 1,
      key: ({ args }) => args[0] as string,
    });
    for (const tenant of ['alice@example.org', 'bob@example.org'])
      await breaker.execute(down, { args: [tenant] }).catch(() => undefined);

    const ready = await get('/health/ready');

    expect(ready.status).toBe(200);
    expect(at(ready.body, 'details', 'circuitBreakers')).toMatchObject({
      status: 'degraded',
      open: ['payments', 'tenants'],
      openKeys: { tenants: 2 },
      states: { payments: 'forced-open', tenants: 'closed' },
    });
    expect(JSON.stringify([ready.body, (await get('/health')).body])).not.toContain('example.org');
    const { body } = await get('/health/resilience');
    expect(at(body, 'circuitBreakers', 'tenants', 'keys', 'notClosed', 'bob@example.org')).toBe('open');
  });

  it('CB-28 a pod without traffic is ready again when the open duration is over', async () => {
    await start(ResilienceHealthModule.register({ openBreakers: 'unready' }));
    const breaker = app.get(ResilienceService).circuitBreaker('payments');
    for (let i = 0; i < 5; i++) await breaker.execute(down).catch(() => undefined);
    const whileOpen = (await get('/health/ready')).status;

    await clock.advance(60_000);

    expect(whileOpen).toBe(503);
    expect((await get('/health/ready')).status).toBe(200);
  });

  it('HL-06 ready shows the drain, resilience shows every kind by name', async () => {
    await start();
    await app.get(Dependencies).charge();

    const ready = await get('/health/ready');
    const { body } = await get('/health/resilience');

    expect(at(ready.body, 'details', 'draining')).toEqual({
      status: 'up',
      inFlightRequests: 0,
      message: 'The application takes traffic.',
    });
    expect(Object.keys(body)).toEqual([
      'timestamp',
      'circuitBreakers',
      'retries',
      'retryBudgets',
      'bulkheads',
      'rateLimiters',
      'timeouts',
      'fallbacks',
      'idempotencies',
      'hedges',
      'chaosPolicies',
      'draining',
      'liveFaults',
    ]);
    expect(at(body, 'circuitBreakers', 'payments')).toMatchObject({
      state: 'closed',
      totalCalls: 1,
      failureRatePercent: null,
    });
  });

  it('HL-06 a drain turns readiness down and leaves liveness up', async () => {
    await start();

    app.get(DrainingService).start();

    const ready = await get('/health/ready');
    expect(ready.status).toBe(503);
    expect(at(ready.body, 'error', 'draining', 'message')).toContain('draining');
    expect((await get('/health/live')).status).toBe(200);
  });

  it.each([VersioningType.URI, VersioningType.HEADER])(
    'HL-03 is found without a version, whatever version the application has by default: %s',
    async (type) => {
      const versioning = { type, header: 'X-Version', defaultVersion: '1' } as VersioningOptions;
      await start(undefined, [], () => app.enableVersioning(versioning));
      expect((await get('/health/live')).status).toBe(200);
      expect((await get('/health/ready')).status).toBe(200);
    },
  );

  it('HL-03 a global guard is told to let probes in, or one of their own stands in front of them', async () => {
    const Public = () => SetMetadata('public', true);
    class Authenticated implements CanActivate {
      constructor(private readonly reflector: Reflector) {}

      canActivate(context: ExecutionContext): boolean {
        if (this.reflector.getAllAndOverride('public', [context.getHandler(), context.getClass()]) === true)
          return true;
        throw new UnauthorizedException();
      }
    }
    const global = {
      provide: APP_GUARD,
      inject: [Reflector],
      useFactory: (it: Reflector) => new Authenticated(it),
    };
    await start(undefined, [], undefined, [global]);
    expect((await get('/health/live')).status).toBe(401);
    await app.close();

    await start(ResilienceHealthModule.register({ decorators: [Public()] }), [], undefined, [global]);
    expect((await get('/health/live')).status).toBe(200);
    await app.close();

    @Injectable()
    class Inside implements CanActivate {
      constructor(@Inject('open') private readonly open: boolean) {}

      canActivate(): boolean {
        return this.open;
      }
    }
    @Module({ providers: [{ provide: 'open', useValue: false }], exports: ['open'] })
    class GuardModule {}
    await start(ResilienceHealthModule.register({ guards: [Inside], imports: [GuardModule] }));
    expect((await get('/health/live')).status).toBe(403);
    expect(() => ResilienceHealthModule.forIndicators({ guards: [Inside] } as never)).toThrow(
      /ResilienceHealthModule\.forIndicators.*"guards"/,
    );
  });

  it('HL-07 a probe that is not critical degrades readiness and never fails it', async () => {
    await start(undefined, [], (dependencies) => (dependencies.search = down));

    const ready = await get('/health/ready');

    expect(ready.status).toBe(200);
    expect(at(ready.body, 'status')).toBe('degraded');
    expect(at(ready.body, 'details', 'search')).toMatchObject({
      status: 'degraded',
      error: 'connection refused',
    });
  });

  it('serves a Terminus controller of the user with the same indicators', async () => {
    @Controller('status')
    class StatusController {
      constructor(
        private readonly health: HealthCheckService,
        private readonly readiness: ReadinessHealthIndicator,
        private readonly breakers: CircuitBreakerHealthIndicator,
      ) {}

      @Get() status() {
        return this.health.check([() => this.readiness.check(), () => this.breakers.check('circuits')]);
      }
    }
    await start(ResilienceHealthModule.forIndicators(), [StatusController]);

    const { status, body } = await get('/status');

    expect(status).toBe(200);
    expect(Object.keys(at(body, 'details') as object)).toEqual(['database', 'search', 'circuits']);
  });

  it.each([
    ['paymants', 'There is no "paymants" to look at. Did you mean "payments"?'],
    ['constructor', 'There is no "constructor" to look at.'],
  ])('an indicator refuses a name that nobody has: %s', async (name, message) => {
    await start();
    const breakers = app.get(CircuitBreakerHealthIndicator);

    expect(await breakers.check('circuits', { names: ['payments'] })).toMatchObject({
      circuits: { status: 'up' },
    });
    await expect(breakers.check('circuits', { names: [name] })).rejects.toThrow(message);
  });
});
