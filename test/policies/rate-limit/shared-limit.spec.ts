import { describe, expect, it } from '@jest/globals';
import { RateLimitPolicy } from '../../../lib/policies/rate-limit/index.js';
import { MemoryState, MemoryWorld } from '../../../lib/shared-state/memory-state.js';
import { ManualClock } from '../../../lib/testing/index.js';

/** A leased limit, and how many units each refill asked the store for. */
function setUp() {
  const clock = new ManualClock();
  const state = new MemoryState(new MemoryWorld(clock));
  const wants: number[] = [];
  const take = state.take.bind(state);
  state.take = (key, request) => {
    wants.push(request.want);
    return take(key, request);
  };
  const limit = new RateLimitPolicy(
    'search',
    { capacity: 400, refillPerSecond: 1_000, shared: { mode: 'leased' } },
    { clock, fleet: { state, size: 2 } },
  );
  return { clock, limit, wants };
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
