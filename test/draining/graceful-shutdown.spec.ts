import 'reflect-metadata';
import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Injectable,
  Module,
  type INestApplicationContext,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Transport } from '@nestjs/microservices';
import { Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import {
  DrainingService,
  ResilienceModule,
  enableGracefulShutdown,
  type DrainingOptions,
  type OnDrain,
  type ShutdownProcess,
} from '../../lib/index.js';
import { ManualClock } from '../../lib/testing/index.js';
import { deferred } from '../policies/deferred.js';
import { RecordedLog } from './recorded-log.js';

/** A process whose signals a test sends. */
class FakeProcess extends EventEmitter implements ShutdownProcess {
  readonly exits: number[] = [];

  exit(code: number): void {
    this.exits.push(code);
  }

  signal(name: string): void {
    this.emit(name, name);
  }

  get listening(): number {
    return this.eventNames().reduce((sum, name) => sum + this.listenerCount(name), 0);
  }
}

let work = deferred();
let steps: string[] = [];
let onDestroy: () => unknown = () => undefined;

/** A pool that the work under way needs. */
@Injectable()
class Pool implements OnModuleDestroy, OnApplicationShutdown {
  isOpen = true;

  query(): string {
    return this.isOpen ? 'row' : 'the pool is closed';
  }

  async onModuleDestroy() {
    this.isOpen = false;
    steps.push('pool closed');
    await onDestroy();
  }

  onApplicationShutdown(signal?: string) {
    steps.push(`shutdown by ${signal}`);
  }
}

@Controller()
class WorkController {
  constructor(private readonly pool: Pool) {}

  @Get('work') async work() {
    steps.push('arrived');
    await work.promise;
    const row = this.pool.query();
    steps.push(row);
    return row;
  }

  @MessagePattern('work') message() {
    return this.pool.query();
  }
}

describe('enableGracefulShutdown', () => {
  let open: INestApplicationContext | undefined;
  let clock: ManualClock;
  let log: RecordedLog;

  function moduleOf(draining: DrainingOptions, more: object[] = [], imports: never[] = []) {
    clock = new ManualClock();
    log = new RecordedLog();
    work = deferred();
    steps = [];
    onDestroy = () => undefined;
    @Module({
      imports: [ResilienceModule.forRoot({ clock, draining }), ...imports],
      controllers: [WorkController],
      providers: [Pool, ...(more as never[])],
    })
    class AppModule {}
    return AppModule;
  }

  async function start(draining: DrainingOptions = {}, more: object[] = []) {
    const host = new FakeProcess();
    const app = await NestFactory.create(moduleOf(draining, more), { logger: log, abortOnError: false });
    open = app;
    enableGracefulShutdown(app, host);
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    return { app, host, draining: app.get(DrainingService), get: () => fetch(`${url}/work`) };
  }

  /** Once that step was taken. */
  async function step(name: string): Promise<void> {
    while (!steps.includes(name)) await new Promise((resolve) => setImmediate(resolve));
  }

  afterEach(async () => {
    await open?.close();
    open = undefined;
  });

  it('DR-03 drains before Nest closes: pools outlive the last request, and the process ends with 0', async () => {
    const { host, get } = await start({ readinessDelay: '5s' });
    const answer = get();
    await step('arrived');

    host.signal('SIGTERM');
    await clock.advance(6_000);
    expect(steps).toEqual(['arrived']);
    work.resolve(undefined);

    expect(await (await answer).text()).toBe('row');
    await step('shutdown by SIGTERM');
    await clock.advance(0);
    expect(steps).toEqual(['arrived', 'row', 'pool closed', 'shutdown by SIGTERM']);
    expect(host.exits).toEqual([0]);
    expect(host.listening).toBe(0);
    expect(clock.pending).toBe(0);
    expect(log.lines.map((line) => line.split(' ')[0])).toEqual(['SIGTERM:', 'Drained', 'Closed,']);
  });

  it('DR-02 a second signal skips the waits, and a third ends the process at once', async () => {
    const { host, get, draining } = await start();
    const cut = get().catch(() => 'cut off');
    await step('arrived');
    onDestroy = () => new Promise(() => undefined);

    host.signal('SIGINT');
    expect(draining.phase).toBe('draining');
    host.signal('SIGINT');
    expect(draining.stats()).toMatchObject({ phase: 'quiesced', cutOffRequests: 1 });
    expect(await cut).toBe('cut off');
    await step('pool closed');
    expect(host.exits).toEqual([]);
    host.signal('SIGINT');

    expect(host.exits).toEqual([1]);
    expect(log.lines).toContain('SIGINT again: waits no longer.');
    open = undefined;
  });

  it('DR-02 after a signal the process ends even where closing hangs', async () => {
    const { host } = await start({ readinessDelay: 0, closeTimeout: '10s' });
    onDestroy = () => new Promise(() => undefined);

    host.signal('SIGTERM');
    await step('pool closed');
    await clock.advance(9_999);
    expect(host.exits).toEqual([]);
    await clock.advance(1);

    expect(host.exits).toEqual([1]);
    expect(log.lines.at(-1)).toBe('Closing took longer than 10 s: ends without it.');
    open = undefined;
  });

  it('DR-02 a signal ends the process even where app.close() had begun before it, and hangs', async () => {
    const { app, host } = await start({ readinessDelay: 0, closeTimeout: '10s' });
    onDestroy = () => new Promise(() => undefined);

    void app.close();
    await step('pool closed');
    await clock.advance(60_000);
    expect(host.exits).toEqual([]);
    host.signal('SIGTERM');
    await clock.advance(9_999);
    expect(host.exits).toEqual([]);
    await clock.advance(1);

    expect(host.exits).toEqual([1]);
    open = undefined;
  });

  it('the process ends with 1 where closing fails', async () => {
    const { app, host } = await start({ readinessDelay: 0 });
    Object.assign(app.getHttpAdapter(), { close: () => Promise.reject(new Error('still in use')) });

    host.signal('SIGTERM');
    while (host.exits.length === 0) await new Promise((resolve) => setImmediate(resolve));

    expect(host.exits).toEqual([1]);
    expect(log.lines).toContain('Closing failed: Error: still in use');
    open = undefined;
  });

  it('DR-03 app.close() and shutdown() drain as well, once, and leave the process alone', async () => {
    const { app, host, get, draining } = await start({ readinessDelay: 0 });
    const answer = get();
    await step('arrived');

    const closed = Promise.all([app.close(), draining.shutdown(), app.close()]);
    await clock.advance(1_000);
    expect(steps).toEqual(['arrived']);
    work.resolve(undefined);
    await closed;

    expect((await answer).status).toBe(200);
    expect(steps).toEqual(['arrived', 'row', 'pool closed', 'shutdown by undefined']);
    expect([host.exits, host.listening, draining.phase]).toEqual([[], 0, 'closed']);
  });

  it.each(['before', 'after'])(
    'takes the place of enableShutdownHooks() that was called %s',
    async (when) => {
      const app = await NestFactory.create(moduleOf({ readinessDelay: 0, signals: ['SIGUSR1'] }), {
        logger: log,
        abortOnError: false,
      });
      open = app;
      const before = process.listenerCount('SIGUSR2');
      const host = process as unknown as ShutdownProcess;
      const exits: number[] = [];
      const fake: ShutdownProcess = {
        on: (signal, listener) => host.on(signal, listener),
        off: (signal, listener) => host.off(signal, listener),
        listenerCount: (signal) => host.listenerCount(signal),
        exit: (code) => void exits.push(code),
      };
      if (when === 'before') app.enableShutdownHooks(['SIGUSR2']);
      enableGracefulShutdown(app, fake);
      if (when === 'after') app.enableShutdownHooks(['SIGUSR2']);
      expect(process.listenerCount('SIGUSR2')).toBe(before + 1);
      await app.listen(0, '127.0.0.1');
      const answer = fetch(`${await app.getUrl()}/work`);
      await step('arrived');

      process.emit('SIGUSR2', 'SIGUSR2');
      await clock.advance(1_000);
      expect(steps).toEqual(['arrived']);
      work.resolve(undefined);

      expect((await answer).status).toBe(200);
      while (exits.length === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(steps).toEqual(['arrived', 'row', 'pool closed', 'shutdown by SIGUSR2']);
      expect([process.listenerCount('SIGUSR2'), process.listenerCount('SIGUSR1')]).toEqual([before, 0]);
    },
  );

  it('may be called twice', async () => {
    const { app, host } = await start({ readinessDelay: 0 });

    enableGracefulShutdown(app, host);

    expect(host.listening).toBe(2);
  });

  it('two applications of one process both drain, and the last one ends it', async () => {
    const one = await start({ readinessDelay: 0 });
    const answer = one.get();
    await step('arrived');
    const [held, firstApp] = [work, open];
    const two = await start({ readinessDelay: 0 });

    two.host.signal('SIGTERM');
    one.host.signal('SIGTERM');
    while (two.draining.phase !== 'closed') await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(0);
    expect([one.host.exits, two.host.exits]).toEqual([[], []]);
    held.resolve(undefined);

    expect((await answer).status).toBe(200);
    while (one.host.exits.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect([one.host.exits, two.host.exits]).toEqual([[0], []]);
    await firstApp?.close();
  });

  it('says what is missing without the module', async () => {
    @Module({})
    class Empty {}
    const app = await NestFactory.create(Empty, { logger: false, abortOnError: false });
    open = app;

    expect(() => enableGracefulShutdown(app)).toThrow('needs ResilienceModule.forRoot()');
  });

  it('DR-03 works without HTTP: a standalone application, whose consumers stop first', async () => {
    const idle = deferred();
    @Injectable()
    class Consumer implements OnDrain {
      async onDrain() {
        steps.push('consumer pauses');
        await idle.promise;
        steps.push('consumer idle');
      }
    }
    const host = new FakeProcess();
    const app = await NestFactory.createApplicationContext(moduleOf({}, [Consumer]), { logger: log });
    enableGracefulShutdown(app, host);

    host.signal('SIGTERM');
    await clock.advance(0);
    expect(steps).toEqual(['consumer pauses']);
    idle.resolve(undefined);
    await step('shutdown by SIGTERM');

    expect(steps).toEqual(['consumer pauses', 'consumer idle', 'pool closed', 'shutdown by SIGTERM']);
  });

  it('DR-03 works for a microservice, and for a hybrid application', async () => {
    const tcp = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } } as const;
    const alone = new FakeProcess();
    const service = await NestFactory.createMicroservice(moduleOf({}), { ...tcp, logger: log });
    enableGracefulShutdown(service, alone);
    await service.listen();

    alone.signal('SIGTERM');
    while (alone.exits.length === 0) await new Promise((resolve) => setImmediate(resolve));
    // Nest's own close() of a microservice passes no signal on.
    expect(steps).toEqual(['pool closed', 'shutdown by undefined']);

    const hybrid = new FakeProcess();
    const app = await NestFactory.create(moduleOf({ readinessDelay: 0 }), { logger: log });
    app.connectMicroservice(tcp);
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    enableGracefulShutdown(app, hybrid);

    hybrid.signal('SIGTERM');
    while (hybrid.exits.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(steps).toEqual(['pool closed', 'shutdown by SIGTERM']);
    expect([alone.exits, hybrid.exits]).toEqual([[0], [0]]);
  });

  it('DR-03 stops cron jobs and intervals before pools close, as the guide does it', async () => {
    @Injectable()
    class Ticking implements OnDrain {
      constructor(private readonly schedule: SchedulerRegistry) {}

      @Interval('tick', 5)
      tick() {
        if (!steps.includes('tick')) steps.push('tick');
      }

      async onDrain() {
        for (const name of this.schedule.getIntervals()) this.schedule.deleteInterval(name);
        for (const job of this.schedule.getCronJobs().values()) await job.stop();
        steps.push('no more ticks');
      }
    }
    const imports = [ScheduleModule.forRoot()] as never[];
    const host = new FakeProcess();
    const app = await NestFactory.createApplicationContext(moduleOf({}, [Ticking], imports), { logger: log });
    enableGracefulShutdown(app, host);
    await step('tick');

    host.signal('SIGTERM');
    while (host.exits.length === 0) await new Promise((resolve) => setImmediate(resolve));

    expect(steps).toEqual(['tick', 'no more ticks', 'pool closed', 'shutdown by SIGTERM']);
  });
});
