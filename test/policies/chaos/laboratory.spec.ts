import { describe, expect, it } from '@jest/globals';
import { EventHub } from '../../../lib/core/events.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { FaultInjector } from '../../../lib/policies/chaos/fault-injector.js';
import { GameDay } from '../../../lib/policies/chaos/game-day.js';
import {
  Experiment,
  type ChaosMonkeyOptions,
  type ExperimentOptions,
  type GameDayOptions,
} from '../../../lib/policies/chaos/index.js';
import { Laboratory } from '../../../lib/policies/chaos/laboratory.js';
import { ChaosMonkey, monkeyProblems } from '../../../lib/policies/chaos/monkey.js';
import { Pause } from '../../../lib/policies/chaos/pause.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred } from '../deferred.js';
import { problemsOf } from '../../problems-of.js';

function setUp() {
  const clock = new ManualClock({ now: 7_000 });
  const events = new EventHub();
  const environment = { clock, events, random: () => 0 };
  const injector = new FaultInjector(environment);
  for (const name of ['Payments.charge', 'Shop.search'])
    new Pipeline(name, [], clock, undefined, injector.join({ name, policies: [] }));
  const parts = { injector, environment, stats: () => ({ orders: { open: 1 } }) };
  return { clock, events, injector, parts, laboratory: new Laboratory(parts) };
}

function optionsOf(options: Partial<ExperimentOptions> = {}): ExperimentOptions {
  return {
    name: 'outage',
    steadyState: { name: 'shops', check: () => true },
    faults: [{ target: 'Payments.charge', error: 500, name: 'fault' }],
    duration: '20s',
    ...options,
  };
}

function dayOf(options: Partial<GameDayOptions> = {}): GameDayOptions {
  return { name: 'day', scenario: 'All fails.', experiments: [optionsOf()], ...options };
}

const STEADY = 'steadyState';

describe('Experiment', () => {
  it.each<[Partial<ExperimentOptions>, (string | undefined)[]]>([
    [{ faults: [] }, ['faults']],
    [{ steadyState: [] }, [STEADY]],
    [{ steadyState: { name: 'neither' } }, [STEADY]],
    [{ steadyState: { name: 'both', check: () => true, metric: 'orders.open', above: 1 } }, [STEADY]],
    [{ duration: '10s', checkInterval: 9 }, ['checkInterval']],
    [{ duration: '10s', checkInterval: 10 }, []],
    [{ at: new Date('never') }, ['at']],
    [{ at: 5 as never }, ['at']],
    [{ at: new Date() }, []],
    [{ duration: 0, faults: [] }, ['duration']],
    [{ abortWhen: { metric: 'orders.close', above: 1 } }, ['abortWhen.metric']],
    [{ faults: [{ target: 'nobody', error: 500 }] }, ['faults[0].target']],
    [
      { faults: [{ target: 'Payments.charge', error: 500 }, { target: 'Shop.search' }] },
      ['faults[1].enabled'],
    ],
    [{ blastRadius: 'extensive' }, ['approvedBy']],
    [{ blastRadius: 'extensive', approvedBy: 'Ada', duration: '40m' }, []],
  ])('PL-07 of %j it refuses %j', (options, refused) => {
    const { laboratory } = setUp();
    const problems = problemsOf(() => laboratory.experiment(optionsOf(options)));

    expect(problems.map(({ where, option }) => [where, option])).toEqual(
      refused.map((option) => ['experiment "outage"', option]),
    );
  });

  it('CH-05 faults of an experiment that was approved are approved', async () => {
    const { clock, laboratory, injector } = setUp();
    const options = optionsOf({ blastRadius: 'extensive', approvedBy: 'Ada', duration: '40m' });
    const running = laboratory.experiment(options).run();
    await clock.advance(1_000);

    expect(injector.active()).toHaveLength(1);
    await clock.advance(2_500_000);
    expect(await running).toMatchObject({ state: 'completed', approvedBy: 'Ada', blastRadius: 'extensive' });
  });

  it('CH-04 is known to have begun once it was told to run, or has ended', () => {
    const { laboratory } = setUp();
    const [scheduled, run, aborted] = [0, 1, 2].map(() =>
      laboratory.experiment(optionsOf({ at: new Date('2026-01-01') })),
    ) as [Experiment, Experiment, Experiment];
    void run.run();
    aborted.abort();

    expect([scheduled.hasBegun, run.hasBegun, aborted.hasBegun]).toEqual([false, true, true]);
    expect([run.state, aborted.report().reason]).toEqual(['scheduled', 'It was aborted by hand.']);
    expect(aborted.report()).toMatchObject({ durationMs: undefined, startedAt: undefined });
    laboratory.close('over');
  });

  it('CH-04 says why it ended, in events too, under its own name', async () => {
    const { clock, events, laboratory } = setUp();
    const seen: unknown[] = [];
    events.listen(
      ({ kind, policy, type, details }) => type === 'experiment' && seen.push([kind, policy, details]),
    );
    const experiment = laboratory.experiment(optionsOf());
    const running = experiment.run();
    await clock.advance(3_000);
    experiment.abort('enough');
    await running;
    await clock.advance(0);

    expect(seen).toEqual([
      ['chaos', 'outage', { state: 'running' }],
      ['chaos', 'outage', { state: 'aborted', reason: 'enough' }],
    ]);
    expect(await running).toMatchObject({ durationMs: 3_000, reason: 'enough' });
  });

  it('CH-04 its faults end as rolled back', async () => {
    const { clock, events, laboratory } = setUp();
    const ends: unknown[] = [];
    events.listen(({ type, details }) => type === 'ended' && ends.push(details?.['by']));
    const faults = [{ target: 'Payments.charge', error: 500, duration: '5m' }];
    void laboratory.experiment(optionsOf({ faults })).run();
    await clock.advance(25_000);

    expect(ends).toEqual(['rolled-back']);
  });

  it('CH-04 a look has a value and a message only where there are some', async () => {
    const { clock, laboratory } = setUp();
    const numbers: { orders?: number } = {};
    const metric = () => numbers.orders;
    const running = laboratory
      .experiment(optionsOf({ steadyState: { name: 'orders', metric, above: 3 }, duration: '5s' }))
      .run();
    await clock.advance(0);
    numbers.orders = 3;
    await clock.advance(10_000);

    const { observations } = await running;

    expect(observations.map((look) => Object.keys(look).slice(5))).toEqual([
      ['message'],
      ['value'],
      ['value'],
    ]);
  });

  it('CH-04 a metric that cannot be read is noted as seen during, and ends it', async () => {
    const { clock, laboratory } = setUp();
    const metric = () => {
      throw new Error('no route');
    };
    const running = laboratory.experiment(optionsOf({ abortWhen: { metric, above: 1 } })).run();
    await clock.advance(5_000);

    const { observations, state, reason } = await running;

    expect([state, reason]).toEqual(['aborted', '"metric" could not be looked at: no route.']);
    expect(observations.at(-1)).toMatchObject({ phase: 'during', name: 'metric', ok: false });
  });

  it('CH-04 one that is aborted in the middle of a look ends with that, and notes no look', async () => {
    const { clock, laboratory } = setUp();
    const check = () => new Promise<boolean>(() => {});
    const experiment = laboratory.experiment(optionsOf({ steadyState: { name: 's', check } }));
    const running = experiment.run();
    await clock.advance(1_000);

    experiment.abort('enough');
    experiment.abort('more than enough');

    expect(await running).toMatchObject({ state: 'aborted', reason: 'enough', observations: [] });
    expect(clock.pending).toBe(0);
  });

  it('CH-04 a look that is as old as the window counts no more', async () => {
    const { clock, laboratory } = setUp();
    let looks = 0;
    const steadyState = { name: 's', check: () => ++looks !== 2, tolerance: 1, window: '10s' };
    const running = laboratory.experiment(optionsOf({ steadyState })).run();
    await clock.advance(25_000);

    const { observations } = await running;

    // The second look, at 5 s, is not well; at 15 s it has left.
    expect(observations.map(({ ok }) => ok)).toEqual([true, false, false, true, true, true]);
  });
});

describe('GameDay', () => {
  it('CH-06 is known to have begun once it was told to run, or has ended', async () => {
    const { laboratory } = setUp();
    const [scheduled, run, aborted] = [0, 1, 2].map(() =>
      laboratory.gameDay(dayOf({ at: new Date('2026-01-01') })),
    ) as [GameDay, GameDay, GameDay];
    const playing = run.run();
    aborted.abort();

    expect([scheduled.hasBegun, run.hasBegun, aborted.hasBegun]).toEqual([false, true, true]);
    expect(aborted.report()).toMatchObject({
      reason: 'It was aborted by hand.',
      durationMs: undefined,
      startedAt: undefined,
      participants: [],
      experiments: [{ reason: 'The game day ended before its turn.' }],
    });
    expect(laboratory.stats().scheduledGameDays).toBe(2);
    laboratory.close('over');
    expect(await playing).toMatchObject({ state: 'aborted', reason: 'over' });
    expect(laboratory.stats().scheduledGameDays).toBe(0);
  });

  it('CH-06 what is completed cannot be aborted, and says when it began and ended', async () => {
    const { clock, parts } = setUp();
    const day = new GameDay(dayOf(), parts);
    const playing = day.run();
    await clock.advance(25_000);
    const report = await playing;

    expect(day.abort()).toBe(false);
    expect(report).toMatchObject({
      state: 'completed',
      startedAt: '2025-01-01T00:00:00.000Z',
      endedAt: '2025-01-01T00:00:25.000Z',
      durationMs: 25_000,
    });
    expect(await day.run()).toEqual(report);
  });

  it('CH-06 a day under way is not scheduled any more', async () => {
    const { clock, laboratory } = setUp();
    const day = laboratory.gameDay(dayOf());
    const playing = day.run();
    await clock.advance(1_000);

    expect(laboratory.stats()).toEqual({
      totalExperiments: 1,
      experimentsByState: { scheduled: 0, running: 1, completed: 0, failed: 0, aborted: 0 },
      validated: 0,
      validationRatePercent: undefined,
      scheduledGameDays: 0,
    });
    expect([laboratory.gameDays().length, laboratory.experiments().length]).toEqual([1, 1]);
    day.abort();
    await playing;
  });

  it.each<[Partial<GameDayOptions>, string, string, string]>([
    [{ experiments: [optionsOf(), optionsOf()] }, 'game day "day"', 'experiments[1].name', 'Two experiments'],
    [
      { runbook: [{ note: 'x' }, { experiment: 'outag' }] },
      'game day "day"',
      'runbook[1]',
      'The runbook names "outag", which is none of its experiments. Did you mean "outage"?',
    ],
    [
      { runbook: [{ experiment: 'something else' }] },
      'game day "day"',
      'runbook[0]',
      'The runbook names "something else", which is none of its experiments.',
    ],
    [
      { runbook: [{ experiment: 'outage' }, { experiment: 'outage' }] },
      'game day "day"',
      'runbook[1]',
      'twice',
    ],
    [{ runbook: [{ note: 'x' }, { pause: -1 }] }, 'game day "day"', 'runbook', '"runbook[1]" must be'],
    [{ hours: 0 }, 'game day "day"', 'hours', '"hours" must be'],
    [{ experiments: 5 as never }, 'game day "day"', 'experiments', '"experiments" must be'],
    [
      { experiments: [optionsOf({ duration: -1 })] },
      'game day "day" experiment "outage"',
      'duration',
      '"duration" must be',
    ],
  ])('PL-07 of %j, in %s, it refuses %s', (options, where, option, message) => {
    const { laboratory } = setUp();

    expect(problemsOf(() => laboratory.gameDay(dayOf(options)))).toEqual([
      { where, option, message: expect.stringContaining(message) },
    ]);
  });
});

describe('Laboratory', () => {
  it('CH-04 counts what failed with what was completed or aborted', async () => {
    const { clock, laboratory, injector } = setUp();
    const running = laboratory.experiment(optionsOf()).run();
    await clock.advance(25_000);
    await running;
    const start = injector.start.bind(injector);
    injector.start = () => {
      throw new Error('no more');
    };
    await laboratory.experiment(optionsOf()).run();
    injector.start = start;
    laboratory.experiment(optionsOf());
    const steady = { name: 's', check: () => false };
    await laboratory.experiment(optionsOf({ steadyState: steady })).run();
    void laboratory.experiment(optionsOf()).run();
    await clock.advance(1_000);

    expect(laboratory.stats()).toMatchObject({
      totalExperiments: 5,
      experimentsByState: { scheduled: 1, running: 1, completed: 1, failed: 1, aborted: 1 },
      validated: 1,
      validationRatePercent: 100,
    });
    laboratory.close('over');
  });

  it('CH-04 what runs is not forgotten, however much is prepared', () => {
    const { laboratory } = setUp();
    const first = laboratory.experiment(optionsOf({ name: 'first', at: new Date('2026-01-01') }));
    void first.run();
    for (let i = 0; i < 150; i++) laboratory.experiment(optionsOf({ name: `idle ${i}` }));

    expect(laboratory.experiments().map(({ name }) => name)).toContain('first');
    expect(laboratory.experiments()).toHaveLength(101);
    laboratory.close('over');
  });

  it('CH-06 of game days the last 100 are kept', async () => {
    const { laboratory } = setUp();
    const steady = { name: 's', check: () => false };
    const experiments = [optionsOf({ steadyState: steady })];
    for (let i = 0; i < 120; i++) await laboratory.gameDay(dayOf({ name: `day ${i}`, experiments })).run();

    const kept = laboratory.gameDays();

    expect([kept.length, kept[0]?.name, kept.at(-1)?.name]).toEqual([100, 'day 20', 'day 119']);
  });

  it('CH-04 what runs has neither an end nor a duration yet', async () => {
    const { clock, laboratory } = setUp();
    void laboratory.experiment(optionsOf()).run();
    await clock.advance(1_000);

    expect(laboratory.experiments()).toMatchObject([
      { state: 'running', startedAt: expect.any(String), endedAt: undefined, durationMs: undefined },
    ]);
    laboratory.close('over');
  });
});

describe('Pause', () => {
  it('ends for the first reason that it was given', async () => {
    const pause = new Pause(new ManualClock());
    const slept = pause.sleep(1_000).catch((error: unknown) => error);
    const first = new Error('first');
    pause.stop(first);
    pause.stop(new Error('second'));

    expect(await slept).toBe(first);
    expect(() => pause.check()).toThrow(first);
    await expect(pause.sleep(1_000)).rejects.toBe(first);
  });

  it('an answer that comes too late leaves the next wait alone', async () => {
    const clock = new ManualClock();
    const pause = new Pause(clock);
    const answer = deferred<string>();
    const bounded = pause
      .bounded(
        10,
        () => new Error('late'),
        () => answer.promise,
      )
      .catch((error: unknown) => error);
    await clock.advance(10);
    const slept = pause.sleep(1_000).catch((error: unknown) => error);
    answer.resolve('at last');
    await clock.advance(0);
    const stopped = new Error('enough');
    pause.stop(stopped);

    expect(await bounded).toEqual(new Error('late'));
    expect([await slept, clock.pending]).toEqual([stopped, 0]);
  });
});

describe('ChaosMonkey', () => {
  it.each<[ChaosMonkeyOptions, string[]]>([
    [{ minDuration: '2m' }, ['minDuration']],
    [{ minDuration: '1m', maxDuration: '1m' }, []],
    [{ maxDuration: '31m' }, ['maxDuration']],
    [{ faults: [] }, ['faults']],
  ])('PL-07 of %j it refuses %j', (options, refused) => {
    expect(monkeyProblems(options, 'chaos monkey').map(({ option }) => option)).toEqual(refused);
  });

  it('hides no mistake of the program', async () => {
    const { clock, injector, parts } = setUp();
    const monkey = new ChaosMonkey(injector, { probabilityPercent: 100 }, parts.environment);
    injector.start = () => {
      throw new TypeError('a mistake');
    };
    monkey.enable();

    await expect(clock.advance(10_000)).rejects.toThrow('a mistake');
    expect(monkey.enabled).toBe(true);
  });
});
