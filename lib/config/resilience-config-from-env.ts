import { parseDuration } from '../core/duration.js';
import { InvalidOptionsError, type OptionProblem } from '../core/errors.js';
import { acceptedBy, formsOf } from '../core/option-form.js';
import type { OptionForm, OptionRow, OptionTable } from '../core/option-row.js';
import { suggest } from '../core/suggest.js';
import type { ResilienceModuleOptions } from '../module/resilience.options.js';
import { CHAOS_VARIABLE } from '../policies/chaos/permission.js';
import { configTable } from './config-table.js';
import { isRecord, namedRecord } from './record.js';
import { resilienceConfig } from './resilience-config.js';
import { serviceLinksOf } from './service-links.js';

/** Where {@link resilienceConfigFromEnv} looks. @publicApi */
export interface EnvConfigOptions {
  /** Default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What the names of its variables begin with. Default `RESILIENCE_`. */
  readonly prefix?: string;
  /** What the environment is laid over, in the form of {@link resilienceConfig}; its names of policies are recognised. */
  readonly base?: object;
}

/** One variable on its way into the options. */
interface Variable {
  readonly name: string;
  readonly text: string;
}

/**
 * The module's options from environment variables: `RESILIENCE_` and the path of an option, its parts joined by two
 * underscores. Case and single underscores do not matter in names of options; a policy's name is that of `base` which is
 * alike, else it is taken in lower case with `-` for `_`, or as it is written where it has small letters. `DEFAULT` stands
 * for all policies of a kind. Lists are separated by commas; objects are JSON. Variables by which Kubernetes shows a service
 * (`RESILIENCE_DEMO_SERVICE_HOST`) are left alone.
 *
 * @throws {@link InvalidOptionsError} with every variable that means nothing or cannot be read.
 *
 * @example
 * // RESILIENCE_CIRCUIT_BREAKERS__DEFAULT__FAILURE_THRESHOLD=5
 * // RESILIENCE_CIRCUIT_BREAKERS__PAYMENTS__OPEN_DURATION=30s
 * // RESILIENCE_RETRIES__PAYMENTS__RETRY_ON_STATUS=429,503
 * ResilienceModule.forRoot(resilienceConfigFromEnv())
 *
 * @publicApi
 */
export function resilienceConfigFromEnv(options: EnvConfigOptions = {}): ResilienceModuleOptions {
  const { env = process.env, prefix = 'RESILIENCE_', base = {} } = options;
  if (!isRecord(base)) return resilienceConfig(base);
  const config = namedRecord(base);
  const isServiceLink = serviceLinksOf(env);
  const problems: OptionProblem[] = [];
  for (const [name, text] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    // It gives permission from outside of what is configured.
    if (!name.startsWith(prefix) || text === undefined || name === CHAOS_VARIABLE) continue;
    if (isServiceLink(name)) continue;
    const problem = place(config, { name, text }, name.slice(prefix.length).split('__'));
    if (problem !== undefined) problems.push({ where: `environment variable ${name}`, message: problem });
  }
  if (problems.length > 0) throw new InvalidOptionsError(problems);
  return resilienceConfig(config);
}

/** Puts one variable where it belongs; answers with what is wrong, where something is. */
function place(
  target: Record<string, unknown>,
  variable: Variable,
  path: readonly string[],
  table: OptionTable = configTable,
): string | undefined {
  const [part = '', ...rest] = path;
  const row = table.rows.find(({ name }) => alike(name, part));
  if (row === undefined) return unknownPart(part, table);
  if (rest.length === 0) return placeValue(target, row, variable);
  const inner = formsOf(row).filter((form) => form.kind === 'record' || form.fields !== undefined);
  if (inner.length === 0) return `"${row.name}" has no parts, so nothing can follow "${part}".`;
  const nested = openObject(target, row.name);
  const record = inner.find(({ kind }) => kind === 'record');
  if (record !== undefined) return placeInRecord(nested, record, variable, rest);
  const problems = inner.map(({ fields }) => place(nested, variable, rest, fields as OptionTable));
  return problems.includes(undefined) ? undefined : problems[0];
}

function placeInRecord(
  target: Record<string, unknown>,
  { each, values = [] }: OptionForm,
  variable: Variable,
  [part = '', ...rest]: readonly string[],
): string | undefined {
  const name = nameOf(part, [...Object.keys(target), ...values.map(String)]);
  if (each?.fields !== undefined) {
    const named = openObject(target, name);
    if (rest.length > 0) return place(named, variable, rest, each.fields);
    const given = readJson(variable.text);
    if (!isRecord(given)) return `it names "${name}", but none of its options; several can be given as JSON.`;
    target[name] = namedRecord({ ...named, ...given });
    return undefined;
  }
  const value = each && read(each, variable.text);
  if (value === undefined) return `${JSON.stringify(variable.text)} cannot be read.`;
  target[name] = value;
  return undefined;
}

function placeValue(target: Record<string, unknown>, row: OptionRow, { text }: Variable): string | undefined {
  for (const form of formsOf(row)) {
    const value = read(form, text);
    if (value === undefined) continue;
    target[row.name] = value;
    return undefined;
  }
  return `"${row.name}" must be ${acceptedBy(row)}, got ${JSON.stringify(text)}.`;
}

/** What a text means in this form; `undefined` where it means nothing. */
function read(form: OptionForm, text: string): unknown {
  switch (form.kind) {
    case 'integer':
    case 'number':
    case 'percent':
      return readNumber(text);
    case 'duration':
      return readNumber(text) ?? (parseDuration(text) === undefined ? undefined : text);
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'string':
      return text;
    case 'one-of':
      return form.values?.find((value) => String(value).toLowerCase() === text.toLowerCase());
    case 'matcher':
      return listOf(text).map((part) => readNumber(part) ?? part);
    case 'list':
      return text.startsWith('[') ? readJson(text) : readList(form.each, text);
    case 'record':
    case 'object':
      return text.startsWith('{') ? readJson(text) : undefined;
    case 'function':
    case 'any':
      return undefined;
  }
}

function readNumber(text: string): number | undefined {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

function readList(each: OptionForm | undefined, text: string): unknown[] | undefined {
  const parts = listOf(text).map((part) => (each === undefined ? part : read(each, part)));
  return parts.includes(undefined) ? undefined : parts;
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** What is below, to be changed: what was given stays as it is. */
function openObject(target: Record<string, unknown>, name: string): Record<string, unknown> {
  const given = target[name];
  const opened = namedRecord(isRecord(given) ? given : {});
  target[name] = opened;
  return opened;
}

function nameOf(part: string, known: readonly string[]): string {
  const meant = known.find((name) => alike(name, part));
  if (meant !== undefined) return meant;
  return /[a-z]/.test(part) ? part : part.toLowerCase().replaceAll('_', '-');
}

function alike(a: string, b: string): boolean {
  return plain(a) === plain(b);
}

function plain(name: string): string {
  return name.replaceAll(/[_-]/g, '').toLowerCase();
}

function unknownPart(part: string, { rows }: OptionTable): string {
  const names = rows.filter(({ kind }) => kind !== 'function').map(({ name }) => envName(name));
  const meant = suggest(part, names);
  return `there is no ${part}; ${meant === undefined ? `there are ${names.join(', ')}.` : `did you mean ${meant}?`}`;
}

/** `failureThreshold` as one writes it in a variable: `FAILURE_THRESHOLD`. */
function envName(option: string): string {
  return option.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
