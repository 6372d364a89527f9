import 'reflect-metadata';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Injectable,
  type CallHandler,
  type CanActivate,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { Counter, Registry, type RegistryContentType } from 'prom-client';
import { map } from 'rxjs';
import {
  Bulkhead,
  ChaosService,
  CircuitBreaker,
  DrainingService,
  Fallback,
  RateLimit,
  ResilienceService,
  Retry,
  Timeout,
  type ResilienceModuleOptions,
} from '../../lib/index.js';
import {
  METRICS_REGISTRY,
  ResiliencePrometheusModule,
  registerResilienceMetrics,
  type ResiliencePrometheusOptions,
} from '../../lib/observability/prometheus/index.js';
import { ManualClock } from '../../lib/testing/index.js';
import { listen, moduleOf, platforms } from '../e2e/platforms.js';

@Injectable()
class Shop {
  @CircuitBreaker('shop', { failureThreshold: 3, openDuration: '10s' })
  @Retry('shop', { maxRetries: 1, baseDelay: 0, budget: 'shop' })
  @Bulkhead('shop', { maxConcurrent: 1, maxQueue: 1 })
  @RateLimit('shop', { capacity: 100, refillPerSecond: 0, key: ({ args }) => args[1] as string })
  @Timeout({ name: 'shop', duration: '1s' })
  async buy(run: () => unknown, _customer = 'somebody') {
    return run();
  }

  @Fallback({ name: 'shop', use: () => 'default' })
  async look(run: () => unknown) {
    return run();
  }
}

const NAMED: ResilienceModuleOptions = {
  circuitBreakers: { rated: { failureRatePercent: 50, minimumCalls: 4 } },
  retryBudgets: { shop: { max: 5, window: '10s' } },
  idempotencies: { orders: { key: () => 'k' } },
  hedges: { catalogue: { delay: 10 } },
  timeouts: { whole: { total: '5s' } },
};

/** Lines of a metric, as label text and value. */
function series(text: string, metric: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => new RegExp(`^${metric}(\\{| )`).test(line));
  return Object.fromEntries(
    lines.map((line) => {
      const [, labels = '', value] = /^\w+(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      return [labels, value];
    }),
  ) as Record<string, string>;
}

const fail = () => {
  throw new Error('down');
};

describe.each(platforms)('Prometheus on %s', (_platform, create) => {
  const clock = new ManualClock();
  let app: INestApplication;
  let url: string;

  async function start(
    prometheus: ResiliencePrometheusOptions = {},
    resilience: ResilienceModuleOptions = {},
    prepare: (app: INestApplication) => unknown = () => undefined,
  ) {
    app = await create(
      moduleOf(
        { imports: [ResiliencePrometheusModule.register(prometheus)], providers: [Shop] },
        { clock, ...NAMED, ...resilience },
      ),
    );
    prepare(app);
    url = await listen(app);
    return { shop: app.get(Shop), resilience: app.get(ResilienceService) };
  }

  const scrape = async (path = '/metrics') => (await fetch(`${url}${path}`)).text();

  afterEach(() => app.close());

  it('OP-02 serves every series of every configured policy before the first call, by their agreed names', async () => {
    await start({}, { callDurations: true });

    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    const text = await response.text();

    const zeros = (label: string, values: string[], name = 'shop') =>
      Object.fromEntries(values.map((value) => [`name="${name}",${label}="${value}"`, '0']));
    expect(series(text, 'resilience_circuitbreaker_state')).toMatchObject({
      'name="shop",state="closed"': '1',
      ...zeros('state', ['open', 'half_open', 'forced_open', 'disabled', 'metrics_only']),
      'name="rated",state="closed"': '1',
    });
    expect(series(text, 'resilience_circuitbreaker_calls_total')).toMatchObject(
      zeros('kind', ['successful', 'failed', 'ignored']),
    );
    expect(series(text, 'resilience_circuitbreaker_not_permitted_total')).toEqual({
      'name="rated"': '0',
      'name="shop"': '0',
    });
    for (const rate of ['failure_rate', 'slow_call_rate'])
      expect(series(text, `resilience_circuitbreaker_${rate}_percent`)).toMatchObject({
        'name="rated"': 'Nan',
      });
    expect(series(text, 'resilience_retry_calls_total')).toEqual(
      zeros('kind', [
        'successful_without_retry',
        'successful_with_retry',
        'failed_with_retry',
        'failed_without_retry',
      ]),
    );
    expect(series(text, 'resilience_retry_budget_available')).toEqual({
      'name="shop",kind="named"': '5',
    });
    expect(series(text, 'resilience_bulkhead_active')).toEqual({ 'name="shop"': '0' });
    expect(series(text, 'resilience_bulkhead_queued')).toEqual({ 'name="shop"': '0' });
    expect(series(text, 'resilience_bulkhead_max_concurrent')).toEqual({ 'name="shop"': '1' });
    expect(series(text, 'resilience_bulkhead_rejected_total')).toEqual({ 'name="shop"': '0' });
    expect(series(text, 'resilience_bulkhead_wait_seconds_count')).toEqual({ 'name="shop"': '0' });
    expect(series(text, 'resilience_bulkhead_wait_seconds_sum')).toEqual({ 'name="shop"': '0' });
    expect(series(text, 'resilience_ratelimiter_available')).toEqual({ 'name="shop"': '100' });
    expect(series(text, 'resilience_ratelimiter_decisions_total')).toEqual(
      zeros('decision', ['allowed', 'rejected']),
    );
    const kinds = ['successful', 'failed', 'timeout', 'total_timeout'];
    expect(series(text, 'resilience_timeout_calls_total')).toEqual({
      ...zeros('kind', kinds),
      ...zeros('kind', kinds, 'whole'),
    });
    expect(series(text, 'resilience_timeout_current_seconds')).toEqual({
      'name="shop"': '1',
      'name="whole"': '5',
    });
    expect(series(text, 'resilience_fallback_calls_total')).toEqual(
      zeros('level', ['primary', 'default', 'none']),
    );
    expect(Object.keys(series(text, 'resilience_idempotency_total'))).toHaveLength(8);
    expect(series(text, 'resilience_hedge_total')).toEqual(
      zeros('outcome', ['started', 'won', 'suppressed'], 'catalogue'),
    );
    expect(series(text, 'resilience_drain_state')).toEqual({
      'state="ready"': '1',
      'state="draining"': '0',
      'state="quiesced"': '0',
      'state="closed"': '0',
    });
    expect(series(text, 'resilience_drain_in_flight')).toEqual({ '': '0' });
    expect(Object.keys(series(text, 'resilience_call_duration_seconds_count'))).toEqual(
      expect.arrayContaining(['name="Shop.buy",kind="successful"', 'name="Shop.look",kind="rejected"']),
    );
  });

  it('OP-02 counts what happens', async () => {
    const { shop } = await start();
    let release = (_value: unknown) => undefined as void;
    const first = shop.buy(() => new Promise((resolve) => (release = resolve)));
    const second = shop.buy(() => 'fine');
    await shop.buy(() => 'fine').catch(() => undefined);
    const busy = await scrape();
    expect(series(busy, 'resilience_bulkhead_active')).toEqual({ 'name="shop"': '1' });
    expect(series(busy, 'resilience_bulkhead_queued')).toEqual({ 'name="shop"': '1' });
    expect(series(busy, 'resilience_bulkhead_rejected_total')).toEqual({ 'name="shop"': '1' });
    await clock.advance(500);
    release('fine');
    await Promise.all([first, second]);
    const hanging = shop.buy(() => new Promise(() => undefined)).catch(() => undefined);
    await clock.advance(1_000);
    // The retry waits for the slot, which the method that nobody waits for still holds.
    await clock.advance(30_000);
    await hanging;
    for (let i = 0; i < 2; i++) await shop.look(fail);
    app.get(DrainingService).start();

    const text = await scrape();
    expect(series(text, 'resilience_bulkhead_wait_seconds_sum')).toEqual({ 'name="shop"': '0.5' });
    expect(series(text, 'resilience_timeout_calls_total')).toMatchObject({
      'name="shop",kind="successful"': '2',
      'name="shop",kind="timeout"': '1',
    });
    expect(series(text, 'resilience_retry_calls_total')).toMatchObject({
      'name="shop",kind="successful_without_retry"': '2',
    });
    expect(series(text, 'resilience_fallback_calls_total')).toMatchObject({
      'name="shop",level="default"': '2',
    });
    expect(series(text, 'resilience_drain_state')).toMatchObject({ 'state="ready"': '0' });
  });

  it('CH-01 injected faults are counted apart, those of policies and those that were started live', async () => {
    const chaosPolicies = { shop: { enabled: true, fault: 'service-unavailable' } } as const;
    const { resilience } = await start({}, { chaosPolicies });
    const injected = async () => {
      const text = await scrape();
      return ['chaos_injected_total', 'chaos_live_injected_total', 'chaos_live_faults'].map((name) =>
        Object.entries(series(text, `resilience_${name}`)).join(' '),
      );
    };
    expect(await injected()).toEqual(['name="shop",0', ',0', ',0']);

    const chaos = resilience.chaos('shop');
    await chaos.execute(async () => 1).catch(() => undefined);
    const fault = app.get(ChaosService).start({ target: 'Shop.look', fault: 'error' });
    await app.get(Shop).look(() => 'fine');
    expect(await injected()).toEqual(['name="shop",1', ',1', ',1']);
    fault.stop();
    expect(await injected()).toEqual(['name="shop",1', ',1', ',0']);
  });

  it('OP-02 durations are a histogram whose buckets add up, by how calls ended', async () => {
    const { shop, resilience } = await start({}, { callDurations: true });
    for (const ms of [2, 40, 40]) {
      const looking = shop.look(() => new Promise((resolve) => void clock.delay(ms, () => resolve('fine'))));
      await clock.advance(ms);
      await looking;
    }
    resilience.circuitBreaker('shop').forceOpen();
    await shop.buy(() => 'never').catch(() => undefined);

    const text = await scrape();
    const buckets = series(text, 'resilience_call_duration_seconds_bucket');
    const look = (le: string) => buckets[`name="Shop.look",kind="successful",le="${le}"`];
    expect(['0.001', '0.0025', '0.025', '0.05', '60', '+Inf'].map(look)).toEqual([
      '0',
      '1',
      '1',
      '3',
      '3',
      '3',
    ]);
    const sums = series(text, 'resilience_call_duration_seconds_sum');
    expect(Number(sums['name="Shop.look",kind="successful"'])).toBeCloseTo(0.082, 9);
    expect(series(text, 'resilience_call_duration_seconds_count')).toMatchObject({
      'name="Shop.buy",kind="rejected"': '1',
      'name="Shop.buy",kind="failed"': '0',
    });
    expect(resilience.stats().calls?.['Shop.look']?.successful.count).toBe(3);
  });

  it('OP-05 a key is never a label, however many there are', async () => {
    const { shop } = await start();
    const before = (await scrape()).split('\n').length;
    for (let i = 0; i < 50; i++) await shop.buy(() => 'fine', `customer-${i}`);

    const text = await scrape();
    expect(text).not.toContain('customer-');
    expect(text.split('\n')).toHaveLength(before);
    const names = new Set([...text.matchAll(/[{,](\w+)="/g)].map(([, name]) => name));
    expect(names).toEqual(new Set(['decision', 'kind', 'level', 'name', 'outcome', 'state']));
  });

  it('OP-05 open circuits of keys are counted, and their keys are no labels', async () => {
    const { resilience } = await start();
    const key = ({ args }: { args: readonly unknown[] }) => String(args[0]);
    const breaker = resilience.circuitBreaker('tenants', { failureThreshold: 1, key });
    for (const tenant of ['eu', 'us']) await breaker.execute(fail, { args: [tenant] }).catch(() => undefined);
    await breaker.execute(() => 'fine', { args: ['asia'] });

    const text = await scrape();

    expect(series(text, 'resilience_circuitbreaker_open_keys')).toMatchObject({
      'name="tenants"': '2',
      'name="shop"': '0',
    });
    expect(series(text, 'resilience_circuitbreaker_state')).toMatchObject({
      'name="tenants",state="open"': '0',
    });
    expect(text).not.toMatch(/"(eu|us|asia)"/);
  });

  it('OP-02 a counter never goes down: not when a policy is reset, nor when a call is taken back', async () => {
    const { shop, resilience } = await start();
    const values = async () => {
      const text = await scrape();
      return {
        calls: series(text, 'resilience_circuitbreaker_calls_total')['name="shop",kind="successful"'],
        allowed: series(text, 'resilience_ratelimiter_decisions_total')['name="shop",decision="allowed"'],
        answers: series(text, 'resilience_fallback_calls_total')['name="shop",level="primary"'],
      };
    };
    for (let i = 0; i < 3; i++) await shop.buy(() => 'fine');
    await shop.look(() => 'fine');
    expect(await values()).toEqual({ calls: '3', allowed: '3', answers: '1' });

    // Nobody scraped between these calls and the reset: they are not lost either.
    await shop.buy(() => 'fine');
    resilience.reset('circuitBreaker', 'shop');
    resilience.rateLimiter('shop').reset();
    resilience.reset('fallback', 'shop');
    expect(await values()).toEqual({ calls: '4', allowed: '4', answers: '1' });
    await shop.buy(() => 'fine');
    expect(await values()).toEqual({ calls: '5', allowed: '5', answers: '1' });

    // Let in by the rate limit, and taken back when the wait for a slot is over.
    let release = (_value: unknown) => undefined as void;
    const running = shop.buy(() => new Promise((resolve) => (release = resolve)));
    const waiting = shop.buy(() => 'never').catch(() => undefined);
    expect((await values()).allowed).toBe('7');
    await clock.advance(500);
    release('fine');
    await Promise.all([running, waiting]);
    expect(Number((await values()).allowed)).toBeGreaterThanOrEqual(7);
  });

  it('OP-02 is answered to the end of a drain, past interceptors and prefixes, and under another path', async () => {
    class Wrap implements NestInterceptor {
      intercept(_context: unknown, next: CallHandler) {
        return next.handle().pipe(map((data: unknown) => ({ data })));
      }
    }
    await start(
      { path: 'internal/metrics', defaultMetrics: true },
      { draining: { readinessDelay: 0 } },
      (nest) => nest.setGlobalPrefix('api').useGlobalInterceptors(new Wrap()),
    );
    app.get(DrainingService).start();

    const text = await scrape('/api/internal/metrics');
    expect(text).toMatch(/^resilience_drain_state\{state="ready"\} 0$/m);
    expect(text).toMatch(/^process_cpu_seconds_total \d/m);
  });

  it('OP-02 guards stand in front of it where there are any', async () => {
    class Closed implements CanActivate {
      canActivate() {
        return false;
      }
    }
    await start({ guards: [Closed] });
    expect((await fetch(`${url}/metrics`)).status).toBe(403);
  });

  it('OP-02 goes into a registry of your own, once, and out of it again', async () => {
    const { resilience } = await start();
    new Counter({ name: 'orders_total', help: 'Mine.', registers: [app.get<Registry>(METRICS_REGISTRY)] });
    expect(await scrape()).toContain('orders_total 0');
    const registry = new Registry();
    registry.setDefaultLabels({ app: 'shop' });
    const unregister = registerResilienceMetrics(resilience, registry);

    expect(() => registerResilienceMetrics(resilience, registry)).toThrow(/a registry of its own/);
    expect(await registry.metrics()).toContain('resilience_bulkhead_active{name="shop",app="shop"} 0');
    expect((await registry.getMetricsAsJSON()).map(({ name }) => name)).toContain('resilience_hedge_total');

    unregister();
    expect(await registry.metrics()).toBe('\n');
  });

  it('OP-02 a registry that outlives applications serves one after the other, also after one that failed to start', async () => {
    const registry = new Registry();
    const failing = create(
      moduleOf({
        imports: [ResiliencePrometheusModule.register({ registry })],
        providers: [{ provide: 'late', useValue: { onModuleInit: fail } }],
      }),
    ).then((nest) => nest.init());
    await expect(failing).rejects.toThrow('down');

    await start({ registry, defaultMetrics: true });
    await app.close();
    expect(await registry.metrics()).not.toContain('resilience_');

    await start({ registry, defaultMetrics: true });
    const text = await scrape();
    expect(text).toMatch(/^process_cpu_seconds_total \d/m);
    expect(text).toContain('resilience_drain_state{state="ready"} 1');
  });

  it('OP-02 a budget that a retry has for itself is apart from a named one that is called the same', async () => {
    await start(
      {},
      {
        retryBudgets: { shop: { max: 5, window: '10s' }, mail: { max: 7, window: '10s' } },
        retries: { mail: { budget: { max: 3, window: '10s' } }, news: { budget: 'mail' } },
      },
    );

    expect(series(await scrape(), 'resilience_retry_budget_available')).toEqual({
      'name="mail",kind="own"': '3',
      'name="mail",kind="named"': '7',
      'name="shop",kind="named"': '5',
    });
  });

  it('OP-02 speaks OpenMetrics too', async () => {
    const registry = new Registry<RegistryContentType>();
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    await start({ registry });
    const text = await scrape();
    expect(text).toContain('# TYPE resilience_hedge counter\n');
    expect(text).toContain('resilience_hedge_total{name="catalogue",outcome="won"} 0');
    expect(text.endsWith('# EOF\n')).toBe(true);
  });

  it('OP-02 without callDurations no call is timed, and wrong options are named', async () => {
    const { resilience } = await start();
    expect(resilience.stats().calls).toBeUndefined();
    expect(series(await scrape(), 'resilience_call_duration_seconds_count')).toEqual({});
    expect(() => ResiliencePrometheusModule.register({ path: '', defaultMetrics: 1 as never })).toThrow(
      /"path"[\s\S]*"defaultMetrics"/,
    );
  });
});
