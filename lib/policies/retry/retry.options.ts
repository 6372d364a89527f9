import type { Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { compileOptional as compiled, type CompiledMatcher, type Matcher } from '../../core/matcher.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { LONGEST_DELAY_MS, type BackoffFunction, type BackoffName, type Jitter } from './backoff.js';
import { RetryBudget, budgetProblems } from './retry-budget.js';
import type { RetryBudgetOptions } from './retry-budget.options.js';

/** Options of a retry. @publicApi */
export interface RetryOptions {
  /** Attempts after the first. Default 3. */
  readonly maxRetries?: number;
  /** How delays grow. Default `exponential`. */
  readonly backoff?: BackoffName | BackoffFunction;
  /** The delay before the first retry. Default 100 ms. */
  readonly baseDelay?: Duration;
  /** No delay is longer, jitter included. Default 60 s. */
  readonly maxDelay?: Duration;
  /** ± a fraction, or `full`, `equal`, `none`. Default 0.5. */
  readonly jitter?: Jitter;
  /** The only errors that are retried. Default: what may succeed the next time. */
  readonly retryOn?: Matcher;
  /** Errors that are never retried; wins over `retryOn`. */
  readonly abortOn?: Matcher;
  /** Results that are retried as if they were errors. */
  readonly retryOnResult?: Matcher;
  /** HTTP statuses that are retried. Default 408, 425, 429, 500, 502, 503, 504. */
  readonly retryOnStatus?: readonly number[];
  /** Whether to wait as long as `Retry-After` asks. Default true. */
  readonly respectRetryAfter?: boolean;
  /** The base delay after a 429 without `Retry-After`. Default 10 × `baseDelay`. */
  readonly rateLimitedDelay?: Duration;
  /** No further attempt once the call would have taken longer. Default: no bound. */
  readonly maxElapsed?: Duration;
  /** What retries may add to all calls; a name shares one budget. Default 10 %, at least 1 per second, over 10 s. */
  readonly budget?: RetryBudgetOptions | RetryBudget | string | false;
  /** What an exhausted budget does. Default `original`: the caller sees the method's error. */
  readonly onExhausted?: 'original' | 'throw' | 'fail-fast';
}

/** The options as the policy uses them. */
export interface RetrySettings {
  readonly maxRetries: number;
  readonly backoff: BackoffName | BackoffFunction;
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  readonly jitter: Jitter;
  readonly retryOn: CompiledMatcher | undefined;
  readonly abortOn: CompiledMatcher | undefined;
  readonly retryOnResult: CompiledMatcher | undefined;
  readonly retryOnStatus: ReadonlySet<number>;
  /** Whether the user gave the statuses, so that they count beside `retryOn`. */
  readonly statusGiven: boolean;
  readonly respectRetryAfter: boolean;
  readonly rateLimitedDelayMs: number;
  readonly maxElapsedMs: number | undefined;
  readonly budget: RetryBudgetOptions | RetryBudget | string | false;
  readonly onExhausted: 'original' | 'throw' | 'fail-fast';
}

interface Resolved extends Omit<RetryOptions, 'maxElapsed' | 'rateLimitedDelay'> {
  readonly maxRetries: number;
  readonly backoff: BackoffName | BackoffFunction;
  readonly baseDelay: number;
  readonly maxDelay: number;
  readonly jitter: Jitter;
  readonly retryOnStatus: readonly number[];
  readonly respectRetryAfter: boolean;
  readonly rateLimitedDelay?: number;
  readonly maxElapsed?: number;
  readonly budget: RetryBudgetOptions | RetryBudget | string | false;
  readonly onExhausted: 'original' | 'throw' | 'fail-fast';
}

const RATE_LIMITED_FACTOR = 10;

/** The options of a retry, for validation and documentation. */
export const retryTable = defineOptions<RetryOptions, Resolved>(
  { name: 'maxRetries', kind: 'integer', min: 0, default: 3, sentence: 'Attempts after the first.' },
  {
    name: 'backoff',
    kind: 'one-of',
    values: ['exponential', 'linear', 'fibonacci', 'constant', 'decorrelated'],
    or: [{ kind: 'function' }],
    default: 'exponential',
    sentence: 'How delays grow; as a function, of the number of the retry and the error.',
  },
  {
    name: 'baseDelay',
    kind: 'duration',
    min: 0,
    max: LONGEST_DELAY_MS,
    default: '100ms',
    sentence: 'The delay before the first retry.',
  },
  {
    name: 'maxDelay',
    kind: 'duration',
    max: LONGEST_DELAY_MS,
    default: '60s',
    sentence: 'No delay is longer, jitter included.',
  },
  {
    name: 'jitter',
    kind: 'number',
    min: 0,
    max: 1,
    or: [{ kind: 'one-of', values: ['full', 'equal', 'none'] }],
    default: 0.5,
    sentence: '± a fraction of the delay; `full`: anywhere below it; `equal`: in its upper half.',
  },
  {
    name: 'retryOn',
    kind: 'matcher',
    optional: true,
    defaultText: 'what may succeed the next time',
    sentence: 'The only errors that are retried.',
  },
  {
    name: 'abortOn',
    kind: 'matcher',
    optional: true,
    sentence: 'Errors that are never retried; wins over `retryOn`.',
  },
  {
    name: 'retryOnResult',
    kind: 'matcher',
    optional: true,
    sentence: 'Results that are retried as if they were errors.',
  },
  {
    name: 'retryOnStatus',
    kind: 'list',
    each: { kind: 'integer', min: 100, max: 599 },
    default: [408, 425, 429, 500, 502, 503, 504],
    sentence: 'HTTP statuses that are retried, thrown or returned.',
  },
  {
    name: 'respectRetryAfter',
    kind: 'boolean',
    default: true,
    sentence: 'Whether to wait as long as `Retry-After` asks; beyond `maxDelay` it gives up.',
  },
  {
    name: 'rateLimitedDelay',
    kind: 'duration',
    min: 0,
    optional: true,
    defaultText: '10 × `baseDelay`',
    sentence: 'The base delay after a 429 without `Retry-After`.',
  },
  {
    name: 'maxElapsed',
    kind: 'duration',
    optional: true,
    sentence: 'No further attempt once the call would have taken longer.',
  },
  {
    name: 'budget',
    kind: 'object',
    or: [{ kind: 'string' }, { kind: 'one-of', values: [false] }],
    default: {},
    defaultText: '10 %, at least 1 per second, over 10 s',
    sentence: 'What retries may add to all calls; a name shares one budget; `false`: no bound.',
  },
  {
    name: 'onExhausted',
    kind: 'one-of',
    values: ['original', 'throw', 'fail-fast'],
    default: 'original',
    sentence:
      "What an exhausted budget does: the method's error; `RetryBudgetExhaustedError`; the same before the first attempt.",
  },
);

/** Everything that is wrong with the options, alone and among each other. */
export function retryProblems(options: RetryOptions, where: string): OptionProblem[] {
  const problems = checkOptions(retryTable, options, where);
  if (problems.length > 0) return problems;
  problems.push(...budgetProblems(options.budget, where));
  const given = resolveOptions(retryTable, options);
  if (given.baseDelay > given.maxDelay) {
    problems.push({
      where,
      option: 'baseDelay',
      message: `"baseDelay" of ${given.baseDelay} ms is above "maxDelay" of ${given.maxDelay} ms.`,
    });
  }
  return problems;
}

/** @throws {@link InvalidOptionsError} */
export function retrySettings(options: RetryOptions, where: string): RetrySettings {
  refuseProblems(retryProblems(options, where));
  const given = resolveOptions(retryTable, options);
  return {
    maxRetries: given.maxRetries,
    backoff: given.backoff,
    baseDelayMs: given.baseDelay,
    maxDelayMs: given.maxDelay,
    jitter: given.jitter,
    retryOn: compiled(given.retryOn),
    abortOn: compiled(given.abortOn),
    retryOnResult: compiled(given.retryOnResult),
    retryOnStatus: new Set(given.retryOnStatus),
    statusGiven: options.retryOnStatus !== undefined,
    respectRetryAfter: given.respectRetryAfter,
    rateLimitedDelayMs: given.rateLimitedDelay ?? RATE_LIMITED_FACTOR * given.baseDelay,
    maxElapsedMs: given.maxElapsed,
    budget: given.budget,
    onExhausted: given.onExhausted,
  };
}
