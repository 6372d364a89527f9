import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RetryBudgetExhaustedError } from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { RetryBudget, RetryPolicy, type RetryBudgetOptions } from '../../../lib/policies/retry/index.js';
import { MemoryState, MemoryWorld } from '../../../lib/shared-state/memory-state.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { CountBudgetModel, ShareBudgetModel } from '../../models/retry-budget-model.js';
import { MODEL_RUNS, MODEL_STEPS, loadOf } from '../../models/runs.js';
import { SteppedClock } from '../../models/stepped-clock.js';

const immediate = { baseDelay: 0, jitter: 'none' } as const;

/** A method that fails with an error of its own each time. */
function failing() {
  const method = () => {
    method.runs++;
    throw new Error(`run ${method.runs}`);
  };
  method.runs = 0;
  return method;
}

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant('call' as const) },
    { weight: 4, arbitrary: fc.constant('take' as const) },
    { weight: 3, arbitrary: fc.nat({ max: 400 }) },
  ),
  MODEL_STEPS,
);

describe('RetryBudget', () => {
  it('BU-01 over n calls that all fail at first, retries are n × percent / 100 ± 1', () => {
    const percent = fc.oneof(
      fc.double({ min: 0.01, max: 300, noNaN: true }),
      fc.constantFrom(0.01, 10, 33, 100, 300),
    );
    const property = fc.property(percent, fc.integer({ min: 1, max: 1_000 }), (given, calls) => {
      const budget = new RetryBudget(
        'b',
        { percent: given, minPerSecond: 0, window: '10s' },
        { clock: new SteppedClock(5) },
      );
      let retries = 0;
      for (let i = 0; i < calls; i++) {
        budget.deposit();
        for (let retry = 0; retry < 3; retry++) if (budget.tryTake()) retries++;
      }
      expect(Math.abs(retries - (calls * given) / 100)).toBeLessThanOrEqual(1);
    });
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it.each([0.01, 1, 10, 50, 100, 300])('BU-01 through the retry policy, at %d percent', async (percent) => {
    const method = failing();
    const options = { ...immediate, budget: { percent, minPerSecond: 0 } };
    const retry = new RetryPolicy('inventory', options, { clock: new ManualClock() });

    for (let i = 0; i < 1_000; i++) await retry.execute(method).catch(() => undefined);

    expect(Math.abs(method.runs - 1_000 - 10 * percent)).toBeLessThanOrEqual(1);
  });

  it('BU-01 BU-02 any trace of calls, retries and time goes as in the model', () => {
    const options = fc.record({
      percent: fc.integer({ min: 0, max: 300 }),
      minPerSecond: fc.constantFrom(0, 0.5, 1, 3),
      window: fc.constantFrom(1_000, 2_500),
    });
    const property = fc.property(
      options,
      fc.integer({ min: -5_000, max: 5_000 }),
      steps,
      (given, start, trace) => {
        const clock = new SteppedClock(start);
        const budget = new RetryBudget('b', given, { clock });
        const model = new ShareBudgetModel(given.percent, given.minPerSecond, given.window);
        const taken: boolean[] = [];
        const expected: boolean[] = [];
        for (const step of trace) {
          if (step === 'call') {
            budget.deposit();
            model.deposit(clock.time);
          } else if (step === 'take') {
            taken.push(budget.tryTake());
            expected.push(model.tryTake(clock.time));
          } else clock.time += step;
        }
        expect(taken).toEqual(expected);
      },
    );
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it('BU-02 deposits expire with the window', () => {
    const clock = new SteppedClock();
    const budget = new RetryBudget('b', { percent: 10, minPerSecond: 0, window: '10s' }, { clock });
    for (let i = 0; i < 100; i++) budget.deposit();
    expect(budget.canRetry()).toBe(true);

    clock.time = 10_000;

    expect(budget.canRetry()).toBe(false);
    expect(budget.stats()).toMatchObject({ totalRequests: 0, maxRetries: 0 });
  });

  it('BU-02 a call at the instant at which a slice begins belongs to it', () => {
    const clock = new SteppedClock();
    const budget = new RetryBudget('b', { window: '10s' }, { clock });
    budget.deposit();
    clock.time = 1_000;
    budget.deposit();

    clock.time = 10_000;

    expect(budget.stats().totalRequests).toBe(1);
  });

  it('BU-02 instances that share state divide the floor, and not the share, by how many there are', () => {
    const clock = new SteppedClock();
    const fleet = { state: new MemoryState(new MemoryWorld(clock)), size: 4 };
    const options = { percent: 10, minPerSecond: 2, window: '10s' } as const;
    const budget = new RetryBudget('b', options, { clock, fleet });
    const counted = new RetryBudget('c', { max: 8 }, { clock, fleet });

    expect([budget.stats().maxRetries, counted.stats().maxRetries]).toEqual([5, 8]);
    for (let i = 0; i < 5; i++) expect(budget.tryTake()).toBe(true);
    expect(budget.tryTake()).toBe(false);
    for (let i = 0; i < 100; i++) budget.deposit();
    expect(budget.stats().maxRetries).toBe(15);
    fleet.size = 2;
    expect(budget.stats().maxRetries).toBe(20);
    budget.update({ minPerSecond: 1 });
    expect(budget.stats().maxRetries).toBe(15);
    budget.reset();
    expect(budget.stats().maxRetries).toBe(5);
  });

  it('BU-02 minPerSecond × window is there at once, even with no traffic', () => {
    const budget = new RetryBudget('b', { minPerSecond: 2, window: '10s' }, { clock: new SteppedClock() });
    let taken = 0;

    while (budget.tryTake()) taken++;

    expect(taken).toBe(20);
  });

  it('BU-03 10,000 concurrent calls never overspend by one', async () => {
    const method = failing();
    const budget = { max: 100, window: '60s' };
    const retry = new RetryPolicy('inventory', { ...immediate, budget }, { clock: new ManualClock() });

    const calls = Array.from({ length: loadOf(10_000) }, () => retry.execute(async () => method()));
    await Promise.allSettled(calls);

    expect(method.runs).toBe(loadOf(10_000) + 100);
    expect(retry.stats().budgetExhausted).toBe(loadOf(10_000));
  });

  it('BU-04 a budget is shared by name across policies', async () => {
    const clock = new ManualClock();
    const shared = new RetryBudget('shared', { max: 3 }, { clock });
    const environment = {
      clock,
      budgets: (name: string) => (name === 'shared' ? shared : undefined) as RetryBudget,
    };
    const method = failing();
    const reads = new RetryPolicy('reads', { ...immediate, maxRetries: 2, budget: 'shared' }, environment);
    const writes = new RetryPolicy('writes', { ...immediate, maxRetries: 2, budget: 'shared' }, environment);

    await reads.execute(method).catch(() => undefined);
    await writes.execute(method).catch(() => undefined);

    expect(method.runs).toBe(2 + 3);
    expect(reads.stats().budgetExhausted + writes.stats().budgetExhausted).toBe(1);
  });

  it('BU-04 exhausted, the original error is thrown and counted, and the first attempt always runs', async () => {
    const method = failing();
    const retry = new RetryPolicy('r', { ...immediate, budget: { max: 0 } }, { clock: new ManualClock() });

    await expect(retry.execute(method)).rejects.toThrow('run 1');
    await expect(retry.execute(method)).rejects.toThrow('run 2');

    expect(retry.stats()).toMatchObject({ budgetExhausted: 2, totalRetries: 0, budget: { totalRefused: 2 } });
  });

  it('BU-04 an error that the budget of an inner retry refused is not multiplied by an outer one', async () => {
    const clock = new ManualClock();
    const method = failing();
    const inner = new RetryPolicy('inner', { ...immediate, maxRetries: 5, budget: { max: 2 } }, { clock });
    const outer = new RetryPolicy('outer', { ...immediate, maxRetries: 5, budget: false }, { clock });

    await expect(outer.execute(() => inner.execute(method))).rejects.toThrow('run 3');

    expect(method.runs).toBe(3);
  });

  it('BU-04 an error object that a budget refused is retried when a later call throws it again', async () => {
    const clock = new ManualClock();
    const shared = new Error('the same object each time');
    const attempts: string[] = [];
    const failing = (name: string) => () => {
      attempts.push(name);
      throw shared;
    };
    const spent = new RetryPolicy('spent', { ...immediate, budget: { max: 0 } }, { clock });
    const other = new RetryPolicy('other', { ...immediate, maxRetries: 1, budget: false }, { clock });

    await spent.execute(failing('spent')).catch(() => undefined);
    await other.execute(failing('other')).catch(() => undefined);

    expect(attempts).toEqual(['spent', 'other', 'other']);
  });

  it('BU-04 an error that is refused in a later attempt of an outer retry goes straight out, through every layer', async () => {
    const clock = new ManualClock();
    const method = failing();
    const environment = { clock };
    const inner = new RetryPolicy('inner', { ...immediate, maxRetries: 2, budget: { max: 2 } }, environment);
    const layers = ['middle', 'outer'].map(
      (name) => new RetryPolicy(name, { ...immediate, maxRetries: 1, budget: false }, environment),
    );
    const [middle, outer] = layers as [RetryPolicy, RetryPolicy];

    const call = outer.execute(() => middle.execute(() => inner.execute(method)));

    // The inner budget is spent by the first round; its second is refused and goes straight out.
    await expect(call).rejects.toThrow('run 4');
  });

  it('BU-05 the 101st retry inside any sliding 60 s is refused, and the window slides', () => {
    const clock = new SteppedClock();
    const budget = new RetryBudget('b', { max: 100, window: '60s' }, { clock });
    for (let i = 0; i < 100; i++) {
      clock.time = i * 100;
      expect(budget.tryTake()).toBe(true);
    }

    clock.time = 59_999;
    expect(budget.tryTake()).toBe(false);
    clock.time = 60_000;
    expect(budget.tryTake()).toBe(true);
    expect(budget.tryTake()).toBe(false);
    clock.time = 60_100;
    expect(budget.tryTake()).toBe(true);
  });

  it('BU-05 BU-06 any trace of retries and time goes as in the model', () => {
    const options = fc.record({
      max: fc.nat({ max: 100 }),
      window: fc.constantFrom(1_000, 60_000),
      minInterval: fc.constantFrom(0, 0, 50),
    });
    const property = fc.property(options, steps, (given, trace) => {
      const clock = new SteppedClock(7);
      const budget = new RetryBudget('b', given, { clock });
      const model = new CountBudgetModel(given.max, given.window, given.minInterval);
      const taken: boolean[] = [];
      const expected: boolean[] = [];
      for (const step of trace) {
        if (typeof step === 'number') clock.time += step;
        else {
          taken.push(budget.tryTake());
          expected.push(model.tryTake(clock.time));
        }
      }
      expect(taken).toEqual(expected);
    });
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it("BU-06 onExhausted: 'throw' throws RetryBudgetExhaustedError with the method's error as its cause", async () => {
    const method = failing();
    const options = { ...immediate, budget: { max: 1 }, onExhausted: 'throw' } as const;
    const retry = new RetryPolicy('r', options, { clock: new ManualClock() });

    const error = await retry.execute(method).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(RetryBudgetExhaustedError);
    expect((error as Error).cause).toMatchObject({ message: 'run 2' });
  });

  it("BU-06 onExhausted: 'fail-fast' throws it before the first attempt, until the budget has recovered", async () => {
    const clock = new ManualClock();
    const method = failing();
    const options = { ...immediate, budget: { max: 1, window: '60s' }, onExhausted: 'fail-fast' } as const;
    const retry = new RetryPolicy('r', options, { clock });

    await expect(retry.execute(method)).rejects.toThrow('run 2');
    await expect(retry.execute(method)).rejects.toThrow(RetryBudgetExhaustedError);
    expect(method.runs).toBe(2);
    await clock.advance(60_000);

    await expect(retry.execute(method)).rejects.toThrow('run 4');
  });

  it("BU-06 'fail-fast' does not refuse calls of a budget that nobody has used", async () => {
    const options = {
      ...immediate,
      budget: { percent: 10, minPerSecond: 0 },
      onExhausted: 'fail-fast',
    } as const;
    const retry = new RetryPolicy('r', options, { clock: new ManualClock() });

    await expect(retry.execute(() => 'fine')).resolves.toBe('fine');
  });

  it('BU-06 minInterval spaces the retries of one budget', () => {
    const clock = new SteppedClock();
    const budget = new RetryBudget('b', { max: 100, minInterval: '100ms' }, { clock });

    expect([budget.tryTake(), budget.tryTake()]).toEqual([true, false]);
    clock.time = 99;
    expect(budget.tryTake()).toBe(false);
    clock.time = 100;
    expect(budget.tryTake()).toBe(true);
  });

  it('OP-06 the numbers of a share', () => {
    const clock = new SteppedClock();
    const budget = new RetryBudget('b', { percent: 25, minPerSecond: 0.1, window: '10s' }, { clock });
    expect(budget.stats()).toMatchObject({ budgetUsedPercent: 0, retryRatePercent: 0, withinBudget: true });
    for (let i = 0; i < 8; i++) budget.deposit();
    const taken = [1, 2, 3, 4].map(() => budget.tryTake());

    expect(taken).toEqual([true, true, true, false]);
    expect(budget.stats()).toEqual({
      name: 'b',
      totalRequests: 8,
      currentRetries: 3,
      maxRetries: 3,
      budgetRemaining: 0,
      budgetUsedPercent: 100,
      retryRatePercent: 37.5,
      budgetPercent: 25,
      withinBudget: true,
      windowMs: 10_000,
      totalRetries: 3,
      totalRefused: 1,
    });
    clock.time = 10_000;
    expect(budget.stats()).toMatchObject({ currentRetries: 0, totalRetries: 3 });
  });

  it('OP-06 the numbers of a fixed count, and of a budget that was lowered below what is spent', () => {
    const budget = new RetryBudget('b', { max: 4 }, { clock: new SteppedClock() });
    for (let i = 0; i < 3; i++) budget.tryTake();
    expect(budget.stats()).toMatchObject({
      maxRetries: 4,
      currentRetries: 3,
      budgetRemaining: 1,
      budgetUsedPercent: 75,
      budgetPercent: undefined,
      windowMs: 60_000,
      withinBudget: true,
    });

    budget.update({ max: 2 });

    expect(budget.stats()).toMatchObject({ budgetRemaining: 0, budgetUsedPercent: 150, withinBudget: false });
    expect(new RetryBudget('b', { max: 0 }).stats()).toMatchObject({ budgetUsedPercent: 100 });
  });

  it('a reset forgets what was spent, and when', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: string[] = [];
    events.listen(({ kind, type }) => seen.push(`${kind} ${type}`));
    const budget = new RetryBudget('b', { max: 1, minInterval: '1s' }, { clock, events });
    budget.tryTake();
    budget.tryTake();

    budget.reset();
    await clock.advance(0);

    expect(budget.stats()).toMatchObject({ totalRetries: 0, totalRefused: 0, currentRetries: 0 });
    expect(budget.tryTake()).toBe(true);
    expect(seen).toEqual(['retryBudget cleared']);
  });

  it('PL-08 an update keeps what was counted where the window allows it, and begins anew where not', () => {
    const remaining = (given: RetryBudgetOptions, update: RetryBudgetOptions) => {
      const budget = new RetryBudget('b', given, { clock: new SteppedClock() });
      for (let i = 0; i < 3; i++) budget.tryTake();
      budget.update(update);
      return budget.stats().currentRetries;
    };

    expect(remaining({ minPerSecond: 1, window: '10s' }, { percent: 50 })).toBe(3);
    expect(remaining({ minPerSecond: 1, window: '10s' }, { window: '20s' })).toBe(0);
    expect(remaining({ max: 5, window: '10s' }, { max: 6 })).toBe(3);
    expect(remaining({ max: 5, window: '10s' }, { window: '20s' })).toBe(3);
    expect(remaining({ max: 5, window: '10s' }, { window: '9s' })).toBe(0);
    expect(remaining({ max: 5, window: '10s' }, { max: undefined, minPerSecond: 1 })).toBe(0);
    expect(remaining({ minPerSecond: 1, window: '10s' }, { minPerSecond: undefined, max: 5 })).toBe(0);
  });

  it('PL-08 an updated share holds at once', () => {
    const budget = new RetryBudget('b', { percent: 10, minPerSecond: 0 }, { clock: new SteppedClock() });
    for (let i = 0; i < 10; i++) budget.deposit();

    budget.update({ percent: 50 });

    expect(budget.stats().maxRetries).toBe(5);
  });

  it('PL-07 refuses options that cannot be, also in an update, which then leaves the old in force', () => {
    const budget = new RetryBudget('b', { max: 3 });
    const before = budget.describe();

    expect(() => new RetryBudget('b', { percent: -1 })).toThrow('retry budget "b": "percent"');
    expect(() => budget.update({ percent: 10 })).toThrow(
      'retry budget "b": "percent" and "max" exclude each other',
    );
    expect(budget.describe()).toBe(before);
  });

  it("BU-06 'fail-fast' counts and tells what it refuses, and the caller learns which budget it was", async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ type, details }) => seen.push([type, details]));
    const budget = new RetryBudget('shared', { max: 1 }, { clock });
    const options = { ...immediate, budget, onExhausted: 'fail-fast', maxRetries: 1 } as const;
    const retry = new RetryPolicy('r', options, { clock, events });
    await retry.execute(failing()).catch(() => undefined);
    seen.length = 0;

    const error = await retry.execute(failing()).catch((thrown: unknown) => thrown);
    await clock.advance(0);

    expect(error).toMatchObject({ policy: 'shared', message: 'Retry budget "shared" has no retry left.' });
    expect((error as Error).cause).toBeUndefined();
    expect(seen).toEqual([['budget-exhausted', { error: undefined }]]);
    expect(retry.stats()).toMatchObject({ budgetExhausted: 1, totalCalls: 1 });
  });

  it.each([
    ['of its own', { max: 1 }, 2],
    ['that is shared', new RetryBudget('shared', { max: 1 }), 1],
  ])(
    'a reset of a retry gives a budget %s back what was spent, or leaves it alone',
    async (_what, budget, left) => {
      const retry = new RetryPolicy('r', { ...immediate, maxRetries: 1, budget });
      await retry.execute(failing()).catch(() => undefined);

      retry.reset();
      const method = failing();
      await retry.execute(method).catch(() => undefined);

      expect(method.runs).toBe(left);
    },
  );

  it('BU-04 a refused result is answered as it is, and told of without an error', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ type, details }) => seen.push([type, details]));
    const retry = new RetryPolicy('r', { ...immediate, budget: { max: 0 } }, { clock, events });
    const response = { status: 503 };

    expect(await retry.execute(() => response)).toBe(response);
    await clock.advance(0);

    expect(seen).toEqual([['budget-exhausted', { error: undefined }]]);
  });

  it('BU-04 a refused error is told of', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ type, details }) => seen.push([type, details]));
    const retry = new RetryPolicy('r', { ...immediate, budget: { max: 0 } }, { clock, events });
    const down = new Error('down');

    await expect(retry.execute(() => Promise.reject(down))).rejects.toBe(down);
    await clock.advance(0);

    expect(seen).toEqual([['budget-exhausted', { error: down }]]);
  });

  it('BU-04 a reset of a retry leaves alone what others share by name', async () => {
    const clock = new ManualClock();
    const shared = new RetryBudget('shared', { max: 1 }, { clock });
    const retry = new RetryPolicy('r', { ...immediate, budget: 'shared' }, { clock, budgets: () => shared });
    await retry.execute(failing()).catch(() => undefined);

    retry.reset();

    expect(shared.stats().currentRetries).toBe(1);
  });

  it('BU-05 keeps the instants of the window, and not of all retries ever', () => {
    const clock = new SteppedClock();
    const budget = new RetryBudget('b', { max: 100, window: 100 }, { clock });
    for (let i = 0; i < 10_000; i++) {
      clock.time = i;
      budget.tryTake();
    }
    const { takenAt } = (budget as unknown as { meter: { takenAt: number[] } }).meter;

    expect(budget.stats()).toMatchObject({ totalRetries: 10_000, currentRetries: 100 });
    expect(takenAt.length).toBeLessThanOrEqual(2 * 100 + 2);
  });

  it('looks back 10 s for a share, and 60 s for a count', () => {
    expect([
      new RetryBudget('b').stats().windowMs,
      new RetryBudget('b', { max: 1 }).stats().windowMs,
    ]).toEqual([10_000, 60_000]);
  });

  it.each([null, undefined, 'text'])('BU-04 a refused %j is thrown as it is', async (reason) => {
    const retry = new RetryPolicy('r', { ...immediate, budget: { max: 0 } }, { clock: new ManualClock() });

    await expect(
      retry.execute(() => Promise.reject(reason)).catch((error: unknown) => [error]),
    ).resolves.toEqual([reason]);
  });

  it('PL-08 an update of a budget of its own keeps what was spent of it, and its defaults are those of the new one', async () => {
    const clock = new ManualClock();
    const budget = { percent: 50, minPerSecond: 5, window: '10s' } as const;
    const retry = new RetryPolicy('r', { maxRetries: 1, baseDelay: 0, budget }, { clock });
    for (let i = 0; i < 10; i++) await retry.execute(() => Promise.reject(new Error('down'))).catch(() => 0);
    const before = retry.budget;

    retry.update({ budget: { percent: 10, window: '10s' } });

    expect(retry.budget).toBe(before);
    expect(retry.stats().budget).toMatchObject({
      totalRequests: 10,
      currentRetries: 10,
      budgetPercent: 10,
      maxRetries: 11,
    });
    retry.update({ budget: false });
    expect(retry.budget).toBeUndefined();
  });

  it('PL-08 an update of other options leaves the budget with what was spent of it', async () => {
    const retry = new RetryPolicy('r', { ...immediate, budget: { max: 1 } }, { clock: new ManualClock() });
    await retry.execute(failing()).catch(() => undefined);

    retry.update({ maxRetries: 2 });
    expect(retry.stats().budget?.currentRetries).toBe(1);
    retry.update({ budget: { max: 5 } });

    expect(retry.stats().budget).toMatchObject({ currentRetries: 1, maxRetries: 5 });
  });

  it('PL-08 what the budget was told by itself holds after an update of other options', () => {
    const retry = new RetryPolicy('r', { budget: { percent: 10 } });
    retry.budget?.update({ percent: 50 });
    retry.update({ maxRetries: 1 });
    expect(retry.stats().budget).toMatchObject({ budgetPercent: 50 });
  });

  it.each([
    ['an object', (budget: RetryBudget) => budget],
    ['its name', () => 'shared'],
  ])('PL-08 who gets a budget of its own leaves the shared one as it is, given as %s', (_how, given) => {
    const shared = new RetryBudget('shared', { percent: 10 });
    const retry = new RetryPolicy('r', { budget: given(shared) }, { budgets: () => shared });

    retry.update({ budget: { percent: 50 } });

    expect([shared, retry].map((one) => one.stats())).toMatchObject([
      { budgetPercent: 10 },
      { budget: { name: 'r', budgetPercent: 50 } },
    ]);
    retry.update({ budget: given(shared) });
    expect(retry.budget).toBe(shared);
  });
});
