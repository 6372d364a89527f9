import 'reflect-metadata';
import { request as httpRequest } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Injectable,
  Module,
  SetMetadata,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { NestFactory, Reflector } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import {
  Bulkhead,
  CircuitBreaker,
  DrainingService,
  EventLog,
  Fallback,
  InvalidOptionsError,
  RateLimit,
  ResilienceAdminModule,
  ResilienceService,
  Retry,
  Timeout,
  enableGracefulShutdown,
  type ResilienceAdminOptions,
  type ResilienceModuleOptions,
} from '../../lib/index.js';
import { ManualClock } from '../../lib/testing/index.js';
import { listen, moduleOf, platforms } from '../e2e/platforms.js';
import { readStream } from './event-source.js';
import { ResilienceDashboardModule } from '../../lib/observability/dashboard/index.js';

@Injectable()
class Payments {
  @CircuitBreaker('payments', { failureThreshold: 2 })
  @Retry('payments', { maxRetries: 0 })
  @Bulkhead('payments')
  @RateLimit('payments')
  @Timeout({ name: 'payments', duration: '2s' })
  @Fallback({ name: 'payments', use: 'none' })
  async charge(): Promise<string> {
    throw new Error('down');
  }

  async none(): Promise<string> {
    return 'none';
  }

  @CircuitBreaker('a/b c%ü?')
  async odd(): Promise<string> {
    return 'odd';
  }
}

@Injectable()
class Tokens {
  readonly valid = 'Bearer let-me-in';
}

@Injectable()
class TokenGuard implements CanActivate {
  constructor(
    private readonly tokens: Tokens,
    private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context
      .switchToHttp()
      .getRequest<{ headers: { authorization?: string }; user?: object }>();
    if (request.headers.authorization !== this.tokens.valid) throw new UnauthorizedException();
    const role = this.reflector.get<string | undefined>('role', context.getClass());
    request.user = { name: `alice${role === undefined ? '' : `, ${role}`}` };
    return true;
  }
}

@Module({ providers: [Tokens], exports: [Tokens] })
class TokensModule {}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // oxlint-disable-next-line typescript/no-explicit-any -- the answers of many routes
  readonly body: any;
}

interface DocumentedRoute {
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly schema: { readonly enum?: readonly string[] };
  }[];
  readonly responses: object;
}

describe('ResilienceAdminModule.register', () => {
  it('OP-03 without options as well', () => {
    expect(() => ResilienceAdminModule.register()).toThrow('give "guards", or say "public: true"');
    expect(() => ResilienceDashboardModule.register()).toThrow('give "guards", or say "public: true"');
  });

  it('OP-03 without a guard it refuses to start, and says what to do', () => {
    expect(() => ResilienceAdminModule.register({})).toThrow(InvalidOptionsError);
    expect(() => ResilienceAdminModule.register({ guards: [] })).toThrow(
      'ResilienceAdminModule.register: Whoever reaches these routes can open circuits and start faults: give "guards", or say "public: true" where a global guard or the network keeps others out.',
    );
    expect(() => ResilienceAdminModule.register({ public: true })).not.toThrow();
  });

  it('OP-03 options that cannot be are refused together', () => {
    const options = { guard: [], readOnly: 'yes', maxStreams: 0, public: true } as object;
    let problems: readonly { option?: string }[] = [];
    try {
      ResilienceAdminModule.register(options);
    } catch (error) {
      ({ problems } = error as InvalidOptionsError);
    }

    expect(problems.map(({ option }) => option)).toEqual(['guard', 'readOnly', 'maxStreams']);
  });
});

describe('admin routes behind a proxy', () => {
  const trusting = [
    ['Express', undefined],
    ['Fastify', new FastifyAdapter({ trustProxy: true })],
  ] as const;

  it.each(trusting)('OP-03 know what host a proxy was asked for that %s trusts', async (_name, adapter) => {
    const module = moduleOf({
      imports: [ResilienceAdminModule.register({ public: true })],
      providers: [Payments],
    });
    const options = { logger: false, abortOnError: false } as const;
    const app = adapter
      ? await NestFactory.create<INestApplication>(module, adapter, options)
      : await NestFactory.create(module, options);
    if (!adapter)
      (app.getHttpAdapter().getInstance() as { set(...pair: unknown[]): void }).set('trust proxy', true);
    const url = await listen(app);
    const post = async (origin: string) => {
      const headers = { origin, 'x-forwarded-host': 'ops.internal:8443' };
      const { status } = await fetch(`${url}/resilience/timeouts/payments/reset`, {
        method: 'POST',
        headers,
      });
      return status;
    };

    const statuses = [await post('http://ops.internal:8443'), await post('http://evil.example')];
    await app.close();

    expect(statuses).toEqual([200, 403]);
  });
});

describe('the document of @nestjs/swagger', () => {
  it('OP-03 is the same when an application is made again', async () => {
    const module = moduleOf({
      imports: [ResilienceAdminModule.register({ public: true })],
      providers: [Payments],
    });
    const documents: string[] = [];
    for (let i = 0; i < 3; i++) {
      const app = await NestFactory.create(module, { logger: false, abortOnError: false });
      documents.push(JSON.stringify(SwaggerModule.createDocument(app, new DocumentBuilder().build())));
      await app.close();
    }

    expect(documents[0]).toContain('"tags":["resilience"]');
    expect(new Set(documents).size).toBe(1);
  });
});

describe.each(platforms)('admin routes on %s', (_platform, create) => {
  let app: INestApplication | undefined;
  let url: string;
  let clock: ManualClock;

  async function start(
    admin: ResilienceAdminOptions | undefined = { public: true },
    options: ResilienceModuleOptions = {},
    prepare: (app: INestApplication) => void = () => undefined,
  ) {
    clock = new ManualClock();
    const module = moduleOf(
      {
        imports: admin ? [ResilienceAdminModule.register(admin)] : [],
        providers: [Payments],
      },
      { clock, events: { log: false }, ...options },
    );
    app = await create(module);
    prepare(app);
    url = await listen(app);
    return { resilience: app.get(ResilienceService), payments: app.get(Payments), log: app.get(EventLog) };
  }

  async function send(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
  }

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  it('OP-03 are not there unless mounted', async () => {
    await start(null as unknown as undefined);

    const { status } = await send('GET', '/resilience');

    expect(status).toBe(404);
  });

  it('OP-03 every route is behind the guards, which get what they inject', async () => {
    await start({
      guards: [TokenGuard],
      imports: [TokensModule],
      decorators: [SetMetadata('role', 'operator')],
      path: 'ops',
    });
    const routes = [
      ['GET', '/ops'],
      ['GET', '/ops/events'],
      ['GET', '/ops/events/stream'],
      ['GET', '/ops/chaos'],
      ['GET', '/ops/retries'],
      ['GET', '/ops/retries/payments'],
      ['PATCH', '/ops/retries/payments'],
      ['POST', '/ops/retries/payments/reset'],
      ['POST', '/ops/chaos/faults'],
      ['DELETE', '/ops/chaos/faults'],
      ['DELETE', '/ops/chaos/faults/fault-1'],
      ['POST', '/ops/chaos/monkey/enable'],
      ['POST', '/ops/chaos/monkey/disable'],
    ] as const;

    const refused = await Promise.all(routes.map(([method, path]) => send(method, path)));
    const authorization = 'Bearer let-me-in';
    const reset = await send('POST', '/ops/circuitBreakers/payments/reset', undefined, { authorization });
    const { body: events } = await send('GET', '/ops/events', undefined, { authorization });

    expect(refused.map(({ status }) => status)).toEqual(routes.map(() => 401));
    expect(reset.status).toBe(200);
    expect(events).toMatchObject([{ type: 'reset', policy: 'payments', details: { by: 'alice, operator' } }]);
  });

  it('OP-03 show everything, a kind and one policy, by plural or in kebab-case', async () => {
    const { resilience } = await start();

    const all = await send('GET', '/resilience');
    const kind = await send('GET', '/resilience/circuit-breakers');
    const one = await send('GET', '/resilience/circuitBreakers/payments');

    expect(all.headers.get('cache-control')).toBe('no-store');
    expect(new Set(Object.keys(all.body))).toEqual(
      new Set([...Object.keys(resilience.stats()), 'chaos', 'readOnly']),
    );
    expect(all.body.draining).toMatchObject({ phase: 'ready', isDraining: false });
    expect(kind.body).toEqual(all.body.circuitBreakers);
    expect(one.body).toEqual({
      kind: 'circuitBreakers',
      name: 'payments',
      description: 'opens at 2 consecutive failures, for 1 min',
      stats: all.body.circuitBreakers.payments,
    });
  });

  it('OP-03 reads have no side effect: no number changes, nothing is created, nothing is told', async () => {
    const { resilience, payments, log } = await start();
    await payments.charge();
    const before = JSON.stringify(resilience.stats());

    const paths = ['', '/events', '/chaos', '/timeouts', '/timeouts/payments', '/retries/none', '/nothing'];
    for (const path of paths) {
      await send('GET', `/resilience${path}`);
      await send('HEAD', `/resilience${path}`);
    }
    await send('HEAD', '/resilience/events/stream');

    expect(JSON.stringify(resilience.stats())).toBe(before);
    expect(log.recent()).toEqual([]);
  });

  it('OP-03 an unknown kind, name or action is 404 and names what is near', async () => {
    await start();

    const kind = await send('GET', '/resilience/circuitBreaker');
    const name = await send('GET', '/resilience/bulkheads/paymnets');
    const changed = await send('PATCH', '/resilience/bulkheads/none-of-them-all', { maxConcurrent: 2 });
    const action = await send('POST', '/resilience/circuitBreakers/payments/open');
    const prototype = await send('GET', '/resilience/bulkheads/__proto__');
    const kindOfPrototype = await send('GET', '/resilience/constructor/payments');

    expect([kind, name, changed, action, prototype, kindOfPrototype].map(({ status }) => status)).toEqual(
      Array.from({ length: 6 }, () => 404),
    );
    expect(kind.body.message).toMatch(
      'There is no kind of policy "circuitBreaker"; did you mean "circuitBreakers"? There are: circuitBreakers, ',
    );
    expect(name.body.message).toBe('There is no bulkhead "paymnets"; did you mean "payments"?');
    expect(changed.body.message).toBe('There is no bulkhead "none-of-them-all".');
    expect(action.body.message).toBe(
      'There is no action "open". A policy can be: reset; a circuit breaker also: force-open, close, disable, meter-only.',
    );
  });

  it('OP-03 names with special characters are written as URLs write them', async () => {
    const { resilience } = await start();
    const path = `/resilience/circuitBreakers/${encodeURIComponent('a/b c%ü?')}`;

    const { body } = await send('GET', path);
    await send('POST', `${path}/force-open`);

    expect(body.name).toBe('a/b c%ü?');
    expect(resilience.find('circuitBreaker', 'a/b c%ü?')?.state).toBe('forced-open');
  });

  it('OP-03 a circuit breaker does as it is told, and keeps why and who', async () => {
    const { resilience } = await start({ public: true, user: () => 'bob' });
    const breaker = resilience.circuitBreaker('payments');
    const states: unknown[] = [];
    for (const [action, body] of [
      ['force-open', { reason: 'the provider\nmigrates' }],
      ['disable', undefined],
      ['meter-only', {}],
      ['close', { reason: 'done' }],
      ['reset', undefined],
    ] as const) {
      const { body: shown } = await send('POST', `/resilience/circuitBreakers/payments/${action}`, body);
      states.push([shown.stats.state, breaker.stats().reason]);
    }

    expect(states).toEqual([
      ['forced-open', 'the provider migrates (by bob)'],
      ['disabled', 'disable (by bob)'],
      ['meter-only', 'meter-only (by bob)'],
      ['closed', 'done (by bob)'],
      ['closed', 'reset (by bob)'],
    ]);
  });

  it('OP-03 each change is an event that says what, who and when', async () => {
    const { log } = await start({ public: true, user: () => 'bob' });

    await send('POST', '/resilience/circuitBreakers/payments/force-open', { reason: 'drill' });
    await send('PATCH', '/resilience/timeouts/payments', { duration: '5s' });
    await send('POST', '/resilience/retries/payments/reset');
    await send('POST', '/resilience/chaos/faults', { target: 'Payments.charge', error: 503, name: 'storm' });
    await send('DELETE', '/resilience/chaos/faults/fault-1');

    const changes = log.recent().filter(({ type }) => type === 'changed' || type === 'reset');
    expect(changes.map(({ kind, policy, type, details }) => [kind, policy, type, details])).toEqual([
      ['circuitBreaker', 'payments', 'changed', { by: 'bob', action: 'force-open', reason: 'drill' }],
      [
        'timeout',
        'payments',
        'changed',
        { by: 'bob', action: 'options', options: JSON.stringify({ duration: '5s' }) },
      ],
      ['retry', 'payments', 'reset', { by: 'bob' }],
      [
        'chaos',
        'storm',
        'changed',
        {
          by: 'bob',
          action: 'start',
          options: JSON.stringify({ target: 'Payments.charge', error: 503, name: 'storm' }),
        },
      ],
      ['chaos', 'storm', 'changed', { by: 'bob', action: 'stop' }],
    ]);
    expect(changes[0]?.time).toBe(new Date(clock.wallTime()).toISOString());
  });

  it('OP-03 who it was is unknown where nobody says, and one line of text whatever is said', async () => {
    let user: unknown;
    const { resilience } = await start({ public: true, user: () => user as string });
    const breaker = resilience.circuitBreaker('payments');
    const reasons: unknown[] = [];
    for (user of [undefined, '', { id: 1 }, 'eve\r\nforged line', 'x'.repeat(1_000)]) {
      await send('POST', '/resilience/circuitBreakers/payments/close');
      reasons.push(breaker.stats().reason);
    }

    expect(reasons).toEqual([
      'close (by unknown)',
      'close (by unknown)',
      'close (by unknown)',
      'close (by eve forged line)',
      `close (by ${'x'.repeat(200)})`,
    ]);
  });

  it('OP-03 by default it is the name, id or sub of request.user', async () => {
    const users: unknown[] = [
      { name: 'carol', id: 7 },
      { id: 7, sub: 's' },
      { sub: 's' },
      { name: {} },
      null,
    ];
    const guard: CanActivate = {
      canActivate: (context) => {
        context.switchToHttp().getRequest<{ user?: unknown }>().user = users.shift();
        return true;
      },
    };
    const { resilience } = await start({ guards: [guard] });
    const reasons: unknown[] = [];
    for (let i = 0; i < 5; i++) {
      await send('POST', '/resilience/circuitBreakers/payments/close');
      reasons.push(resilience.circuitBreaker('payments').stats().reason);
    }

    expect(reasons).toEqual(['carol', '7', 's', 'unknown', 'unknown'].map((name) => `close (by ${name})`));
  });

  it('OP-03 what only a circuit breaker can do is 400 for another kind', async () => {
    await start();

    const { status, body } = await send('POST', '/resilience/bulkheads/payments/force-open');

    expect([status, body.message]).toEqual([
      400,
      'force-open is for circuit breakers; a bulkhead can be reset.',
    ]);
  });

  it('OP-03 PATCH changes options and keeps state', async () => {
    const { resilience, payments } = await start();
    await payments.charge();

    const { status, body } = await send('PATCH', '/resilience/circuit-breakers/payments', {
      failureThreshold: 3,
      openDuration: '5s',
    });

    expect([status, body.stats.config.failureThreshold, body.description]).toEqual([
      200,
      3,
      'opens at 3 consecutive failures, for 5 s',
    ]);
    expect(resilience.circuitBreaker('payments').stats().totalFailures).toBe(1);
  });

  it.each([
    [
      'circuitBreakers',
      { failureThreshold: 4, openDuration: 'soon', minimumCall: 1 },
      ['minimumCall', 'openDuration'],
    ],
    ['retries', { maxRetries: 5, jitter: 7, baseDelay: null }, ['baseDelay', 'jitter']],
    ['bulkheads', { maxConcurrent: 7, maxQueue: -1 }, ['maxQueue']],
    ['rateLimiters', { capacity: 5, refillPerSecond: 'x' }, ['refillPerSecond']],
    ['timeouts', { duration: '9s', total: {} }, ['total']],
  ])(
    'OP-03 a bad body for %s is 400 with every problem, and nothing is half done',
    async (kind, bad, options) => {
      const { log } = await start();
      const before = (await send('GET', `/resilience/${kind}/payments`)).body;

      const { status, body } = await send('PATCH', `/resilience/${kind}/payments`, bad);

      expect([status, body.error, body.problems.map(({ option }: { option: string }) => option)]).toEqual([
        400,
        'Bad Request',
        options,
      ]);
      expect(body.message).toEqual(body.problems.map(({ message }: { message: string }) => message));
      expect((await send('GET', `/resilience/${kind}/payments`)).body).toEqual(before);
      expect(log.recent()).toEqual([]);
    },
  );

  it('OP-03 a body that is no object, is empty, or is not for this is 400', async () => {
    const { log } = await start();
    const path = '/resilience/timeouts/payments';

    const answers = [
      await send('PATCH', path),
      await send('PATCH', path, {}),
      await send('PATCH', path, []),
      await send('PATCH', path, '"5s"'),
      await send('PATCH', path, '{ not json'),
      await send('PATCH', '/resilience/fallbacks/payments', { on: 'x' }),
      await send('POST', '/resilience/circuitBreakers/payments/close', { reason: 'x'.repeat(201) }),
      await send('POST', '/resilience/circuitBreakers/payments/close', { why: 'x' }),
      await send('POST', '/resilience/circuitBreakers/payments/close', ['x']),
      await send('POST', '/resilience/chaos/faults', { target: 'Nobody.charge', latncy: 1 }),
      await send('POST', '/resilience/chaos/faults'),
    ];

    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 400));
    expect(log.recent()).toEqual([]);
  });

  it('OP-03 a body cannot reach a prototype', async () => {
    await start();
    const bodies = [
      '{"__proto__":{"duration":"1s"}}',
      '{"constructor":{"prototype":{"polluted":true}}}',
      '{"duration":"1s","__proto__":{"polluted":true}}',
    ];

    const statuses: number[] = [];
    for (const body of bodies) {
      statuses.push((await send('PATCH', '/resilience/timeouts/payments', body)).status);
      statuses.push((await send('POST', '/resilience/chaos/faults', body)).status);
    }

    expect(statuses).toEqual(statuses.map(() => 400));
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect((await send('GET', '/resilience/timeouts/payments')).body.stats.currentTimeoutMs).toBe(2_000);
  });

  it('OP-03 chaos is started, shown, stopped and cleared; the monkey comes and goes', async () => {
    await start();
    const fault = { target: 'Payments.charge', latency: '50ms', ratePercent: 10, duration: '30s' };

    const started = await send('POST', '/resilience/chaos/faults', fault);
    await send('POST', '/resilience/chaos/faults', { ...fault, name: 'second' });
    const { body: during } = await send('GET', '/resilience/chaos');
    const stopped = await send('DELETE', '/resilience/chaos/faults/fault-1');
    const again = await send('DELETE', '/resilience/chaos/faults/fault-1');
    const cleared = await send('DELETE', '/resilience/chaos/faults');
    const enabled = await send('POST', '/resilience/chaos/monkey/enable');
    const disabled = await send('POST', '/resilience/chaos/monkey/disable');

    expect([started.status, started.body]).toEqual([
      201,
      expect.objectContaining({
        id: 'fault-1',
        targets: ['Payments.charge'],
        ratePercent: 10,
        remainingMs: 30_000,
      }),
    ]);
    expect(during.faults.map(({ name }: { name: string }) => name)).toEqual(['fault-1', 'second']);
    expect(during.targets).toContain('Payments.charge');
    expect([stopped.status, stopped.body.endedBy]).toEqual([200, 'stopped']);
    expect([again.status, again.body.message]).toEqual([
      404,
      'There is no active fault "fault-1"; active: fault-2.',
    ]);
    expect(cleared.body).toEqual({ stopped: 1 });
    expect([enabled.body.monkey.enabled, disabled.body.monkey.enabled]).toEqual([true, false]);
  });

  it('CH-01 nobody opens the lock of who writes the options from here', async () => {
    const { NODE_ENV, RESILIENCE_CHAOS } = process.env;
    await start({ public: true }, { chaosPolicies: { drill: { error: 503 } } });
    try {
      Object.assign(process.env, { NODE_ENV: 'production', RESILIENCE_CHAOS: 'allow' });
      const path = '/resilience/chaosPolicies/drill';

      const { status, body } = await send('PATCH', path, { enabled: true, allowInProduction: true });
      const { body: shown } = await send('GET', path);

      expect([status, body.problems]).toEqual([
        400,
        [expect.objectContaining({ option: 'allowInProduction' })],
      ]);
      expect(shown.stats.enabled).toBe(false);
    } finally {
      Object.assign(process.env, { NODE_ENV });
      if (RESILIENCE_CHAOS === undefined) delete process.env['RESILIENCE_CHAOS'];
      else process.env['RESILIENCE_CHAOS'] = RESILIENCE_CHAOS;
    }
  });

  it('OP-03 readOnly refuses every change', async () => {
    const { log } = await start({ public: true, readOnly: true });

    const { body } = await send('GET', '/resilience');
    const answers = [
      await send('PATCH', '/resilience/timeouts/payments', { duration: '1s' }),
      await send('POST', '/resilience/circuitBreakers/payments/force-open'),
      await send('POST', '/resilience/chaos/monkey/enable'),
      await send('DELETE', '/resilience/chaos/faults'),
    ];

    expect(body.readOnly).toBe(true);
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    expect(log.recent()).toEqual([]);
  });

  /** The status of a change with these headers, which `fetch` would set itself. */
  function force(headers: Record<string, string>, body?: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const to = `${url}/resilience/circuitBreakers/payments/force-open`;
      const sent = httpRequest(to, { method: 'POST', headers }, (response) => {
        response.resume();
        resolve(response.statusCode as number);
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  it('OP-03 a browser cannot be made to send changes for another site', async () => {
    const { resilience } = await start();

    const refused = [
      await force({ 'sec-fetch-site': 'cross-site' }),
      await force({ 'sec-fetch-site': 'same-site', authorization: 'Basic YTpi' }),
    ];
    const state = resilience.circuitBreaker('payments').state;
    const allowed = [
      await force({ 'sec-fetch-site': 'same-origin', origin: 'http://behind.example' }),
      await force({ 'sec-fetch-site': 'cross-site', authorization: 'Bearer x' }),
      await force({}),
    ];

    expect([refused, state, allowed]).toEqual([[403, 403], 'closed', [200, 200, 200]]);
  });

  it('OP-03 nor over http, where it does not say what site it is but for the origin', async () => {
    const { resilience } = await start();
    const form = { 'content-type': 'application/x-www-form-urlencoded' };

    const refused = [
      await force({ origin: 'http://evil.example' }),
      await force({ origin: 'http://evil.example', ...form }, 'reason=x'),
      await force({ origin: 'http://evil.example', 'x-forwarded-host': 'evil.example' }),
      await force({ origin: 'http://ops.internal:8080', host: 'ops.internal:3000' }),
      await force({ origin: 'null' }),
      await force({ origin: 'file://', host: 'ops.internal' }),
    ];
    const state = resilience.circuitBreaker('payments').state;
    const allowed = [
      await force({ origin: url }),
      await force({ origin: 'http://ops.internal', host: 'ops.internal:80' }),
      await force({ origin: 'http://ops.internal', host: 'OPS.internal' }),
      await force({ origin: 'http://evil.example', authorization: 'Bearer x' }),
    ];

    expect([refused, state]).toEqual([refused.map(() => 403), 'closed']);
    expect(allowed).toEqual(allowed.map(() => 200));
  });

  it('OP-03 events come as JSON, the newest of them by limit', async () => {
    await start();
    for (const action of ['force-open', 'disable', 'close'])
      await send('POST', `/resilience/circuitBreakers/payments/${action}`);

    const { body: all } = await send('GET', '/resilience/events');
    const { body: last } = await send('GET', '/resilience/events?limit=1');
    const { body: odd } = await send('GET', '/resilience/events?limit=x');

    expect(all.map(({ type }: { type: string }) => type)).toEqual([
      'state-changed',
      'changed',
      'state-changed',
      'changed',
      'state-changed',
      'changed',
    ]);
    expect(last).toEqual(all.slice(-1));
    expect(odd).toEqual(all);
  });

  it('OP-03 events come as a stream, as they happen', async () => {
    const { resilience } = await start();
    resilience.circuitBreaker('payments').forceOpen('before');
    const stream = await readStream(`${url}/resilience/events`, { accept: 'text/event-stream' });

    resilience.circuitBreaker('payments').disable('while');
    const message = await stream.next();

    expect(stream.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
    });
    expect([message.event, JSON.parse(message.data)]).toEqual([
      'event',
      expect.objectContaining({
        policy: 'payments',
        details: { from: 'forced-open', to: 'disabled', reason: 'while' },
      }),
    ]);
    stream.close();
  });

  it('OP-03 a stream has what happens also where no log keeps it', async () => {
    const { resilience } = await start({ public: true }, { events: { keep: 'none', log: false } });
    const breaker = resilience.circuitBreaker('payments');
    const events = (resilience as unknown as { runtime: { events: { active: boolean } } }).runtime.events;
    const idle = events.active;
    const first = await readStream(`${url}/resilience/events/stream`);

    breaker.forceOpen('one');
    const { id, data } = await first.next();
    first.close();
    while (events.active !== idle) await new Promise((resolve) => setImmediate(resolve));
    breaker.disable('two');
    const second = await readStream(`${url}/resilience/events/stream?after=${id}`);
    breaker.close('three');
    const next = await second.next();
    second.close();

    expect([data, next.data].map((text) => JSON.parse(text).details.reason)).toEqual(['one', 'three']);
    expect((await send('GET', '/resilience/events')).body).toEqual([]);
  });

  it('OP-03 a stream resumes where it was lost, by Last-Event-ID or by query', async () => {
    const { resilience } = await start();
    const breaker = resilience.circuitBreaker('payments');
    const first = await readStream(`${url}/resilience/events/stream`);
    breaker.forceOpen('one');
    const { id } = await first.next();
    first.close();
    breaker.disable('two');
    breaker.close('three');

    const byHeader = await readStream(`${url}/resilience/events/stream`, { 'last-event-id': id as string });
    const byQuery = await readStream(`${url}/resilience/events/stream?after=${id}`);
    const otherStart = await readStream(`${url}/resilience/events/stream?after=0-${id?.split('-')[1]}`);
    const reasons = async (stream: typeof first, count: number) => {
      const read: unknown[] = [];
      while (read.length < count) read.push(JSON.parse((await stream.next()).data).details.reason);
      stream.close();
      return read;
    };

    expect(await reasons(byHeader, 2)).toEqual(['two', 'three']);
    expect(await reasons(byQuery, 2)).toEqual(['two', 'three']);
    expect(await reasons(otherStart, 3)).toEqual(['one', 'two', 'three']);
  });

  it('OP-03 a stream sends numbers once a second if asked, and else a heartbeat in silence', async () => {
    const { resilience } = await start();
    const numbers = await readStream(`${url}/resilience/events/stream?stats=true`);
    const silent = await readStream(`${url}/resilience/events/stream`);

    const first = await numbers.next();
    resilience.circuitBreaker('payments').forceOpen();
    await numbers.next();
    await clock.advance(1_000);
    const second = await numbers.next();
    await silent.next();
    await clock.advance(15_000);
    await silent.comment('heartbeat');

    expect([first.event, JSON.parse(first.data).circuitBreakers.payments.state]).toEqual(['stats', 'closed']);
    expect([second.event, JSON.parse(second.data).circuitBreakers.payments.state]).toEqual([
      'stats',
      'forced-open',
    ]);
    numbers.close();
    silent.close();
  });

  it('OP-03 a stream passes the guards again after a quarter of an hour', async () => {
    await start();
    const stream = await readStream(`${url}/resilience/events/stream`);

    await clock.advance(15 * 60_000 + 1_000);

    await stream.ended;
  });

  it('OP-03 streams are bounded in number, and nothing is listened to once all are gone', async () => {
    const { resilience } = await start({ public: true, maxStreams: 1 });
    const events = (resilience as unknown as { runtime: { events: { listeners: readonly unknown[] } } })
      .runtime.events;
    const idle = events.listeners.length;
    const stream = await readStream(`${url}/resilience/events/stream`);

    const refused = await send('GET', '/resilience/events/stream');
    const listening = events.listeners.length;
    stream.close();
    while (events.listeners.length > idle) await new Promise((resolve) => setImmediate(resolve));
    const next = await readStream(`${url}/resilience/events/stream`);
    next.close();

    expect([refused.status, refused.headers.get('retry-after'), listening - idle]).toEqual([503, '1', 1]);
  });

  it('OP-03 a stream ends when the application closes, and does not keep it', async () => {
    await start();
    const stream = await readStream(`${url}/resilience/events/stream?stats=true`);

    await app?.close();
    await stream.ended;
  });

  it('OP-03 a stream hears that the application drains, and is not waited for', async () => {
    await start({ public: true }, { draining: { readinessDelay: '1s' } }, (made) =>
      enableGracefulShutdown(made),
    );
    const stream = await readStream(`${url}/resilience/events/stream`);
    const draining = app!.get(DrainingService);

    draining.start();
    const message = await stream.next();
    const inFlight = draining.inFlight;
    await clock.advance(1_000);
    await stream.ended;
    await clock.advance(0);
    const refused = await send('GET', '/resilience/events/stream');

    expect(JSON.parse(message.data)).toMatchObject({ kind: 'draining', type: 'draining' });
    expect([inFlight, draining.phase, refused.status]).toEqual([0, 'quiesced', 503]);
  });

  it('OP-03 the routes are found with a global prefix and versions', async () => {
    await start({ public: true }, {}, (made) => {
      made.setGlobalPrefix('api');
      made.enableVersioning();
    });

    const { status } = await send('GET', '/api/resilience/timeouts/payments');

    expect(status).toBe(200);
  });

  it('OP-03 @nestjs/swagger documents every route with its parameters', async () => {
    let paths: Record<string, Record<string, DocumentedRoute>> = {};
    await start({ public: true }, {}, (made) => {
      ({ paths } = SwaggerModule.createDocument(made, new DocumentBuilder().build()) as never);
    });

    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { parameters = [] }]) => {
        const names = parameters.filter((one) => one.in !== 'header').map(({ name }) => name);
        return `${method} ${path} ${names.toSorted().join(' ')}`.trim();
      }),
    );
    const act = paths['/resilience/{kind}/{name}/{action}']?.['post'];

    expect(routes.toSorted()).toEqual(
      [
        'get /resilience',
        'get /resilience/events after limit stats',
        'get /resilience/events/stream after limit stats',
        'get /resilience/chaos',
        'post /resilience/chaos/faults',
        'delete /resilience/chaos/faults',
        'delete /resilience/chaos/faults/{id} id',
        'post /resilience/chaos/monkey/enable',
        'post /resilience/chaos/monkey/disable',
        'get /resilience/{kind} kind',
        'get /resilience/{kind}/{name} kind name',
        'patch /resilience/{kind}/{name} kind name',
        'post /resilience/{kind}/{name}/{action} action kind name',
      ].toSorted(),
    );
    expect(act?.parameters?.find(({ name }) => name === 'action')?.schema.enum).toContain('force-open');
    expect(Object.keys(act?.responses ?? {})).toEqual(['200', '400', '403', '404']);
  });
});
