import 'reflect-metadata';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Observable, lastValueFrom, of, throwError } from 'rxjs';
import {
  Bulkhead,
  Chaos,
  ChaosInjectedError,
  ChaosService,
  CircuitBreaker,
  CircuitOpenError,
  DrainingService,
  Fallback,
  getChaosToken,
  InjectChaos,
  InvalidOptionsError,
  isChaosInjected,
  ResilienceModule,
  ResilienceService,
  Resilient,
  Retry,
  type ChaosPolicy,
  type PolicyEvent,
  type ResilienceModuleOptions,
} from '../../lib/index.js';
import { bodyOf } from '../../lib/module/error-translation.js';
import { ManualClock, seededRandom } from '../../lib/testing/index.js';

@Injectable()
class Payments {
  runs = 0;

  @CircuitBreaker('gateway', { failureThreshold: 3 })
  async charge(): Promise<string> {
    this.runs++;
    return 'receipt';
  }

  @CircuitBreaker('gateway')
  @Fallback('refundLater')
  async refund(): Promise<string> {
    this.runs++;
    return 'refunded';
  }

  async refundLater(): Promise<string> {
    return 'later';
  }

  @Bulkhead('reports')
  async report(): Promise<string> {
    return 'report';
  }

  @Retry({ maxRetries: 1, baseDelay: 0 })
  prices(): Observable<number> {
    return of(1, 2, 3);
  }

  @Retry({ maxRetries: 1, baseDelay: 0 })
  broken(): Observable<number> {
    return throwError(() => new Error('down'));
  }
}

@Injectable()
class Chaotic {
  constructor(@InjectChaos('slow') readonly slow: ChaosPolicy) {}

  @Chaos('slow', { latency: '1s' })
  async named(): Promise<string> {
    return 'named';
  }

  @Chaos({ enabled: true, error: 503, firstCalls: 1 })
  @Retry({ maxRetries: 1, baseDelay: 0 })
  async own(): Promise<string> {
    return 'own';
  }

  @Resilient({ chaos: { enabled: true, result: 'wrong' } })
  async wrong(): Promise<string> {
    return 'right';
  }
}

const closers: (() => Promise<void>)[] = [];

async function start(options: ResilienceModuleOptions = {}, providers: Type[] = [Payments]) {
  const clock = new ManualClock();
  const app = await Test.createTestingModule({
    imports: [ResilienceModule.forRoot({ clock, random: seededRandom(5), ...options })],
    providers,
  }).compile();
  await app.init();
  closers.push(() => app.close());
  return {
    app,
    clock,
    chaos: app.get(ChaosService),
    resilience: app.get(ResilienceService),
    payments: providers.includes(Payments) ? app.get(Payments) : (undefined as unknown as Payments),
  };
}

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems.map(({ message }) => message);
    throw error;
  }
  return [];
}

/** Runs with another environment, as a deployment would set it. */
async function inProduction<T>(chaosVariable: string | undefined, run: () => Promise<T>): Promise<T> {
  const { NODE_ENV, RESILIENCE_CHAOS } = process.env;
  process.env['NODE_ENV'] = 'production';
  if (chaosVariable !== undefined) process.env['RESILIENCE_CHAOS'] = chaosVariable;
  try {
    return await run();
  } finally {
    restore('NODE_ENV', NODE_ENV);
    restore('RESILIENCE_CHAOS', RESILIENCE_CHAOS);
  }
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

const failure = (error: unknown) => error;

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

describe('@Chaos', () => {
  it('CH-01 does nothing unless enabled, live control included', async () => {
    const { app, clock, resilience } = await start({}, [Chaotic]);
    const chaotic = app.get(Chaotic);

    expect(await chaotic.named()).toBe('named');
    expect(resilience.describe(Chaotic, 'named')).toContain('(nothing)');

    resilience.update('chaos', 'slow', { enabled: true });
    const slow = chaotic.named();
    await clock.advance(999);
    expect(chaotic.slow.stats().waiting).toBe(1);
    await clock.advance(1);
    expect(await slow).toBe('named');
    expect(resilience.describe(Chaotic, 'named')).toContain('injects latency of 1 s into 100 % of calls');
  });

  it('CH-02 is innermost: a retry sees its error as the method’s', async () => {
    const { app, resilience } = await start({}, [Chaotic]);
    const chaotic = app.get(Chaotic);

    expect(await chaotic.own()).toBe('own');
    expect(await chaotic.wrong()).toBe('wrong');
    expect(resilience.stats().retries['Chaotic.own']).toMatchObject({ totalRetries: 1 });
    expect(resilience.stats().chaosPolicies['Chaotic.own']).toMatchObject({
      totalCalls: 2,
      totalInjected: 1,
    });
    expect(resilience.describe(Chaotic, 'own')).toMatch(/retry .*\n.*chaos /);
  });

  it('is configured, injected, found, updated and reset like every other policy', async () => {
    const { app, resilience } = await start(
      { chaosPolicies: { slow: { ratePercent: 50 } }, defaults: { chaos: { every: 2 } } },
      [Chaotic],
    );
    const policy = app.get<ChaosPolicy>(getChaosToken('slow'));

    expect(app.get(Chaotic).slow).toBe(policy);
    expect(resilience.chaos('slow')).toBe(policy);
    expect(resilience.find('chaos', 'slow')).toBe(policy);
    expect(resilience.update('chaos', 'slow', { enabled: true })).toBe(true);
    expect(policy.describe()).toBe('injects latency of 1 s into 50 % of calls, one in 2');
    expect(resilience.reset('chaos', 'slow')).toBe(true);
  });

  it('CH-01 refuses to start in production, with all other problems of the application', async () => {
    @Injectable()
    class Broken {
      @Chaos({ enabled: true, error: 503 })
      @Retry({ maxRetries: -1 })
      async run(): Promise<void> {}
    }
    const options = {
      chaos: { monkey: { enabled: true } },
      chaosPolicies: { on: { enabled: true, error: 500 } },
    };

    const error = await inProduction(undefined, () => start(options, [Broken]).catch(failure));

    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as InvalidOptionsError).problems).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ option: 'chaos.monkey.enabled' }),
        expect.objectContaining({ where: '@Chaos on Broken.run', option: 'enabled' }),
        expect.objectContaining({ where: '@Retry on Broken.run', option: 'maxRetries' }),
        expect.objectContaining({ where: 'ResilienceModule.forRoot chaosPolicies.on', option: 'enabled' }),
      ]),
    );
    expect((error as Error).message).toContain('RESILIENCE_CHAOS');
  });

  it.each([
    [{}, 'allow', false],
    [{ allowInProduction: true }, undefined, false],
    [{ allowInProduction: true }, 'allow', true],
  ])('CH-01 live in production: option %j, variable %s', async (chaosOptions, variable, allowed) => {
    await inProduction(variable, async () => {
      const { chaos, resilience, payments } = await start({ chaos: chaosOptions });
      const starting = problemsOf(() => chaos.start({ target: 'gateway', error: 500 }));
      const monkey = problemsOf(() => chaos.monkey.enable());
      const experiment = problemsOf(() =>
        chaos.experiment({
          name: 'e',
          steadyState: { name: 's', check: () => true },
          faults: [{ target: 'gateway', error: 500 }],
        }),
      );
      const updated = problemsOf(() => resilience.chaos('live', { error: 500 }).update({ enabled: true }));

      for (const problems of [starting, monkey, experiment, updated]) {
        expect(problems).toHaveLength(allowed ? 0 : 1);
      }
      const answer = await payments.charge().catch(failure);
      expect(isChaosInjected(answer)).toBe(allowed);
    });
  });
});

describe('an injected status', () => {
  it('CH-02 is what clients are told, in its own words', () => {
    const bodies = [new ChaosInjectedError('no'), new ChaosInjectedError('no', undefined, 500)].map(bodyOf);

    expect(bodies.map(({ statusCode, error }) => [statusCode, error])).toEqual([
      [503, 'Service Unavailable'],
      [500, 'Internal Server Error'],
    ]);
  });
});

describe('ChaosService', () => {
  it('CH-02 a fault joins every pipeline that holds a policy, and leaves the others alone', async () => {
    const { chaos, payments } = await start();

    const fault = chaos.start({ target: { kind: 'circuitBreaker', name: 'gateway' }, error: 500 });

    expect(await payments.charge().catch(failure)).toMatchObject({ status: 500 });
    expect(await payments.refund()).toBe('later');
    expect(await payments.report()).toBe('report');
    expect(fault).toMatchObject({ totalCalls: 2, totalInjected: 2, remainingMs: 60_000 });
    expect(fault.targets.toSorted()).toEqual(['Payments.charge', 'Payments.refund']);
  });

  it.each([['Payments.charge'], [{ pipeline: 'Payments.charge' }], [['Payments.charge', 'reports']]])(
    'CH-02 a fault for %j',
    async (target) => {
      const { chaos, payments } = await start();

      const fault = chaos.start({ target, fault: 'partition' });

      expect(await payments.charge().catch(failure)).toMatchObject({ code: expect.stringMatching(/^ECONN/) });
      expect(await payments.refund()).toBe('refunded');
      expect(fault.targets).toContain('Payments.charge');
    },
  );

  it('CH-02 a name may hold a star; rate, first calls and duration hold for all that it hits', async () => {
    const { chaos, payments, clock } = await start();

    const fault = chaos.start({ target: 'Payments.*', error: 500, firstCalls: 2, duration: '5s' });
    const answers = [
      await payments.report().catch(failure),
      await payments.charge().catch(failure),
      await payments.charge(),
    ];

    expect(answers.map(isChaosInjected)).toEqual([true, true, false]);
    expect(fault.targets).toHaveLength(5);
    await clock.advance(6_000);
    expect(fault.endedBy).toBe('time');
    expect(chaos.active()).toEqual([]);
  });

  it('CH-02 a wrong result reaches the subscriber of an observable', async () => {
    const { chaos, payments } = await start();
    chaos.start({ target: 'Payments.prices', result: -1 });

    expect(await lastValueFrom(payments.prices())).toBe(-1);
    chaos.clear();
    expect(await lastValueFrom(payments.prices())).toBe(3);
    // Also where an attempt before it was a stream that failed.
    chaos.start({ target: 'Payments.broken', result: -2, every: 2 });
    expect(await lastValueFrom(payments.broken())).toBe(-2);
  });

  it('CH-02 a tripped circuit is the breaker itself, and is put back', async () => {
    const { chaos, payments, resilience } = await start();
    const breaker = resilience.circuitBreaker('gateway');

    const fault = chaos.start({ target: 'gateway', fault: 'circuit-open' });
    const error = await payments.charge().catch(failure);

    expect(error).toBeInstanceOf(CircuitOpenError);
    expect(isChaosInjected(error)).toBe(true);
    expect(breaker.state).toBe('forced-open');
    expect(breaker.stats().reason).toContain('chaos "fault-1"');
    expect(fault).toMatchObject({ totalInjected: 1, targets: ['gateway'] });
    fault.stop();
    expect(breaker.state).toBe('closed');
    expect(await payments.charge()).toBe('receipt');
    expect(fault.totalInjected).toBe(1);
  });

  it('CH-02 overlapping tripped circuits and an operator’s own decision are respected', async () => {
    const { chaos, resilience } = await start();
    const breaker = resilience.circuitBreaker('gateway');
    breaker.meterOnly('watching');

    const first = chaos.start({ target: 'gateway', fault: 'circuit-open' });
    const second = chaos.start({ target: 'gateway', fault: 'circuit-open' });
    first.stop();
    const between = breaker.state;
    second.stop();

    expect([between, breaker.state, breaker.stats().reason]).toEqual([
      'forced-open',
      'meter-only',
      'watching',
    ]);
    const third = chaos.start({ target: 'gateway', fault: 'circuit-open' });
    breaker.disable('by hand');
    third.stop();
    expect(breaker.state).toBe('disabled');
    const fourth = chaos.start({ target: 'gateway', fault: 'circuit-open' });
    breaker.forceOpen('maintenance');
    fourth.stop();
    expect([breaker.state, breaker.stats().reason]).toEqual(['forced-open', 'maintenance']);
  });

  it('CH-02 a tripped circuit for some calls is an error of each', async () => {
    const { chaos, payments, resilience } = await start();

    chaos.start({ target: 'gateway', fault: 'circuit-open', firstCalls: 1 });

    expect(await payments.charge().catch(failure)).toBeInstanceOf(CircuitOpenError);
    expect(await payments.charge()).toBe('receipt');
    expect(resilience.circuitBreaker('gateway').state).toBe('closed');
  });

  it('CH-02 a target that there is not names those that are near', async () => {
    const { chaos } = await start();

    expect(problemsOf(() => chaos.start({ target: 'gatway', error: 500 }))).toEqual([
      'Nothing that is protected answers to "gatway". Did you mean "gateway"?',
    ]);
    expect(problemsOf(() => chaos.start({ target: ['Payments.charge', 'xyz'], error: 500 }))[0]).toContain(
      'There are "Payments.charge"',
    );
    expect(chaos.active()).toEqual([]);
  });

  it('CH-01 stopping a fault lets calls go on that it keeps; no pipeline pays for it any more', async () => {
    const { chaos, payments, resilience, clock } = await start();
    const before = resilience.describe(Payments, 'charge');
    const fault = chaos.start({ target: 'gateway', fault: 'timeout', name: 'hang' });
    const call = payments.charge();
    await clock.advance(1_000);
    const during = resilience.describe(Payments, 'charge');

    expect(chaos.stop(fault.id)).toBe(true);

    expect(await call).toBe('receipt');
    expect(during).toContain('chaos');
    expect(resilience.describe(Payments, 'charge')).toBe(before);
    expect(chaos.stop(fault.id)).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('CH-01 tells when faults begin, hit and end', async () => {
    const { chaos, payments, resilience } = await start();
    const seen: PolicyEvent[] = [];
    const subscription = resilience.events$.subscribe((event) => seen.push(event));

    chaos.start({ target: 'Payments.charge', error: 500, name: 'outage' });
    await payments.charge().catch(failure);
    chaos.clear();
    await Promise.resolve();
    subscription.unsubscribe();

    expect(seen.filter(({ kind }) => kind === 'chaos')).toEqual([
      expect.objectContaining({ policy: 'outage', type: 'started' }),
      expect.objectContaining({ policy: 'outage', type: 'injected', details: { fault: 'error' } }),
      expect.objectContaining({
        policy: 'outage',
        type: 'ended',
        details: { fault: 'error', by: 'stopped', totalInjected: 1 },
      }),
    ]);
  });

  it('CH-03 active faults are listed and cleared', async () => {
    const { chaos, payments } = await start();
    chaos.start({ target: 'gateway', error: 500, name: 'one' });
    chaos.start({ target: 'reports', latency: 10, name: 'two' });

    expect(chaos.active().map(({ id, name, fault }) => [id, name, fault])).toEqual([
      ['fault-1', 'one', 'error'],
      ['fault-2', 'two', 'latency'],
    ]);
    expect(chaos.stats().activeFaults).toBe(2);
    expect(chaos.clear()).toBe(2);
    expect(chaos.active()).toEqual([]);
    expect(await payments.charge()).toBe('receipt');
  });

  it('CH-02 nothing begins once the application has closed', async () => {
    const { app, chaos, clock } = await start();
    const fault = { target: 'gateway', error: 500 } as const;
    const prepared = chaos.experiment({
      name: 'before',
      steadyState: { name: 's', check: () => true },
      faults: [fault],
    });
    await app.close();
    const { pending } = clock;

    const refused = [
      problemsOf(() => chaos.start(fault)),
      problemsOf(() => chaos.monkey.enable()),
      problemsOf(() =>
        chaos.experiment({ name: 'e', steadyState: { name: 's', check: () => true }, faults: [fault] }),
      ),
    ];

    expect(refused.map((problems) => problems.length)).toEqual([1, 1, 1]);
    expect(JSON.stringify(refused)).toContain('The application shuts down: no chaos begins any more.');
    expect((await prepared.run()).state).toBe('aborted');
    expect([clock.pending, chaos.active(), chaos.monkey.enabled]).toEqual([pending, [], false]);
  });

  it('CH-03 the monkey is off by default; its options bring it when the application has started', async () => {
    const off = await start();
    await off.clock.advance(600_000);
    expect(off.chaos.monkey.stats()).toMatchObject({ enabled: false, totalTurns: 0 });

    const { app, chaos, clock } = await start({
      chaos: { monkey: { enabled: true, probabilityPercent: 100, interval: '1s' } },
    });
    await clock.advance(1_000);
    expect(chaos.monkey.stats()).toMatchObject({
      enabled: true,
      totalTurns: 1,
      totalFaults: 1,
      activeFaults: 1,
    });
    expect(chaos.stats()).toMatchObject({ chaosMonkeyEnabled: true, activeFaults: 1 });

    await app.close();
    expect(chaos.active()).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('CH-05 limits pipelines, rate and duration; the widest needs an approval', async () => {
    const { chaos } = await start();
    const start_ = (options: object) =>
      problemsOf(() => chaos.start({ target: 'gateway', error: 500, ...options }).stop());

    expect(start_({ blastRadius: 'minimal' })).toEqual([
      'It hits 2 pipelines, and a blast radius of "minimal" allows 1; take a wider "blastRadius" or hit less.',
    ]);
    expect(start_({ blastRadius: 'limited', ratePercent: 60, duration: '6m' })).toEqual([
      expect.stringContaining('It hits 60 % of calls, and a blast radius of "limited" allows 50 %'),
      expect.stringContaining('It lasts 6 min, and a blast radius of "limited" allows 5 min'),
    ]);
    expect(start_({ duration: '31m' })).toEqual([expect.stringContaining('"moderate" allows 30 min')]);
    expect(start_({ blastRadius: 'extensive', duration: '31m' })).toEqual([
      'A blast radius of "extensive" needs "approvedBy": who answers for it.',
    ]);
    expect(start_({ blastRadius: 'extensive', duration: '31m', approvedBy: 'Ada' })).toEqual([]);
  });

  it('CH-05 without a rate, calls are hit as often as the radius allows', async () => {
    const { chaos } = await start();
    const rate = (blastRadius?: 'minimal' | 'limited') =>
      chaos.start({ target: 'reports', error: 500, ...(blastRadius && { blastRadius }) }).ratePercent;

    expect([rate('minimal'), rate('limited'), rate()]).toEqual([10, 50, 100]);
  });

  it('CH-05 a pipeline that is made later joins while the radius has room', async () => {
    const { chaos, resilience } = await start();
    const fault = chaos.start({
      target: 'gateway',
      error: 500,
      blastRadius: 'limited',
      ratePercent: 50,
      every: 1,
    });
    const late = ['one', 'two'].map((name) => resilience.pipeline(name, { circuitBreaker: 'gateway' }));
    for (const pipeline of late) await pipeline.execute(() => 'ok').catch(failure);

    expect(fault.targets).toEqual(['Payments.charge', 'Payments.refund', 'one']);
    expect(late.map(({ steps }) => steps.some(({ slot }) => slot === 'chaos'))).toEqual([true, false]);
  });

  it('CH-04 CH-06 runs experiments and game days, keeps their reports, and ends them when it closes', async () => {
    const { app, chaos, clock, payments } = await start();
    const options = {
      name: 'gateway down',
      steadyState: { name: 'charging', check: () => true },
      faults: [{ target: 'gateway', error: 500 }],
      duration: '10s',
      abortWhen: { metric: 'circuitBreakers.gateway.totalFailures', above: 100 },
    } as const;
    const running = chaos.experiment(options).run();
    await clock.advance(1_000);
    const during = await payments.charge().catch(failure);
    await clock.advance(14_000);

    expect(during).toBeInstanceOf(ChaosInjectedError);
    expect(await running).toMatchObject({ state: 'completed', validated: true });
    expect(chaos.experiments()).toHaveLength(1);

    const day = chaos.gameDay({ name: 'day', scenario: 'gateway', experiments: [options] });
    const played = day.run();
    await clock.advance(1_000);
    expect(chaos.stats()).toMatchObject({
      experimentsByState: { completed: 1, running: 1 },
      activeFaults: 1,
    });
    await app.close();

    expect(await played).toMatchObject({ state: 'aborted', reason: 'The application closes.' });
    expect(chaos.gameDays()).toMatchObject([{ state: 'aborted' }]);
    expect(chaos.active()).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('closing the application lets calls go on that any chaos keeps', async () => {
    const { app, clock } = await start({ chaosPolicies: { slow: { enabled: true } } }, [Chaotic]);
    const call = app.get(Chaotic).named();
    await clock.advance(1);

    await app.close();

    expect(await call).toBe('named');
    expect(clock.pending).toBe(0);
  });

  it('a drain lets calls go on that any chaos keeps', async () => {
    const { app, chaos, clock, payments } = await start({ draining: { readinessDelay: 0 } });
    chaos.start({ target: 'gateway', fault: 'timeout' });
    const call = payments.charge();
    await clock.advance(1);

    app.get(DrainingService).start();

    expect(await call).toBe('receipt');
    expect(chaos.active()).toEqual([]);
  });

  it('nothing is hit where policies do not apply at all', async () => {
    const { chaos, payments } = await start({ enabled: false });

    expect(problemsOf(() => chaos.start({ target: 'Payments.charge', error: 500 }))[0]).toContain(
      'Nothing that is protected answers to',
    );
    expect(await payments.charge()).toBe('receipt');
  });
});
