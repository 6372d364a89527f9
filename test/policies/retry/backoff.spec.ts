import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { backoffDelay, type BackoffName, type Jitter } from '../../../lib/policies/retry/backoff.js';
import { MODEL_RUNS } from '../../models/runs.js';

const LONGEST = 2 ** 31 - 1;
const JUST_BELOW_ONE = 1 - 2 ** -53;

const settings = fc.record({
  backoff: fc.constantFrom<BackoffName>('exponential', 'linear', 'fibonacci', 'constant', 'decorrelated'),
  maxDelayMs: fc.integer({ min: 1, max: LONGEST }),
  jitter: fc.oneof(
    fc.constantFrom<Jitter>('full', 'equal', 'none'),
    fc.double({ min: 0, max: 1, noNaN: true }),
  ),
});
const base = fc.integer({ min: 0, max: LONGEST });
const retryNumber = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 100_000 }));
const draw = fc.oneof(
  fc.constantFrom(0, JUST_BELOW_ONE),
  fc.double({ min: 0, max: JUST_BELOW_ONE, noNaN: true }),
);

/** The first five delays, without jitter. */
function delays(backoff: BackoffName, maxDelayMs = 60_000): number[] {
  return [1, 2, 3, 4, 5].map((retry) =>
    backoffDelay({ backoff, maxDelayMs, jitter: 'none' }, retry, 100, 0, undefined, () => 0.5),
  );
}

describe('backoffDelay', () => {
  it.each([
    ['exponential', [100, 200, 400, 800, 1_600]],
    ['linear', [100, 200, 300, 400, 500]],
    ['fibonacci', [100, 200, 300, 500, 800]],
    ['constant', [100, 100, 100, 100, 100]],
  ] as const)('RT-02 %s delays', (backoff, expected) => {
    expect(delays(backoff)).toEqual(expected);
  });

  it('RT-02 decorrelated delays are drawn between the base and three times the one before', () => {
    const given = { backoff: 'decorrelated', maxDelayMs: 60_000, jitter: 'none' } as const;
    const next = (previousMs: number, random: number) =>
      backoffDelay(given, 2, 100, previousMs, undefined, () => random);

    expect([next(0, 0), next(0, 0.5), next(500, 0), next(500, 0.5)]).toEqual([100, 200, 100, 800]);
  });

  it.each(['exponential', 'linear', 'fibonacci'] as const)('RT-02 %s delays stop at maxDelay', (backoff) => {
    expect(delays(backoff, 250)).toEqual([100, 200, 250, 250, 250]);
  });

  it('RT-02 no delay, jittered or first, is above maxDelay', () => {
    const property = fc.property(
      settings,
      base,
      retryNumber,
      base,
      draw,
      (given, baseMs, retry, previous, random) => {
        const delay = backoffDelay(given, retry, baseMs, previous, undefined, () => random);
        expect(delay).toBeLessThanOrEqual(given.maxDelayMs * (1 + 1e-12));
      },
    );
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it('RT-03 from a base of 0 every delay is 0, however many there were', () => {
    for (const backoff of ['exponential', 'linear', 'fibonacci', 'constant'] as const) {
      const given = { backoff, maxDelayMs: 1_000, jitter: 'none' } as const;
      expect(backoffDelay(given, 2_049, 0, 0, undefined, () => 0)).toBe(0);
    }
  });

  it('RT-04 at the cap jitter spreads below it', () => {
    const atCap = (random: number) =>
      backoffDelay(
        { backoff: 'constant', maxDelayMs: 150, jitter: 0.5 },
        1,
        1_000,
        0,
        undefined,
        () => random,
      );

    expect(atCap(0)).toBeCloseTo(50);
    expect(atCap(JUST_BELOW_ONE)).toBeCloseTo(150);
  });

  it('RT-04 full jitter begins at 0, equal jitter at half', () => {
    const first = (jitter: Jitter) =>
      backoffDelay({ backoff: 'constant', maxDelayMs: 1_000, jitter }, 1, 100, 0, undefined, () => 0);

    expect([first('full'), first('equal'), first(0.2)]).toEqual([0, 50, 80]);
  });

  it('RT-03 delay 2,049, and any other, is a number from 0 to 2^31-1, and never drops to 0', () => {
    const anyRetry = fc.oneof(fc.constantFrom(1_024, 1_025, 2_048, 2_049), retryNumber);
    const property = fc.property(
      settings,
      base,
      anyRetry,
      base,
      draw,
      (given, baseMs, retry, previous, random) => {
        const delay = backoffDelay(given, retry, baseMs, previous, undefined, () => random);
        expect(delay).toBeGreaterThanOrEqual(0);
        expect(delay).toBeLessThanOrEqual(LONGEST);
        const without = backoffDelay(
          { ...given, jitter: 'none' },
          retry,
          baseMs,
          previous,
          undefined,
          () => random,
        );
        if (baseMs > 0) expect(without).toBeGreaterThanOrEqual(Math.min(baseMs, given.maxDelayMs));
      },
    );
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it('RT-04 jitter bounds hold with the random source at 0, just below 1, and between', () => {
    const property = fc.property(settings, base, retryNumber, draw, (given, baseMs, retry, random) => {
      fc.pre(given.backoff !== 'decorrelated');
      const { jitter, maxDelayMs } = given;
      const plain = backoffDelay({ ...given, jitter: 'none' }, retry, baseMs, 0, undefined, () => random);
      const delay = backoffDelay(given, retry, baseMs, 0, undefined, () => random);
      const [low, high] =
        jitter === 'none'
          ? [plain, plain]
          : jitter === 'full'
            ? [0, plain]
            : jitter === 'equal'
              ? [plain / 2, plain]
              : [1 - jitter, 1 + jitter].map((factor) => Math.min(plain, maxDelayMs / (1 + jitter)) * factor);
      expect(delay).toBeGreaterThanOrEqual((low as number) * (1 - 1e-12));
      expect(delay).toBeLessThanOrEqual((high as number) * (1 + 1e-12));
    });
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it.each([0.5, 0.2, 1, 'full', 'equal'] as const)(
    'RT-04 with jitter %s delays spread at the cap as below it',
    (jitter) => {
      const given = { backoff: 'exponential', maxDelayMs: 8_000, jitter } as const;
      /** The shortest delay in parts of the longest. */
      const spread = (retry: number) => {
        const [low, high] = [0, JUST_BELOW_ONE].map((random) =>
          backoffDelay(given, retry, 100, 0, undefined, () => random),
        );
        return (low as number) / (high as number);
      };

      expect(spread(50)).toBeCloseTo(spread(1));
      expect(spread(50)).toBeLessThan(0.7);
    },
  );
});
