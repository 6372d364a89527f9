import type { OptionProblem } from '../core/errors.js';
import { sharedState } from '../core/identity.js';
import type { PipelineSlot } from '../pipeline/order.js';

/** The kinds of policies that a decorator can ask for. */
export type DecoratedKind =
  | 'circuitBreaker'
  | 'retry'
  | 'bulkhead'
  | 'rateLimit'
  | 'timeout'
  | 'fallback'
  | 'idempotency'
  | 'hedge'
  | 'chaos';

/** What one decorator, or one entry of `@Resilient`, asks for. */
export interface PolicyRequest {
  /** As a user wrote it, for messages: `@Retry`. */
  readonly decorator: string;
  readonly kind: DecoratedKind;
  readonly name: string | undefined;
  /** As given, not yet validated; `undefined` where only a name was given. */
  readonly options: object | undefined;
  /** Asks for none of its kind: on a method, whatever its class says. */
  readonly disabled?: boolean;
  /** A policy that the user made, in place of options. */
  readonly instance?: object | undefined;
}

/** What decorators have said about a method, or about all marked methods of a class. */
export interface Requests {
  /** What was written wrongly; reported at start, where the method's class is known. */
  readonly mistakes: OptionProblem[];
  /** Outermost first: decorators run from the bottom, so each new one goes to the front. */
  readonly policies: PolicyRequest[];
  order: readonly PipelineSlot[] | undefined;
  returns: 'promise' | 'observable' | undefined;
}

export type AnyMethod = (this: unknown, ...args: unknown[]) => unknown;

/** A decorated method: what it was, what stands in its place, what was asked for. */
export interface MethodRecord extends Requests {
  /** The prototype that declares it. */
  readonly owner: object;
  readonly key: string | symbol;
  readonly original: AnyMethod;
  readonly interceptor: AnyMethod;
  /** Its place in a class's list of compiled pipelines. */
  readonly index: number;
  /** Whether somebody else wrapped the method between two of our decorators. */
  foreignWrapper: boolean;
  /** The parameter that receives the call's signal. */
  signalIndex: number | undefined;
  /** Whether `ResilienceInterceptor`, and whether `RateLimitGuard`, was attached. */
  interceptorAttached: boolean;
  guardAttached: boolean;
}

interface Registry {
  /** By method interceptor: how we know our own, whatever metadata was copied and whatever proxies it. */
  readonly byInterceptor: WeakMap<object, MethodRecord>;
  /** By prototype: the methods that it declares, in the order of decoration. */
  readonly byOwner: WeakMap<object, MethodRecord[]>;
  /** By prototype: what was asked for all of its marked methods. */
  readonly classes: WeakMap<object, Requests>;
  /** By prototype and method: the parameter that was marked with `@CallSignal`. */
  readonly signals: WeakMap<object, Map<string | symbol, number>>;
  /** Prototypes whose class asks for the runtime. */
  readonly injected: WeakSet<object>;
  count: number;
}

/** One registry for all copies of the package in the process. */
export const registry = sharedState<Registry>('decorated-methods', () => ({
  byInterceptor: new WeakMap(),
  byOwner: new WeakMap(),
  classes: new WeakMap(),
  signals: new WeakMap(),
  injected: new WeakSet(),
  count: 0,
}));

export function emptyRequests(): Requests {
  return { mistakes: [], policies: [], order: undefined, returns: undefined };
}

/** The record behind a function, if it is a method interceptor of ours. */
export function recordOf(method: unknown): MethodRecord | undefined {
  return typeof method === 'function' ? registry.byInterceptor.get(method) : undefined;
}

const wrapped = new WeakMap<object, MethodRecord | 'none'>();

/**
 * The record behind a handler of a class: also where another decorator, above ours, has put a function of its own in the
 * place of the method.
 */
export function recordOfHandler(prototype: object, handler: object): MethodRecord | undefined {
  const own = recordOf(handler);
  if (own !== undefined) return own;
  let found = wrapped.get(handler);
  if (found === undefined) wrapped.set(handler, (found = recordBehind(prototype, handler) ?? 'none'));
  return found === 'none' ? undefined : found;
}

function recordBehind(prototype: object, handler: object): MethodRecord | undefined {
  for (const link of chainOf(prototype)) {
    const record = registry.byOwner
      .get(link)
      ?.findLast(({ key }) => Object.getOwnPropertyDescriptor(link, key)?.value === handler);
    if (record !== undefined) return record;
  }
  return undefined;
}

/** The decorated methods that instances of a class have, its own and inherited, overridden ones included. */
export function recordsOf(prototype: object | null): MethodRecord[] {
  const records: MethodRecord[] = [];
  for (const link of chainOf(prototype)) records.push(...(registry.byOwner.get(link) ?? []));
  return records;
}

/** What was asked for all marked methods of a class, the base class first. */
export function classRequestsOf(prototype: object | null): Requests[] {
  return chainOf(prototype)
    .flatMap((link) => registry.classes.get(link) ?? [])
    .toReversed();
}

/** A prototype and those above it, `Object.prototype` excluded. */
function chainOf(prototype: object | null): object[] {
  const chain: object[] = [];
  let link: object | null = prototype;
  while (link !== null && link !== Object.prototype) {
    chain.push(link);
    link = Object.getPrototypeOf(link) as object | null;
  }
  return chain;
}
