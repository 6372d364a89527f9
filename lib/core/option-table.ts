import { parseDuration } from './duration.js';
import { InvalidOptionsError, type OptionProblem } from './errors.js';
import {
  acceptedBy,
  describeValue,
  formsOf,
  inside,
  isOfKind,
  problemsInside,
  type FormProblem,
} from './option-form.js';
import type { OptionForm, OptionRow, OptionTable } from './option-row.js';
import { propertyOf } from './property.js';
import { suggest } from './suggest.js';

export { optionsMarkdown } from './option-docs.js';
export type { OptionRow, OptionTable } from './option-row.js';

/**
 * Declares a table.
 *
 * @example
 * ```ts
 * const retryTable = defineOptions<RetryOptions, ResolvedRetryOptions>(
 *   { name: 'maxRetries', kind: 'integer', min: 0, default: 3, sentence: 'Attempts after the first.' },
 *   { name: 'baseDelay', kind: 'duration', min: 0, default: '100ms', sentence: 'The delay before the first retry.' },
 * );
 * ```
 */
export function defineOptions<Given extends object, Resolved = Given>(
  ...rows: readonly OptionRow<Extract<keyof Given, string>>[]
): OptionTable<Given, Resolved> {
  return { rows };
}

/**
 * Everything that is wrong with the given options; an option that is `undefined` counts as absent.
 *
 * @param where the place that is named to the user, e.g. `@Retry on PaymentsService.charge`
 */
export function checkOptions(table: OptionTable, given: unknown, where: string): OptionProblem[] {
  return problemsAt(table, given, where, table.rows);
}

/** As {@link checkOptions}, of options that others will complete: none is missing. */
export function checkSomeOptions(table: OptionTable, given: unknown, where: string): OptionProblem[] {
  const rows = table.rows.filter(({ name }) => propertyOf(given, name) !== undefined);
  return problemsAt(table, given, where, rows);
}

function problemsAt(
  table: OptionTable,
  given: unknown,
  where: string,
  rows: readonly OptionRow[],
): OptionProblem[] {
  if (given !== undefined && !isOfKind({ kind: 'object' }, given)) {
    return [{ where, message: `Options must be an object, got ${describeValue(given)}.` }];
  }
  const subject = where.split(' on ', 1)[0] as string;
  return problemsOf(table, given ?? {}, '', subject, rows).map(({ path, message }) => ({
    where,
    option: path,
    message,
  }));
}

/** The options as the policy uses them: defaults applied, durations in milliseconds. They must have been checked. */
export function resolveOptions<Given extends object, Resolved>(
  table: OptionTable<Given, Resolved>,
  given: Given | undefined,
): Resolved {
  const values = (given ?? {}) as Readonly<Record<string, unknown>>;
  const resolved: Record<string, unknown> = {};
  for (const row of table.rows) {
    const value = values[row.name] === undefined ? row.default : values[row.name];
    if (value !== undefined) resolved[row.name] = resolveValue(acceptingForm(row, value), value);
  }
  return resolved as Resolved;
}

function problemsOf(
  table: OptionTable,
  given: object,
  path: string,
  subject: string,
  rows = table.rows,
): FormProblem[] {
  const values = given as Readonly<Record<string, unknown>>;
  const names = table.rows.map((row) => row.name);
  const unknown = Object.keys(values)
    .filter((name) => values[name] !== undefined && !names.includes(name))
    .map((name) => unknownOption(name, names, path, subject));
  return [...unknown, ...rows.flatMap((row) => problemsOfRow(row, values[row.name], path))];
}

function unknownOption(name: string, names: readonly string[], path: string, subject: string): FormProblem {
  const meant = suggest(name, names);
  const hint = meant === undefined ? `it takes ${names.join(', ')}.` : `did you mean "${meant}"?`;
  return {
    path: inside(path, name),
    message: `"${inside(path, name)}" is not an option of ${subject}; ${hint}`,
    foreign: meant === undefined,
  };
}

function problemsOfRow(row: OptionRow, value: unknown, parent: string): readonly FormProblem[] {
  const path = inside(parent, row.name);
  if (value === undefined) {
    if (row.optional === true || row.default !== undefined) return [];
    return [{ path, message: `"${path}" is missing; it must be ${acceptedBy(row)}.` }];
  }
  const mixed = mixedForms(row, value, path);
  if (mixed !== undefined) return [mixed];
  const problems = nearestProblems(row, value, path);
  if (problems === undefined) {
    return [{ path, message: `"${path}" must be ${acceptedBy(row)}, got ${describeValue(value)}.` }];
  }
  if (problems.length > 0) return problems;
  const message = row.check?.(value);
  return message === undefined ? [] : [{ path, message }];
}

/** Options of several forms at once, where each form would do by itself. */
function mixedForms(row: OptionRow, value: unknown, path: string): FormProblem | undefined {
  if (!isOfKind({ kind: 'object' }, value)) return undefined;
  const forms = formsOf(row).flatMap(({ fields }) => (fields === undefined ? [] : [fields.rows]));
  const given = Object.entries(value as object).flatMap(([name, option]) =>
    option === undefined ? [] : [name],
  );
  const knows = (rows: readonly OptionRow[], name: string) => rows.some((one) => one.name === name);
  if (forms.length < 2 || forms.some((rows) => given.every((name) => knows(rows, name)))) return undefined;
  if (!given.every((name) => forms.some((rows) => knows(rows, name)))) return undefined;
  return {
    path,
    message: `"${path}" must be ${acceptedBy(row)}: give one of them, got ${describeValue(value)}.`,
  };
}

/** What is wrong by the form that comes nearest; nothing where one accepts it, undefined where all refuse the whole. */
function nearestProblems(row: OptionRow, value: unknown, path: string): readonly FormProblem[] | undefined {
  let nearest: readonly FormProblem[] | undefined;
  for (const form of formsOf(row)) {
    const problems = problemsInside(form, value, path, checkNested);
    if (problems !== undefined && (nearest === undefined || distance(problems) < distance(nearest)))
      nearest = problems;
  }
  return nearest;
}

/** A foreign option weighs more than any other problem: the user meant the form that has it. */
function distance(problems: readonly FormProblem[]): number {
  return problems.reduce((sum, problem) => sum + (problem.foreign ? 1_000 : 1), 0);
}

function checkNested(table: OptionTable, given: object, path: string): readonly FormProblem[] {
  return problemsOf(table, given, path, `"${path}"`);
}

function acceptingForm(row: OptionRow, value: unknown): OptionForm {
  return formsOf(row).find((form) => problemsInside(form, value, '', checkNested)?.length === 0) ?? row;
}

function resolveValue(form: OptionForm, value: unknown): unknown {
  if (form.kind === 'duration') return parseDuration(value);
  if (form.kind === 'object' && form.fields !== undefined)
    return resolveOptions(form.fields, value as object);
  const { each } = form;
  if (each === undefined) return value;
  if (form.kind === 'list') return (value as readonly unknown[]).map((item) => resolveValue(each, item));
  return Object.fromEntries(
    Object.entries(value as object).map(([key, item]) => [key, resolveValue(each, item)]),
  );
}

/**
 * Checks and resolves in one step, where options are wrong by themselves only.
 *
 * @throws {@link InvalidOptionsError}
 */
export function readOptions<Given extends object, Resolved>(
  table: OptionTable<Given, Resolved>,
  given: Given,
  where: string,
): Resolved {
  refuseProblems(checkOptions(table, given, where));
  return resolveOptions(table, given);
}

/** The problems that `run` is refused with; none where it is not. */
export function problemsThrownBy(run: () => unknown): readonly OptionProblem[] {
  try {
    run();
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems;
    throw error;
  }
  return [];
}

/** @throws {@link InvalidOptionsError} with all of the problems, where there are any. */
export function refuseProblems(problems: readonly OptionProblem[]): void {
  if (problems.length > 0) throw new InvalidOptionsError(problems);
}
