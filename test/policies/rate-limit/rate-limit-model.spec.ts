import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Gcra, WINDOW_SLICES } from '../../../lib/policies/rate-limit/algorithm.js';
import { SlidingWindow, TokenBucket } from '../../../lib/policies/rate-limit/index.js';
import { SlidingLogModel, TokenBucketModel } from '../../models/rate-limit-models.js';
import { MODEL_RUNS, MODEL_STEPS } from '../../models/runs.js';
import { SteppedClock } from '../../models/stepped-clock.js';

/** How long passes, in µs, and what is asked for then. */
const trace = fc.array(
  fc.record({
    us: fc.oneof(fc.constant(0), fc.nat({ max: 2_000 }), fc.nat({ max: 3_000_000 })),
    cost: fc.integer({ min: 1, max: 4 }),
  }),
  MODEL_STEPS,
);

describe('Rate limits against their models', () => {
  it('RL-01 RL-04 RL-08 the GCRA form equals a counted token bucket on every trace', () => {
    const emissions = fc.constantFrom(1, 10, 125, 1_000, 4_000, 100_000, 1_000_000);
    const property = fc.property(
      fc.integer({ min: 4, max: 50 }),
      emissions,
      trace,
      (capacity, emissionUs, steps) => {
        const start = 7_000_000;
        const bucket = new Gcra(capacity, 1_000_000 / emissionUs);
        const model = new TokenBucketModel(capacity, emissionUs, start);
        let state: number | undefined;
        let nowUs = start;
        const taken: boolean[] = [];
        const expected: boolean[] = [];
        for (const { us, cost } of steps) {
          nowUs += us;
          const next = bucket.take(state, cost, nowUs / 1_000);
          if (next !== undefined) state = next;
          taken.push(next !== undefined);
          expected.push(model.tryTake(cost, nowUs));
        }
        expect(taken).toEqual(expected);
      },
    );
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it('RL-02 RL-08 a sliding window never lets in early, and late by a window / 32 at most', () => {
    const property = fc.property(
      fc.integer({ min: 4, max: 40 }),
      fc.constantFrom(100, 1_000, 5_000),
      trace,
      (limit, window, steps) => {
        const clock = new SteppedClock(3);
        const limiter = new SlidingWindow({ limit, window }, { clock });
        const model = new SlidingLogModel(limit, window);
        const violations: unknown[] = [];
        for (const { us, cost } of steps) {
          clock.time += us / 1_000;
          const allowed = limiter.tryAcquire(cost);
          if (allowed && !model.wouldFit(cost, clock.time)) violations.push(['early', clock.time]);
          if (!allowed && model.wouldFit(cost, clock.time, window / WINDOW_SLICES + 1e-6))
            violations.push(['late', clock.time]);
          if (allowed) model.add(cost, clock.time);
        }
        expect(violations).toEqual([]);
      },
    );
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it.each(['token bucket', 'sliding window'])(
    'RL-05 retryAfterMs of a %s is when it lets in again, not a µs earlier',
    (kind) => {
      const property = fc.property(fc.integer({ min: 1, max: 20 }), trace, (limit, steps) => {
        const clock = new SteppedClock();
        const limiter =
          kind === 'token bucket'
            ? new TokenBucket({ capacity: limit, refillPerSecond: 8 }, { clock })
            : new SlidingWindow({ limit, window: 640 }, { clock });
        const violations: unknown[] = [];
        for (const { us } of steps) {
          clock.time += us / 1_000;
          if (limiter.tryAcquire()) continue;
          const wait = limiter.retryAfterMs();
          const now = clock.time;
          clock.time = now + wait - 0.002;
          if (limiter.retryAfterMs() <= 0) violations.push(['late', now, wait]);
          clock.time = now + wait + 0.001;
          if (limiter.retryAfterMs() !== 0) violations.push(['early', now, wait]);
        }
        expect(violations).toEqual([]);
      });
      fc.assert(property, { numRuns: MODEL_RUNS });
    },
  );
});
