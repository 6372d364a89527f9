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
  /** What one attempt may take. Default: `request`, else 60 s; none where only `total` is given. */
  readonly duration?: Duration;
  /** What all attempts and the waits between them may take together. Default: no bound. */
  readonly total?: Duration;
  /** Follows what calls take, instead of a fixed duration. Default: off. */
  readonly adaptive?: AdaptiveTimeoutOptions | boolean;
  /** For HTTP clients (see `TimeoutPolicy.http`): what a connection may take, TLS included. Default 3 s. */
  readonly connect?: Duration;
  /** For HTTP clients: how long a connection may be silent during a request. Default 30 s. */
  readonly read?: Duration;
  /** For HTTP clients: what one request may take. Default: `duration`, else 60 s. */
  readonly request?: Duration;
  /** Of a method that returns an observable: what must happen in time. Default `complete`. */
  readonly until?: 'complete' | 'first';
}

/** The options as the policy uses them. */
export interface TimeoutSettings {
  /** `undefined` where attempts are not bounded. */
  readonly durationMs: number | undefined;
  readonly totalMs: number | undefined;
  readonly adaptive: Required<AdaptiveResolved> | undefined;
  readonly http: {
    readonly connectMs: number;
    readonly readMs: number;
    readonly requestMs: number;
    /** The longest that the policy itself lets an attempt take. */
    readonly attemptMs: number | undefined;
  };
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
  readonly connect?: number;
  readonly read?: number;
  readonly request?: number;
  readonly until: 'complete' | 'first';
}

export const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_CONNECT_MS = 3_000;
const DEFAULT_READ_MS = 30_000;

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
    defaultText: "`request`, else `'60s'`; none where only `total` is given",
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
    name: 'connect',
    kind: 'duration',
    optional: true,
    defaultText: "`'3s'`",
    sentence: 'For HTTP clients: what a connection may take, TLS included.',
  },
  {
    name: 'read',
    kind: 'duration',
    optional: true,
    defaultText: "`'30s'`",
    sentence: 'For HTTP clients: how long a connection may be silent during a request.',
  },
  {
    name: 'request',
    kind: 'duration',
    optional: true,
    defaultText: "`duration`, else `'60s'`",
    sentence: 'For HTTP clients: what one request may take.',
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
  const { durationMs, totalMs, adaptive, http } = settingsOf(options);
  for (const [option, ms] of [
    ['connect', http.connectMs],
    ['read', http.readMs],
  ] as const) {
    if (options[option] === undefined || ms <= http.requestMs) continue;
    problems.push({
      where,
      option,
      message: `"${option}" of ${ms} ms is above the ${http.requestMs} ms of the whole request.`,
    });
  }
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
  const forClients = given.connect !== undefined || given.read !== undefined;
  const onlyTotal = given.total !== undefined && adaptive === undefined && !forClients;
  const durationMs =
    given.duration ??
    given.request ??
    (onlyTotal ? undefined : Math.min(DEFAULT_TIMEOUT_MS, given.total ?? DEFAULT_TIMEOUT_MS));
  const requestMs = given.request ?? durationMs ?? given.total ?? DEFAULT_TIMEOUT_MS;
  return {
    durationMs,
    totalMs: given.total,
    http: {
      connectMs: given.connect ?? Math.min(DEFAULT_CONNECT_MS, requestMs),
      readMs: given.read ?? Math.min(DEFAULT_READ_MS, requestMs),
      requestMs,
      attemptMs: Math.max(adaptive?.max ?? 0, durationMs ?? 0) || given.total,
    },
    adaptive: adaptive && { ...adaptive, max: adaptive.max ?? (durationMs as number) },
    untilFirst: given.until === 'first',
  };
}
