import type { OptionProblem } from '../../core/errors.js';
import type { OptionRow } from '../../core/option-table.js';
import { suggest } from '../../core/suggest.js';

/**
 * A number that says how the system is: a path into the numbers of all policies, such as
 * `'circuitBreakers.payments.failureRatePercent'`, or a function. No number (`undefined`) means that there is none yet.
 *
 * @publicApi
 */
export type Metric = string | (() => number | undefined | Promise<number | undefined>);

/** A number, and where it must not go. @publicApi */
export interface MetricRule {
  readonly metric: Metric;
  /** It must not exceed this. */
  readonly above?: number;
  /** It must not fall short of this. */
  readonly below?: number;
}

/** The rows by which a table takes a {@link MetricRule}. */
export const metricRows = [
  {
    name: 'metric',
    kind: 'string',
    or: [{ kind: 'function' }],
    sentence: 'A path into the numbers of all policies, or a function.',
  },
  { name: 'above', kind: 'number', optional: true, sentence: 'What it must not exceed.' },
  { name: 'below', kind: 'number', optional: true, sentence: 'What it must not fall short of.' },
] as const satisfies readonly OptionRow[];

/** What is wrong with a rule, given the numbers that there are. */
export function metricProblems(
  rule: MetricRule,
  stats: object,
  where: string,
  option: string,
): OptionProblem[] {
  const { metric, above, below } = rule;
  const problems: OptionProblem[] = [];
  if (above === undefined && below === undefined) {
    problems.push({ where, option, message: `"${option}" needs "above", "below", or both.` });
  }
  if (typeof metric === 'string') {
    const missing = missingIn(stats, metric);
    if (missing !== undefined) {
      const message = `"${option}.metric": ${missing}`;
      problems.push({ where, option: `${option}.metric`, message });
    }
  }
  return problems;
}

/** The number now. @throws what a function of the user's throws. */
export async function readMetric(metric: Metric, stats: () => object): Promise<number | undefined> {
  const value: unknown = typeof metric === 'string' ? follow(stats(), metric)?.value : await metric();
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number') return value;
  throw new TypeError(`The metric ${nameOfMetric(metric)} must be a number, got ${typeof value}.`);
}

/** How a rule is broken, in words; `undefined` where it is not. */
export function crossing(
  { metric, above, below }: MetricRule,
  value: number | undefined,
): string | undefined {
  if (value === undefined) return undefined;
  const name = nameOfMetric(metric);
  if (above !== undefined && value > above) return `${name} is ${value}, above ${above}`;
  if (below !== undefined && value < below) return `${name} is ${value}, below ${below}`;
  // Not a number is neither, and no sign of health.
  return Number.isNaN(value) ? `${name} is not a number` : undefined;
}

export function nameOfMetric(metric: Metric): string {
  if (typeof metric === 'string') return metric;
  return metric.name === '' ? 'the metric' : metric.name;
}

/** Names may hold dots themselves, so a step takes as many words as there is a key for. */
function follow(from: unknown, path: string): { readonly value: unknown } | undefined {
  if (typeof from !== 'object' || from === null) return undefined;
  for (const [key, value] of Object.entries(from)) {
    if (key === path) return { value };
    const found = path.startsWith(`${key}.`) ? follow(value, path.slice(key.length + 1)) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a path lacks: the first step that leads nowhere, and what was perhaps meant. */
function missingIn(stats: object, path: string): string | undefined {
  if (follow(stats, path) !== undefined) return undefined;
  let at: unknown = stats;
  let rest = path;
  for (;;) {
    const keys: string[] = typeof at === 'object' && at !== null ? Object.keys(at) : [];
    const key = keys.find((one) => rest.startsWith(`${one}.`));
    if (key === undefined) {
      const meant = suggest(rest, keys) ?? suggest(rest.split('.', 1)[0] as string, keys);
      const hint =
        meant === undefined ? `there are ${keys.join(', ') || 'no numbers'}` : `did you mean "${meant}"`;
      return `${JSON.stringify(path)} leads nowhere at "${rest}"; ${hint}?`.replace(
        /(there are .*)\?$/,
        '$1.',
      );
    }
    at = (at as Readonly<Record<string, unknown>>)[key];
    rest = rest.slice(key.length + 1);
  }
}
