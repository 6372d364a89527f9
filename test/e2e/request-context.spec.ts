import { Body, Controller, Get, Injectable, Post, Query, UseInterceptors } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { describe, expect, it, jest } from '@jest/globals';
import {
  CallSignal,
  Fallback,
  FallbackInterceptor,
  ResilienceModule,
  ResilienceService,
  Timeout,
  TimeoutExceededError,
  TimeoutInterceptor,
} from 'nestjs-breakwater';
import { ManualClock } from 'nestjs-breakwater/testing';
import { Subject, concatMap, defer, throwError, type Observable } from 'rxjs';
import { deferred } from '../policies/deferred.js';
import { listen, moduleOf, platforms } from './platforms.js';

@Injectable()
class Warehouse {
  gate = deferred<void>();

  @Fallback(() => 'cached')
  async stock(sku: string): Promise<string> {
    await this.gate.promise;
    if (sku === 'broken') throw new Error('down');
    return `12 of ${sku}`;
  }

  @Fallback(() => 'cached', { returns: 'observable' })
  watch(): Observable<string> {
    return throwError(() => new Error('down'));
  }

  @Timeout('30s', { name: 'inner' })
  async slow(@CallSignal() signal?: AbortSignal): Promise<never> {
    return new Promise<never>((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason as Error));
    });
  }
}

@Injectable()
class Orders {
  readonly inner = deferred<unknown>();
  readonly entered = deferred<void>();

  constructor(
    private readonly warehouse: Warehouse,
    private readonly resilience: ResilienceService,
  ) {}

  async stock(sku: string): Promise<string> {
    return this.warehouse.stock(sku);
  }

  watch(): Observable<string> {
    return defer(() => this.warehouse.watch());
  }

  @Timeout({ duration: '2s', total: '20s', name: 'outer' })
  async slow(): Promise<never> {
    return this.nested();
  }

  /** What it would tell the next service. */
  @Timeout('20s', { name: 'told' })
  async told(): Promise<object> {
    await Promise.resolve();
    return { headers: this.resilience.deadlineHeaders(), remainingMs: this.resilience.remainingMs() };
  }

  @Timeout('2s', { name: 'streaming', returns: 'observable' })
  slowly(): Observable<never> {
    return defer(() => this.nested());
  }

  async nested(): Promise<never> {
    await Promise.resolve();
    const call = this.warehouse.slow();
    call.catch((error: unknown) => this.inner.resolve(error));
    this.entered.resolve();
    return call;
  }
}

@Controller()
class OrdersController {
  constructor(readonly orders: Orders) {}

  @Get('stock')
  async stock(@Query('sku') sku: string): Promise<string> {
    return this.orders.stock(sku);
  }

  @Post('stock')
  async posted(@Body() body: { sku: string }): Promise<string> {
    return this.orders.stock(body.sku);
  }

  @Get('watch')
  watch(): Observable<string> {
    return this.orders.watch();
  }

  @Get('slow')
  async slow(): Promise<never> {
    return this.orders.slow();
  }

  @Get('told')
  async told(): Promise<object> {
    return this.orders.told();
  }

  @Get('unbounded')
  async unbounded(): Promise<never> {
    return this.orders.nested();
  }

  @Get('slowly')
  slowly(): Observable<never> {
    return this.orders.slowly();
  }

  @Get('intercepted')
  @UseInterceptors(TimeoutInterceptor.for('2s'))
  async intercepted(): Promise<never> {
    return this.orders.nested();
  }

  @Get('handler')
  @UseInterceptors(FallbackInterceptor.for(() => 'from the interceptor'))
  async handler(): Promise<string> {
    throw new Error('down');
  }
}

const degraded = ({ headers }: Response) => [headers.get('x-degraded-mode'), headers.get('x-degraded-level')];

describe.each(platforms)('the context of a request on %s', (_platform, create) => {
  const start = async (requestContext: boolean | { deadlineHeader: string }) => {
    const clock = new ManualClock();
    const module = moduleOf(
      { controllers: [OrdersController], providers: [Orders, Warehouse] },
      { requestContext, clock },
    );
    const app = await create(module);
    const url = await listen(app);
    return { app, clock, url, gate: app.get(Warehouse).gate };
  };

  it('FB-07 a fallback anywhere below marks its answer, and no concurrent one', async () => {
    const { app, url, gate } = await start(true);
    const answers = ['broken', 'A1', 'broken', 'B2'].map((sku) => fetch(`${url}/stock?sku=${sku}`));
    gate.resolve();
    const responses = await Promise.all(answers);
    expect(responses.map(degraded)).toEqual([
      ['true', 'default'],
      [null, null],
      ['true', 'default'],
      [null, null],
    ]);
    expect(await Promise.all(responses.map((response) => response.text()))).toEqual([
      'cached',
      '12 of A1',
      'cached',
      '12 of B2',
    ]);
    await app.close();
  });

  it('FB-07 requests with a body too', async () => {
    const { app, url, gate } = await start(true);
    gate.resolve();
    const response = await fetch(`${url}/stock`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sku: 'broken', padding: 'x'.repeat(90_000) }),
    });
    expect([response.status, ...degraded(response)]).toEqual([201, 'true', 'default']);
    await app.close();
  });

  it('FB-07 PL-10 a fallback of an observable', async () => {
    const { app, url } = await start(true);
    const response = await fetch(`${url}/watch`);
    expect([await response.text(), ...degraded(response)]).toEqual(['cached', 'true', 'default']);
    await app.close();
  });

  it('FB-07 a fallback of an interceptor', async () => {
    const { app, url } = await start(true);
    const response = await fetch(`${url}/handler`);
    expect([await response.text(), ...degraded(response)]).toEqual([
      'from the interceptor',
      'true',
      'default',
    ]);
    await app.close();
  });

  it('FB-07 without requestContext nothing is marked from below', async () => {
    const { app, url, gate } = await start(false);
    gate.resolve();
    const response = await fetch(`${url}/stock?sku=broken`);
    expect([await response.text(), ...degraded(response)]).toEqual(['cached', null, null]);
    await app.close();
  });

  it.each(['slow', 'slowly', 'intercepted'])('deadlines reach nested calls: GET /%s', async (path) => {
    const { app, clock, url } = await start(true);
    const orders = app.get(Orders);
    const answer = fetch(`${url}/${path}`);
    await orders.entered.promise;
    await clock.advance(2000);
    expect((await answer).status).toBe(504);
    // Not after the 30 s of its own timeout.
    const inner = (await orders.inner.promise) as TimeoutExceededError;
    expect(inner).toBeInstanceOf(TimeoutExceededError);
    expect(clock.pending).toBe(0);
    await app.close();
  });

  describe('with a deadline header', () => {
    const deadlineHeader = 'X-Request-Timeout-Ms';
    const send = (url: string, value: string) => fetch(url, { headers: { [deadlineHeader]: value } });

    it('TO-05 a deadline comes in by header and bounds all calls of the request', async () => {
      const { app, clock, url } = await start({ deadlineHeader });
      const orders = app.get(Orders);
      const answer = send(`${url}/unbounded`, '700');
      await orders.entered.promise;
      await clock.advance(700);
      expect((await answer).status).toBe(504);
      expect(await orders.inner.promise).toMatchObject({ scope: 'deadline' });
      expect(clock.pending).toBe(0);

      expect((await send(`${url}/told`, '0')).status).toBe(504);
      await app.close();
    });

    it('TO-05 what is left goes out by header: the least of what the request and the call may take', async () => {
      const { app, url } = await start({ deadlineHeader });
      const told = async (value: string) => (await send(`${url}/told`, value)).json();
      expect(await told('700')).toEqual({ headers: { 'x-request-timeout-ms': '700' }, remainingMs: 700 });
      const own = { headers: { 'x-request-timeout-ms': '20000' }, remainingMs: 20_000 };
      expect(await told('90000')).toEqual(own);
      for (const nonsense of ['-5', 'soon', '1e3', '']) expect(await told(nonsense)).toEqual(own);
      await app.close();
    });

    it('TO-05 without that option the header says nothing, and none is written', async () => {
      const { app, url } = await start(true);
      const response = await send(`${url}/told`, '1');
      expect(await response.json()).toEqual({ headers: {}, remainingMs: 20_000 });
      await app.close();
    });

    it('TO-05 refuses a header that is none', async () => {
      await expect(start({ deadlineHeader: 'x timeout' })).rejects.toThrow(
        /deadlineHeader.*name of a header/,
      );
    });
  });
});

describe('the context after what has ended', () => {
  @Injectable()
  class Inner {
    @Timeout('1h')
    async look(): Promise<string> {
      return 'found';
    }
  }

  @Injectable()
  class Outer {
    readonly gate = deferred<void>();
    readonly source = new Subject<string>();
    background: Promise<string> | undefined;

    constructor(
      private readonly inner: Inner,
      readonly resilience: ResilienceService,
    ) {}

    @Timeout({ duration: '30ms', until: 'first', returns: 'observable' })
    watch(): Observable<string> {
      return this.source.pipe(concatMap(() => this.inner.look()));
    }

    @Timeout({ duration: '2s', total: '3s' })
    async begin(): Promise<string> {
      this.background = this.gate.promise.then(() => this.inner.look());
      return 'begun';
    }

    @Timeout({ name: 'ignoring', duration: '2s' })
    async ignore(): Promise<string> {
      await this.gate.promise;
      return this.resilience.remainingMs() === 0 ? this.inner.look() : 'with time left';
    }
  }

  async function start() {
    const clock = new ManualClock();
    const app = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock, requestContext: true })],
      providers: [Inner, Outer],
    }).compile();
    return { app, clock, outer: app.get(Outer) };
  }

  it('PL-10 TO-05 a timeout until the first value bounds nothing below it after that', async () => {
    const { app, clock, outer } = await start();
    const seen: string[] = [];
    outer
      .watch()
      .subscribe({ next: (value) => seen.push(value), error: (error) => seen.push(String(error)) });
    outer.source.next('one');
    await clock.advance(1_000);
    outer.source.next('two');
    await clock.advance(0);

    expect(seen).toEqual(['found', 'found']);
    outer.source.complete();
    await app.close();
  });

  it('TO-05 what a method leaves behind is not bound by the deadline that the method kept', async () => {
    const { app, clock, outer } = await start();
    expect(await outer.begin()).toBe('begun');
    await clock.advance(10_000);
    outer.gate.resolve();

    expect(await outer.background).toBe('found');
    await app.close();
  });

  it('TO-05 a method that goes on after its timeout has no time left for what it calls', async () => {
    const { app, clock, outer } = await start();
    const look = jest.spyOn(app.get(Inner), 'look').mockImplementation(async () => 'asked');
    const call = outer.ignore().catch((error: unknown) => error);
    await clock.advance(2_000);
    outer.gate.resolve();
    await clock.advance(0);

    expect(await call).toBeInstanceOf(TimeoutExceededError);
    expect(look).toHaveBeenCalledTimes(1);
    await app.close();
  });
});
