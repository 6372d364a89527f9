import type { Duration } from '../../core/duration.js';
import { formatDuration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions, resolveOptions } from '../../core/option-table.js';
import { radiusProblems, type BlastRadius } from './blast-radius.js';
import type { FaultInjector } from './fault-injector.js';
import { radiusRows, type FaultOptions } from './live-fault.options.js';
import { metricProblems, metricRows, type Metric, type MetricRule } from './metric.js';

/** What must hold while the system is well. @publicApi */
export interface SteadyState {
  /** Names it in observations. */
  readonly name: string;
  /** Whether it holds: true or false, or the share (0 to 1) in which it does. What it throws aborts the experiment. */
  readonly check?: () => boolean | number | Promise<boolean | number>;
  /** In place of `check`: a number that must stay within `above` and `below`. */
  readonly metric?: Metric;
  readonly above?: number;
  readonly below?: number;
  /** The share of looks within the window in which it must hold: 0 to 1. Default 0.95. */
  readonly tolerance?: number;
  /** Default 60 s. */
  readonly window?: Duration;
}

/** Options of an experiment. @publicApi */
export interface ExperimentOptions {
  readonly name: string;
  /** What is expected, in words. */
  readonly hypothesis?: string;
  readonly steadyState: SteadyState | readonly SteadyState[];
  /** What is injected; each for as long as the experiment lasts, unless it says less. */
  readonly faults: readonly Omit<FaultOptions, 'blastRadius' | 'approvedBy'>[];
  /** How long the faults last. Default 60 s. */
  readonly duration?: Duration;
  /** How often steady state and metrics are looked at meanwhile. Default 5 s. */
  readonly checkInterval?: Duration;
  /** How long one look may take. Default 5 s. */
  readonly checkTimeout?: Duration;
  /** How long after its faults the steady state is looked at for the last time. Default 5 s. */
  readonly settle?: Duration;
  /** Numbers that end it at once, and its faults with it, when they go too far. */
  readonly abortWhen?: MetricRule | readonly MetricRule[];
  /** What all of its faults together may hit at most. Default `moderate`. */
  readonly blastRadius?: BlastRadius;
  /** Who answers for a blast radius of `extensive`. */
  readonly approvedBy?: string;
  /** When it begins. Default: as soon as it is run. */
  readonly at?: Date;
}

/** The options as the experiment uses them. */
export interface ExperimentSettings {
  readonly steadyState: readonly (SteadyState & { readonly tolerance: number; readonly windowMs: number })[];
  readonly faults: readonly FaultOptions[];
  readonly durationMs: number;
  readonly checkIntervalMs: number;
  readonly checkTimeoutMs: number;
  readonly settleMs: number;
  readonly abortWhen: readonly MetricRule[];
}

interface ResolvedSteadyState extends Omit<SteadyState, 'window'> {
  readonly tolerance: number;
  readonly window: number;
}

interface Resolved {
  readonly steadyState: ResolvedSteadyState | readonly ResolvedSteadyState[];
  readonly duration: number;
  readonly checkInterval: number;
  readonly checkTimeout: number;
  readonly settle: number;
  readonly abortWhen: MetricRule | readonly MetricRule[];
}

/** Every look is kept, so their number is bounded. */
const MOST_LOOKS = 1_000;

const steadyStateTable = defineOptions<SteadyState, ResolvedSteadyState>(
  { name: 'name', kind: 'string', sentence: 'Names it in observations.' },
  {
    name: 'check',
    kind: 'function',
    optional: true,
    sentence: 'Whether it holds, or the share (0 to 1) in which it does.',
  },
  ...metricRows.map((row) => ({ ...row, optional: true })),
  {
    name: 'tolerance',
    kind: 'number',
    min: 0,
    max: 1,
    default: 0.95,
    sentence: 'The share of looks within the window in which it must hold.',
  },
  { name: 'window', kind: 'duration', default: '60s', sentence: 'The window of the tolerance.' },
);

const metricTable = defineOptions<MetricRule>(...metricRows);

const steadyStateForm = { kind: 'object', fields: steadyStateTable } as const;
const metricForm = { kind: 'object', fields: metricTable } as const;

/** The options of an experiment, for validation and documentation. */
export const experimentTable = defineOptions<ExperimentOptions, Resolved>(
  { name: 'name', kind: 'string', sentence: 'Names it.' },
  { name: 'hypothesis', kind: 'string', optional: true, sentence: 'What is expected, in words.' },
  {
    name: 'steadyState',
    ...steadyStateForm,
    or: [{ kind: 'list', each: steadyStateForm }],
    sentence: 'What must hold while the system is well.',
  },
  { name: 'faults', kind: 'list', each: { kind: 'object' }, sentence: 'What is injected.' },
  { name: 'duration', kind: 'duration', default: '60s', sentence: 'How long the faults last.' },
  {
    name: 'checkInterval',
    kind: 'duration',
    default: '5s',
    sentence: 'How often steady state and metrics are looked at meanwhile.',
  },
  { name: 'checkTimeout', kind: 'duration', default: '5s', sentence: 'How long one look may take.' },
  {
    name: 'settle',
    kind: 'duration',
    min: 0,
    default: '5s',
    sentence: 'How long after its faults the steady state is looked at for the last time.',
  },
  {
    name: 'abortWhen',
    ...metricForm,
    or: [{ kind: 'list', each: metricForm }],
    default: [],
    sentence: 'Numbers that end it at once, and its faults with it, when they go too far.',
  },
  ...radiusRows(),
  {
    name: 'at',
    kind: 'any',
    optional: true,
    defaultText: 'as soon as it is run',
    sentence: 'When it begins: a `Date`.',
    check: dateMistake,
  },
);

/** What an option that is a date must be. */
export function dateMistake(value: unknown): string | undefined {
  return value instanceof Date && !Number.isNaN(value.getTime()) ? undefined : '"at" must be a valid Date.';
}

/** Everything that is wrong with an experiment, here and now. */
export function experimentProblems(
  options: ExperimentOptions,
  where: string,
  injector: FaultInjector,
  stats: () => object,
): OptionProblem[] {
  const problems = checkOptions(experimentTable, options, where);
  if (problems.length > 0) return problems;
  const settings = experimentSettings(options);
  const say = (option: string, message: string) => problems.push({ where, option, message });
  if (settings.faults.length === 0) say('faults', '"faults" must name at least one.');
  if (settings.steadyState.length === 0) say('steadyState', '"steadyState" must name at least one.');
  if (settings.durationMs / settings.checkIntervalMs > MOST_LOOKS) {
    const least = formatDuration(settings.durationMs / MOST_LOOKS);
    say('checkInterval', `"checkInterval" must be at least ${least}: it keeps ${MOST_LOOKS} looks at most.`);
  }
  const numbers = stats();
  for (const rule of settings.abortWhen) problems.push(...metricProblems(rule, numbers, where, 'abortWhen'));
  for (const state of settings.steadyState) {
    const { name, check, metric } = state;
    if ((check === undefined) === (metric === undefined)) {
      say('steadyState', `The steady state "${name}" needs either "check" or "metric".`);
    } else if (metric !== undefined) {
      problems.push(...metricProblems({ ...state, metric }, numbers, where, 'steadyState'));
    }
  }
  settings.faults.forEach((fault, index) => {
    for (const problem of injector.problems(fault, where)) {
      // Said once, for all faults together.
      if (problem.option === 'approvedBy') continue;
      problems.push({
        ...problem,
        option: `faults[${index}]${problem.option === undefined ? '' : `.${problem.option}`}`,
      });
    }
  });
  if (problems.length > 0) return problems;
  const { blastRadius = 'moderate', approvedBy } = options;
  return radiusProblems(
    blastRadius,
    approvedBy,
    { ...injector.hitBy(settings.faults), ratePercent: 0, durationMs: settings.durationMs },
    where,
  );
}

/** The options must have been checked. */
export function experimentSettings(options: ExperimentOptions): ExperimentSettings {
  const resolved = resolveOptions(experimentTable, options);
  const { blastRadius = 'moderate', approvedBy } = options;
  return {
    steadyState: [resolved.steadyState]
      .flat()
      .map(({ window: windowMs, ...state }) => ({ ...state, windowMs })),
    faults: options.faults.map((fault) => ({
      ...fault,
      duration: fault.duration ?? resolved.duration,
      blastRadius,
      ...(approvedBy !== undefined && { approvedBy }),
    })),
    durationMs: resolved.duration,
    checkIntervalMs: resolved.checkInterval,
    checkTimeoutMs: resolved.checkTimeout,
    settleMs: resolved.settle,
    abortWhen: [resolved.abortWhen].flat(),
  };
}
