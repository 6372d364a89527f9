import type { CallInfo } from '../../core/call.js';
import { isStatus } from '../../core/classify.js';
import { parseDuration, type Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { describeValue } from '../../core/option-form.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import {
  CHAOS_FAULTS,
  DEFAULT_LATENCIES,
  DEFAULT_STATUSES,
  type ChaosError,
  type ChaosFault,
} from './fault.js';
import type { Latency, LatencySettings, NormalLatency, UniformLatency } from './latency.js';
import { refusalOfChaos, type ChaosEnvironment } from './permission.js';

/** Options of chaos. @publicApi */
export interface ChaosOptions {
  /** Whether anything is injected. Default false. */
  readonly enabled?: boolean;
  /** What is injected. Default: what `error`, `result` or `latency` say. */
  readonly fault?: ChaosFault;
  /** How long a call is kept before the fault, or before the method where there is none. */
  readonly latency?: Latency;
  /** A status, an error class, an error, a function that makes one, or several of these, of which one is drawn. */
  readonly error?: ChaosError | readonly ChaosError[];
  /** The wrong result, or a function that makes it. */
  readonly result?: unknown;
  /** Calls that are hit, of those that `firstCalls` and `every` leave: 0 to 100. Default 100. */
  readonly ratePercent?: number;
  /** Only so many calls from the beginning. Default: all. */
  readonly firstCalls?: number;
  /** Only every n-th call. Default 1. */
  readonly every?: number;
  /** How long the fault lasts from the moment that it is enabled. Default: until it is stopped. */
  readonly duration?: Duration;
  /**
   * Says that it may run with `NODE_ENV=production`, if `RESILIENCE_CHAOS=allow` says so too. Only where the policy is made:
   * no update can raise it. Default false.
   */
  readonly allowInProduction?: boolean;
}

/** The options as the policy uses them. */
export interface ChaosSettings {
  readonly enabled: boolean;
  readonly fault: ChaosFault | undefined;
  readonly latency: LatencySettings | undefined;
  readonly errors: readonly ChaosError[];
  readonly result: (call: CallInfo) => unknown;
  readonly ratePercent: number;
  readonly firstCalls: number;
  readonly every: number;
  readonly durationMs: number;
}

interface Resolved extends Omit<ChaosOptions, 'latency' | 'duration'> {
  readonly enabled: boolean;
  readonly latency?: LatencySettings;
  readonly ratePercent: number;
  readonly every: number;
  readonly duration?: number;
  readonly allowInProduction: boolean;
}

const uniformTable = defineOptions<UniformLatency>(
  { name: 'min', kind: 'duration', min: 0, sentence: 'The shortest; every time up to `max` is as likely.' },
  { name: 'max', kind: 'duration', min: 0, sentence: 'The longest.' },
);

const normalTable = defineOptions<NormalLatency>(
  { name: 'mean', kind: 'duration', min: 0, sentence: 'The mean of a normal distribution.' },
  { name: 'deviation', kind: 'duration', min: 0, sentence: 'Its standard deviation.' },
);

const latencyForm = {
  kind: 'duration',
  min: 0,
  or: [
    { kind: 'object', fields: uniformTable },
    { kind: 'object', fields: normalTable },
  ],
  check: latencyMistake,
} as const;

/** The options of chaos, for validation and documentation. */
export const chaosTable = defineOptions<ChaosOptions, Resolved>(
  { name: 'enabled', kind: 'boolean', default: false, sentence: 'Whether anything is injected.' },
  {
    name: 'fault',
    kind: 'one-of',
    values: CHAOS_FAULTS,
    optional: true,
    defaultText: 'what `error`, `result` or `latency` say',
    sentence: 'What is injected.',
  },
  {
    name: 'latency',
    ...latencyForm,
    optional: true,
    defaultText: '100 ms to 5 s with `fault: "latency"`, 30 to 60 s with `fault: "timeout"`, else none',
    sentence: 'How long a call is kept before the fault, or before the method where there is none.',
  },
  {
    name: 'error',
    kind: 'any',
    optional: true,
    defaultText: 'with `fault: "error"` one of 500, 503 and 504',
    sentence:
      'A status, an error class, an error, a function that makes one, or several, of which one is drawn.',
    check: errorMistake,
  },
  {
    name: 'result',
    kind: 'any',
    optional: true,
    defaultText: 'with `fault: "wrong-result"` `null`',
    sentence: 'The wrong result, or a function that makes it.',
  },
  {
    name: 'ratePercent',
    kind: 'percent',
    default: 100,
    sentence: 'Calls that are hit, of those that `firstCalls` and `every` leave.',
  },
  {
    name: 'firstCalls',
    kind: 'integer',
    min: 1,
    optional: true,
    defaultText: 'all',
    sentence: 'Only so many calls from the beginning.',
  },
  { name: 'every', kind: 'integer', min: 1, default: 1, sentence: 'Only every n-th call.' },
  {
    name: 'duration',
    kind: 'duration',
    optional: true,
    defaultText: 'until it is stopped',
    sentence: 'How long the fault lasts from the moment that it is enabled.',
  },
  {
    name: 'allowInProduction',
    kind: 'boolean',
    default: false,
    sentence: 'Says that it may run with `NODE_ENV=production`, if `RESILIENCE_CHAOS=allow` says so too.',
  },
);

/** Everything that is wrong with the options, alone, among each other, and where they are to run. */
export function chaosProblems(
  options: ChaosOptions,
  where: string,
  environment?: ChaosEnvironment,
): OptionProblem[] {
  const problems = checkOptions(chaosTable, options, where);
  if (problems.length > 0) return problems;
  const { enabled, fault, error, result } = options;
  const say = (option: string, message: string) => problems.push({ where, option, message });
  if (error !== undefined && result !== undefined) {
    say('result', '"error" and "result" exclude each other: a call ends in one way.');
  } else if (fault !== undefined) {
    if (error !== undefined && fault !== 'error')
      say('error', `"error" does not go with the fault "${fault}".`);
    if (result !== undefined && fault !== 'wrong-result') {
      say('result', `"result" does not go with the fault "${fault}".`);
    }
  }
  if (enabled !== true) return problems;
  if (faultOf(options) === undefined) {
    say('enabled', '"enabled" needs something to inject: "fault", "latency", "error" or "result".');
  }
  const refusal = refusalOfChaos(
    environment,
    options.allowInProduction === true || environment?.allowChaosInProduction === true,
  );
  if (refusal !== undefined) say('enabled', refusal);
  return problems;
}

/** @throws {@link InvalidOptionsError} */
export function chaosSettings(
  options: ChaosOptions,
  where: string,
  environment: ChaosEnvironment | undefined,
): ChaosSettings {
  refuseProblems(chaosProblems(options, where, environment));
  const resolved = resolveOptions(chaosTable, options);
  const { result, duration = Number.POSITIVE_INFINITY, firstCalls = Number.POSITIVE_INFINITY } = resolved;
  const fault = faultOf(options);
  return {
    enabled: resolved.enabled,
    fault,
    latency: resolved.latency ?? (fault === undefined ? undefined : DEFAULT_LATENCIES[fault]),
    errors: errorsOf(options.error ?? DEFAULT_STATUSES),
    result: typeof result === 'function' ? (result as ChaosSettings['result']) : () => result ?? null,
    ratePercent: resolved.ratePercent,
    firstCalls,
    every: resolved.every,
    durationMs: duration,
  };
}

/**
 * One of the two that must allow chaos in production is who writes the options: nobody who can only change them.
 *
 * @throws {@link InvalidOptionsError}
 */
export function refuseLaterPermission({ allowInProduction }: ChaosOptions, where: string): void {
  if (allowInProduction !== true) return;
  const option = 'allowInProduction';
  const message = `"${option}" is said where the policy is made, and cannot be given to it while it runs.`;
  refuseProblems([{ where, option, message }]);
}

function faultOf({ fault, error, result, latency }: ChaosOptions): ChaosFault | undefined {
  if (fault !== undefined) return fault;
  if (error !== undefined) return 'error';
  if (result !== undefined) return 'wrong-result';
  return latency === undefined ? undefined : 'latency';
}

function errorsOf(error: ChaosError | readonly ChaosError[]): readonly ChaosError[] {
  return Array.isArray(error) ? (error as readonly ChaosError[]) : [error as ChaosError];
}

function errorMistake(value: unknown): string | undefined {
  const errors: readonly unknown[] = Array.isArray(value) ? value : [value];
  const wrong = errors.find(
    (error) => !(isStatus(error) || typeof error === 'function' || error instanceof Error),
  );
  if (errors.length > 0 && wrong === undefined) return undefined;
  const got = errors.length === 0 ? 'an empty list' : describeValue(wrong);
  return `"error" must be an HTTP status, an error class, a function that makes an error, an error, or a list of these, got ${got}.`;
}

function latencyMistake(value: unknown): string | undefined {
  if (typeof value !== 'object') return undefined;
  const { min, max } = value as UniformLatency;
  if (min === undefined || (parseDuration(min) as number) <= (parseDuration(max) as number)) return undefined;
  return `"latency.min" must be at most "latency.max", got ${describeValue(min)} and ${describeValue(max)}.`;
}
