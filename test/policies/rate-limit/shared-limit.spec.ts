import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Call, type CallOptions } from '../../../lib/core/call.js';
import { PermitWait } from '../../../lib/core/permit-wait.js';
import type { SharedState } from '../../../lib/core/shared-state.js';
import { RateLimitPolicy, type RateLimitOptions } from '../../../lib/policies/rate-limit/index.js';
import { MemoryState, MemoryWorld } from '../../../lib/shared-state/memory-state.js';
import { StoreGuard } from '../../../lib/shared-state/store-guard.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { loadOf } from '../../models/runs.js';

/** A shared limit, and how many units each refill asked the store for. */
function setUp(
  options: RateLimitOptions = { capacity: 400, refillPerSecond: 1_000, shared: { mode: 'leased' } },
) {
  const clock = new ManualClock();
  const state = new MemoryState(new MemoryWorld(clock));
  const wants: number[] = [];
  const take = state.take.bind(state);
  state.take = (key, request) => {
    wants.push(request.want);
    return take(key, request);
  };
  const limit = new RateLimitPolicy('search', options, { clock, fleet: { state, size: 2 } });
  return { clock, limit, wants, state };
}

describe('a leased limit', () => {
  it('SS-01 borrows twice as much as long as all is used, for 20 ms at most, and less where some of it died', async () => {
    const { clock, limit, wants } = setUp();
    for (let i = 0; i < 60; i++) await limit.acquire();
    expect(wants).toEqual([1, 2, 4, 8, 16, 20, 20]);

    // 51 were borrowed before the last 20: 9 of these are used.
    await clock.advance(250);
    await limit.acquire();
    expect(wants.at(-1)).toBe(9);
  });

  it('SS-01 asks for single units where calls are rare, so that none of them dies', async () => {
    const { clock, limit, wants } = setUp();
    for (let i = 0; i < 5; i++) {
      await limit.acquire();
      await clock.advance(1_000);
    }
    expect(wants).toEqual([1, 1, 1, 1, 1]);
  });
});

describe('units of a leased limit that were not used', () => {
  type Taken = Parameters<RateLimitPolicy['cancel']>[0];

  async function takeAll(clock: ManualClock, limit: RateLimitPolicy, calls: number): Promise<Taken[]> {
    const entered: Promise<Taken | undefined>[] = [];
    for (let i = 0; i < calls; i++) {
      try {
        const got = limit.enter(new Call(() => undefined, undefined, []), clock.now());
        entered.push(
          got instanceof PermitWait ? got.asPromise().catch(() => undefined) : Promise.resolve(got),
        );
      } catch {
        break;
      }
    }
    await clock.advance(0);
    return (await Promise.all(entered)).filter((taken) => taken !== undefined);
  }

  it('SS-01 are no second burst where they are given back late', async () => {
    const { clock, limit } = setUp({ capacity: 100, refillPerSecond: 10, shared: { mode: 'leased' } });
    const taken = await takeAll(clock, limit, 100);
    expect(taken).toHaveLength(100);
    await clock.advance(10_000);
    await takeAll(clock, limit, 1);
    for (const one of taken) limit.cancel(one);
    expect(await takeAll(clock, limit, 300)).toHaveLength(99);
  });

  it('SS-01 come back less what has been refilled meanwhile', async () => {
    const { clock, limit } = setUp({ capacity: 8, refillPerSecond: 10, shared: { mode: 'leased' } });
    const taken = await takeAll(clock, limit, 8);
    await clock.advance(50);
    for (const one of taken) limit.cancel(one);
    expect(await takeAll(clock, limit, 8)).toHaveLength(4);
  });
});

describe('a leased limit that is disturbed', () => {
  /** A store that answers when it is told to, with ten units. */
  function silentStore(options: RateLimitOptions = {}) {
    const clock = new ManualClock();
    const state = new MemoryState(new MemoryWorld(clock));
    const asked: (() => void)[] = [];
    state.take = () =>
      new Promise((resolve) => {
        asked.push(() => resolve({ granted: 10, retryAfterMs: 0, resetMs: 1, remaining: 10 }));
      });
    const leased = { capacity: 1_000, refillPerSecond: 1_000, shared: { mode: 'leased' } } as const;
    const limit = new RateLimitPolicy(
      'search',
      { ...leased, ...options },
      { clock, fleet: { state, size: 1 } },
    );
    return { clock, limit, asked };
  }

  it('SS-01 a reset meanwhile keeps nobody waiting, and asks no more', async () => {
    const { limit, asked } = silentStore();
    const waiting = [limit.acquire(), limit.acquire()];
    limit.reset();
    asked[0]?.();

    expect(await Promise.all(waiting)).toMatchObject([{ allowed: true }, { allowed: true }]);
    expect(asked).toHaveLength(1);
  });

  it.each([1, 2, 3, 4, 5])(
    'RL-07 nor does another key that takes its place, %j steps later',
    async (steps) => {
      const { limit, asked } = silentStore({ maxKeys: 1 });
      const waiting = limit.acquire('alice');
      asked[0]?.();
      for (let i = 0; i < steps; i++) await Promise.resolve();
      void limit.acquire('bob');

      expect(await waiting).toMatchObject({ allowed: true });
      expect(asked).toHaveLength(2);
    },
  );

  it('RL-07 after a burst of keys there are no more than there may be', async () => {
    const { limit, asked } = silentStore({ maxKeys: 2 });
    const burst = ['a', 'b', 'c', 'd', 'e'].map((key) => limit.acquire(key));
    for (const answer of asked) answer();
    await Promise.all(burst);
    expect(limit.stats().keys).toBe(5);
    void limit.acquire('f');

    expect(limit.stats().keys).toBe(2);
  });

  it('SS-06 who has little time asks alone, and not for everybody', async () => {
    const { state, clock } = setUp();
    // Who is in a hurry gets no answer.
    const take: SharedState['take'] = async (_key, { min }, remainingMs) => {
      if (remainingMs !== undefined) await new Promise(() => undefined);
      return { granted: min, retryAfterMs: 0, resetMs: 1, remaining: 10 };
    };
    Object.assign(state, { take });
    const leased = new RateLimitPolicy(
      'search',
      { shared: { mode: 'leased' }, capacity: 100, refillPerSecond: 100 },
      { clock, fleet: { state, size: 1 } },
    );
    const ended: string[] = [];
    const hurried = leased.execute(async () => 'hurried', { deadline: 20 });
    void leased.execute(async () => 'patient').then((value) => ended.push(value));

    await clock.advance(0);
    expect(ended).toEqual(['patient']);
    hurried.catch(() => undefined);
    await clock.advance(20);
    await expect(hurried).rejects.toMatchObject({ scope: 'deadline' });
  });
});

describe('an exact limit', () => {
  it('SS-01 gives the whole burst and no more, whatever the rate and however late it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 300 }),
        fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.double({ min: 0.01, max: 1_000, noNaN: true })),
        fc.integer({ min: 0, max: 1_000_000 }),
        async (capacity, refillPerSecond, part) => {
          const clock = new ManualClock({ now: 1_795_000_000_000 + part / 1_000 });
          const state = new MemoryState(new MemoryWorld(clock));
          const environment = { clock, fleet: { state, size: 1 } };
          const limit = new RateLimitPolicy(
            'search',
            { capacity, refillPerSecond, shared: true },
            environment,
          );

          expect(await limit.acquire('all at once', capacity)).toMatchObject({ allowed: true, remaining: 0 });
          for (let i = 0; i < capacity; i++) expect((await limit.acquire()).allowed).toBe(true);
          const refused = await limit.acquire();
          expect(refused.allowed).toBe(false);
          expect(refused.retryAfterMs).toBeGreaterThan(0);
          // So late a clock has no digits left for parts of a microsecond.
          await clock.advance(refused.retryAfterMs + 0.01);
          expect((await limit.acquire()).allowed).toBe(true);
          expect((await limit.acquire()).allowed).toBe(false);
        },
      ),
      { numRuns: loadOf(200) },
    );
  });

  it('PL-08 what was taken while it was shared is not given back to the limit of this instance alone', async () => {
    const { limit } = setUp({ capacity: 2, refillPerSecond: 0.001, shared: true });
    const call = new Call(() => undefined, undefined, []);
    const taken = await (limit.enter(call, 0) as PermitWait<Parameters<typeof limit.cancel>[0]>).asPromise();
    limit.update({ shared: false });
    limit.decide();
    limit.cancel(taken);
    expect(limit.decide()).toMatchObject({ allowed: true, remaining: 0 });
  });

  it('PL-08 what was taken is given back, though other options were changed meanwhile', async () => {
    const { limit } = setUp({ capacity: 2, refillPerSecond: 0.001, shared: true });
    const call = new Call(() => undefined, undefined, []);
    const taken = await (limit.enter(call, 0) as PermitWait<Parameters<typeof limit.cancel>[0]>).asPromise();
    limit.update({ capacity: 3 });
    limit.cancel(taken);
    expect(limit.stats().totalAllowed).toBe(0);
  });

  it('SS-01 asks once for all calls of a turn, and answers them in their order', async () => {
    const { clock, limit, wants } = setUp({ capacity: 3, refillPerSecond: 1, shared: true });
    const decisions = await Promise.all([1, 2, 3, 4, 5].map(() => limit.acquire('alice')));
    expect(wants).toEqual([5]);
    expect(decisions.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 2],
      [true, 1],
      [true, 0],
      [false, 0],
      [false, 0],
    ]);
    expect(decisions[4]?.retryAfterMs).toBe(1_000);
    expect(limit.stats()).toMatchObject({ totalAllowed: 3, totalRejected: 2, shared: { store: 5 } });

    await clock.advance(1_000);
    const later = await Promise.all([
      limit.acquire('alice'),
      limit.acquire('bob'),
      limit.acquire('alice', 2),
    ]);
    expect(wants.slice(1)).toEqual([1, 1, 1]);
    expect(later.map(({ allowed }) => allowed)).toEqual([true, true, false]);
  });

  it('SS-01 remembers until when there is nothing, for this cost and above', async () => {
    const { clock, limit, wants } = setUp({ capacity: 3, refillPerSecond: 1, shared: true });
    await limit.acquire('alice', 2);
    expect((await limit.acquire('alice', 2)).retryAfterMs).toBe(1_000);
    expect(wants).toHaveLength(2);
    expect(await limit.acquire('alice', 2)).toMatchObject({ allowed: false, retryAfterMs: 1_000 });
    expect(wants).toHaveLength(2);
    expect((await limit.acquire('alice', 1)).allowed).toBe(true);
    await clock.advance(2_000);
    expect((await limit.acquire('alice', 2)).allowed).toBe(true);
  });

  it('SS-06 who is in a hurry asks alone, and all decide alone where the store does not answer', async () => {
    const { limit, wants, state } = setUp({ capacity: 4, refillPerSecond: 1, shared: true });
    const run = (deadline?: number) =>
      limit.execute(async () => 'fine', deadline === undefined ? {} : { deadline });
    await Promise.all([run(), run(), run(100), run(10_000)]);
    expect(wants).toEqual([1, 3]);

    state.take = () => Promise.reject(new Error('lost'));
    const alone = await Promise.all([1, 2, 3].map(() => limit.acquire('bob')));
    expect(alone.map(({ allowed }) => allowed)).toEqual([true, true, false]);
  });
});

describe('who is in a hurry', () => {
  /** A store that answers after 100 ms, and is given up after a second. */
  function slowStore(shared: RateLimitOptions['shared']) {
    const clock = new ManualClock();
    const guard = new StoreGuard({ timeoutMs: 1_000, probe: async () => undefined }, clock, () => 0.5);
    const state: SharedState = Object.assign(new MemoryState(new MemoryWorld(clock)), { health: guard });
    const { take } = MemoryState.prototype;
    state.take = (key, request, remainingMs) =>
      guard.run(remainingMs, async () => {
        await new Promise<void>((resolve) => void clock.delay(100, resolve));
        return take.call(state as MemoryState, key, request);
      });
    const limit = new RateLimitPolicy(
      'search',
      { capacity: 10, refillPerSecond: 1, shared },
      { clock, fleet: { state, size: 1 } },
    );
    return { clock, limit };
  }

  it.each([true, { mode: 'leased' } as const])(
    'SS-06 is so by the time that the store has, and costs nobody else the store (%j)',
    async (shared) => {
      const { clock, limit } = slowStore(shared);
      const hurried = limit.execute(() => 'hurried', { deadline: 300 });
      const patient = limit.execute(() => 'patient');
      await clock.advance(200);
      expect(await Promise.all([hurried, patient])).toEqual(['hurried', 'patient']);
      expect(limit.stats().shared).toMatchObject({ alone: 1 });
    },
  );
});

describe('who waits for a shared limit', () => {
  function setUpLine(options: RateLimitOptions) {
    const { clock, limit, wants, state } = setUp({ shared: true, ...options });
    const log: string[] = [];
    const run = (name: string, call: CallOptions = {}) =>
      void limit
        .execute(() => log.push(`${name} ${clock.now()}`), call)
        .catch((error: unknown) => {
          log.push(`${name} ${(error as { code?: string }).code} ${clock.now()}`);
        });
    return { clock, limit, wants, state, log, run };
  }

  it.each([{}, { mode: 'leased' } as const])(
    'RL-05 is served in order, and before who comes later (%j)',
    async (shared) => {
      const { clock, limit, log, run } = setUpLine({
        capacity: 1,
        refillPerSecond: 10,
        maxWait: '1s',
        shared,
      });
      for (const name of ['a', 'b', 'c']) run(name);
      await clock.advance(99);
      run('d');
      expect(await limit.acquire()).toMatchObject({ allowed: false, retryAfterMs: 301 });
      expect(limit.stats()).toMatchObject({ waiting: 3, totalAllowed: 1, totalRejected: 1 });
      await clock.advance(1_000);
      expect(log).toEqual(['a 0', 'b 100', 'c 200', 'd 300']);
      expect(limit.stats().waiting).toBe(0);
    },
  );

  it('RL-05 is refused at once where the turn cannot come in time, with when it could', async () => {
    const { clock, limit, log, run } = setUpLine({ capacity: 1, refillPerSecond: 10, maxWait: 250 });
    for (const name of ['a', 'b', 'c', 'd']) run(name);
    await clock.advance(0);
    await expect(limit.execute(() => 'late')).rejects.toMatchObject({ retryAfterMs: 300 });
    expect(log).toEqual(['a 0', 'd RATE_LIMITED 0']);
    await clock.advance(1_000);
    expect(log.slice(2)).toEqual(['b 100', 'c 200']);
  });

  it('RL-05 is refused as soon as others have taken what it waited for', async () => {
    const { clock, state, log, run } = setUpLine({ capacity: 1, refillPerSecond: 10, maxWait: 150 });
    const other = new RateLimitPolicy(
      'search',
      { capacity: 1, refillPerSecond: 10, shared: true },
      { clock, fleet: { state, size: 2 } },
    );
    run('a');
    run('b');
    clock.delay(100, () => void other.acquire());
    await clock.advance(0);
    await clock.advance(100);
    expect(log).toEqual(['a 0', 'b RATE_LIMITED 100']);
  });

  it('RL-05 gives its turn to the next one where it is aborted', async () => {
    const { clock, limit, log, run } = setUpLine({ capacity: 2, refillPerSecond: 10, maxWait: '1s' });
    run('a', { cost: 2 });
    await clock.advance(0);
    run('b', { cost: 2, deadline: 120 });
    run('c');
    await clock.advance(0);
    expect(limit.stats().waiting).toBe(2);
    await clock.advance(500);
    expect(log).toEqual(['a 0', 'b TIMEOUT 120', 'c 120']);
  });

  it('RL-05 asks for many at once where many may pass, and for no more than 64', async () => {
    const { clock, limit, wants, log, run } = setUpLine({
      capacity: 1,
      refillPerSecond: 1,
      maxWait: '10min',
    });
    for (let i = 0; i < 201; i++) run(`call ${i}`);
    await clock.advance(0);
    expect(wants).toEqual([201]);
    limit.update({ capacity: 101 });
    await clock.advance(0);
    expect(wants.slice(1)).toEqual([64, 64]);
    expect(log).toHaveLength(101);
    await clock.advance(1_000);
    expect(wants.slice(3)).toEqual([64]);
    expect(log.at(-1)).toBe('call 101 1000');
  });

  it('PL-08 goes by the new numbers after an update', async () => {
    const { clock, limit, log, run } = setUpLine({ capacity: 1, refillPerSecond: 0.001, maxWait: '1h' });
    run('a');
    run('b');
    run('c');
    await clock.advance(10);
    expect(limit.stats().waiting).toBe(2);
    limit.update({ capacity: 10 });
    run('d');
    await clock.advance(10);
    expect(log).toEqual(['a 0', 'b 10', 'c 10', 'd 10']);
  });

  it('PL-08 is served by the limit of this instance where it is shared no more', async () => {
    const { clock, limit, log, run } = setUpLine({ capacity: 1, refillPerSecond: 0.001, maxWait: '1h' });
    run('a');
    run('b');
    await clock.advance(10);
    limit.update({ shared: false, capacity: 2 });
    run('c');
    await clock.advance(10);
    run('d');
    await clock.advance(10);
    expect(log).toEqual(['a 0', 'b 10', 'c 10']);
    expect(limit.stats().waiting).toBe(1);
  });

  it('PL-08 RL-02 a question under way is answered, or of no use, though the limit is shared no more', async () => {
    const { clock, limit, state, log, run } = setUpLine({ capacity: 2, refillPerSecond: 0.001 });
    const take = state.take.bind(state);
    let answer = () => {};
    state.take = async (...asked) => {
      await new Promise<void>((resolve) => (answer = resolve));
      return take(...asked);
    };
    const caller = new AbortController();
    run('a', { signal: caller.signal });
    await clock.advance(0);
    limit.update({ shared: false });
    run('b');
    caller.abort(Object.assign(new Error(), { code: 'GONE' }));
    await clock.advance(0);
    answer();
    await clock.advance(0);

    expect(log.toSorted()).toEqual(['a GONE 0', 'b 0']);
    expect(limit.stats()).toMatchObject({ waiting: 0, totalAllowed: 1 });
  });

  it('RL-05 waits where the wait is as long as it may be', async () => {
    const { clock, limit, log, run } = setUpLine({ capacity: 1, refillPerSecond: 10, maxWait: 100 });
    run('a');
    await clock.advance(0);
    // So that it is known without a question.
    expect(await limit.acquire()).toMatchObject({ allowed: false, retryAfterMs: 100 });
    run('b');
    await clock.advance(100);
    expect(log).toEqual(['a 0', 'b 100']);
  });

  it('RL-07 a line is kept for a key while somebody is in it', async () => {
    const { clock, limit, run } = setUpLine({ capacity: 1, refillPerSecond: 10, key: () => undefined });
    for (let i = 0; i < 50; i++) run(`${i}`, { key: `${i}` });
    const { sharedLines } = limit as unknown as { sharedLines: ReadonlyMap<string, unknown> };
    expect(sharedLines.size).toBe(50);
    await clock.advance(0);
    expect(sharedLines.size).toBe(0);
  });

  it('PL-08 is refused where its cost is above the new limit, and those behind it are not', async () => {
    const { clock, limit, log, run } = setUpLine({ capacity: 4, refillPerSecond: 1, maxWait: '1h' });
    run('a', { cost: 4 });
    await clock.advance(0);
    run('b', { cost: 3 });
    run('c');
    await clock.advance(0);
    limit.update({ capacity: 2 });
    await clock.advance(10_000);
    expect(log).toEqual(['a 0', 'b RATE_LIMITED 0', expect.stringMatching(/^c /)]);
  });

  it('PL-08 what the store answers by the old numbers says nothing of when to come back', async () => {
    const { clock, limit, state, log, run } = setUpLine({
      capacity: 1,
      refillPerSecond: 0.001,
      maxWait: '1h',
    });
    run('a');
    await clock.advance(0);
    const take = state.take.bind(state);
    let answer = () => {};
    state.take = async (key, request) => {
      const slow = await take(key, request);
      await new Promise<void>((resolve) => (answer = resolve));
      return slow;
    };
    run('b');
    await clock.advance(10);
    state.take = take;
    limit.update({ capacity: 10 });
    answer();
    await clock.advance(0);
    expect(log).toEqual(['a 0', 'b 10']);
  });
});
