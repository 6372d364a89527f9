import 'reflect-metadata';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { context, trace, type Tracer } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { MeterProvider, MetricReader as SdkReader } from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import {
  Bulkhead,
  CircuitBreaker,
  Fallback,
  ResilienceModule,
  ResilienceService,
  Retry,
  Timeout,
} from '../../lib/index.js';
import {
  ResilienceTelemetryModule,
  registerResilienceTelemetry,
  type TelemetryOptions,
} from '../../lib/observability/opentelemetry/index.js';

class ManualReader extends SdkReader {
  protected override async onForceFlush() {}
  protected override async onShutdown() {}
}

@Injectable()
class Shop {
  @CircuitBreaker('shop', { failureThreshold: 2 })
  @Fallback({ name: 'shop', use: () => 'default' })
  async open(run: () => unknown) {
    return run();
  }

  @Retry('shop', { maxRetries: 1, baseDelay: 2, budget: false })
  async again(run: () => unknown) {
    return run();
  }

  @Retry('slow', { maxRetries: 1, baseDelay: 2, budget: false })
  @Timeout({ name: 'slow', duration: 15 })
  async slow(run: () => unknown) {
    return run();
  }

  @Bulkhead('one', { maxConcurrent: 1, maxQueue: 5, maxWait: 15 })
  async one(run: () => unknown) {
    return run();
  }
}

const fail = () => {
  throw new Error('down');
};

describe('OpenTelemetry', () => {
  const exporter = new InMemorySpanExporter();
  let tracer: Tracer;
  let app: INestApplication;

  async function start(options?: TelemetryOptions) {
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot(), ResilienceTelemetryModule.register(options)],
      providers: [Shop],
    }).compile();
    app = await module.createNestApplication().init();
    return { shop: app.get(Shop), resilience: app.get(ResilienceService) };
  }

  /** Runs something in a span of its own; answers the names of the events on that. */
  async function spanned(name: string, run: () => Promise<unknown>): Promise<string[]> {
    const span = tracer.startSpan(name);
    await context.with(trace.setSpan(context.active(), span), () => run().catch(() => undefined));
    span.end();
    return eventsOf(name).map((event) => event.name);
  }

  const eventsOf = (name: string) =>
    exporter.getFinishedSpans().find((span) => span.name === name)?.events ?? [];

  beforeAll(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    tracer = provider.getTracer('test');
  });

  afterEach(async () => {
    await app.close();
    exporter.reset();
  });

  afterAll(() => context.disable());

  it('OP-04 a rejection and a fallback are events of the span in which they happen', async () => {
    const { shop } = await start();
    for (let i = 0; i < 2; i++) await shop.open(fail);

    expect(await spanned('call', () => shop.open(() => 'fine'))).toEqual([
      'resilience.circuitBreaker.rejected',
      'resilience.fallback.degraded',
    ]);
    expect(eventsOf('call').map(({ attributes }) => attributes)).toEqual([
      {
        'resilience.policy': 'shop',
        'resilience.kind': 'circuitBreaker',
        'error.type': 'CircuitOpenError',
        'error.message': expect.stringContaining('is open'),
        'error.code': 'CIRCUIT_OPEN',
      },
      { 'resilience.policy': 'shop', 'resilience.kind': 'fallback', 'resilience.level': 'default' },
    ]);
  });

  it('OP-04 each of many calls at once has its own retries on its own span', async () => {
    const { shop } = await start();
    const names = ['a', 'b', 'c'];
    const events = await Promise.all(
      names.map((name, number) => {
        let left = number;
        return spanned(name, () => shop.again(() => (left-- > 0 ? fail() : 'fine')));
      }),
    );
    expect(events).toEqual([[], ['resilience.retry.retried'], ['resilience.retry.retried']]);
    expect(eventsOf('b')[0]?.attributes).toMatchObject({ 'resilience.attempt': 1, 'error.message': 'down' });
  });

  it('OP-04 what a timer ends is an event of the span that waited, not of the one that set the timer', async () => {
    const { shop } = await start();
    const hang = () => new Promise(() => undefined);
    const both = ['resilience.timeout.timed-out', 'resilience.retry.retried', 'resilience.timeout.timed-out'];

    const slow = await Promise.all(['a', 'b'].map((name) => spanned(name, () => shop.slow(hang))));
    expect(slow).toEqual([both, both]);

    let release = (_value: unknown) => undefined as void;
    const holder = spanned('holder', () => shop.one(() => new Promise((resolve) => (release = resolve))));
    const waiters = await Promise.all(
      ['w1', 'w2'].map((name) => spanned(name, () => shop.one(() => 'never'))),
    );
    release('fine');
    expect(waiters).toEqual([['resilience.bulkhead.rejected'], ['resilience.bulkhead.rejected']]);
    expect(await holder).toEqual([]);
  });

  it('OP-04 without a span, or without spanEvents, nothing is added', async () => {
    const { shop } = await start({ spanEvents: false });
    for (let i = 0; i < 2; i++) await shop.open(fail);
    expect(await spanned('call', () => shop.open(() => 'fine'))).toEqual([]);
  });

  it('OP-02 OP-05 metrics are observed with the same numbers, before the first call and after', async () => {
    const reader = new ManualReader();
    const provider = new MeterProvider({ readers: [reader] });
    const { shop, resilience } = await start({ meter: provider.getMeter('test'), spanEvents: false });
    const collect = async () => {
      const { resourceMetrics } = await reader.collect();
      const all = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
      return (name: string) =>
        Object.fromEntries(
          (all.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? []).map(
            ({ attributes, value }) => [Object.values(attributes).join(' '), value],
          ),
        );
    };

    const before = await collect();
    expect(before('resilience_circuitbreaker_calls')).toEqual({
      'shop successful': 0,
      'shop failed': 0,
      'shop ignored': 0,
    });
    // What nobody knows yet is not observed.
    expect(before('resilience_circuitbreaker_failure_rate_percent')).toEqual({});
    expect(before('resilience_bulkhead_max_concurrent')).toEqual({ one: 1 });
    expect(before('resilience_circuitbreaker_open_keys')).toEqual({ shop: 0 });
    expect(before('resilience_drain_state')).toMatchObject({ ready: 1, draining: 0 });

    for (let i = 0; i < 3; i++) await shop.open(fail);
    resilience.reset('fallback', 'shop');
    await shop.open(fail);
    const after = await collect();
    expect(after('resilience_circuitbreaker_state')).toMatchObject({ 'shop open': 1, 'shop closed': 0 });
    expect(after('resilience_circuitbreaker_not_permitted')).toEqual({ shop: 2 });
    expect(after('resilience_fallback_calls')).toMatchObject({ 'shop default': 4 });
  });

  it('OP-04 is told nothing any more once it is unregistered', async () => {
    const { shop, resilience } = await start({ metrics: false, spanEvents: false });
    const stop = registerResilienceTelemetry(resilience);
    for (let i = 0; i < 2; i++) await shop.open(fail);
    stop();
    expect(await spanned('call', () => shop.open(() => 'fine'))).toEqual([]);
    expect(() => ResilienceTelemetryModule.register({ metrics: 'no' as never })).toThrow(/"metrics"/);
  });
});
