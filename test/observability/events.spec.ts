import 'reflect-metadata';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger, type INestApplicationContext } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { Test } from '@nestjs/testing';
import { filter, firstValueFrom, lastValueFrom, map } from 'rxjs';
import {
  CircuitBreaker,
  DrainingService,
  EventHub,
  EventLog,
  ResilienceModule,
  ResilienceService,
  type PolicyEvent,
  type ResilienceModuleOptions,
} from '../../lib/index.js';
import { RUNTIME_TOKEN } from '../../lib/decorators/runtime.js';
import { EVENT_TYPES } from '../../lib/module/events/event-catalogue.js';
import { ManualClock } from '../../lib/testing/index.js';

const tick = () => new Promise((resolve) => setImmediate(resolve));

@Injectable()
class Payments {
  @CircuitBreaker('payments', { failureThreshold: 2, openDuration: '10s', successThreshold: 1 })
  async charge(ok: boolean) {
    if (!ok) throw Object.assign(new Error('declined'), { order: new Array(1_000).fill('big') });
    return 'charged';
  }

  @CircuitBreaker('tenants', { failureThreshold: 1, key: ({ args }) => String(args[0]) })
  async chargeFor(_tenant: string) {
    throw new Error('declined');
  }
}

describe('events', () => {
  const clock = new ManualClock();
  let app: INestApplicationContext;

  async function start(
    options: ResilienceModuleOptions = {},
    extra: object[] = [],
    providers: object[] = [],
  ) {
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock, ...options }), ...(extra as [])],
      providers: [Payments, ...(providers as [])],
    }).compile();
    app = await module.createNestApplication().init();
    return {
      payments: app.get(Payments),
      resilience: app.get(ResilienceService),
      log: app.get(EventLog),
      hub: app.get<{ events: EventHub }>(RUNTIME_TOKEN).events,
    };
  }

  async function trip(payments: Payments) {
    await payments.charge(false).catch(() => undefined);
    await payments.charge(false).catch(() => undefined);
    await tick();
  }

  afterEach(async () => {
    await app.close();
    jest.restoreAllMocks();
  });

  describe('typed listeners', () => {
    it('OP-04 a listener of one type hears that type alone, in order, and leaves when it wants', async () => {
      const { payments, resilience } = await start();
      const heard: string[] = [];
      const stop = resilience.on('circuitBreaker', 'state-changed', ({ policy, details }) => {
        heard.push(`${policy} ${details.from} → ${details.to}`);
      });

      await trip(payments);
      await payments.charge(true).catch(() => undefined);
      await clock.advance(10_000);
      await payments.charge(true);
      await tick();
      stop();
      await trip(payments);

      expect(heard).toEqual([
        'payments closed → open',
        'payments open → half-open',
        'payments half-open → closed',
      ]);
    });

    it('OP-04 without a listener nothing is built, and with one only what it wants', async () => {
      const { payments, resilience, hub } = await start({ events: { keep: 'none', log: false } });
      const emitted = jest.spyOn(hub, 'emit');
      expect(hub.active).toBe(false);

      await trip(payments);
      expect(emitted).not.toHaveBeenCalled();

      const stop = resilience.on('circuitBreaker', 'state-changed', () => undefined);
      for (let i = 0; i < 5; i++) await payments.charge(true).catch(() => undefined);
      expect(emitted).not.toHaveBeenCalled();
      resilience.circuitBreaker('payments').close();
      expect(emitted).toHaveBeenCalledTimes(1);

      stop();
      expect(hub.active).toBe(false);
    });

    it('OP-04 events come after the state change, and the promise of a listener is not awaited', async () => {
      const { payments, resilience } = await start();
      const seen: string[] = [];
      resilience.on('circuitBreaker', 'state-changed', () => {
        seen.push(resilience.circuitBreaker('payments').state);
        return new Promise(() => undefined);
      });
      resilience.on('circuitBreaker', 'rejected', ({ details }) => seen.push(details.error.code));

      await payments.charge(false).catch(() => undefined);
      const failing = payments.charge(false);
      expect(seen).toEqual([]);
      await failing.catch(() => undefined);
      await payments.charge(false).catch(() => undefined);
      await tick();

      expect(seen).toEqual(['open', 'CIRCUIT_OPEN']);
    });

    it('OP-04 a listener that throws, or whose promise fails, is reported once and disturbs no other', async () => {
      const report = jest.fn();
      const hub = new EventHub(report);
      const heard = jest.fn();
      hub.listen(() => {
        throw new Error('throws');
      });
      hub.listen(async () => {
        throw new Error('rejects');
      });
      hub.listen(heard);
      for (let at = 0; at < 3; at++) hub.emit({ kind: 'hedge', policy: 'p', type: 'hedged', at });
      await tick();
      app = await start().then(() => app);

      expect(report.mock.calls.map(([error]) => (error as Error).message)).toEqual(['throws', 'rejects']);
      expect(heard).toHaveBeenCalledTimes(3);
    });
  });

  describe('events$', () => {
    const bug = (): never => {
      throw new Error('bug');
    };
    const rejecting: () => unknown = () => Promise.reject(new Error('bug'));

    it('CB-17 a subscriber that throws is reported once, changes nothing, and does not end the process', async () => {
      const { payments, resilience } = await start();
      const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
      const thrown = jest.fn();
      // What rxjs throws again in a timer, and what a promise of nobody is rejected with.
      const later = jest.spyOn(globalThis, 'setTimeout').mockImplementation(thrown as never);
      const heard: string[] = [];
      resilience.events$.subscribe(bug);
      resilience.events$.subscribe(rejecting);
      resilience.events$.pipe(filter(({ kind }) => kind === 'circuitBreaker')).subscribe(bug);
      resilience.events$.pipe(map(bug)).subscribe();
      resilience.events$.pipe(map(bug)).subscribe({ error: bug });
      resilience.events$.subscribe(({ type }) => heard.push(type));

      await trip(payments);
      resilience.circuitBreaker('payments').close();
      await tick();
      later.mockRestore();

      expect(thrown).not.toHaveBeenCalled();
      expect(warned.mock.calls.map(([text]) => text)).toEqual(
        Array(5).fill('A listener of resilience events failed: Error: bug'),
      );
      expect(heard).toEqual(['state-changed', 'state-changed']);
    });

    it('OP-04 failures within operators reach whoever handles them, and ending a subscription ends them all', async () => {
      const { payments, resilience, hub } = await start({ events: { keep: 'none', log: false } });
      const failures: string[] = [];
      resilience.events$.pipe(map(bug)).subscribe({ error: (error: Error) => failures.push(error.message) });
      const first = firstValueFrom(resilience.events$.pipe(map(({ type }) => type)));
      const subscription = resilience.events$.pipe(map(({ type }) => type)).subscribe();
      expect(hub.active).toBe(true);

      await trip(payments);
      subscription.unsubscribe();

      expect(failures).toEqual(['bug']);
      expect(await first).toBe('state-changed');
      expect(hub.active).toBe(false);
    });

    it('OP-04 completes when the application has closed, after its last event', async () => {
      const { resilience, hub } = await start();
      const last = lastValueFrom(resilience.events$);

      await app.close();

      expect(await last).toMatchObject({ kind: 'draining', type: 'closed' });
      expect(await lastValueFrom(resilience.events$, { defaultValue: 'over' })).toBe('over');
      resilience.events$.subscribe({ complete: bug });
      expect(hub.wants('hedge', 'hedged')).toBe(false);
    });
  });

  describe('the event log', () => {
    it('OP-04 keeps transitions by default, with ISO times of when they happened, and no rejection', async () => {
      const { payments, log } = await start();

      await trip(payments);
      const openedAt = clock.wallTime();
      await payments.charge(true).catch(() => undefined);
      await clock.advance(10_000);
      await payments.charge(true);
      await tick();

      const events = log.of('circuitBreaker', 'payments');
      expect(events.map(({ type, details }) => `${type} ${details['to'] as string}`)).toEqual([
        'state-changed open',
        'state-changed half-open',
        'state-changed closed',
      ]);
      expect(events.map(({ time }) => Date.parse(time))).toEqual([
        openedAt,
        openedAt + 10_000,
        openedAt + 10_000,
      ]);
      expect(events.map(({ id }) => id)).toEqual([1, 2, 3]);
    });

    it('OP-04 with "all" it keeps rejections too, reduced to what names them: nothing big lives on', async () => {
      const { payments, log } = await start({ events: { keep: 'all' }, retries: {} });

      await trip(payments);
      await payments.charge(true).catch(() => undefined);
      await tick();

      const [, rejected] = log.of('circuitBreaker', 'payments');
      expect(rejected).toMatchObject({
        type: 'rejected',
        details: { error: { name: 'CircuitOpenError', code: 'CIRCUIT_OPEN', message: expect.any(String) } },
      });
      expect(structuredClone(rejected)).toEqual(rejected);
      expect(JSON.parse(JSON.stringify(rejected))).toEqual(rejected);
    });

    it('OP-04 an error of any shape is kept by name, message and code, and long texts are cut', async () => {
      const hub = new EventHub();
      const log = new EventLog({ clock, events: hub }, 'all');
      const hostile = Object.defineProperty({}, 'message', {
        get: () => {
          throw new Error('getter');
        },
      });
      const errors = [Object.assign(new TypeError('x'), { code: 7, big: {} }), 'text', undefined, hostile];
      for (const error of errors)
        hub.emit({ kind: 'retry', policy: 'p', type: 'retried', at: 0, details: { error, delayMs: 5 } });
      hub.emit({
        kind: 'retry',
        policy: 'p',
        type: 'x',
        at: 0,
        details: { long: 'x'.repeat(9_999), f: tick },
      });
      await tick();
      app = await start().then(() => app);

      expect(log.of('retry', 'p').map(({ details }) => details['error'])).toEqual([
        { name: 'TypeError', message: 'x', code: 7 },
        { name: 'string', message: 'text' },
        undefined,
        { name: 'Object', message: '[object Object]' },
        undefined,
      ]);
      const last = log.of('retry', 'p').at(-1)?.details;
      expect(last?.['long']).toHaveLength(500);
      expect(typeof last?.['f']).toBe('string');
    });

    it('OP-04 is bounded per policy and in the number of policies: whose last event is oldest goes first', async () => {
      const hub = new EventHub();
      const log = new EventLog({ clock, events: hub }, 'all', 3);
      for (let i = 1; i <= 5; i++) hub.emit({ kind: 'hedge', policy: 'busy', type: `${i}`, at: 0 });
      for (let i = 0; i < 999; i++) hub.emit({ kind: 'hedge', policy: `p${i}`, type: 'x', at: 0 });
      hub.emit({ kind: 'hedge', policy: 'busy', type: '6', at: 0 });
      hub.emit({ kind: 'hedge', policy: 'one more', type: 'x', at: 0 });
      await tick();
      app = await start().then(() => app);

      expect(log.of('hedge', 'busy').map(({ type }) => type)).toEqual(['4', '5', '6']);
      expect(log.of('hedge', 'p0')).toEqual([]);
      expect(log.of('hedge', 'p1')).toHaveLength(1);
      expect(log.recent(Number.MAX_SAFE_INTEGER)).toHaveLength(1_002);
    });

    it('OP-04 recent() has the last events of all policies in order, and what is new since an id', async () => {
      const { payments, resilience, log } = await start();
      await trip(payments);
      resilience.circuitBreaker('tenants').forceOpen('maintenance');
      resilience.circuitBreaker('payments').close('repaired');
      app.get(DrainingService).start();
      await tick();

      const told = (event: { kind: string; policy: string; details: object }) =>
        `${event.kind} ${event.policy} ${'to' in event.details ? String(event.details.to) : ''}`.trim();
      expect(log.recent().map(told).slice(0, 4)).toEqual([
        'circuitBreaker payments open',
        'circuitBreaker tenants forced-open',
        'circuitBreaker payments closed',
        'draining application',
      ]);
      expect(log.recent(2).map(({ id }) => id)).toEqual(
        log
          .recent()
          .map(({ id }) => id)
          .slice(-2),
      );
      expect(log.recent(100, 3).every(({ id }) => id > 3)).toBe(true);
      expect(log.recent(0)).toEqual([]);
    });

    it('OP-04 can be told at run time what to keep', async () => {
      const { payments, log, hub } = await start({ events: { keep: 'none', log: false } });
      expect([log.recording, hub.active]).toEqual(['none', false]);
      await trip(payments);
      log.record('all');
      await payments.charge(true).catch(() => undefined);
      await tick();
      log.record('none');
      await payments.charge(true).catch(() => undefined);
      await tick();

      expect(log.recent().map(({ type }) => type)).toEqual(['rejected']);
      expect(hub.active).toBe(false);
      log.clear();
      expect(log.recent()).toEqual([]);
    });
  });

  describe("Nest's log", () => {
    it('OP-04 has a line per transition and none per rejection', async () => {
      const warned = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
      const logged = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
      const { payments } = await start();
      logged.mockClear();

      await trip(payments);
      for (let i = 0; i < 10; i++) await payments.charge(true).catch(() => undefined);
      await clock.advance(10_000);
      await payments.charge(true);
      await payments.chargeFor('a"\nb').catch(() => undefined);
      await tick();

      expect(warned.mock.calls.map(([line]) => line as string)).toEqual([
        expect.stringMatching(/^Circuit breaker "payments": closed → open \(.+\)\.$/),
        expect.stringMatching(/^Circuit breaker "tenants" \(key "a\\"\\nb"\): closed → open \(.+\)\.$/),
      ]);
      expect(logged.mock.calls.map(([line]) => line as string)).toEqual([
        expect.stringMatching(/^Circuit breaker "payments": open → half-open /),
        expect.stringMatching(/^Circuit breaker "payments": half-open → closed /),
      ]);
    });

    it('OP-04 is left alone with log: false', async () => {
      const warned = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
      const { payments } = await start({ events: { log: false } });

      await trip(payments);

      expect(warned).not.toHaveBeenCalled();
    });
  });

  describe('EventEmitter2', () => {
    @Injectable()
    class Pager {
      readonly pages: PolicyEvent[] = [];

      @OnEvent('resilience.circuitBreaker.state-changed')
      onChange(event: PolicyEvent) {
        this.pages.push(event);
      }
    }

    it('OP-04 emits resilience.<kind>.<type> where the application asks for it', async () => {
      const { payments } = await start(
        { events: { emit: 'all' } },
        [EventEmitterModule.forRoot({ wildcard: true })],
        [Pager],
      );
      const all: string[] = [];
      app.get(EventEmitter2).on('resilience.*.rejected', (event: PolicyEvent) => all.push(event.policy));

      await trip(payments);
      await payments.charge(true).catch(() => undefined);
      await tick();

      expect(app.get(Pager).pages).toMatchObject([
        { kind: 'circuitBreaker', policy: 'payments', type: 'state-changed', details: { to: 'open' } },
      ]);
      expect(all).toEqual(['payments']);
    });

    it('OP-04 with "transitions" a rejection is not emitted, and without the option nothing is', async () => {
      const { payments, hub } = await start({ events: { emit: 'transitions' } }, [
        EventEmitterModule.forRoot(),
      ]);
      expect(hub.wants('circuitBreaker', 'rejected')).toBe(false);
      const emit = jest.spyOn(app.get(EventEmitter2), 'emit');
      await trip(payments);
      await payments.charge(true).catch(() => undefined);
      await tick();
      expect(emit.mock.calls.map(([name]) => name)).toEqual(['resilience.circuitBreaker.state-changed']);
      await app.close();

      const plain = await start({}, [EventEmitterModule.forRoot()]);
      const silent = jest.spyOn(app.get(EventEmitter2), 'emit');
      await trip(plain.payments);
      expect(silent).not.toHaveBeenCalled();
    });

    it('OP-04 emits the end of the application, and nothing after it', async () => {
      const { resilience } = await start({ events: { emit: 'transitions' } }, [EventEmitterModule.forRoot()]);
      const emit = jest.spyOn(app.get(EventEmitter2), 'emit');

      await app.close();
      resilience.circuitBreaker('payments').forceOpen();
      await tick();

      expect(emit.mock.calls.map(([name]) => name)).toEqual(['resilience.draining.closed']);
    });

    it('OP-04 says what is missing', async () => {
      const starting = start({ events: { emit: 'all' } });
      await expect(starting).rejects.toThrow(/needs EventEmitterModule\.forRoot\(\)/);
      await start();
    });
  });

  it('OP-04 every kind of policy speaks, and says only what the catalogue knows', async () => {
    const { resilience } = await start();
    const heard = new Set<string>();
    const unknown: string[] = [];
    resilience.events$.subscribe(({ kind, type }) => {
      heard.add(`${kind} ${type}`);
      if (!(EVENT_TYPES[kind] as readonly string[]).includes(type)) unknown.push(`${kind} ${type}`);
    });
    const fail = () => {
      throw new Error('down');
    };
    const hang = () => new Promise(() => undefined);
    const quietly = (call: Promise<unknown>) => call.catch(() => undefined);

    const breaker = resilience.circuitBreaker('b', { failureThreshold: 1 });
    await quietly(breaker.execute(fail));
    await quietly(breaker.execute(fail));
    breaker.meterOnly();
    await quietly(breaker.execute(fail));
    const retry = resilience.retry('r', { maxRetries: 3, baseDelay: 0, budget: { max: 1, window: '10s' } });
    await quietly(retry.execute(fail));
    const bulkhead = resilience.bulkhead('k', { maxConcurrent: 0 });
    await quietly(bulkhead.execute(fail));
    const limit = resilience.rateLimiter('l', { capacity: 1, refillPerSecond: 0 });
    for (let i = 0; i < 2; i++) await quietly(limit.execute(() => 'fine'));
    const timeout = resilience.timeout('t', { duration: 10 });
    const hedge = resilience.hedge('h', { delay: 5, budget: false });
    const slow = [quietly(timeout.execute(hang)), quietly(timeout.execute(() => hedge.execute(hang)))];
    await clock.advance(100);
    await Promise.all(slow);
    const pipeline = resilience.pipeline('f', { fallback: { name: 'f', use: fail } });
    await quietly(pipeline.execute(fail));
    const answered = resilience.pipeline('g', { fallback: { name: 'g', use: () => 'default' } });
    await answered.execute(fail);
    const once = resilience.idempotency('i');
    await quietly(once.execute(() => 'fine'));
    const chaos = resilience.chaos('c', { enabled: true, error: 503 });
    await quietly(chaos.execute(() => 'fine'));
    const budget = resilience.retryBudget('u', { max: 1, window: '1s' });
    for (const policy of [breaker, retry, bulkhead, limit, timeout, hedge, once, chaos, budget])
      policy.reset();
    resilience.fallback('g').reset();
    app.get(DrainingService).start();
    await tick();

    expect(unknown).toEqual([]);
    const cleared = Object.keys(EVENT_TYPES).filter((kind) => kind !== 'draining' && kind !== 'sharedState');
    expect([...heard]).toEqual(
      expect.arrayContaining([
        'circuitBreaker state-changed',
        'circuitBreaker rejected',
        'circuitBreaker threshold-crossed',
        'retry retried',
        'retry budget-exhausted',
        'bulkhead rejected',
        'rateLimit rejected',
        'timeout timed-out',
        'hedge hedged',
        'fallback exhausted',
        'fallback degraded',
        'idempotency rejected',
        'chaos injected',
        'draining draining',
        ...cleared.map((kind) => `${kind} cleared`),
      ]),
    );
  });

  it('OP-04 wrong options are named', async () => {
    const starting = start({ events: { keep: 'everything' as 'all', keepPerPolicy: 0 } });
    await expect(starting).rejects.toThrow(/"events\.keep"[\s\S]*"events\.keepPerPolicy"/);
    await start();
  });
});
