import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RetryPolicy } from '../../../lib/policies/retry/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { attemptsOf, type Ending } from '../../models/retry-model.js';
import { MODEL_RUNS, MODEL_STEPS } from '../../models/runs.js';

const rules = fc
  .record({
    maxRetries: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constant(250)),
    baseDelay: fc.constantFrom(0, 0, 1, 10),
    maxDelay: fc.integer({ min: 10, max: 500 }),
    maxElapsed: fc.option(fc.integer({ min: 1, max: 5_000 }), { nil: undefined }),
  })
  .filter(({ baseDelay, maxDelay }) => baseDelay <= maxDelay);

/** Mostly what is tried again, so that calls get long. */
const ending = fc.oneof(
  { weight: 90, arbitrary: fc.constantFrom<Ending>('error', 'status 503', 'result 503') },
  { weight: 2, arbitrary: fc.constantFrom<Ending>('status 404', 'result 404', 'fine') },
);

describe('RetryPolicy against its model', () => {
  it('RT-01 RT-02 RT-07 RT-09 RT-10 RT-17 any 200 attempts go as in the model', async () => {
    const property = fc.asyncProperty(
      rules,
      fc.array(ending, MODEL_STEPS),
      fc.constantFrom(0, 0, 3),
      async (given, endings, tookMs) => {
        const clock = new ManualClock();
        const { maxElapsed, ...rest } = given;
        const options = {
          ...rest,
          jitter: 'none',
          budget: false,
          ...(maxElapsed !== undefined && { maxElapsed }),
        } as const;
        const retry = new RetryPolicy('inventory', options, { clock });
        const startedAt: number[] = [];
        const end = (how: Ending | undefined) => {
          if (how?.startsWith('result')) return { status: Number(how.slice(-3)), how };
          if (how === 'fine' || how === undefined) return { how };
          throw Object.assign(
            new Error(how),
            { how },
            how === 'error' ? {} : { status: Number(how.slice(-3)) },
          );
        };
        const method = async () => {
          const how = endings[startedAt.length];
          startedAt.push(clock.now());
          if (tookMs > 0) await new Promise<void>((resolve) => void clock.delay(tookMs, resolve));
          return end(how);
        };

        const ended = retry.execute(method).catch((error: unknown) => error as { how: Ending });
        // Longer than 200 attempts and the delays between them.
        await clock.advance(200_000);

        const expected = attemptsOf(given, endings, tookMs);
        expect(startedAt).toEqual(expected);
        expect((await ended).how).toBe(endings[expected.length - 1]);
        expect(clock.pending).toBe(0);
      },
    );
    await fc.assert(property, { numRuns: MODEL_RUNS });
  }, 120_000);
});
