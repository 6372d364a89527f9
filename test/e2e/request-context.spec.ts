import { Body, Controller, Get, Injectable, Post, Query, UseInterceptors } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import {
  CallSignal,
  Fallback,
  FallbackInterceptor,
  ResilienceService,
  Timeout,
  TimeoutExceededError,
  TimeoutInterceptor,
} from 'nestjs-breakwater';
import { ManualClock } from 'nestjs-breakwater/testing';
import { defer, throwError, type Observable } from 'rxjs';
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
