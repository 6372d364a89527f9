import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InvalidOptionsError, TimeoutExceededError } from '../../../lib/core/errors.js';
import { AdaptiveTimeout, TimeoutPolicy } from '../../../lib/policies/timeout/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { MODEL_RUNS } from '../../models/runs.js';
import { SteppedClock } from '../../models/stepped-clock.js';

describe('AdaptiveTimeout', () => {
  it('TO-07 below minSamples the configured duration holds; from there on P95 × 1.5', () => {
    const timeout = new AdaptiveTimeout({ duration: 2_000, minSamples: 20 }, { clock: new SteppedClock() });
    for (let i = 0; i < 19; i++) timeout.record(100);
    expect(timeout.current()).toBe(2_000);

    timeout.record(100);

    expect(timeout.current()).toBeGreaterThan(150 * 0.98);
    expect(timeout.current()).toBeLessThan(150 * 1.02);
  });

  it('TO-07 it is the 95th percentile that counts', () => {
    const timeout = new AdaptiveTimeout({ duration: 10_000 }, { clock: new SteppedClock() });
    for (let i = 1; i <= 1_000; i++) timeout.record(i);

    expect(timeout.current() / (950 * 1.5)).toBeCloseTo(1, 1);
  });

  it.each([
    [1, 50],
    [100_000, 500],
  ])('TO-07 calls of %d ms are clamped to %d', (durationMs, expected) => {
    const timeout = new AdaptiveTimeout({ duration: 200, min: 50, max: 500 }, { clock: new SteppedClock() });
    for (let i = 0; i < 100; i++) timeout.record(durationMs);

    expect(timeout.current()).toBe(expected);
  });

  it('TO-07 the configured duration is the maximum where none is given', () => {
    const timeout = new AdaptiveTimeout({ duration: 200 }, { clock: new SteppedClock() });
    for (let i = 0; i < 100; i++) timeout.record(100_000);

    expect(timeout.current()).toBe(200);
  });

  it('TO-07 timeouts feed the estimate, so that it rises again', async () => {
    const clock = new ManualClock();
    const timeout = new TimeoutPolicy(
      'search',
      { duration: 10_000, adaptive: { minSamples: 20 } },
      { clock },
    );
    const take = async (durationMs: number) => {
      const method = () => new Promise((resolve) => void clock.delay(durationMs, () => resolve('fine')));
      const call = timeout.execute(method).catch((error: unknown) => error);
      await clock.advance(durationMs);
      return call;
    };
    for (let i = 0; i < 20; i++) await take(100);
    expect(await take(400)).toBeInstanceOf(TimeoutExceededError);

    let attempts = 0;
    while ((await take(400)) !== 'fine') attempts++;

    expect(attempts).toBeGreaterThan(0);
    // Long before the fast samples have faded.
    expect(attempts).toBeLessThan(30);
  });

  it('PL-08 TO-07 made adaptive while calls run: those were not timed, and say nothing', async () => {
    const clock = new ManualClock();
    const timeout = new TimeoutPolicy('search', '2s', { clock });
    const begin = () =>
      timeout.execute(() => new Promise((resolve) => void clock.delay(500, () => resolve('fine'))));
    const running = Array.from({ length: 100 }, begin);
    timeout.update({ adaptive: { minSamples: 20 } });
    await clock.advance(500);
    await Promise.all(running);

    expect(timeout.stats()).toMatchObject({ currentTimeoutMs: 2_000, adaptive: { samples: 0 } });
    const next = begin();
    await clock.advance(500);
    expect([await next, timeout.stats().adaptive?.samples]).toEqual(['fine', 1]);
  });

  it('TO-07 old samples fade', () => {
    const clock = new SteppedClock();
    const timeout = new AdaptiveTimeout({ duration: 2_000 }, { clock });
    for (let i = 0; i < 100; i++) timeout.record(100);
    expect(timeout.current()).toBeLessThan(200);

    clock.time = 60_000;

    expect(timeout.current()).toBe(2_000);
    expect(timeout.stats().samples).toBe(0);
  });

  it('TO-07 other options keep the samples', () => {
    const clock = new SteppedClock();
    const timeout = new AdaptiveTimeout({ duration: 2_000 }, { clock });
    for (let i = 0; i < 100; i++) timeout.record(100);

    timeout.configure({ duration: 2_000, multiplier: 3 });

    expect(timeout.current()).toBeGreaterThan(290);
  });

  it('TO-07 a new estimate is worked out after 32 samples, or after a second', () => {
    const clock = new SteppedClock(5_000);
    const timeout = new AdaptiveTimeout({ duration: 10_000, minSamples: 1 }, { clock });
    timeout.record(100);
    const first = timeout.current();
    for (let i = 0; i < 31; i++) timeout.record(1_000);
    const before = timeout.current();
    timeout.record(1_000);
    const after = timeout.current();
    for (let i = 0; i < 31; i++) timeout.record(4_000);
    clock.time = 5_999;
    const early = timeout.current();
    clock.time = 6_000;

    expect([before, early]).toEqual([first, after]);
    expect(after / 1_500).toBeCloseTo(1, 1);
    expect(timeout.current() / 6_000).toBeCloseTo(1, 1);
  });

  it('TO-07 other options hold at once, and so does a reset', () => {
    const timeout = new AdaptiveTimeout({ duration: 2_000, minSamples: 1 }, { clock: new SteppedClock() });
    timeout.record(100);
    timeout.current();

    timeout.configure({ duration: 3_000, minSamples: 2 });
    const configured = timeout.current();
    timeout.record(100);
    const estimated = timeout.current();
    timeout.reset();

    expect(configured).toBe(3_000);
    expect(estimated).toBeLessThan(200);
    expect([timeout.current(), timeout.stats().currentMs]).toEqual([3_000, 3_000]);
  });

  it('OP-06 without samples there are no percentiles', () => {
    const timeout = new AdaptiveTimeout({ duration: 2_000 }, { clock: new SteppedClock() });
    const none = { p50: undefined, p95: undefined, p99: undefined, p999: undefined };

    expect(timeout.stats()).toEqual({ currentMs: 2_000, samples: 0, ...none });
  });

  it('PL-07 refuses bounds that exclude each other', () => {
    const build = () => new AdaptiveTimeout({ duration: 100, min: 101 });

    expect(build).toThrow(InvalidOptionsError);
    expect(build).toThrow('AdaptiveTimeout: "min" of 101 ms is above "max" of 100 ms.');
    expect(() => new AdaptiveTimeout({ duration: 100, min: 100 })).not.toThrow();
  });

  it('TO-08 percentiles are within 2 % of exact over any distribution from 10 µs to 10 min', () => {
    const [shortest, longest] = [Math.log(0.01), Math.log(600_000)];
    const anywhere = fc.double({ min: shortest, max: longest, noNaN: true }).map(Math.exp);
    const bulk = fc
      .tuple(anywhere, anywhere, fc.nat({ max: 100 }))
      .map(([usual, rare, percent]) =>
        Array.from({ length: 100 }, (_, index) => (index < percent ? rare : usual * (1 + index / 1_000))),
      );
    const distribution = fc.oneof(fc.array(anywhere, { minLength: 1, maxLength: 300 }), bulk);
    const property = fc.property(distribution, (durations) => {
      const timeout = new AdaptiveTimeout({ duration: 1 }, { clock: new SteppedClock() });
      for (const duration of durations) timeout.record(duration);
      const sorted = Float64Array.from(durations).sort();
      const exact = (percent: number) =>
        sorted[Math.ceil((percent * sorted.length) / 100 - 1e-9) - 1] as number;

      const { p50, p95, p99, p999 } = timeout.stats();

      const ratios = [p50, p95, p99, p999].map(
        (estimate, index) => (estimate as number) / exact([50, 95, 99, 99.9][index] as number),
      );
      for (const ratio of ratios) expect(Math.abs(ratio - 1)).toBeLessThan(0.02);
    });
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it('takes durations as strings', () => {
    const timeout = new AdaptiveTimeout({ duration: '2s', max: '5s' }, { clock: new SteppedClock() });

    expect(timeout.current()).toBe(2_000);
  });

  it.each([
    ['"duration" must be a duration', { duration: -5 }],
    ['"duration" must be a duration', { duration: 'soon' }],
    ['"minSamples" must be an integer', { duration: 100, minSamples: 0 }],
    ['"min" of 200 ms is above "max" of 100 ms', { duration: 100, min: '200ms' }],
  ])('PL-07 refuses what cannot be: %s', (message, options) => {
    const build = () => new AdaptiveTimeout(options);

    expect(build).toThrow(InvalidOptionsError);
    expect(build).toThrow(message);
  });
});
