import { Controller, Get, Injectable, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from '@jest/globals';
import {
  Bulkhead,
  CallSignal,
  CircuitBreaker,
  Fallback,
  FallbackLevel,
  ResilienceModule,
  ResilienceService,
  Retry,
  Timeout,
} from 'nestjs-breakwater';
import { ManualClock } from 'nestjs-breakwater/testing';
import {
  EMPTY,
  NEVER,
  Observable,
  Subject,
  concat,
  firstValueFrom,
  lastValueFrom,
  of,
  range,
  take,
  throwError,
  toArray,
} from 'rxjs';
import { listen, moduleOf, platforms } from './platforms.js';

const down = throwError(() => new Error('down'));

async function start<T>(Service: Type<T>) {
  const clock = new ManualClock();
  const app = await Test.createTestingModule({
    imports: [ResilienceModule.forRoot({ clock })],
    providers: [Service],
  }).compile();
  return { app, clock, service: app.get(Service), resilience: app.get(ResilienceService) };
}

/** What arrived, and how it ended. */
function record<T>(source: Observable<T>) {
  const seen: (T | string)[] = [];
  const subscription = source.subscribe({
    next: (value) => seen.push(value),
    error: (error: Error) => seen.push(`error: ${error.message}`),
    complete: () => seen.push('complete'),
  });
  return { seen, subscription };
}

describe('PL-10 methods that return observables', () => {
  it('PL-10 the subscription is the call: each one, and none without', async () => {
    @Injectable()
    class Service {
      runs = 0;
      @CircuitBreaker('calls')
      values(): Observable<number> {
        this.runs++;
        return of(1, 2, 3);
      }
    }
    const { app, service, resilience } = await start(Service);
    const values = service.values();
    expect(service.runs).toBe(0);
    expect(await lastValueFrom(values.pipe(toArray()))).toEqual([1, 2, 3]);
    expect(await firstValueFrom(values)).toBe(1);
    expect(service.runs).toBe(2);
    await new Promise((resolve) => setImmediate(resolve));
    expect(resilience.circuitBreaker('calls').stats()).toMatchObject({ totalCalls: 2, totalSuccesses: 2 });
    await app.close();
  });

  it("PL-10 known by its annotation, or by returns: 'observable'; else an error says so", async () => {
    @Injectable()
    class Service {
      @CircuitBreaker({ returns: 'observable' })
      told() {
        return of('told');
      }
      @CircuitBreaker()
      untold() {
        return of('untold');
      }
      @CircuitBreaker()
      annotated(): Observable<string> {
        return EMPTY;
      }
    }
    const { app, service } = await start(Service);
    expect(await lastValueFrom(service.told())).toBe('told');
    expect(await lastValueFrom(service.annotated(), { defaultValue: 'nothing' })).toBe('nothing');
    await expect(service.untold() as unknown as Promise<string>).rejects.toThrow(
      "Service.untold returned an Observable, but is not known to: annotate its return type, or give its decorator returns: 'observable'.",
    );
    await app.close();
  });

  it('PL-10 a retry resubscribes, before the first value only', async () => {
    @Injectable()
    class Service {
      runs = 0;
      @Retry('early', { maxRetries: 3, baseDelay: '1s', jitter: 'none', budget: false })
      early(): Observable<string> {
        return ++this.runs < 3 ? down : of('third');
      }
      @Retry('late', { maxRetries: 3, baseDelay: 0, budget: false })
      late(): Observable<string> {
        this.runs++;
        return concat(of('one'), down);
      }
    }
    const { app, clock, service } = await start(Service);
    const early = record(service.early());
    await clock.advance(3000);
    expect([early.seen, service.runs]).toEqual([['third', 'complete'], 3]);
    service.runs = 0;
    const late = record(service.late());
    await clock.advance(0);
    expect([late.seen, service.runs]).toEqual([['one', 'error: down'], 1]);
    await app.close();
  });

  it('PL-10 a fallback answers, before the first value only, with a value or an observable', async () => {
    @Injectable()
    class Service {
      @Fallback('cached')
      first(): Observable<string> {
        return down;
      }
      cached(): Observable<string> {
        return of('cached 1', 'cached 2');
      }
      @Fallback(() => 'plain')
      plain(): Observable<string> {
        return down;
      }
      @Fallback(() => 'never')
      late(): Observable<string> {
        return concat(of('one'), down);
      }
    }
    const { app, clock, service } = await start(Service);
    const seen = [service.first(), service.plain(), service.late()].map((source) => record(source).seen);
    await clock.advance(0);
    expect(seen).toEqual([
      ['cached 1', 'cached 2', 'complete'],
      ['plain', 'complete'],
      ['one', 'error: down'],
    ]);
    await app.close();
  });

  it("PL-10 a timeout runs to completion, or with until: 'first' to the first value", async () => {
    @Injectable()
    class Service {
      readonly source = new Subject<string>();
      @Timeout('2s')
      whole(): Observable<string> {
        return this.source;
      }
      @Timeout({ duration: '2s', until: 'first' })
      first(): Observable<string> {
        return this.source;
      }
    }
    const { app, clock, service } = await start(Service);
    const whole = record(service.whole());
    const first = record(service.first());
    await clock.advance(1000);
    service.source.next('one');
    await clock.advance(1000);
    service.source.next('two');
    await clock.advance(0);
    expect(whole.seen).toEqual([
      'one',
      expect.stringMatching(/^error: The attempt took longer than the 2 s/),
    ]);
    expect(first.seen).toEqual(['one', 'two']);
    service.source.complete();
    await clock.advance(0);
    expect(first.seen).toEqual(['one', 'two', 'complete']);
    expect([service.source.observed, clock.pending]).toEqual([false, 0]);
    const silent = record(service.first());
    await clock.advance(2000);
    expect(silent.seen).toHaveLength(1);
    await app.close();
  });

  it('PL-10 unsubscribing aborts the call, and gives back its slot', async () => {
    @Injectable()
    class Service {
      signal: AbortSignal | undefined;
      subscribed = 0;
      @Bulkhead('slots', { maxConcurrent: 1, maxQueue: 5 })
      @CircuitBreaker('breaker')
      watch(@CallSignal() signal?: AbortSignal): Observable<string> {
        this.signal = signal;
        return new Observable(() => {
          this.subscribed++;
          return () => this.subscribed--;
        });
      }
    }
    const { app, clock, service, resilience } = await start(Service);
    const running = record(service.watch());
    const waiting = record(service.watch());
    const third = record(service.watch());
    const slots = resilience.bulkhead('slots');
    await clock.advance(0);
    expect(slots.stats()).toMatchObject({ activeCalls: 1, queuedCalls: 2 });
    waiting.subscription.unsubscribe();
    await clock.advance(0);
    expect(slots.stats()).toMatchObject({ activeCalls: 1, queuedCalls: 1 });
    const { signal } = service;
    running.subscription.unsubscribe();
    await clock.advance(0);
    expect(signal?.aborted).toBe(true);
    expect([slots.stats().activeCalls, slots.stats().queuedCalls, service.subscribed]).toEqual([1, 0, 1]);
    third.subscription.unsubscribe();
    await clock.advance(0);
    expect([slots.stats().activeCalls, service.subscribed]).toEqual([0, 0]);
    // Given up is neither success nor failure.
    expect(resilience.circuitBreaker('breaker').stats()).toMatchObject({
      totalSuccesses: 0,
      totalFailures: 0,
    });
    expect([running.seen, waiting.seen, third.seen]).toEqual([[], [], []]);
    await app.close();
  });

  it('PL-10 who leaves after a value has been answered: a success, also of a probe', async () => {
    @Injectable()
    class Service {
      isUp = false;
      signal: AbortSignal | undefined;
      teardowns = 0;
      @CircuitBreaker('breaker', { failureThreshold: 5, successThreshold: 1, openDuration: '10s' })
      @Timeout({ name: 'timeout', duration: '2s', adaptive: { minSamples: 1, max: '2s' } })
      rate(@CallSignal() signal?: AbortSignal): Observable<number> {
        this.signal = signal;
        return new Observable<number>((subscriber) => {
          if (!this.isUp) return subscriber.error(new Error('down'));
          subscriber.next(1);
          subscriber.next(2);
          return () => this.teardowns++;
        });
      }
    }
    const { app, clock, service, resilience } = await start(Service);
    const breaker = resilience.circuitBreaker('breaker');
    const fail = async (times: number) => {
      service.isUp = false;
      for (let i = 0; i < times; i++) {
        const { seen } = record(service.rate());
        await clock.advance(1);
        expect(seen).toEqual(['error: down']);
      }
      service.isUp = true;
    };

    await fail(4);
    expect(await firstValueFrom(service.rate())).toBe(1);
    await clock.advance(0);
    await fail(4);

    expect(breaker.state).toBe('closed');
    expect([service.teardowns, service.signal?.aborted]).toEqual([1, false]);
    await fail(1);
    expect(breaker.state).toBe('open');
    await clock.advance(10_000);
    expect(await firstValueFrom(service.rate())).toBe(1);
    await clock.advance(0);
    expect(breaker.state).toBe('closed');
    expect(breaker.stats()).toMatchObject({ totalSuccesses: 2 });
    expect(service.signal?.aborted).toBe(true);
    expect(resilience.timeout('timeout').stats()).toMatchObject({ successfulAttempts: 2 });
    await app.close();
  });

  it('PL-10 FB-06 what a cache answers in the place of a failed observable arrives', async () => {
    @Injectable()
    class Service {
      source: Observable<number> = of(41, 42);
      @Fallback({ levels: [{ level: FallbackLevel.LOCAL_CACHE }] })
      rates(): Observable<number> {
        return this.source;
      }
      @Fallback({ levels: [{ level: FallbackLevel.LOCAL_CACHE }] })
      nothing(): Observable<number> {
        return this.source;
      }
    }
    const { app, clock, service } = await start(Service);
    const before = record(service.rates());
    await clock.advance(0);
    service.source = down;
    const after = record(service.rates());
    await clock.advance(0);
    service.source = EMPTY;
    const empty = record(service.nothing());
    await clock.advance(0);

    expect([before.seen, after.seen, empty.seen]).toEqual([
      [41, 42, 'complete'],
      [42, 'complete'],
      ['complete'],
    ]);
    await app.close();
  });

  it('PL-10 a subscriber that leaves in the middle of a synchronous burst stops it', async () => {
    @Injectable()
    class Service {
      @Bulkhead({ maxConcurrent: 1, maxQueue: 5 })
      wait(): Observable<number> {
        return NEVER;
      }
      @Bulkhead('burst', { maxConcurrent: 1, maxQueue: 5 })
      burst(how: 'wait' | 'run'): Observable<number> {
        return how === 'wait' ? NEVER : range(0, Number.POSITIVE_INFINITY);
      }
    }
    const { app, clock, service, resilience } = await start(Service);
    // At once, and after a wait.
    expect(await lastValueFrom(service.burst('run').pipe(take(3), toArray()))).toEqual([0, 1, 2]);
    await clock.advance(0);
    const blocking = record(service.burst('wait'));
    const late = record(service.burst('run').pipe(take(3)));
    await clock.advance(0);
    expect(late.seen).toEqual([]);
    blocking.subscription.unsubscribe();
    await clock.advance(0);
    expect(late.seen).toEqual([0, 1, 2, 'complete']);
    expect(resilience.bulkhead('burst').stats().activeCalls).toBe(0);
    await app.close();
  });

  it('PL-10 matchers see the last value', async () => {
    const matched: unknown[] = [];
    @Injectable()
    class Service {
      @CircuitBreaker('breaker', { recordResult: (value) => matched.push(value) > 0 && value === 'bad' })
      values(): Observable<string> {
        return of('good', 'bad');
      }
    }
    const { app, service, resilience } = await start(Service);
    expect(await lastValueFrom(service.values().pipe(toArray()))).toEqual(['good', 'bad']);
    expect(matched).toEqual(['bad']);
    expect(resilience.circuitBreaker('breaker').stats().totalFailures).toBe(1);
    await app.close();
  });

  it('PL-10 a method that throws before it returns an observable', async () => {
    @Injectable()
    class Service {
      @Retry({ maxRetries: 0 })
      values(): Observable<string> {
        throw new Error('at once');
      }
    }
    const { app, clock, service } = await start(Service);
    const { seen } = record(service.values());
    await clock.advance(0);
    expect(seen).toEqual(['error: at once']);
    await app.close();
  });

  it.each(platforms)('PL-10 handlers that return observables, on %s', async (_platform, create) => {
    @Controller()
    class ValuesController {
      @Get('values')
      @CircuitBreaker('values')
      values(): Observable<string> {
        return of('first', 'last');
      }
      @Get('refused')
      @CircuitBreaker({ initialState: 'forced-open' })
      refused(): Observable<string> {
        return of('never');
      }
    }
    const app = await create(moduleOf({ controllers: [ValuesController] }));
    const url = await listen(app);
    expect(await (await fetch(`${url}/values`)).text()).toBe('last');
    expect(app.get(ResilienceService).circuitBreaker('values').stats().totalCalls).toBe(1);
    expect((await fetch(`${url}/refused`)).status).toBe(503);
    await app.close();
  });
});
