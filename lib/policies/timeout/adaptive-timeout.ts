import type { Clock } from '../../core/clock.js';
import type { Duration } from '../../core/duration.js';
import { clockOf, type PolicyEnvironment } from '../../core/environment.js';
import { SlidingHistogram } from '../../core/histogram.js';
import { defineOptions, readOptions, refuseProblems } from '../../core/option-table.js';
import { adaptiveRows, type AdaptiveResolved, type AdaptiveTimeoutOptions } from './timeout.options.js';

/** How an adaptive timeout follows what it measures, resolved. */
export interface AdaptiveSettings {
  /** Holds until there are enough samples. */
  readonly durationMs: number;
  readonly percentile: number;
  readonly multiplier: number;
  readonly minSamples: number;
  readonly minMs: number;
  readonly maxMs: number;
}

/** How an adaptive timeout is made. @publicApi */
export interface AdaptiveTimeoutForm extends AdaptiveTimeoutOptions {
  /** Holds until there are enough samples. */
  readonly duration: Duration;
}

const formTable = defineOptions<AdaptiveTimeoutForm, AdaptiveResolved & { readonly duration: number }>(
  { name: 'duration', kind: 'duration', sentence: 'Holds until there are enough samples.' },
  ...adaptiveRows,
);

/** The numbers of an adaptive timeout, in milliseconds; percentiles are `undefined` without samples. @publicApi */
export interface AdaptiveTimeoutStats {
  readonly currentMs: number;
  readonly samples: number;
  readonly p50: number | undefined;
  readonly p95: number | undefined;
  readonly p99: number | undefined;
  readonly p999: number | undefined;
}

/** A new estimate is worked out after so many samples, or so much time. */
const RECOMPUTE_SAMPLES = 32;
const RECOMPUTE_MS = 1_000;

/**
 * A timeout that follows what calls take: the percentile of the last minute's durations times a multiplier, within
 * bounds. Calls that timed out are samples too, so that it can rise again; old samples fade.
 *
 * @example
 * const timeout = new AdaptiveTimeout({ duration: '2s', percentile: 95, multiplier: 1.5, min: 50, max: '5s' });
 * timeout.record(120);
 * timeout.current();
 *
 * @publicApi
 */
export class AdaptiveTimeout {
  private readonly samples = new SlidingHistogram();
  private settings: AdaptiveSettings;
  private cachedMs: number;
  private cachedAt = Number.NEGATIVE_INFINITY;
  private fresh = 0;
  /** Whether there were enough samples for an estimate. */
  private estimated = false;

  private readonly clock: Clock;

  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(options: AdaptiveTimeoutForm, environment?: PolicyEnvironment) {
    this.settings = settingsOf(options);
    this.cachedMs = this.settings.durationMs;
    this.clock = clockOf(environment);
  }

  /**
   * Goes on with the same samples under other options.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  configure(options: AdaptiveTimeoutForm): void {
    this.settings = settingsOf(options);
    this.estimated = false;
  }

  /** Adds a duration in milliseconds. */
  record(durationMs: number): void {
    this.samples.record(durationMs, this.clock.now());
    this.fresh++;
  }

  /** The timeout for the next call, in milliseconds. */
  current(now = this.clock.now()): number {
    if (!this.estimated || this.fresh >= RECOMPUTE_SAMPLES || now - this.cachedAt >= RECOMPUTE_MS) {
      this.estimated = this.samples.count(now) >= this.settings.minSamples;
      this.cachedMs = this.estimate(now);
      this.cachedAt = now;
      this.fresh = 0;
    }
    return this.cachedMs;
  }

  stats(): AdaptiveTimeoutStats {
    const now = this.clock.now();
    const percentile = (percent: number) => this.samples.percentile(percent, now);
    return {
      currentMs: this.estimate(now),
      samples: this.samples.count(now),
      p50: percentile(50),
      p95: percentile(95),
      p99: percentile(99),
      p999: percentile(99.9),
    };
  }

  reset(): void {
    this.samples.clear();
    this.cachedMs = this.settings.durationMs;
    this.cachedAt = Number.NEGATIVE_INFINITY;
    this.estimated = false;
  }

  private estimate(now: number): number {
    const { settings, samples } = this;
    if (samples.count(now) < settings.minSamples) return settings.durationMs;
    const observed = samples.percentile(settings.percentile, now) as number;
    return Math.min(settings.maxMs, Math.max(settings.minMs, observed * settings.multiplier));
  }
}

function settingsOf(options: AdaptiveTimeoutForm): AdaptiveSettings {
  const where = 'AdaptiveTimeout';
  const {
    duration,
    percentile,
    multiplier,
    minSamples,
    min,
    max = duration,
  } = readOptions(formTable, options, where);
  if (min > max) {
    refuseProblems([{ where, option: 'min', message: `"min" of ${min} ms is above "max" of ${max} ms.` }]);
  }
  return { durationMs: duration, percentile, multiplier, minSamples, minMs: min, maxMs: max };
}
