import { formatDuration, parseDuration } from './duration.js';
import { isMatcher } from './matcher.js';
import type { OptionForm, OptionRow, OptionTable } from './option-row.js';

/** What is wrong with a value of one form; `path` says where, as it is written: `window.calls`, `order[2]`. */
export interface FormProblem {
  readonly path: string;
  readonly message: string;
  /** It is about an option unlike any of the table: a sign that another table was meant. */
  readonly foreign?: boolean;
}

type TableCheck = (table: OptionTable, value: object, path: string) => readonly FormProblem[];

/** What a form accepts, in words that follow "must be". */
export function describeForm(form: OptionForm): string {
  switch (form.kind) {
    case 'integer':
      return `an integer${rangeOf(form)}`;
    case 'number':
      return `a number${rangeOf(form)}`;
    case 'percent':
      return `a percentage${rangeOf(percentBounds(form))}`;
    case 'duration':
      return `a duration${rangeOf(durationBounds(form), formatDuration)} (milliseconds, or a string such as "30s")`;
    case 'boolean':
      return 'true or false';
    case 'string':
      return 'a non-empty string';
    case 'one-of':
      return either(quoted(form.values));
    case 'function':
      return 'a function';
    case 'matcher':
      return 'a matcher (an error class, a predicate (not async), a status, a code, a pattern, or a list of these)';
    case 'list':
      return form.each === undefined ? 'a list' : `a list, each ${describeForm(form.each)}`;
    case 'record':
      return `an object${form.each === undefined ? '' : ` whose values are each ${describeForm(form.each)}`}`;
    case 'object':
      return form.fields === undefined ? 'an object' : `an object { ${namesOf(form.fields)} }`;
    case 'any':
      return 'anything';
  }
}

/** All forms that an option may take. */
export function formsOf(row: OptionRow): readonly OptionForm[] {
  return [row, ...(row.or ?? [])];
}

/** What an option accepts, in words that follow "must be". */
export function acceptedBy(row: OptionRow): string {
  return either(
    formsOf(row).flatMap((form) => (form.kind === 'one-of' ? quoted(form.values) : [describeForm(form)])),
  );
}

/** The full name of an option of a nested table. */
export function inside(parent: string, name: string): string {
  return parent === '' ? name : `${parent}.${name}`;
}

/** Joins alternatives: `a, b or c`. */
export function either(alternatives: readonly string[]): string {
  if (alternatives.length < 2) return alternatives.join('');
  return `${alternatives.slice(0, -1).join(', ')} or ${alternatives.at(-1)}`;
}

/** Whether the value is of the form's type, whatever its range and its parts. */
export function isOfKind(form: OptionForm, value: unknown): boolean {
  switch (form.kind) {
    case 'integer':
    case 'number':
    case 'percent':
      return typeof value === 'number';
    case 'duration':
      return typeof value === 'number' || typeof value === 'string';
    case 'boolean':
    case 'string':
    case 'function':
      return typeof value === form.kind;
    case 'one-of':
      return (form.values ?? []).some((allowed) => allowed === value);
    case 'matcher':
      return isMatcher(value);
    case 'list':
      return Array.isArray(value);
    case 'record':
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'any':
      return true;
  }
}

/** What is wrong inside a value: nothing where the form accepts it, undefined where it refuses the whole. */
export function problemsInside(
  form: OptionForm,
  value: unknown,
  path: string,
  checkTable: TableCheck,
): readonly FormProblem[] | undefined {
  if (!isOfKind(form, value)) return undefined;
  switch (form.kind) {
    case 'integer':
      return Number.isInteger(value) || value === form.max ? inRange(form, value as number) : undefined;
    case 'number':
      return Number.isFinite(value) || value === form.max ? inRange(form, value as number) : undefined;
    case 'percent':
      return inRange(percentBounds(form), value as number);
    case 'duration': {
      const durationMs = parseDuration(value);
      return durationMs === undefined ? undefined : inRange(durationBounds(form), durationMs);
    }
    case 'string':
      return value === '' ? undefined : [];
    case 'list':
      return (value as readonly unknown[]).flatMap((item, i) =>
        problemsOfEach(form, item, `${path}[${i}]`, checkTable),
      );
    case 'record':
      return Object.entries(value as object).flatMap(([key, item]) =>
        item === undefined ? [] : problemsOfEntry(form, key, item, path, checkTable),
      );
    case 'object':
      return form.fields === undefined ? [] : checkTable(form.fields, value as object, path);
    default:
      return [];
  }
}

/** The value as a sentence shows it. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '-0' : String(value);
  const json = jsonOf(value);
  return json !== undefined && json.length <= 80 ? json : Array.isArray(value) ? 'a list' : 'an object';
}

interface Bounds {
  readonly min?: number;
  readonly above?: number;
  readonly max?: number;
}

function percentBounds({ min, above, max = 100 }: Bounds): Bounds {
  return above === undefined ? { min: min ?? 0, max } : { above, max };
}

function durationBounds(form: Bounds): Bounds {
  return form.min === undefined && form.above === undefined ? { ...form, above: 0 } : form;
}

function rangeOf({ min, above, max }: Bounds, format: (bound: number) => string = String): string {
  const highest = max === Number.POSITIVE_INFINITY ? undefined : max;
  if (above !== undefined)
    return ` above ${zeroOr(above, format)}${highest === undefined ? '' : ` and at most ${format(highest)}`}`;
  if (min !== undefined && highest !== undefined)
    return ` between ${zeroOr(min, format)} and ${format(highest)}`;
  if (min !== undefined) return ` of at least ${zeroOr(min, format)}`;
  return highest === undefined ? '' : ` of at most ${format(highest)}`;
}

function zeroOr(bound: number, format: (bound: number) => string): string {
  return bound === 0 ? '0' : format(bound);
}

function inRange({ min, above, max }: Bounds, value: number): readonly FormProblem[] | undefined {
  const fits =
    (min === undefined || value >= min) &&
    (above === undefined || value > above) &&
    (max === undefined || value <= max);
  return fits ? [] : undefined;
}

function problemsOfEach(
  form: OptionForm,
  item: unknown,
  path: string,
  checkTable: TableCheck,
): readonly FormProblem[] {
  if (form.each === undefined) return [];
  const inside = problemsInside(form.each, item, path, checkTable);
  if (inside !== undefined) return inside;
  return [{ path, message: `"${path}" must be ${describeForm(form.each)}, got ${describeValue(item)}.` }];
}

function problemsOfEntry(
  form: OptionForm,
  key: string,
  item: unknown,
  path: string,
  checkTable: TableCheck,
): readonly FormProblem[] {
  const at = `${path}.${key}`;
  if (form.values !== undefined && !form.values.includes(key)) {
    return [
      {
        path: at,
        message: `"${at}" is not possible; a key of "${path}" must be ${either(quoted(form.values))}.`,
      },
    ];
  }
  return problemsOfEach(form, item, at, checkTable);
}

function quoted(values: OptionForm['values'] = []): readonly string[] {
  return values.map((value) => JSON.stringify(value));
}

function namesOf(table: OptionTable): string {
  return table.rows.map((row) => row.name).join(', ');
}

function jsonOf(value: object): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}
