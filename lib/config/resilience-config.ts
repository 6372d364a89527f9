import { InvalidOptionsError, type OptionProblem } from '../core/errors.js';
import { describeValue, either } from '../core/option-form.js';
import { checkSomeOptions } from '../core/option-table.js';
import { suggest } from '../core/suggest.js';
import { NAMED_KINDS, POLICY_KINDS } from '../module/policy-kinds.js';
import type { ResilienceModuleOptions } from '../module/resilience.options.js';
import { BASE_OPTION, DEFAULT_NAME, configTable } from './config-table.js';
import { isRecord, namedRecord, type NamedRecord } from './record.js';

type Entries = NamedRecord<Record<string, unknown>>;

/**
 * The module's options from what a JSON or YAML file says, in the form of `resilience.schema.json`. Within a kind the entry
 * `default` holds for all others, and `baseConfig: 'name'` takes over what another entry says, as in Resilience4j.
 *
 * @param config - What the parser of the file returned. Where only options of policies are wrong, `forRoot` tells, with
 * everything else.
 * @throws {@link InvalidOptionsError} where it is no object, and with every entry that is none, names a base that is not
 * there, or is unknown, and everything else that is wrong in the file.
 *
 * @example
 * ResilienceModule.forRoot(resilienceConfig(JSON.parse(readFileSync('resilience.json', 'utf8'))))
 *
 * @publicApi
 */
export function resilienceConfig(config: object): ResilienceModuleOptions {
  if (!isRecord(config)) {
    const message = `A configuration must be an object, got ${describeValue(config)}.`;
    throw new InvalidOptionsError([{ where: 'resilienceConfig', message }]);
  }
  const problems: OptionProblem[] = [];
  const inside: (() => OptionProblem[])[] = [];
  const given: Record<string, unknown> = { ...config };
  // A file may name the schema that it follows.
  delete given['$schema'];
  const names = configTable.rows.map(({ name }) => name);
  for (const name of Object.keys(given)) if (!names.includes(name)) problems.push(unknown(name, names));
  const defaults: Record<string, unknown> = {};
  for (const kind of NAMED_KINDS) {
    const { plural, table } = POLICY_KINDS[kind];
    if (given[plural] === undefined) continue;
    const entries = entriesOf(given[plural], plural, problems);
    const resolved = withBases(entries, plural, problems);
    for (const [name, options] of Object.entries(resolved))
      inside.push(() => checkSomeOptions(table, options, `resilienceConfig ${plural}.${name}`));
    if (resolved[DEFAULT_NAME] !== undefined) defaults[kind] = resolved[DEFAULT_NAME];
    delete resolved[DEFAULT_NAME];
    given[plural] = resolved;
  }
  // Where this is all, `forRoot` says it, together with what decorators get wrong.
  if (problems.length > 0)
    throw new InvalidOptionsError([...problems, ...inside.flatMap((check) => check())]);
  return { ...given, defaults };
}

function unknown(option: string, names: readonly string[]): OptionProblem {
  const meant = suggest(option, names);
  const hint = meant === undefined ? `it takes ${either(names)}.` : `did you mean "${meant}"?`;
  return {
    where: 'resilienceConfig',
    option,
    message: `"${option}" is nothing that a configuration says; ${hint}`,
  };
}

function entriesOf(given: unknown, plural: string, problems: OptionProblem[]): Entries {
  const entries: Entries = namedRecord();
  if (!isRecord(given)) {
    const message = `"${plural}" must be an object of policies by name, got ${describeValue(given)}.`;
    problems.push({ where: 'resilienceConfig', option: plural, message });
    return entries;
  }
  for (const [name, options] of Object.entries(given)) {
    const option = `${plural}.${name}`;
    const message = mistakeOf(name, options, option);
    if (message === undefined) entries[name] = options as Record<string, unknown>;
    else problems.push({ where: 'resilienceConfig', option, message });
  }
  return entries;
}

function mistakeOf(name: string, options: unknown, option: string): string | undefined {
  if (name === '__proto__') return `"${option}" cannot be: "${name}" is no name for a policy.`;
  if (isRecord(options)) return undefined;
  return `"${option}" must be an object of options, got ${describeValue(options)}.`;
}

/** Each entry over its base, and that over its own. */
function withBases(entries: Entries, plural: string, problems: OptionProblem[]): Entries {
  const resolved = Object.fromEntries(
    Object.keys(entries).map((name) => {
      const path = pathOf(name, entries);
      const last = path.at(-1) as string;
      const base = entries[last]?.[BASE_OPTION];
      // What is wrong further up the path is said there.
      if (base !== undefined && (last === name || base === name)) {
        const option = `${plural}.${name}.${BASE_OPTION}`;
        const message = path.includes(base as string)
          ? `"${option}" leads back to itself: ${[...path, name].join(' → ')}.`
          : `"${option}" must be the name of one of "${plural}", got ${describeValue(base)}.`;
        problems.push({ where: 'resilienceConfig', option, message });
      }
      const { [BASE_OPTION]: _base, ...options } = Object.fromEntries(
        path.toReversed().flatMap((each) => Object.entries(entries[each] as object)),
      ) as Record<string, unknown>;
      return [name, options];
    }),
  );
  return namedRecord(resolved);
}

/** The entry and its bases, as far as they lead. */
function pathOf(name: string, entries: Entries): string[] {
  const path = [name];
  for (;;) {
    const base = entries[path.at(-1) as string]?.[BASE_OPTION];
    if (typeof base !== 'string' || entries[base] === undefined || path.includes(base)) return path;
    path.push(base);
  }
}
