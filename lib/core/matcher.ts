import { causes, codeOf, isStatus, statusOf } from './classify.js';
import { isObject, propertyOf } from './property.js';

/** A class of errors; matched with `instanceof`. */
export type ErrorClass = abstract new (...args: never[]) => unknown;

/**
 * A predicate over an error (or a result) and the call it belongs to. It must answer at once. What it throws reaches
 * the caller. Written as a method, so that a parameter may be annotated with the type that is known to arrive.
 */
export type MatcherPredicate = { matches(error: unknown, call?: unknown): boolean }['matches'];

/** What an error must have; every field that is given must match, on the same link of the cause chain. */
export interface MatcherFields {
  readonly status?: number | readonly number[] | { readonly from: number; readonly to: number };
  readonly code?: string | readonly string[];
  readonly name?: string | readonly string[];
}

/** One criterion of a {@link Matcher}. */
export type MatcherPart = ErrorClass | MatcherPredicate | number | string | RegExp | MatcherFields;

/**
 * Which errors (or results) are meant. Several parts mean any of them; none means nothing.
 *
 * - an error class: `instanceof`
 * - a predicate `(error, call) => boolean`: asked once, with the error itself
 * - a number: the HTTP status
 * - a string: the `code`, or the `name`
 * - a regular expression: the message
 * - an object: `{ status: { from: 500, to: 599 }, code: ['ECONNRESET'] }`
 *
 * All but predicates look through the chain of causes.
 *
 * @example
 * ```ts
 * @Retry({ retryOn: [HttpError, 429, 'ECONNRESET', (error) => isTransient(error)] })
 * ```
 *
 * @publicApi
 */
export type Matcher = MatcherPart | readonly MatcherPart[];

/** A matcher made ready: whether the value, in that call, is meant. */
export type CompiledMatcher = (value: unknown, call?: unknown) => boolean;

/** The distance of a match that has no classes to measure by. */
const UNMEASURED = 1_000;
/** A match on a cause is farther than any on the error itself. */
const PER_CAUSE = 100;
/** A class of another copy of its package: `instanceof` holds, but the prototypes do not meet. */
const OF_ANOTHER_COPY = 50;

/** Prepares a matcher once, to be asked often. */
export function compileMatcher(matcher: Matcher): CompiledMatcher {
  const parts = partsOf(matcher).map(compilePart);
  return (value, call) => {
    let chain: readonly unknown[] | undefined;
    for (const part of parts) {
      if (part.predicate?.(value, call)) return true;
      if (part.link !== undefined && (chain ??= causes(value)).some(part.link)) return true;
    }
    return false;
  };
}

/**
 * How near a part is to an error, for "the nearest class wins": 0 for its very class, 1 for the class above, 100 more
 * for each cause in between, 1,000 where there is nothing to measure; undefined where it does not match.
 */
export function matchDistance(part: MatcherPart, error: unknown, call?: unknown): number | undefined {
  if (!isClass(part)) return compileMatcher(part)(error, call) ? UNMEASURED : undefined;
  const chain = causes(error);
  const depth = chain.findIndex((link) => link instanceof part);
  return depth < 0 ? undefined : depth * PER_CAUSE + prototypeDistance(part, chain[depth] as object);
}

/** Whether a value, of whatever origin, can be used as a matcher. */
export function isMatcher(value: unknown): value is Matcher {
  return Array.isArray(value) ? value.every(isPart) : isPart(value);
}

interface CompiledPart {
  /** Asked about the thing itself. */
  readonly predicate?: MatcherPredicate;
  /** Asked about each link of the cause chain. */
  readonly link?: (link: unknown) => boolean;
}

function compilePart(part: MatcherPart): CompiledPart {
  if (isClass(part)) return { link: (link) => link instanceof part };
  if (typeof part === 'function') return { predicate: part };
  if (typeof part === 'number') return { link: (link) => statusOf(link) === part };
  if (typeof part === 'string')
    return { link: (link) => codeOf(link) === part || propertyOf(link, 'name') === part };
  if (part instanceof RegExp) return { link: messageTest(part) };
  return { link: fieldsTest(part) };
}

function messageTest(pattern: RegExp): (link: unknown) => boolean {
  // A global or sticky pattern remembers where it stopped, and would match every other time.
  const stateless = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
  return (link) => {
    const message = typeof link === 'string' ? link : propertyOf(link, 'message');
    return typeof message === 'string' && stateless.test(message);
  };
}

function fieldsTest({ status, code, name }: MatcherFields): (link: unknown) => boolean {
  const meansStatus = status === undefined ? undefined : statusTest(status);
  return (link) =>
    (meansStatus === undefined || meansStatus(statusOf(link))) &&
    (code === undefined || includes(code, codeOf(link))) &&
    (name === undefined || includes(name, propertyOf(link, 'name')));
}

function statusTest(wanted: NonNullable<MatcherFields['status']>): (status: number | undefined) => boolean {
  if (typeof wanted === 'number') return (status) => status === wanted;
  if ('from' in wanted)
    return (status) => status !== undefined && status >= wanted.from && status <= wanted.to;
  return (status) => status !== undefined && wanted.includes(status);
}

function includes(wanted: string | readonly string[], found: unknown): boolean {
  return typeof wanted === 'string' ? wanted === found : (wanted as readonly unknown[]).includes(found);
}

function partsOf(matcher: Matcher): readonly MatcherPart[] {
  return Array.isArray(matcher) ? (matcher as readonly MatcherPart[]) : [matcher as MatcherPart];
}

/** A class is told from a predicate by descending from `Error`, or by being written as one. */
function isClass(part: unknown): part is ErrorClass {
  if (typeof part !== 'function') return false;
  if (part === Error || part.prototype instanceof Error) return true;
  return /^class\b/.test(Function.prototype.toString.call(part));
}

function prototypeDistance(type: ErrorClass, error: object): number {
  let distance = 0;
  let prototype: unknown = Object.getPrototypeOf(error);
  while (prototype !== null) {
    if (prototype === type.prototype) return distance;
    prototype = Object.getPrototypeOf(prototype);
    distance++;
  }
  return OF_ANOTHER_COPY;
}

function isPart(value: unknown): boolean {
  if (typeof value === 'function') return !isAsync(value);
  if (value instanceof RegExp) return true;
  if (typeof value === 'number') return isStatus(value);
  if (typeof value === 'string') return value !== '';
  return isObject(value) && !Array.isArray(value) && areFields(value);
}

/** A promise is always true: as a predicate it would mean everything. */
function isAsync(value: object): boolean {
  return Object.prototype.toString.call(value) === '[object AsyncFunction]';
}

function areFields(value: object): boolean {
  const fields = Object.entries(value).filter(([, wanted]) => wanted !== undefined);
  return (
    fields.length > 0 &&
    fields.every(([field, wanted]) => {
      if (field === 'status') return isStatus(wanted) || isListOf(wanted, isStatus) || isStatusRange(wanted);
      return (field === 'code' || field === 'name') && (isText(wanted) || isListOf(wanted, isText));
    })
  );
}

function isStatusRange(value: unknown): boolean {
  const from = propertyOf(value, 'from');
  const to = propertyOf(value, 'to');
  return isStatus(from) && isStatus(to) && from <= to;
}

function isListOf(value: unknown, isOne: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

/** {@link compileMatcher} for an option that may be absent. */
export function compileOptional(matcher: Matcher | undefined): CompiledMatcher | undefined {
  return matcher === undefined ? undefined : compileMatcher(matcher);
}
