import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/index.js';
import {
  CallsWindow,
  FAILED,
  SLOW,
  TimeWindow,
  type OutcomeWindow,
} from '../../../lib/policies/circuit-breaker/sliding-window.js';
import { ManualClock } from '../../../lib/testing/index.js';

/** How often the array behind a window is read and written by one record. */
function accessesOf(window: OutcomeWindow, storage: string, flags: number, now: number): number {
  let accesses = 0;
  const holder = window as unknown as Record<string, object>;
  const array = holder[storage] as object;
  holder[storage] = new Proxy(array, {
    get: (target, index) => {
      accesses++;
      return Reflect.get(target, index) as unknown;
    },
    set: (target, index, value) => {
      accesses++;
      return Reflect.set(target, index, value);
    },
  });
  window.record(flags, now);
  holder[storage] = array;
  return accesses;
}

describe('What a circuit breaker costs', () => {
  it.each([0, FAILED, SLOW, FAILED | SLOW])(
    'CB-25 recording touches as much of a window of 1,000,000 calls as of one of 10 (flags %d)',
    (flags) => {
      const touched = [10, 1_000_000].map((size) => {
        const window: OutcomeWindow = new CallsWindow(size);
        for (let i = 0; i < size; i++) window.record(flags, 0);
        return accessesOf(window, 'outcomes', flags, 0);
      });

      expect(touched[1]).toBe(touched[0]);
      expect(touched[1]).toBeLessThanOrEqual(2);
    },
  );

  it.each([0, FAILED, SLOW, FAILED | SLOW])(
    'CB-25 recording touches as much of a time window that holds 1,000,000 calls as of one that holds 10 (flags %d)',
    (flags) => {
      const touched = [10, 1_000_000].map((calls) => {
        const window = new TimeWindow(1_000);
        for (let i = 0; i < calls; i++) window.record(flags, (i * 900) / calls);
        window.record(flags, 899);
        return accessesOf(window, 'counts', flags, 899);
      });

      expect(touched[1]).toBe(touched[0]);
      expect(touched[1]).toBeLessThanOrEqual(6);
    },
  );

  it('CB-25 10,000 idle breakers arm no timer and take at most 1.2 kB each', () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const clock = new ManualClock();
    const options = { failureRatePercent: 50, window: { calls: 100 } } as const;
    const breakers = [new CircuitBreakerPolicy('first', options, { clock })];
    collectGarbage();
    const before = process.memoryUsage().heapUsed;

    for (let i = 0; i < 10_000; i++)
      breakers.push(new CircuitBreakerPolicy(`breaker ${i}`, options, { clock }));
    collectGarbage();

    expect((process.memoryUsage().heapUsed - before) / 10_000).toBeLessThan(1_200);
    expect(breakers).toHaveLength(10_001);
    expect(clock.pending).toBe(0);
  });
});
