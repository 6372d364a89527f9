import { describe, expect, it } from '@jest/globals';
import { EventHub } from '../../../lib/core/events.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/index.js';
import {
  experimentText,
  gameDayText,
  type ExperimentOptions,
  type GameDayOptions,
} from '../../../lib/policies/chaos/index.js';
import { FaultInjector } from '../../../lib/policies/chaos/fault-injector.js';
import { Laboratory } from '../../../lib/policies/chaos/laboratory.js';
import { ManualClock, seededRandom } from '../../../lib/testing/index.js';
import { deferred } from '../deferred.js';
import { messagesOf } from '../../problems-of.js';

/** A system of two methods behind breakers, and a laboratory that knows it. */
function setUp() {
  const clock = new ManualClock();
  const events = new EventHub();
  const environment = { clock, events, random: seededRandom(2), processEnv: {} as Record<string, string> };
  const breaker = new CircuitBreakerPolicy('gateway', { failureThreshold: 50 }, environment);
  const bulkhead = new BulkheadPolicy('Shop.search', {}, environment);
  const injector = new FaultInjector(environment, () => [breaker]);
  const pipelineOf = (name: string, policies: [CircuitBreakerPolicy | BulkheadPolicy]) =>
    new Pipeline(name, policies, clock, undefined, injector.join({ name, policies }));
  const charge = pipelineOf('Payments.charge', [breaker]);
  const search = pipelineOf('Shop.search', [bulkhead]);
  const stats = () => ({
    circuitBreakers: { gateway: breaker.stats() },
    bulkheads: { 'Shop.search': bulkhead.stats() },
  });
  const laboratory = new Laboratory({ injector, environment, stats });
  const call = () => charge.execute(() => 'ok').catch((error: unknown) => error);
  return { clock, events, environment, breaker, injector, charge, search, laboratory, call };
}

function optionsOf(options: Partial<ExperimentOptions> = {}): ExperimentOptions {
  return {
    name: 'gateway down',
    hypothesis: 'Shops go on.',
    steadyState: { name: 'shops', check: () => true },
    faults: [{ target: 'gateway', error: 500, name: 'outage' }],
    duration: '20s',
    ...options,
  };
}

describe('Experiment', () => {
  it('CH-04 looks before, during and after, injects in between, and reports', async () => {
    const { clock, laboratory, call, injector } = setUp();
    const experiment = laboratory.experiment(optionsOf());
    const before = experiment.state;
    const running = experiment.run();
    await clock.advance(0);
    const during = [experiment.state, injector.active().length, (await call()) instanceof Error];
    await clock.advance(20_000);
    const afterwards = [experiment.state, injector.active().length, await call()];
    await clock.advance(5_000);

    const report = await running;

    expect(before).toBe('scheduled');
    expect(during).toEqual(['running', 1, true]);
    expect(afterwards).toEqual(['running', 0, 'ok']);
    expect(report).toMatchObject({
      name: 'gateway down',
      hypothesis: 'Shops go on.',
      state: 'completed',
      validated: true,
      blastRadius: 'moderate',
      startedAt: '2025-01-01T00:00:00.000Z',
      endedAt: '2025-01-01T00:00:25.000Z',
      durationMs: 25_000,
      faults: [
        {
          name: 'outage',
          fault: 'error',
          targets: ['Payments.charge'],
          ratePercent: 100,
          totalCalls: 1,
          totalInjected: 1,
        },
      ],
    });
    expect(report.observations.map(({ phase, elapsedMs }) => [phase, elapsedMs])).toEqual([
      ['before', 0],
      ['during', 5_000],
      ['during', 10_000],
      ['during', 15_000],
      ['during', 20_000],
      ['after', 25_000],
    ]);
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({ state: 'completed' });
    expect(await experiment.run()).toEqual(report);
    expect(clock.pending).toBe(0);
  });

  it('CH-04 an unsteady system is left alone', async () => {
    const { laboratory, injector, clock, call } = setUp();
    const steadyState = { name: 's', check: () => 0.9 };

    const report = await laboratory.experiment(optionsOf({ steadyState })).run();

    expect(report).toMatchObject({
      state: 'aborted',
      reason: 'The steady state did not hold before anything was injected.',
      validated: undefined,
      faults: [],
      observations: [{ phase: 'before', ok: false, value: 0.9 }],
    });
    expect([injector.active(), await call(), clock.pending]).toEqual([[], 'ok', 0]);
  });

  it('CH-04 aborts and rolls back when a metric crosses its threshold', async () => {
    const { clock, laboratory, injector, call } = setUp();
    const running = laboratory
      .experiment(
        optionsOf({
          abortWhen: { metric: 'circuitBreakers.gateway.totalFailures', above: 2 },
          duration: '1m',
        }),
      )
      .run();
    await clock.advance(1_000);
    await call();
    await call();
    await clock.advance(9_000);
    const atTwo = injector.active().length;
    await call();
    await clock.advance(5_000);

    const report = await running;

    expect(atTwo).toBe(1);
    expect(report).toMatchObject({
      state: 'aborted',
      reason: 'circuitBreakers.gateway.totalFailures is 3, above 2.',
      validated: undefined,
      durationMs: 15_000,
      faults: [{ totalInjected: 3 }],
    });
    expect(report.observations.at(-1)).toMatchObject({ phase: 'during', ok: false, value: 3 });
    expect(injector.active()).toEqual([]);
    expect(await call()).toBe('ok');
    expect(clock.pending).toBe(0);
  });

  it('CH-04 a metric may be a function, and may fall too low', async () => {
    const { clock, laboratory } = setUp();
    let orders = 10;
    const running = laboratory
      .experiment(optionsOf({ abortWhen: [{ metric: async () => orders, below: 5 }] }))
      .run();
    await clock.advance(6_000);
    orders = 4;
    await clock.advance(4_000);

    expect(await running).toMatchObject({ state: 'aborted', reason: 'metric is 4, below 5.' });
  });

  it('CH-04 a hypothesis that does not hold is completed and not validated', async () => {
    const { clock, laboratory, call } = setUp();
    let answers: unknown = 'ok';
    const running = laboratory
      .experiment(optionsOf({ steadyState: { name: 'payments', check: () => answers === 'ok' } }))
      .run();
    await clock.advance(0);
    answers = await call();
    await clock.advance(20_000);
    answers = await call();
    await clock.advance(5_000);

    const report = await running;

    expect(report).toMatchObject({ state: 'completed', validated: false, reason: undefined });
    expect(report.observations.map(({ ok }) => ok)).toEqual([true, false, false, false, false, true]);
  });

  it('CH-04 the tolerance is a share of the looks within the window', async () => {
    const { clock, laboratory } = setUp();
    let looks = 0;
    const running = laboratory
      .experiment(
        optionsOf({
          // The third look fails, and stays one of three for as long as it is in the window.
          steadyState: { name: 's', check: () => ++looks !== 3, tolerance: 0.6, window: '11s' },
          duration: '30s',
        }),
      )
      .run();
    await clock.advance(35_000);

    expect(await running).toMatchObject({ state: 'completed', validated: true });

    looks = 0;
    const strict = laboratory
      .experiment(
        optionsOf({
          steadyState: { name: 's', check: () => ++looks !== 3, tolerance: 0.7, window: '11s' },
          duration: '30s',
        }),
      )
      .run();
    await clock.advance(35_000);
    const { validated, observations } = await strict;
    expect(validated).toBe(false);
    // At 10 s, 15 s and 20 s the bad look is one of three; at 25 s it has left the window.
    expect(observations.filter(({ ok }) => !ok).map(({ elapsedMs }) => elapsedMs)).toEqual([
      10_000, 15_000, 20_000,
    ]);
  });

  it.each([
    ['before the faults, proves nothing', 1, undefined, undefined],
    ['while and after they are there, is a proof', undefined, 1, true],
  ])('CH-04 a metric that has a number only %s', async (_when, before, later, validated) => {
    const { clock, laboratory } = setUp();
    let looks = 0;
    const metric = () => (looks++ === 0 ? before : later);
    const running = laboratory
      .experiment(optionsOf({ steadyState: { name: 's', metric, above: 5 }, duration: '5s' }))
      .run();
    await clock.advance(10_000);

    expect(await running).toMatchObject({ state: 'completed', validated });
  });

  it('CH-04 a steady state may be a metric; none yet is no violation, and no proof', async () => {
    const { clock, laboratory } = setUp();
    const running = laboratory
      .experiment(
        optionsOf({
          steadyState: [
            { name: 'failures', metric: 'circuitBreakers.gateway.failureRatePercent', above: 5 },
            { name: 'slots', metric: 'bulkheads.Shop.search.availableSlots', below: 1 },
          ],
          duration: '5s',
        }),
      )
      .run();
    await clock.advance(10_000);

    const { validated, observations } = await running;

    expect(validated).toBeUndefined();
    expect(experimentText(await running)).toContain(
      'completed, and a metric never had a number: nobody can tell',
    );
    expect(observations.slice(0, 2)).toMatchObject([
      { name: 'failures', ok: true, message: 'There is no number yet.' },
      { name: 'slots', ok: true, value: expect.any(Number) },
    ]);
  });

  it.each([
    ['throws', () => Promise.reject(new Error('no route')), '"shops" could not be looked at: no route.'],
    [
      'hangs',
      () => new Promise<boolean>(() => undefined),
      '"shops" could not be looked at: it did not answer within 5 s.',
    ],
    [
      'answers nonsense',
      () => 7,
      '"shops" could not be looked at: it must answer true, false or a share from 0 to 1, got 7.',
    ],
  ])('CH-04 a check that %s is an observation, and ends the experiment', async (_, broken, reason) => {
    const { clock, laboratory, injector } = setUp();
    const unhandled: unknown[] = [];
    const listener = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', listener);
    let looks = 0;
    const running = laboratory
      .experiment(
        optionsOf({ steadyState: { name: 'shops', check: () => (looks++ === 0 ? true : broken()) } }),
      )
      .run();
    await clock.advance(10_000);

    const report = await running;
    await clock.advance(0);
    process.off('unhandledRejection', listener);

    expect(report).toMatchObject({ state: 'aborted', reason });
    expect(report.observations.at(-1)).toMatchObject({ ok: false, message: reason });
    expect([injector.active(), unhandled, clock.pending]).toEqual([[], [], 0]);
  });

  it('CH-04 a late answer of a check is observed', async () => {
    const { clock, laboratory } = setUp();
    const unhandled: unknown[] = [];
    const listener = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', listener);
    const late = deferred<boolean>();
    const running = laboratory
      .experiment(optionsOf({ steadyState: { name: 's', check: () => late.promise } }))
      .run();
    await clock.advance(5_000);
    await running;

    late.reject(new Error('late'));
    await clock.advance(0);
    process.off('unhandledRejection', listener);

    expect(unhandled).toEqual([]);
  });

  it('CH-04 somebody may abort it: at once, whatever it waits for', async () => {
    const { clock, laboratory, injector, call } = setUp();
    const experiment = laboratory.experiment(optionsOf());
    const running = experiment.run();
    await clock.advance(1_000);

    expect(experiment.abort('too late in the day')).toBe(true);

    expect(injector.active()).toEqual([]);
    expect(await call()).toBe('ok');
    expect(await running).toMatchObject({ state: 'aborted', reason: 'too late in the day' });
    expect(experiment.abort()).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('CH-04 one that is aborted before it is run is never run', async () => {
    const { laboratory, injector } = setUp();
    const experiment = laboratory.experiment(optionsOf());

    experiment.abort();

    expect(await experiment.run()).toMatchObject({
      state: 'aborted',
      startedAt: undefined,
      observations: [],
    });
    expect(injector.active()).toEqual([]);
  });

  it('CH-04 whose faults are cleared by hand proves nothing', async () => {
    const { clock, laboratory, injector } = setUp();
    const running = laboratory.experiment(optionsOf()).run();
    await clock.advance(1_000);

    injector.clear();
    await clock.advance(4_000);

    expect(await running).toMatchObject({
      state: 'aborted',
      reason: 'Its fault "outage" was stopped by hand.',
    });
  });

  it('CH-04 fails where its faults cannot be injected, and takes back those that could', async () => {
    const { clock, laboratory, injector, environment } = setUp();
    const experiment = laboratory.experiment(
      optionsOf({
        steadyState: {
          name: 's',
          check: () => {
            environment.processEnv['NODE_ENV'] = 'production';
            return true;
          },
        },
      }),
    );

    const report = await experiment.run();

    expect(report).toMatchObject({ state: 'failed', reason: expect.stringContaining('NODE_ENV=production') });
    expect([injector.active(), clock.pending]).toEqual([[], 0]);
  });

  it('CH-04 begins when it is scheduled, by the wall clock', async () => {
    const { clock, laboratory } = setUp();
    const experiment = laboratory.experiment(optionsOf({ at: new Date('2025-01-01T01:00:00Z') }));
    const running = experiment.run();
    await clock.advance(3_599_999);
    const before = experiment.state;
    await clock.advance(1);

    expect([before, experiment.state]).toEqual(['scheduled', 'running']);
    await clock.advance(25_000);
    expect(await running).toMatchObject({
      scheduledFor: '2025-01-01T01:00:00.000Z',
      startedAt: '2025-01-01T01:00:00.000Z',
    });
  });

  it('CH-04 its faults last no longer than it does, and may last less', async () => {
    const { clock, laboratory, injector } = setUp();
    const faults = [
      { target: 'gateway', error: 500, duration: '5m', name: 'long' },
      { target: 'Shop.search', error: 500, duration: '3s', name: 'short' },
    ];
    const running = laboratory.experiment(optionsOf({ faults })).run();
    const active: string[][] = [];
    for (const waitMs of [0, 5_000, 15_000]) {
      await clock.advance(waitMs);
      active.push(injector.active().map(({ name }) => name));
    }
    await clock.advance(5_000);

    expect(active).toEqual([['long', 'short'], ['long'], []]);
    expect(await running).toMatchObject({ state: 'completed', validated: true });
  });

  it('CH-04 tells of its states', async () => {
    const { clock, laboratory, events } = setUp();
    const states: unknown[] = [];
    events.listen(({ type, details }) => type === 'experiment' && states.push(details?.['state']));

    void laboratory.experiment(optionsOf()).run();
    await clock.advance(25_000);

    expect(states).toEqual(['running', 'completed']);
  });

  it('CH-04 of those that nobody runs the last 100 are known, and the others once they are run', async () => {
    const { clock, laboratory } = setUp();
    const at = new Date(clock.wallTime() + 60_000);
    const first = laboratory.experiment(optionsOf({ name: 'first' }));
    const waiting = laboratory.experiment(optionsOf({ name: 'waiting', at }));
    const dropped = laboratory.experiment(optionsOf({ name: 'dropped' }));
    const day = laboratory.gameDay({
      name: 'day',
      scenario: 'Nothing works.',
      at,
      experiments: [optionsOf({ name: 'of the day' })],
    });
    for (let i = 0; i < 100; i++) laboratory.experiment(optionsOf({ name: `idle ${i}` }));
    for (let i = 0; i < 100; i++)
      laboratory.gameDay({ name: `idle ${i}`, scenario: 'Idle.', experiments: [optionsOf()] });
    const names = () => laboratory.experiments().map(({ name }) => name);
    expect(names()).toHaveLength(100);
    expect(laboratory.gameDays()).toHaveLength(100);
    expect(names()).not.toContain('first');

    const running = first.run();
    void waiting.run();
    const playing = day.run();
    expect(names()).toEqual(expect.arrayContaining(['first', 'waiting']));
    expect(laboratory.gameDays().map(({ name }) => name)).toContain('day');
    expect(dropped.abort()).toBe(true);
    expect(names()).toContain('dropped');
    laboratory.close('over');

    expect((await running).state).toBe('aborted');
    expect((await playing).state).toBe('aborted');
    expect(waiting.state).toBe('aborted');
    expect(laboratory.stats()).toMatchObject({ experimentsByState: { scheduled: 0, running: 0 } });
    expect(clock.pending).toBe(0);
  });

  it('CH-04 the last 100 are kept, and all are counted', async () => {
    const { laboratory } = setUp();
    for (let i = 0; i < 120; i++) {
      const steady = { name: 's', check: () => false };
      await laboratory.experiment(optionsOf({ name: `e${i}`, steadyState: steady })).run();
    }

    const kept = laboratory.experiments();

    expect([kept.length, kept[0]?.name, kept.at(-1)?.name]).toEqual([100, 'e20', 'e119']);
    expect(laboratory.stats()).toEqual({
      totalExperiments: 120,
      experimentsByState: { scheduled: 0, running: 0, completed: 0, failed: 0, aborted: 120 },
      validated: 0,
      validationRatePercent: undefined,
      scheduledGameDays: 0,
    });
  });

  it('CH-04 the rate of validated hypotheses is of those that were completed', async () => {
    const { clock, laboratory } = setUp();
    let well = true;
    for (const wanted of [true, false, true, true]) {
      well = true;
      const running = laboratory
        .experiment(optionsOf({ steadyState: { name: 's', check: () => well } }))
        .run();
      await clock.advance(1_000);
      well = wanted;
      await clock.advance(24_000);
      await running;
    }

    expect(laboratory.stats()).toMatchObject({
      experimentsByState: { completed: 4 },
      validated: 3,
      validationRatePercent: 75,
    });
  });

  it('CH-05 its faults together stay within its blast radius', () => {
    const { laboratory } = setUp();
    const two = [
      { target: 'gateway', error: 500 },
      { target: 'Shop.search', error: 500 },
    ];
    const problems = (options: Partial<ExperimentOptions>) =>
      messagesOf(() => laboratory.experiment(optionsOf({ faults: two, ...options })));

    expect(problems({ blastRadius: 'minimal' })).toEqual([
      expect.stringContaining('It hits 2 pipelines, and a blast radius of "minimal" allows 1'),
    ]);
    expect(problems({ blastRadius: 'extensive' })).toEqual([expect.stringContaining('"approvedBy"')]);
    expect(problems({ blastRadius: 'extensive', approvedBy: 'Ada' })).toEqual([]);
    expect(problems({})).toEqual([]);
  });

  it('names everything that is wrong with it before anything is injected', () => {
    const { laboratory } = setUp();
    const given = {
      steadyState: [{ name: 'none' }, { name: 'far', metric: 'circuitBreakers.gatway.totalCalls', above: 1 }],
      faults: [{ target: 'Payments.charg', error: 500 }],
      abortWhen: { metric: 'circuitBreakers.gateway.totalFailure' },
      checkInterval: 1,
    };

    expect(messagesOf(() => laboratory.experiment(optionsOf(given)))).toEqual([
      '"checkInterval" must be at least 20 ms: it keeps 1000 looks at most.',
      '"abortWhen" needs "above", "below", or both.',
      '"abortWhen.metric": "circuitBreakers.gateway.totalFailure" leads nowhere at "totalFailure"; did you mean "totalFailures"?',
      'The steady state "none" needs either "check" or "metric".',
      '"steadyState.metric": "circuitBreakers.gatway.totalCalls" leads nowhere at "gatway.totalCalls"; did you mean "gateway"?',
      'Nothing that is protected answers to "Payments.charg". Did you mean "Payments.charge"?',
    ]);
    expect(laboratory.experiments()).toEqual([]);
  });

  it('CH-04 reports in words', async () => {
    const { clock, laboratory, call } = setUp();
    let looks = 0;
    const running = laboratory
      .experiment(optionsOf({ steadyState: { name: 'shops', check: () => ++looks < 4, tolerance: 0.8 } }))
      .run();
    await clock.advance(1_000);
    await call();
    await clock.advance(24_000);

    expect(experimentText(await running)).toBe(
      [
        'Experiment "gateway down": completed, the hypothesis did not hold',
        '  Hypothesis: Shops go on.',
        '  Began 2025-01-01T00:00:00.000Z, took 25 s; blast radius moderate',
        '  Faults:',
        '    outage: error at 100 % of calls of Payments.charge; hit 1 of 1',
        '  Observations:',
        '    before: 1 look, all well',
        '    during: 4 looks, 2 not well',
        '      after 15 s, shops (false): It held in 75 % of the looks of the last 1 min, and must in 80 %.',
        '      after 20 s, shops (false): It held in 60 % of the looks of the last 1 min, and must in 80 %.',
        '    after: 1 look, 1 not well',
        '      after 25 s, shops (false): It held in 0 % of the looks of the last 1 min, and must in 80 %.',
      ].join('\n'),
    );
  });
});

describe('GameDay', () => {
  function dayOf(options: Partial<GameDayOptions> = {}): GameDayOptions {
    return {
      name: 'black friday',
      scenario: 'The gateway fails, then search is slow.',
      experiments: [
        optionsOf({ name: 'gateway down' }),
        optionsOf({ name: 'slow search', faults: [{ target: 'Shop.search', fault: 'latency' }] }),
      ],
      participants: ['Ada', 'Grace'],
      ...options,
    };
  }

  it('CH-06 runs its experiments one after the other, by a runbook, and reports them together', async () => {
    const { clock, laboratory, injector } = setUp();
    const day = laboratory.gameDay(
      dayOf({
        at: new Date('2025-01-01T00:01:00Z'),
        hours: 2,
        runbook: [
          { note: 'Tell the shops.' },
          { experiment: 'slow search' },
          { pause: '1m' },
          { experiment: 'gateway down' },
        ],
      }),
    );
    const playing = day.run();
    const scheduled = laboratory.stats().scheduledGameDays;
    const hit: string[][] = [];
    await clock.advance(61_000);
    hit.push(injector.active().flatMap(({ targets }) => targets));
    await clock.advance(25_000);
    hit.push(injector.active().flatMap(({ targets }) => targets));
    await clock.advance(60_000);
    hit.push(injector.active().flatMap(({ targets }) => targets));
    await clock.advance(25_000);

    const report = await playing;

    expect(scheduled).toBe(1);
    expect(hit).toEqual([['Shop.search'], [], ['Payments.charge']]);
    expect(report).toMatchObject({
      name: 'black friday',
      state: 'completed',
      participants: ['Ada', 'Grace'],
      hours: 2,
      scheduledFor: '2025-01-01T00:01:00.000Z',
      durationMs: 110_000,
      validated: 2,
      runbook: [
        { step: 'Tell the shops.', done: true },
        { step: 'experiment "slow search"', done: true },
        { step: 'pause of 1m', done: true },
        { step: 'experiment "gateway down"', done: true },
      ],
      experiments: [{ name: 'gateway down' }, { name: 'slow search' }],
    });
    expect(laboratory.gameDays()).toEqual([report]);
    expect(gameDayText(report)).toContain('Game day "black friday": completed; 2 of 2 hypotheses held');
    expect(gameDayText(report)).toContain('    [x] pause of 1m');
    expect(clock.pending).toBe(0);
  });

  it('CH-06 ends after an experiment that was aborted, unless told to go on', async () => {
    const unsteady = optionsOf({ name: 'unsteady', steadyState: { name: 's', check: () => false } });
    const { clock, laboratory } = setUp();
    const experiments = [unsteady, optionsOf()];

    const ended = await laboratory.gameDay(dayOf({ experiments })).run();
    const going = laboratory.gameDay(dayOf({ experiments, continueAfterAbort: true })).run();
    await clock.advance(25_000);

    expect(ended).toMatchObject({
      state: 'aborted',
      reason: expect.stringContaining('The experiment "unsteady" was aborted: The steady state did not hold'),
      experiments: [{ state: 'aborted' }, { state: 'aborted', startedAt: undefined }],
      runbook: [{ done: false }, { done: false }],
    });
    expect(await going).toMatchObject({ state: 'completed', validated: 1 });
    expect(clock.pending).toBe(0);
  });

  it('CH-06 ends when its hours are over, and when somebody ends it', async () => {
    const { clock, laboratory, injector } = setUp();
    const short = laboratory.gameDay(dayOf({ hours: 0.005 })).run();
    await clock.advance(18_000);
    expect(await short).toMatchObject({
      state: 'aborted',
      reason: 'Its 18 s are over.',
      experiments: [{ state: 'aborted', reason: 'Its 18 s are over.' }, { state: 'aborted' }],
    });

    const day = laboratory.gameDay(dayOf());
    const playing = day.run();
    await clock.advance(1_000);
    expect(day.abort('enough')).toBe(true);
    expect(await playing).toMatchObject({ state: 'aborted', reason: 'enough' });
    expect(day.abort()).toBe(false);

    const never = laboratory.gameDay(dayOf());
    never.abort();
    expect(await never.run()).toMatchObject({ state: 'aborted', startedAt: undefined });
    expect([injector.active(), clock.pending]).toEqual([[], 0]);
    expect(laboratory.stats()).toMatchObject({ experimentsByState: { scheduled: 0, running: 0 } });
  });

  it('CH-06 names everything that is wrong with it and its experiments', () => {
    const { laboratory } = setUp();
    const experiments = [
      optionsOf({ name: 'a', duration: -1 }),
      optionsOf({ name: 'b' }),
      optionsOf({ name: 'b' }),
    ];
    const runbook = [{ experiment: 'bb' }, { experiment: 'b' }, { experiment: 'b' }];

    expect(messagesOf(() => laboratory.gameDay(dayOf({ experiments, runbook })))).toEqual([
      expect.stringContaining('"duration" must be a duration above 0'),
      'Two experiments are called "b"; the runbook could not tell them apart.',
      expect.stringContaining('The runbook names "bb", which is none of its experiments.'),
      'The runbook runs "b" twice; an experiment runs once.',
    ]);
    expect(messagesOf(() => laboratory.gameDay(dayOf({ runbook: [{ wait: 1 } as never] })))).toEqual([
      '"runbook[0]" must be { experiment: name }, { pause: duration } or { note: text }.',
    ]);
    expect(laboratory.experiments()).toEqual([]);
  });
});
