import type { Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';

/** Options of a retry budget: a share of the calls, or a number. @publicApi */
export interface RetryBudgetOptions {
  /** Retries per 100 calls of the window. Default 10. */
  readonly percent?: number;
  /**
   * Retries per second that are always there, even without traffic; of instances that share state together. Default 1; 0
   * where `percent` alone shall count.
   */
  readonly minPerSecond?: number;
  /** Retries in any interval of `window`, in place of a share. */
  readonly max?: number;
  /** How far back it looks. Default 10 s; 60 s with `max`. */
  readonly window?: Duration;
  /** The least time between two retries. Default 0. */
  readonly minInterval?: Duration;
}

/** The options as the budget uses them. */
export interface RetryBudgetSettings {
  readonly percent: number;
  readonly minPerSecond: number;
  readonly max: number | undefined;
  readonly windowMs: number;
  readonly minIntervalMs: number;
}

interface Resolved {
  readonly percent: number;
  readonly minPerSecond: number;
  readonly max?: number;
  readonly window?: number;
  readonly minInterval: number;
}

/** The options of a retry budget, for validation and documentation. */
export const retryBudgetTable = defineOptions<RetryBudgetOptions, Resolved>(
  {
    name: 'percent',
    kind: 'number',
    min: 0,
    default: 10,
    sentence: 'Retries per 100 calls of the window; above 100 where a call may be retried more than once.',
  },
  {
    name: 'minPerSecond',
    kind: 'number',
    min: 0,
    default: 1,
    sentence: 'Retries per second that are always there, even without traffic.',
  },
  {
    name: 'max',
    kind: 'integer',
    min: 0,
    max: 10_000_000,
    optional: true,
    sentence: 'Retries in any interval of `window`, in place of a share.',
  },
  {
    name: 'window',
    kind: 'duration',
    optional: true,
    defaultText: "`'10s'`; `'60s'` with `max`",
    sentence: 'How far back it looks.',
  },
  {
    name: 'minInterval',
    kind: 'duration',
    min: 0,
    default: 0,
    sentence: 'The least time between two retries.',
  },
);

/** Everything that is wrong with the options, alone and among each other. */
export function retryBudgetProblems(options: RetryBudgetOptions, where: string): OptionProblem[] {
  const problems = checkOptions(retryBudgetTable, options, where);
  if (problems.length > 0 || options.max === undefined) return problems;
  for (const option of ['percent', 'minPerSecond'] as const) {
    if (options[option] === undefined) continue;
    problems.push({
      where,
      option,
      message: `"${option}" and "max" exclude each other: a share, or a number.`,
    });
  }
  return problems;
}

/** @throws {@link InvalidOptionsError} */
export function retryBudgetSettings(options: RetryBudgetOptions, where: string): RetryBudgetSettings {
  refuseProblems(retryBudgetProblems(options, where));
  const given = resolveOptions(retryBudgetTable, options);
  return {
    percent: given.percent,
    minPerSecond: given.minPerSecond,
    max: given.max,
    windowMs: given.window ?? (given.max === undefined ? 10_000 : 60_000),
    minIntervalMs: given.minInterval,
  };
}
