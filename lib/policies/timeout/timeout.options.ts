import type { Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';

/** How a timeout follows what calls take. @publicApi */
export interface AdaptiveTimeoutOptions {
  /** Of the durations of the last minute. Default 95. */
  readonly percentile?: number;
  /** Default 1.5. */
  readonly multiplier?: number;
  /** Below so many samples the configured duration holds. Default 100. */
  readonly minSamples?: number;
  /** Default 1 ms. */
  readonly min?: Duration;
  /** Default: the configured duration. */
  readonly max?: Duration;
}

/** Options of a timeout. @publicApi */
export interface TimeoutOptions {
  /** What one attempt may take. Default 60 s; none where only `total` is given. */
  readonly duration?: Duration;
  /** What all attempts and the waits between them may take together. Default: no bound. */
  readonly total?: Duration;
  /** Follows what calls take, instead of a fixed duration. Default: off. */
  readonly adaptive?: AdaptiveTimeoutOptions | boolean;
  /** Of a method that returns an observable: what must happen in time. Default `complete`. */
  readonly until?: 'complete' | 'first';
}

/** The options as the policy uses them. */
export interface TimeoutSettings {
  /** `undefined` where attempts are not bounded. */
  readonly durationMs: number | undefined;
  readonly totalMs: number | undefined;
  readonly adaptive: Required<AdaptiveResolved> | undefined;
  readonly untilFirst: boolean;
}

export interface AdaptiveResolved {
  readonly percentile: number;
  readonly multiplier: number;
  readonly minSamples: number;
  readonly min: number;
  readonly max?: number;
}

interface Resolved {
  readonly duration?: number;
  readonly total?: number;
  readonly adaptive?: AdaptiveResolved | boolean;
  readonly until: 'complete' | 'first';
}

export const DEFAULT_TIMEOUT_MS = 60_000;

/** The options of an adaptive timeout, for validation and documentation. */
export const adaptiveRows = [
  {
    name: 'percentile',
    kind: 'percent',
    above: 0,
    default: 95,
    sentence: 'Of the durations of the last minute.',
  },
  {
    name: 'multiplier',
    kind: 'number',
    min: 1,
    default: 1.5,
    sentence: 'How much longer than that it waits.',
  },
  {
    name: 'minSamples',
    kind: 'integer',
    min: 1,
    default: 100,
    sentence: 'Below so many samples the configured duration holds.',
  },
  { name: 'min', kind: 'duration', default: 1, defaultText: "`'1ms'`", sentence: 'It never goes below.' },
  {
    name: 'max',
    kind: 'duration',
    optional: true,
    defaultText: 'the configured duration',
    sentence: 'It never goes above.',
  },
] as const;

const adaptiveTable = defineOptions<AdaptiveTimeoutOptions, AdaptiveResolved>(...adaptiveRows);

/** The options of a timeout, for validation and documentation. */
export const timeoutTable = defineOptions<TimeoutOptions, Resolved>(
  {
    name: 'duration',
    kind: 'duration',
    optional: true,
    defaultText: "`'60s'`; none where only `total` is given",
    sentence: 'What one attempt may take.',
  },
  {
    name: 'total',
    kind: 'duration',
    optional: true,
    sentence: 'What all attempts and the waits between them may take together.',
  },
  {
    name: 'adaptive',
    kind: 'object',
    fields: adaptiveTable,
    or: [{ kind: 'boolean' }],
    optional: true,
    sentence: 'Follows what calls take, instead of a fixed duration.',
  },
  {
    name: 'until',
    kind: 'one-of',
    values: ['complete', 'first'],
    default: 'complete',
    sentence:
      'Of a method that returns an observable: whether completion or the first value must come in time.',
  },
);

/** Everything that is wrong with the options, alone and among each other. */
export function timeoutProblems(options: TimeoutOptions, where: string): OptionProblem[] {
  const problems = checkOptions(timeoutTable, options, where);
  if (problems.length > 0) return problems;
  const { durationMs, totalMs, adaptive } = settingsOf(options);
  if (durationMs !== undefined && totalMs !== undefined && durationMs > totalMs) {
    problems.push({
      where,
      option: 'total',
      message: `"duration" of ${durationMs} ms, for one attempt, is above "total" of ${totalMs} ms, for all of them.`,
    });
  }
  if (adaptive !== undefined && adaptive.min > adaptive.max) {
    problems.push({
      where,
      option: 'adaptive.min',
      message: `"adaptive.min" of ${adaptive.min} ms is above "adaptive.max" of ${adaptive.max} ms.`,
    });
  }
  return problems;
}

/** @throws {@link InvalidOptionsError} */
export function timeoutSettings(options: TimeoutOptions, where: string): TimeoutSettings {
  refuseProblems(timeoutProblems(options, where));
  return settingsOf(options);
}

function settingsOf(options: TimeoutOptions): TimeoutSettings {
  const given = resolveOptions(timeoutTable, options);
  const adaptive =
    given.adaptive === true
      ? resolveOptions(adaptiveTable, {})
      : given.adaptive === false
        ? undefined
        : given.adaptive;
  const onlyTotal = given.total !== undefined && adaptive === undefined;
  const durationMs =
    given.duration ??
    (onlyTotal ? undefined : Math.min(DEFAULT_TIMEOUT_MS, given.total ?? DEFAULT_TIMEOUT_MS));
  return {
    durationMs,
    totalMs: given.total,
    adaptive: adaptive && { ...adaptive, max: adaptive.max ?? (durationMs as number) },
    untilFirst: given.until === 'first',
  };
}
