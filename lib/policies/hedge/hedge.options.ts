import type { Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { RetryBudget, type RetryBudgetOptions } from '../retry/index.js';
import { budgetProblems } from '../retry/retry-budget.js';

/** Options of hedging. @publicApi */
export interface HedgeOptions {
  /** How long the first attempt is alone. Default: the observed percentile. */
  readonly delay?: Duration;
  /** Hedges when an attempt is slower than this percentile of the last minute's. Default 95. */
  readonly percentile?: number;
  /** Below so many observed calls there is no hedge by percentile. Default 100. */
  readonly minSamples?: number;
  /** Attempts beside the first. Default 1. */
  readonly maxHedges?: number;
  /** Says that running the method twice does no harm; a method without `@Idempotent` must say so. */
  readonly idempotent?: boolean;
  /** What hedges may add to all calls; shared with the method's retries where it has any. Default 10 %, at least 1/s. */
  readonly budget?: RetryBudgetOptions | RetryBudget | string | false;
}

/** The options as the policy uses them. */
export interface HedgeSettings {
  readonly delayMs: number | undefined;
  readonly percentile: number;
  readonly minSamples: number;
  readonly maxHedges: number;
  /** Whether it was said that running the method twice does no harm. */
  readonly idempotent: boolean;
  readonly budget: RetryBudgetOptions | RetryBudget | string | false;
}

interface Resolved extends Omit<HedgeOptions, 'delay'> {
  readonly delay?: number;
  readonly percentile: number;
  readonly minSamples: number;
  readonly maxHedges: number;
  readonly idempotent: boolean;
  readonly budget: RetryBudgetOptions | RetryBudget | string | false;
}

/** The options of hedging, for validation and documentation. */
export const hedgeTable = defineOptions<HedgeOptions, Resolved>(
  {
    name: 'delay',
    kind: 'duration',
    min: 0,
    optional: true,
    defaultText: 'the observed percentile',
    sentence: 'How long the first attempt is alone.',
  },
  {
    name: 'percentile',
    kind: 'percent',
    above: 0,
    default: 95,
    sentence: "Hedges when an attempt is slower than this percentile of the last minute's.",
  },
  {
    name: 'minSamples',
    kind: 'integer',
    min: 1,
    default: 100,
    sentence: 'Below so many observed calls there is no hedge by percentile.',
  },
  { name: 'maxHedges', kind: 'integer', min: 1, max: 10, default: 1, sentence: 'Attempts beside the first.' },
  {
    name: 'idempotent',
    kind: 'boolean',
    default: false,
    sentence: 'Says that running the method twice does no harm; needed without `@Idempotent`.',
  },
  {
    name: 'budget',
    kind: 'object',
    or: [{ kind: 'string' }, { kind: 'one-of', values: [false] }],
    default: {},
    defaultText: "that of the method's retry; else 10 %, at least 1 per second, over 10 s",
    sentence: 'What hedges may add to all calls; a name shares one budget; `false`: no bound.',
  },
);

/** Everything that is wrong with the options, alone and among each other. */
export function hedgeProblems(options: HedgeOptions, where: string): OptionProblem[] {
  const problems = checkOptions(hedgeTable, options, where);
  if (problems.length > 0) return problems;
  const { budget, delay, percentile } = options;
  if (delay !== undefined && percentile !== undefined) {
    problems.push({ where, option: 'delay', message: '"delay" and "percentile" exclude each other.' });
  }
  problems.push(...budgetProblems(budget, where));
  return problems;
}

/** @throws {@link InvalidOptionsError} */
export function hedgeSettings(options: HedgeOptions, where: string): HedgeSettings {
  refuseProblems(hedgeProblems(options, where));
  const { delay, ...rest } = resolveOptions(hedgeTable, options);
  return { delayMs: delay, ...rest };
}
