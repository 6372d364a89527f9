/** What kind of value an option takes. */
export type OptionKind =
  | 'integer'
  | 'number'
  /** 0 to 100, unless `min`, `above` or `max` say otherwise. */
  | 'percent'
  /** Milliseconds or a string; above 0 and finite, unless `min` says otherwise. Resolved to milliseconds. */
  | 'duration'
  | 'boolean'
  /** Not empty. */
  | 'string'
  /** One of `values`. */
  | 'one-of'
  | 'function'
  | 'matcher'
  /** An array; `each` says of what. */
  | 'list'
  /** An object with free keys, or with those in `values`; `each` says of what. */
  | 'record'
  /** An object; `fields` says with which options. */
  | 'object'
  | 'any';

/** One form that a value may take. */
export interface OptionForm {
  readonly kind: OptionKind;
  /** The least value (of a duration: in milliseconds). */
  readonly min?: number;
  /** What the value must exceed, in place of `min`. */
  readonly above?: number;
  /** The greatest value. `Infinity` allows an infinite number, which is refused otherwise. */
  readonly max?: number;
  readonly values?: readonly (string | number | boolean)[];
  readonly each?: OptionForm;
  readonly fields?: OptionTable;
}

/** One option. Without a `default` it must be given, unless it is `optional`. */
export interface OptionRow<Name extends string = string> extends OptionForm {
  readonly name: Name;
  /** Other forms that are accepted too. */
  readonly or?: readonly OptionForm[];
  /** As a user would write it: a duration may be `'30s'`. */
  readonly default?: unknown;
  /** What the documentation says in place of a default that depends on something. */
  readonly defaultText?: string;
  readonly optional?: boolean;
  /** What the option does, in one sentence of Markdown. */
  readonly sentence: string;
  /** What is wrong with a value of an accepted form, as a full sentence; undefined where nothing is. */
  readonly check?: (value: unknown) => string | undefined;
}

/** The options of one policy: what users may give, what it resolves to, and what the documentation says. */
export interface OptionTable<Given extends object = object, Resolved = unknown> {
  readonly rows: readonly OptionRow[];
  /** Never set: it carries the types. */
  readonly types?: { readonly given: Given; readonly resolved: Resolved };
}
