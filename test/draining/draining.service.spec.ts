import 'reflect-metadata';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Scope, type INestApplication, type Provider } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  DrainingError,
  DrainingService,
  InvalidOptionsError,
  ResilienceModule,
  ResilienceService,
  type DrainingOptions,
  type OnDrain,
} from '../../lib/index.js';
import { nextPhase } from '../../lib/draining/drain-phase.js';
import { ManualClock } from '../../lib/testing/index.js';
import { deferred } from '../policies/deferred.js';
import { RecordedLog } from './recorded-log.js';

describe('DrainingService', () => {
  let app: INestApplication | undefined;

  /** An application that takes traffic only if told to listen. */
  async function setUp(options: DrainingOptions = {}, providers: Provider[] = [], listens = false) {
    const clock = new ManualClock();
    const logger = new RecordedLog();
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock, draining: options })],
      providers,
    })
      .setLogger(logger)
      .compile();
    app = module.createNestApplication();
    app.useLogger(logger);
    await (listens ? app.listen(0, '127.0.0.1') : app.init());
    return { app, clock, logger, draining: app.get(DrainingService) };
  }

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  it('DR-02 counts tracked work exactly, failures included', async () => {
    const { draining } = await setUp();
    const work = deferred();
    const open = draining.track(() => work.promise);
    const failed = draining.track(() => {
      throw new Error('broken');
    });

    await expect(failed).rejects.toThrow('broken');
    expect(draining.inFlight).toBe(1);
    work.resolve(undefined);
    await open;
    expect(draining.inFlight).toBe(0);
  });

  it('DR-01 takes new work until the readiness delay is over, then refuses it', async () => {
    const { clock, draining } = await setUp({ readinessDelay: '5s' }, [], true);

    draining.start();
    await clock.advance(4_999);
    const early = await draining.track(() => 'early');
    await clock.advance(1);

    expect(early).toBe('early');
    await expect(draining.track(() => 'late')).rejects.toThrow(DrainingError);
    expect(draining.stats()).toMatchObject({ phase: 'quiesced', refusedRequests: 1 });
    expect(clock.pending).toBe(0);
  });

  it('DR-01 refuses at once with readinessDelay: 0', async () => {
    const { draining } = await setUp({ readinessDelay: 0 }, [], true);
    const work = deferred();
    const open = draining.track(() => work.promise);

    draining.start();

    const refused = await draining.track(() => 'late').catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'DRAINING', retryAfterMs: 1_000 });
    expect(draining.phase).toBe('draining');
    work.resolve(undefined);
    await open;
    expect(draining.phase).toBe('quiesced');
  });

  it('DR-01 does not wait for load balancers where nothing listens', async () => {
    const { clock, draining } = await setUp({ readinessDelay: '5s' });

    expect(await draining.drain()).toBe(true);
    expect([clock.now(), clock.pending]).toEqual([0, 0]);
  });

  it('DR-02 leaves as soon as nothing is under way', async () => {
    const { clock, draining } = await setUp({ timeout: '30s' });
    const work = deferred();
    const open = draining.track(() => work.promise);

    const drained = draining.drain();
    await clock.advance(7_000);
    expect(draining.phase).toBe('draining');
    work.resolve(undefined);
    await open;

    expect(await drained).toBe(true);
    expect(draining.stats()).toMatchObject({ phase: 'quiesced', drainingElapsedMs: 7_000 });
    expect(clock.pending).toBe(0);
  });

  it('DR-02 past the timeout it goes on anyway, and says how many it cut off', async () => {
    const { clock, draining, logger } = await setUp({ timeout: '10s' });
    void draining.track(() => new Promise(() => undefined));
    void draining.track(() => new Promise(() => undefined));

    const drained = draining.drain();
    await clock.advance(9_999);
    expect(draining.phase).toBe('draining');
    await clock.advance(1);

    expect(await drained).toBe(false);
    expect(draining.stats()).toMatchObject({ phase: 'quiesced', cutOffRequests: 2, inFlightRequests: 2 });
    expect(logger.lines.at(-1)).toBe('Drained for 10 s, and cut off 2 requests under way.');
  });

  it('DR-02 skipping the waits ends the readiness delay and the timeout', async () => {
    const { clock, draining } = await setUp({}, [], true);
    void draining.track(() => new Promise(() => undefined));

    const drained = draining.drain();
    draining.skipWaits();

    expect(await drained).toBe(false);
    expect([clock.now(), clock.pending, draining.stats().cutOffRequests]).toEqual([0, 0, 1]);
    await expect(draining.track(() => 'late')).rejects.toThrow(DrainingError);
  });

  it('wait() is over when nothing is under way, and while it drains only when nothing new can come', async () => {
    const { clock, draining } = await setUp({ readinessDelay: '5s' }, [], true);
    expect(await draining.wait(0)).toBe(true);

    draining.start();
    let quiet: boolean | undefined;
    void draining.wait('20s').then((answer) => (quiet = answer));
    await clock.advance(4_999);
    expect(quiet).toBeUndefined();
    await clock.advance(1);

    expect(quiet).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('wait() stops at its timeout, by default that of the module', async () => {
    const { clock, draining } = await setUp({ timeout: '12s' });
    void draining.track(() => new Promise(() => undefined));
    const answers: string[] = [];

    void draining.wait('10s').then((quiet) => answers.push(`10 s: ${quiet}`));
    void draining.wait().then((quiet) => answers.push(`12 s: ${quiet}`));
    await clock.advance(10_000);
    expect(answers).toEqual(['10 s: false']);
    await clock.advance(2_000);

    expect(answers).toEqual(['10 s: false', '12 s: false']);
    expect(clock.pending).toBe(0);
    expect(() => draining.wait('soon')).toThrow(TypeError);
  });

  it('tells every phase once: as an event, and as a line in the log', async () => {
    const { app: application, clock, draining, logger } = await setUp({ readinessDelay: '5s' }, [], true);
    const events: unknown[] = [];
    application.get(ResilienceService).events$.subscribe(({ kind, policy, type, at }) => {
      events.push({ kind, policy, type, at });
    });

    draining.start('SIGTERM');
    draining.start('SIGTERM');
    await clock.advance(5_000);
    await application.close();
    await clock.advance(0);

    const of = (type: string, at: number) => ({ kind: 'draining', policy: 'application', type, at });
    expect(events).toEqual([of('draining', 0), of('quiesced', 5_000), of('closed', 5_000)]);
    expect(logger.lines).toEqual([
      'SIGTERM: draining. Serves for another 5 s. Then 30 s for what is under way (0 now).',
      'Drained in 5 s. Nothing is under way.',
      'Closed, 5 s after it began.',
    ]);
  });

  it('a phase follows only where the table says so', () => {
    expect(nextPhase('ready', 'draining')).toBe('draining');
    expect(() => nextPhase('quiesced', 'draining')).toThrow('cannot go from "quiesced" to "draining"');
    expect(() => nextPhase('closed', 'ready')).toThrow('cannot go');
  });

  it('warns where an application closes with work under way and without draining', async () => {
    const { app: application, draining, logger } = await setUp();
    void draining.track(() => new Promise(() => undefined));

    await application.close();

    expect(draining.phase).toBe('closed');
    expect(logger.lines).toEqual([
      'The application closes with 1 request under way and does not wait: call enableGracefulShutdown(app) in main.ts.',
    ]);
  });

  it('with enabled: false it waits for nothing', async () => {
    const { clock, draining } = await setUp({ enabled: false }, [], true);
    void draining.track(() => new Promise(() => undefined));

    expect(await draining.drain()).toBe(false);
    expect([draining.isDraining, clock.pending]).toEqual([true, 0]);
  });

  it('shutdown() says what is missing where nothing can close the application', async () => {
    const { draining } = await setUp();

    await expect(draining.shutdown()).rejects.toThrow('enableGracefulShutdown(app)');
  });

  it('PL-07 wrong options are all named at start', async () => {
    const wrong = { timeout: 'soon', readinessDelay: -1, signals: ['TERM'], alwaysServe: 'status', delay: 5 };

    const error = await setUp(wrong as unknown as DrainingOptions).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as InvalidOptionsError).problems.map(({ option }) => option)).toEqual([
      'draining.delay',
      'draining.readinessDelay',
      'draining.timeout',
      'draining.signals',
      'draining.alwaysServe',
    ]);
  });
});

describe('onDrain', () => {
  /** Two consumers, one of them made by a factory, and one that Nest makes anew for each request. */
  async function setUp(first: () => unknown, second: () => unknown) {
    const clock = new ManualClock();
    const logger = new RecordedLog();
    @Injectable()
    class QueueConsumer implements OnDrain {
      onDrain() {
        return first() as Promise<void>;
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest implements OnDrain {
      onDrain() {
        throw new Error('must not run');
      }
    }
    class Scheduler implements OnDrain {
      onDrain() {
        return second() as Promise<void>;
      }
    }
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock, draining: { timeout: '10s' } })],
      providers: [
        QueueConsumer,
        PerRequest,
        { provide: 'scheduler', useFactory: () => new Scheduler() },
        { provide: 'alias', useExisting: 'scheduler' },
      ],
    })
      .setLogger(logger)
      .compile();
    await module.init();
    return { module, clock, logger, draining: module.get(DrainingService) };
  }

  it('DR-03 is called once on every provider when new work is refused, and waited for', async () => {
    const calls: string[] = [];
    const [first, second] = [deferred(), deferred()];
    const { module, draining, logger, clock } = await setUp(
      () => (calls.push('consumer'), first.promise),
      () => (calls.push('scheduler'), second.promise),
    );

    const drained = draining.drain();
    expect(calls).toEqual(['consumer', 'scheduler']);
    first.resolve(undefined);
    await clock.advance(0);
    expect(draining.phase).toBe('draining');
    second.resolve(undefined);

    expect(await drained).toBe(true);
    expect(draining.phase).toBe('quiesced');
    expect(clock.pending).toBe(0);
    expect(logger.lines.join('\n')).toContain('PerRequest.onDrain is not called');
    await module.close();
  });

  it('DR-03 one that fails is named, and stops nothing', async () => {
    const { module, draining, logger } = await setUp(
      () => {
        throw new Error('broker gone');
      },
      () => Promise.reject(new Error('no clock')),
    );

    expect(await draining.drain()).toBe(true);
    expect(logger.lines).toContain('QueueConsumer.onDrain failed: Error: broker gone');
    expect(logger.lines).toContain('Scheduler.onDrain failed: Error: no clock');
    await module.close();
  });

  it('DR-02 one that hangs is waited for until the timeout, and named', async () => {
    const { module, draining, logger, clock } = await setUp(
      () => new Promise(() => undefined),
      () => undefined,
    );

    const drained = draining.drain();
    await clock.advance(9_999);
    expect(draining.phase).toBe('draining');
    await clock.advance(1);

    expect(await drained).toBe(true);
    expect(logger.lines).toContain('Not waited for any longer: QueueConsumer.onDrain.');
    await module.close();
  });
});
