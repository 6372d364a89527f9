import type { CallInfo } from '../../core/call.js';
import type { RandomSource } from '../../core/clock.js';
import {
  BulkheadFullError,
  ChaosInjectedError,
  CircuitOpenError,
  TimeoutExceededError,
} from '../../core/errors.js';
import { isObject } from '../../core/property.js';
import { markInjected } from './injected.js';
import type { LatencySettings } from './latency.js';

/**
 * What can be injected:
 *
 * - `latency`: the method runs later, by 100 ms to 5 s;
 * - `error`: it fails with one of the statuses 500, 503 and 504, or with `error`;
 * - `timeout`: it hangs for 30 to 60 s, or as `latency` says, and then fails with `TimeoutExceededError`;
 * - `circuit-open`: `CircuitOpenError`, as from a breaker further down;
 * - `resource-exhausted`: `BulkheadFullError`, as from a bulkhead further down;
 * - `partition`: a connection that is refused or reset (`code` is `ECONNREFUSED` or `ECONNRESET`);
 * - `service-unavailable`: it fails with status 503;
 * - `wrong-result`: it does not run, and `result` (default `null`) is the answer.
 *
 * @publicApi
 */
export type ChaosFault = (typeof CHAOS_FAULTS)[number];

export const CHAOS_FAULTS = [
  'latency',
  'error',
  'timeout',
  'circuit-open',
  'resource-exhausted',
  'partition',
  'service-unavailable',
  'wrong-result',
] as const;

/** How long a fault keeps a call where nobody says it. */
export const DEFAULT_LATENCIES: Readonly<Partial<Record<ChaosFault, LatencySettings>>> = {
  latency: { min: 100, max: 5_000 },
  timeout: { min: 30_000, max: 60_000 },
};

/** Of these one is drawn where nobody says which error. */
export const DEFAULT_STATUSES: readonly number[] = [500, 503, 504];

/** An error class that can be made with a message. @publicApi */
export type ChaosErrorClass = new (message: string) => Error;

/** One error to inject: an HTTP status, a class, a function that makes one, or the error itself. @publicApi */
export type ChaosError = number | ChaosErrorClass | ((call: CallInfo) => unknown) | Error;

/** What injected errors say of themselves. */
export interface FaultContext {
  /** The policy. */
  readonly name: string;
  readonly call: CallInfo;
  readonly random: RandomSource;
  /** How long the call was kept. */
  readonly waitedMs: number;
}

/** The error of a fault, marked as injected. */
export function errorOf(
  fault: Exclude<ChaosFault, 'latency' | 'wrong-result'>,
  errors: readonly ChaosError[],
  context: FaultContext,
): unknown {
  const { name, random, waitedMs } = context;
  const message = `Chaos "${name}" injected ${SAID[fault]}.`;
  const details = { policy: name };
  switch (fault) {
    case 'error':
      return givenError(pick(errors, random), context);
    case 'timeout':
      return markInjected(new TimeoutExceededError(message, details, 'attempt', waitedMs));
    case 'circuit-open':
      return markInjected(new CircuitOpenError(message, details));
    case 'resource-exhausted':
      return markInjected(new BulkheadFullError(message, details));
    case 'partition':
      return markInjected(
        random() < 0.5
          ? connectionError('connect ECONNREFUSED', name)
          : connectionError('read ECONNRESET', name),
      );
    case 'service-unavailable':
      return new ChaosInjectedError(message, details, 503);
  }
}

const SAID = {
  error: 'an error',
  timeout: 'a timeout',
  'circuit-open': 'an open circuit',
  'resource-exhausted': 'an exhausted resource',
  partition: 'a partition',
  'service-unavailable': 'an unavailable service',
} as const;

function givenError(error: ChaosError, { name, call }: FaultContext): unknown {
  if (typeof error === 'number') {
    return new ChaosInjectedError(`Chaos "${name}" injected status ${error}.`, { policy: name }, error);
  }
  if (typeof error !== 'function') return markInjected(error);
  const made = isErrorClass(error) ? new error(`Chaos "${name}" injected ${error.name}.`) : error(call);
  if (isObject(made)) return markInjected(made);
  // Something that cannot carry a mark.
  return new ChaosInjectedError(`Chaos "${name}" injected ${String(made)}.`, { policy: name, cause: made });
}

function isErrorClass(given: ChaosErrorClass | ((call: CallInfo) => unknown)): given is ChaosErrorClass {
  return given === Error || given.prototype instanceof Error;
}

/** As Node's own: `connect ECONNREFUSED`, with the call and the code in properties. */
function connectionError(what: string, name: string): Error {
  const [syscall, code] = what.split(' ');
  return Object.assign(new Error(`${what} (injected by chaos "${name}")`), { code, syscall });
}

export function pick<T>(from: readonly T[], random: RandomSource): T {
  return from[Math.min(from.length - 1, Math.floor(random() * from.length))] as T;
}
