import { describe, expect, it } from '@jest/globals';
import { Call } from '../../../lib/core/call.js';
import type { PermitWait } from '../../../lib/core/permit-wait.js';
import { RateLimitPolicy, type RateLimitOptions } from '../../../lib/policies/rate-limit/index.js';
import { MemoryState, MemoryWorld } from '../../../lib/shared-state/memory-state.js';
import { ManualClock } from '../../../lib/testing/index.js';

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

describe('an exact limit', () => {
  it('PL-08 what was taken while it was shared is not given back to the limit of this instance alone', async () => {
    const { limit } = setUp({ capacity: 2, refillPerSecond: 0.001, shared: true });
    const call = new Call(() => undefined, undefined, []);
    const taken = await (limit.enter(call, 0) as PermitWait<Parameters<typeof limit.cancel>[0]>).asPromise();
    limit.update({ shared: false });
    limit.decide();
    limit.cancel(taken);
    expect(limit.decide()).toMatchObject({ allowed: true, remaining: 0 });
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
