import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Histogram, SlidingHistogram } from '../../lib/core/histogram.js';

const PERCENTS = [0, 1, 25, 50, 75, 90, 95, 99, 99.9, 100];

function exact(samples: readonly number[], percent: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(Number(((percent * samples.length) / 100).toFixed(6))));
  return sorted[rank - 1] as number;
}

function expectWithin2Percent(found: number | undefined, samples: readonly number[], percent: number): void {
  const wanted = exact(samples, percent);
  expect(Math.abs((found as number) - wanted) / wanted).toBeLessThanOrEqual(0.01);
}

describe('Histogram', () => {
  const tenMinutes = Math.log(600_000);
  const tenMicroseconds = Math.log(0.01);
  const spread = fc
    .double({ min: tenMicroseconds, max: tenMinutes, noNaN: true })
    .map((log) => Math.min(600_000, Math.max(0.01, Math.exp(log))));
  const narrow = fc.tuple(
    spread,
    fc.array(fc.double({ min: 0.97, max: 1.03, noNaN: true }), { minLength: 1 }),
  );
  const distributions = fc.oneof(
    fc.array(spread, { minLength: 1, maxLength: 300 }),
    narrow.map(([middle, factors]) => factors.map((factor) => Math.max(0.01, middle * factor))),
    fc
      .tuple(spread, spread, fc.nat({ max: 50 }))
      .map(([a, b, n]) => [...Array<number>(50).fill(a), ...Array<number>(n).fill(b)]),
  );

  it('TO-08 answers percentiles within 2 % of exact, whatever the distribution from 10 µs to 10 min', () => {
    const property = fc.property(distributions, (samples) => {
      const histogram = new Histogram();
      for (const sample of samples) histogram.record(sample);
      expect(histogram.count).toBe(samples.length);
      for (const percent of PERCENTS) expectWithin2Percent(histogram.percentile(percent), samples, percent);
    });
    fc.assert(property, { numRuns: 500 });
  });

  it('takes the nearest rank: p99.9 of 41,000 is the 40,959th, in spite of rounding', () => {
    const histogram = new Histogram();
    for (let i = 1; i <= 41_000; i++) histogram.record(i <= 40_959 ? 1 : 500_000);

    expect(histogram.percentile(99.9)).toBeCloseTo(1, 1);
    expect(histogram.percentile(99.91)).toBeGreaterThan(490_000);
  });

  it('counts what is out of range at the border, leaves out NaN, and knows no percentile of nothing', () => {
    const histogram = new Histogram();
    histogram.record(Number.NaN);
    expect(histogram.count).toBe(0);
    expect(histogram.percentile(50)).toBeUndefined();

    for (const tiny of [-1, 0, 0.001]) histogram.record(tiny);
    for (const huge of [1e12, Number.POSITIVE_INFINITY]) histogram.record(huge);
    expect(histogram.count).toBe(5);
    expect(histogram.percentile(60)).toBeCloseTo(0.0078, 3);
    expect(histogram.percentile(100)).toBeCloseTo(2 ** 22, -5);

    histogram.clear();
    expect(histogram.percentile(50)).toBeUndefined();
  });
});

describe('SlidingHistogram', () => {
  it('TO-07 forgets a sample once the frame has passed, at most one slice early', () => {
    const histogram = new SlidingHistogram({ frameMs: 60_000, slices: 6 });
    const start = 1_234_567;
    histogram.record(5, start);

    expect(histogram.count(start + 50_000)).toBe(1);
    expect(histogram.count(start + 60_000)).toBe(0);
    expect(histogram.percentile(50, start + 60_000)).toBeUndefined();
  });

  it('TO-07 TO-08 agrees with the exact percentiles of the slices that are in the frame', () => {
    const step = fc.record({
      waitMs: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 3_000 })),
      durationMs: fc.double({ min: 0.01, max: 600_000, noNaN: true }),
    });
    const property = fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const histogram = new SlidingHistogram({ frameMs: 1_000, slices: 4 });
      const samples: { slice: number; durationMs: number }[] = [];
      let now = 0;
      for (const { waitMs, durationMs } of steps) {
        now += waitMs;
        histogram.record(durationMs, now);
        samples.push({ slice: Math.floor(now / 250), durationMs });
        const kept = samples.filter(({ slice }) => slice > Math.floor(now / 250) - 4);
        expect(histogram.count(now)).toBe(kept.length);
        const durations = kept.map((sample) => sample.durationMs);
        for (const percent of [50, 95])
          expectWithin2Percent(histogram.percentile(percent, now), durations, percent);
      }
    });
    fc.assert(property);
  });

  it('leaves out NaN, and starts afresh when cleared', () => {
    const histogram = new SlidingHistogram();
    histogram.record(Number.NaN, 0);
    histogram.record(3, 0);
    expect(histogram.count(1)).toBe(1);

    histogram.clear();
    expect(histogram.count(2)).toBe(0);
    histogram.record(7, 3);
    expect(histogram.percentile(50, 4)).toBeCloseTo(7, 0);
  });
});
