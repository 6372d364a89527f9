import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { EventHub } from '../../lib/core/events.js';
import { SharedFleet } from '../../lib/module/shared-fleet.js';
import { BulkheadPolicy } from '../../lib/policies/bulkhead/index.js';
import { CircuitBreakerPolicy } from '../../lib/policies/circuit-breaker/index.js';
import { RateLimitPolicy } from '../../lib/policies/rate-limit/index.js';
import { MemoryState, MemoryWorld } from '../../lib/shared-state/memory-state.js';
import { ManualClock } from '../../lib/testing/index.js';

describe('instances that share state', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('SS-09 one that goes by other numbers than the others says so, once', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const clock = new ManualClock();
    const world = new MemoryWorld(clock);
    const fleets = [10, 10, 20].map((number, i) => {
      const fleet = new SharedFleet(new MemoryState(world, String(i)), clock, new EventHub());
      const environment = { clock, fleet };
      new RateLimitPolicy('search', { capacity: number, refillPerSecond: 5, shared: true }, environment);
      new BulkheadPolicy('reads', { maxConcurrent: number, shared: true }, environment);
      new CircuitBreakerPolicy('payments', { failureThreshold: 5, shared: true }, environment);
      return fleet;
    });
    await fleets[0]?.start();
    await fleets[1]?.start();
    expect(warn).not.toHaveBeenCalled();
    await fleets[2]?.start();
    expect(warn.mock.calls.flat()).toEqual([
      'Shared rateLimit search: another instance goes by 10, 5/s, this one by 20, 5/s. Each goes by its own numbers.',
      'Shared bulkhead reads: another instance goes by 10 at once, this one by 20 at once. Each goes by its own numbers.',
    ]);
    expect(fleets.map(({ size }) => size)).toEqual([1, 2, 3]);

    await clock.advance(60_000);
    // The first of the others has found out, too; the second only sees what the first has written.
    expect(warn.mock.calls.length).toBeGreaterThanOrEqual(4);
    const said = warn.mock.calls.length;
    await clock.advance(60_000);
    expect(warn.mock.calls.length).toBe(said);
    for (const fleet of fleets) await fleet.stop();
    expect(clock.pending).toBe(0);
  });

  it('SS-05 a store that has forgotten who there is makes nobody believe to be alone', async () => {
    const clock = new ManualClock();
    const state = new MemoryState(new MemoryWorld(clock));
    const answers = [6, 6, 1, 4, 7, 2, 2, 2, 2, 2];
    const beat = async () => answers.shift() ?? 2;
    Object.assign(state, { presence: { beat, leave: async () => undefined } });
    const fleet = new SharedFleet(state, clock, new EventHub());
    await fleet.start();
    const sizes = [fleet.size];
    while (answers.length > 0) {
      await clock.advance(2_000);
      sizes.push(fleet.size);
    }
    await fleet.stop();

    expect(sizes).toEqual([6, 6, 6, 6, 7, 7, 7, 7, 2, 2]);
  });

  it('SS-05 nor does one that was away for long', async () => {
    const clock = new ManualClock();
    const state = new MemoryState(new MemoryWorld(clock));
    let isAway = false;
    let count = 6;
    const beat = async () => {
      if (isAway) throw new Error('away');
      return count;
    };
    Object.assign(state, { presence: { beat, leave: async () => undefined } });
    const fleet = new SharedFleet(state, clock, new EventHub());
    await fleet.start();
    isAway = true;
    await clock.advance(60_000);
    isAway = false;
    count = 1;
    await clock.advance(2_000);

    expect(fleet.size).toBe(6);
    await fleet.stop();
  });

  it('SS-09 numbers are told at the start and when they change, not for each key', async () => {
    const clock = new ManualClock();
    const said: string[] = [];
    const fleet = {
      size: 2,
      state: new MemoryState(new MemoryWorld(clock)),
      declare: (kind: string, policy: string, numbers: string) => said.push(`${kind} ${policy}: ${numbers}`),
    };
    const key = () => undefined;
    const reads = new BulkheadPolicy('reads', { maxConcurrent: 2, key, shared: true }, { clock, fleet });
    const payments = new CircuitBreakerPolicy(
      'payments',
      { failureThreshold: 5, key, shared: true },
      { clock, fleet },
    );
    const atStart = said.splice(0);
    for (const name of ['alice', 'bob', '']) {
      await reads.execute(async () => name, { key: name });
      await payments.execute(async () => name, { key: name });
    }
    const forKeys = said.splice(0);
    reads.update({ maxConcurrent: 7 });
    payments.update({ failureThreshold: 9 });
    const byUpdate = said.splice(0);
    reads.update({ shared: false });
    payments.update({ shared: false });

    expect(atStart).toEqual(['bulkhead reads: 2 at once', `circuitBreaker payments: ${numbersOf(5)}`]);
    expect(forKeys).toEqual([]);
    expect(byUpdate).toEqual(['bulkhead reads: 7 at once', `circuitBreaker payments: ${numbersOf(9)}`]);
    expect(said).toEqual([]);
  });
});

function numbersOf(failureThreshold: number): string {
  return new CircuitBreakerPolicy('payments', { failureThreshold }).describe();
}
