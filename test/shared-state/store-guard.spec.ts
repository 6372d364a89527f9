import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { StoreGuard, StoreLateError } from '../../lib/shared-state/store-guard.js';
import { ManualClock } from '../../lib/testing/index.js';

describe('StoreGuard', () => {
  let clock = new ManualClock();
  afterEach(() => {
    jest.restoreAllMocks();
    clock = new ManualClock();
  });

  const down = () => Promise.reject(new Error('ECONNREFUSED'));
  const failure = (call: Promise<unknown>) => call.then(String, String);

  it('SS-06 SS-07 a listener that throws loses neither the callers nor the store, and is reported once', async () => {
    const warnings = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const guard = new StoreGuard({ probe: async () => undefined }, clock, () => 0);
    const heard: boolean[] = [];
    guard.onChange(() => {
      throw new Error('broken listener');
    });
    guard.onChange(async () => {
      throw new Error('broken promise');
    });
    guard.onChange((lost) => heard.push(lost));

    const calls = [1, 2, 3].map(() => failure(guard.run(undefined, down)));
    expect(await Promise.all(calls)).toEqual(calls.map(() => 'Error: ECONNREFUSED'));
    expect(guard.lost).toBe(true);

    await clock.advance(125);
    expect(guard.lost).toBe(false);
    expect(heard).toEqual([true, false]);
    expect(warnings.mock.calls).toEqual([
      ['A listener of the shared store failed: Error: broken listener', 'ResilienceWarning'],
      ['A listener of the shared store failed: Error: broken promise', 'ResilienceWarning'],
    ]);
  });

  it('SS-06 a listener that closes the guard ends the probes with it', async () => {
    const probe = jest.fn(async () => undefined);
    const guard = new StoreGuard({ probe }, clock, () => 0);
    guard.onChange(() => guard.close());

    await Promise.all([1, 2, 3].map(() => failure(guard.run(undefined, down))));
    await clock.advance(10_000);
    expect(probe).not.toHaveBeenCalled();
  });

  /** A call of a store that is `ms` away. */
  const answeredIn = (ms: number) => () =>
    new Promise<string>((resolve) => clock.delay(ms, () => resolve('here')));

  it('SS-06 calls in a hurry decide alone, and do not lose a store that answers the others', async () => {
    const guard = new StoreGuard({ probe: async () => undefined }, clock, () => 0);
    // A quarter of 12 ms is too little for it.
    const hurried = [1, 2, 3].map(() => failure(guard.run(12, answeredIn(5))));
    const patient = guard.run(undefined, answeredIn(5));

    await clock.advance(60);
    expect(await Promise.all(hurried)).toEqual(
      hurried.map(() => expect.stringContaining('did not answer within 3 ms')),
    );
    expect(await patient).toBe('here');
    expect(guard).toMatchObject({ lost: false, calls: 4, failures: 3 });
  });

  it('SS-06 a call in a hurry that the store calls late, too, loses nothing', async () => {
    const guard = new StoreGuard({ probe: async () => undefined }, clock, () => 0);
    const late = () => Promise.reject(new StoreLateError('late'));
    for (let i = 0; i < 3; i++) await failure(guard.run(12, late));
    expect(guard.lost).toBe(false);
    for (let i = 0; i < 2; i++) await failure(guard.run(200, late));
    expect(guard.lost).toBe(true);
  });

  it('SS-06 a store that leaves calls in a hurry without an answer for the whole timeout is lost', async () => {
    const guard = new StoreGuard({ probe: async () => undefined }, clock, () => 0);
    const hurried = [1, 2].map(() => failure(guard.run(12, () => new Promise(() => undefined))));

    await clock.advance(49);
    expect(await Promise.all(hurried)).toEqual(hurried.map(() => expect.stringContaining('within 3 ms')));
    expect(guard).toMatchObject({ lost: false, failures: 2 });
    await clock.advance(1);
    expect(guard).toMatchObject({ lost: true, failures: 2 });
  });

  it('SS-06 a store that could have less than 1 ms is not asked', async () => {
    const guard = new StoreGuard({ probe: async () => undefined }, clock, () => 0);
    const call = jest.fn(answeredIn(0.5));
    for (const remainingMs of [3.9, 0, -1]) {
      expect(await failure(guard.run(remainingMs, call))).toMatch(
        /^StoreUnavailableError: .* too little time/,
      );
    }
    expect(call).not.toHaveBeenCalled();
    expect(guard).toMatchObject({ lost: false, calls: 0, failures: 0 });

    const answer = guard.run(4, call);
    await clock.advance(1);
    expect(await answer).toBe('here');
  });

  it('SS-07 a store that is too slow stays lost; it is found once it answers in time', async () => {
    let distanceMs = 100;
    const changes: (readonly [boolean, number])[] = [];
    const guard = new StoreGuard({ probe: () => answeredIn(distanceMs)() }, clock, () => 1);
    guard.onChange((lost) => changes.push([lost, clock.now()]));
    const calls: Promise<string>[] = [];
    for (let i = 0; i < 50; i++) {
      calls.push(failure(guard.run(undefined, answeredIn(distanceMs))));
      await clock.advance(100);
    }
    await Promise.all(calls);
    expect(changes).toEqual([[true, 150]]);

    distanceMs = 40;
    await clock.advance(2_000);
    expect(guard.lost).toBe(false);
  });

  it('SS-07 a store that hangs is found within 2 s of its return, however long it was out', async () => {
    // What was sent to it meanwhile is answered then.
    let isBack = false;
    const held: (() => void)[] = [];
    const probe = () => (isBack ? Promise.resolve() : new Promise<void>((resolve) => held.push(resolve)));
    const guard = new StoreGuard({ probe, timeoutMs: 500 }, clock, () => 0.999);
    const calls = [1, 2].map(() => failure(guard.run(undefined, () => new Promise(() => undefined))));
    await clock.advance(60_000);
    await Promise.all(calls);
    expect(guard.lost).toBe(true);
    isBack = true;
    for (const answer of held) answer();
    await clock.advance(2_000);
    expect(guard.lost).toBe(false);
  });

  it('SS-07 probes that a store does not answer are few, and one that is back is found though they never are', async () => {
    let isBack = false;
    const probe = jest.fn(() => (isBack ? Promise.resolve() : new Promise<void>(() => undefined)));
    const guard = new StoreGuard({ probe }, clock, () => 0.5);
    const calls = [1, 2].map(() => failure(guard.run(undefined, () => new Promise(() => undefined))));
    await clock.advance(600_000);
    await Promise.all(calls);
    expect(probe.mock.calls.length).toBeLessThan(8 + 600 / 30 + 1);
    isBack = true;
    await clock.advance(32_000);
    expect(guard.lost).toBe(false);
  });

  it('SS-06 what the store has answered while the process was busy counts as answered', async () => {
    const due: (() => void)[] = [];
    const delay = (_ms: number, then: () => void) => {
      due.push(then);
      return () => undefined;
    };
    const busy = Object.assign(new ManualClock(), { delay });
    const guard = new StoreGuard({ probe: async () => undefined }, busy, () => 0);
    const answers: ((value: string) => void)[] = [];
    const ask = () => new Promise<string>((resolve) => answers.push(resolve));
    const calls = [undefined, undefined, 100, 100].map((remainingMs) => failure(guard.run(remainingMs, ask)));
    // A socket is read after the timers of a turn have run.
    for (const then of due) then();
    for (const answer of answers) answer('here');

    expect(await Promise.all(calls)).toEqual(['here', 'here', 'here', 'here']);
    expect(guard.lost).toBe(false);
  });

  it('SS-07 a store that is lost soon after its return is asked as seldom as before', async () => {
    const probe = jest.fn(async () => undefined);
    const guard = new StoreGuard({ probe }, clock, () => 1);
    const probedAfter: number[] = [];
    const lose = async () => {
      await Promise.all([1, 2, 3].map(() => failure(guard.run(undefined, down))));
      const lostAt = clock.now();
      while (guard.lost) await clock.advance(10);
      probedAfter.push(clock.now() - lostAt);
    };

    for (let i = 0; i < 5; i++) await lose();
    await clock.advance(9_000);
    await lose();
    await clock.advance(10_000);
    await lose();
    expect(probedAfter).toEqual([250, 500, 1_000, 1_500, 1_500, 1_500, 250]);
    expect(probe).toHaveBeenCalledTimes(7);
  });
});
