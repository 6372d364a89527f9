import { parseDuration } from '../core/duration.js';
import { InvalidOptionsError, type OptionProblem } from '../core/errors.js';
import { describeValue } from '../core/option-form.js';
import { checkSomeOptions, refuseProblems } from '../core/option-table.js';
import { suggest } from '../core/suggest.js';
import type { ChaosEnvironment } from '../policies/chaos/index.js';
import {
  NAMED_KINDS,
  POLICY_KINDS,
  type NamedKind,
  type PolicyOptions,
  type PolicyTypes,
  type RegistryEnvironment,
} from './policy-kinds.js';
import type { NamedPolicies, PolicyDefaults } from './resilience.options.js';

/** What was said about a named policy, and by whom. */
interface Declaration {
  options: object;
  readonly where: string;
}

/**
 * The policies of one application: named ones, which everybody who uses the name shares, and those that belong to one
 * method. A named policy is what the defaults, the configuration and the decorators say together, in this order.
 */
export class PolicyRegistry {
  readonly environment: RegistryEnvironment;
  private readonly configured = new Map<string, Declaration>();
  private readonly declared = new Map<string, Declaration>();
  private readonly unchecked: (() => OptionProblem[])[] = [];
  private readonly policies = emptyByKind();
  private readonly reserved = emptyByKind();
  /** The options that the defaults of each kind get wrong. */
  private readonly wrongDefaults = {} as Record<NamedKind, ReadonlySet<string | undefined>>;

  constructor(
    private readonly defaults: PolicyDefaults,
    private readonly maxPolicies: number,
    environment: ChaosEnvironment,
  ) {
    this.environment = { ...environment, budgets: (name) => this.get('retryBudget', name) };
    for (const kind of NAMED_KINDS) {
      const problems = this.defaultProblems(kind);
      this.wrongDefaults[kind] = new Set(problems.map(({ option }) => option));
      this.unchecked.push(() => problems);
    }
  }

  /** Takes configuration over; what contradicts comes back. Decorators may complete it: {@link configuredProblems}. */
  configure(named: NamedPolicies, where: string): OptionProblem[] {
    const problems: OptionProblem[] = [];
    for (const kind of NAMED_KINDS) {
      for (const [name, options] of Object.entries(named[POLICY_KINDS[kind].plural] ?? {})) {
        const place = `${where} ${POLICY_KINDS[kind].plural}.${name}`;
        const id = idOf(kind, name);
        const other = this.configured.get(id);
        if (other !== undefined) problems.push(...contradictions(other, options as object, place));
        // Of a module that is loaded late: the policy may be at work already.
        if (this.policies[kind].has(name))
          problems.push(...this.lateOptions(kind, name, options as object, place));
        this.configured.set(id, {
          options: { ...other?.options, ...(options as object) },
          where: other?.where ?? place,
        });
        this.unchecked.push(() => this.problemsOf(kind, name, undefined, place));
      }
    }
    return problems;
  }

  /** What is wrong with configuration that came since the last time, once decorators have had their say. */
  configuredProblems(): OptionProblem[] {
    return this.unchecked.splice(0).flatMap((check) => check());
  }

  /** Notes what a decorator says about a named policy; what is wrong with that comes back. */
  declare<K extends NamedKind>(
    kind: K,
    name: string,
    options: object | undefined,
    where: string,
  ): OptionProblem[] {
    if (options === undefined) return [];
    const id = idOf(kind, name);
    const problems = this.problemsOf(kind, name, options, where);
    if (problems.length > 0) {
      // What the configuration gets wrong by itself is said once, there.
      const before = this.configured.has(id) ? this.problemsOf(kind, name, undefined, where) : [];
      return problems.filter(({ message }) => before.every((other) => other.message !== message));
    }
    const other = this.declared.get(id);
    if (other !== undefined) problems.push(...contradictions(other, options, where));
    const made = this.policies[kind].has(name);
    if (made) problems.push(...this.lateOptions(kind, name, options, where));
    if (problems.length === 0 && !made) {
      this.declared.set(id, { options: { ...other?.options, ...options }, where: other?.where ?? where });
    }
    return problems;
  }

  /**
   * What is wrong with a bare name, once everybody has spoken: where policies of a kind are configured by name, one that
   * nobody describes is a slip of the pen.
   *
   * @param takesOptions - Whether options can be given where the name stands.
   */
  nameProblems(kind: NamedKind, name: string, where: string, takesOptions = true): OptionProblem[] {
    if (this.isDescribed(kind, name)) return [];
    const known = this.namesOf(kind);
    if (known.length === 0 && kind !== 'retryBudget') return [];
    const { title, plural } = POLICY_KINDS[kind];
    const meant = suggest(name, known);
    const hint = meant === undefined ? '' : ` Did you mean "${meant}"?`;
    const add = takesOptions ? 'give it options here, or add it' : 'add it';
    const message = `There is no ${title} "${name}": ${add} to forRoot({ ${plural} }).${hint}`;
    return [{ where, option: 'name', message }];
  }

  /** Whether anybody has said what a name means. */
  isDescribed(kind: NamedKind, name: string): boolean {
    const id = idOf(kind, name);
    return this.configured.has(id) || this.declared.has(id) || this.policies[kind].has(name);
  }

  /** The options that a policy of this name has, or would have. */
  optionsOf<K extends NamedKind>(kind: K, name: string | undefined, own?: object): PolicyOptions[K] {
    return { ...this.defaults[kind], ...this.ownOptionsOf(kind, name), ...own } as PolicyOptions[K];
  }

  /** The policy of that name, made at first use. */
  get<K extends NamedKind>(kind: K, name: string): PolicyTypes[K] {
    return this.policies[kind].get(name) ?? this.create(kind, name, this.optionsOf(kind, name));
  }

  /**
   * The policy of that name for somebody who may never use it: it counts, and shows, from the first use by its name on.
   */
  reserve<K extends NamedKind>(kind: K, name: string): PolicyTypes[K] {
    const reserved: Map<string, PolicyTypes[K]> = this.reserved[kind];
    const policy = this.policies[kind].get(name) ?? reserved.get(name);
    if (policy !== undefined) return policy;
    const made = POLICY_KINDS[kind].create(name, this.optionsOf(kind, name), this.environment);
    reserved.set(name, made);
    return made;
  }

  /** Get or create, with options: they must agree with what the name already means. */
  getWith<K extends NamedKind>(kind: K, name: string, options: PolicyOptions[K] | undefined): PolicyTypes[K] {
    const where = `ResilienceService.${kind}("${name}")`;
    if (!this.policies[kind].has(name)) this.checkRoom(this.policies[kind].size, where);
    refuseProblems(this.declare(kind, name, options, where));
    return this.get(kind, name);
  }

  /** A policy of one method alone, under a name that nobody else has. */
  own<K extends NamedKind>(kind: K, name: string, make: (name: string) => PolicyTypes[K]): PolicyTypes[K] {
    const policies: Map<string, PolicyTypes[K]> = this.policies[kind];
    let unique = name;
    for (let number = 2; policies.has(unique); number++) unique = `${name}#${number}`;
    const policy = make(unique);
    policies.set(unique, policy);
    return policy;
  }

  find<K extends NamedKind>(kind: K, name: string): PolicyTypes[K] | undefined {
    return this.policies[kind].get(name);
  }

  all<K extends NamedKind>(kind: K): ReadonlyMap<string, PolicyTypes[K]> {
    return this.policies[kind];
  }

  /** Makes the policies of all configured names, so that they can be seen before their first call. */
  createConfigured(): void {
    for (const kind of NAMED_KINDS) for (const name of this.namesOf(kind)) this.get(kind, name);
  }

  /** What is wrong with the options that `own` would leave a policy with. */
  problemsOf<K extends NamedKind>(
    kind: K,
    name: string | undefined,
    own: unknown,
    where: string,
  ): OptionProblem[] {
    const { problems } = POLICY_KINDS[kind];
    // Not even an object: let the table say so.
    if (own !== undefined && (typeof own !== 'object' || own === null))
      return problems(own as PolicyOptions[K], where, this.environment);
    const found = problems(this.optionsOf(kind, name, own), where, this.environment);
    const wrong = this.wrongDefaults[kind];
    if (wrong.size === 0) return found;
    const said = { ...this.ownOptionsOf(kind, name), ...own };
    // What the defaults get wrong by themselves is said once, there.
    return found.filter(
      ({ option = '' }) => !wrong.has(option) || (option.split('.', 1)[0] as string) in said,
    );
  }

  /** What configuration and decorators say of a name. */
  private ownOptionsOf(kind: NamedKind, name: string | undefined): object {
    const id = name === undefined ? '' : idOf(kind, name);
    return { ...this.configured.get(id)?.options, ...this.declared.get(id)?.options };
  }

  private defaultProblems(kind: NamedKind): OptionProblem[] {
    const { table } = POLICY_KINDS[kind];
    return checkSomeOptions(table, this.defaults[kind], `ResilienceModule.forRoot defaults.${kind}`);
  }

  /** Bounds what names can make. @throws {@link InvalidOptionsError} */
  checkRoom(size: number, where: string): void {
    if (size < this.maxPolicies) return;
    const message = `There are ${this.maxPolicies} of these already ("maxPolicies"). Names taken from user input belong into "key", which is bounded.`;
    throw new InvalidOptionsError([{ where, option: 'name', message }]);
  }

  private create<K extends NamedKind>(kind: K, name: string, options: PolicyOptions[K]): PolicyTypes[K] {
    const { create, title } = POLICY_KINDS[kind];
    const policies: Map<string, PolicyTypes[K]> = this.policies[kind];
    this.checkRoom(policies.size, `${title} "${name}"`);
    const reserved: PolicyTypes[K] | undefined = this.reserved[kind].get(name);
    const policy = reserved ?? create(name, options, this.environment);
    // It was made before everybody had spoken.
    if (reserved !== undefined) POLICY_KINDS[kind].describe(reserved, options);
    this.reserved[kind].delete(name);
    policies.set(name, policy);
    return policy;
  }

  private namesOf(kind: NamedKind): string[] {
    const prefix = idOf(kind, '');
    return [...this.configured.keys()]
      .filter((id) => id.startsWith(prefix))
      .map((id) => id.slice(prefix.length));
  }

  /** Options that come after a policy was made must say what it already is. */
  private lateOptions(kind: NamedKind, name: string, options: object, where: string): OptionProblem[] {
    const effective: object = this.optionsOf(kind, name);
    const declaration = this.declared.get(idOf(kind, name)) ?? this.configured.get(idOf(kind, name));
    return contradictions(
      { options: effective, where: declaration?.where ?? 'its first use' },
      options,
      where,
      true,
    );
  }
}

type ByKind = { readonly [K in NamedKind]: Map<string, PolicyTypes[K]> };

function emptyByKind(): ByKind {
  return Object.fromEntries(NAMED_KINDS.map((kind) => [kind, new Map()])) as ByKind;
}

function idOf(kind: NamedKind, name: string): string {
  return `${kind}:${name}`;
}

/** One name is one policy: where two say different things, neither is right. */
export function contradictions(
  known: Declaration,
  options: object,
  where: string,
  strict = false,
): OptionProblem[] {
  const before = known.options as Readonly<Record<string, unknown>>;
  return Object.entries(options).flatMap(([option, given]) => {
    const had = before[option];
    if (had === undefined ? !strict : sameValue(had, given)) return [];
    const message = `"${option}" is ${show(given)} here, but ${show(had)} at ${known.where}; one name is one policy.`;
    return [{ where, option, message }];
  });
}

/** Functions and patterns that are written alike count as the same: whoever gets by name writes them at each call. */
function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a === 'function' || typeof b === 'function')
    return typeof a === typeof b && String(a) === String(b);
  if (a instanceof RegExp || b instanceof RegExp) return String(a) === String(b);
  if (isPlain(a) && isPlain(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].every((key) => sameValue(a[key], b[key]));
  }
  const duration = parseDuration(a);
  return duration !== undefined && duration === parseDuration(b);
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null;
}

function show(value: unknown): string {
  return value === undefined ? 'not given' : describeValue(value);
}
