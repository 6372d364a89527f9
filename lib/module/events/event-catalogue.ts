import type { BulkheadFullError, RateLimitExceededError, CircuitOpenError } from '../../core/errors.js';
import type { EventKind, EventSelection, PolicyEvent } from '../../core/events.js';
import type { RefusalReason } from '../../policies/bulkhead/slots.js';
import type { ChaosFault, ExperimentState, FaultEnd } from '../../policies/chaos/index.js';
import type { CircuitState } from '../../policies/circuit-breaker/index.js';
import type { FallbackLevel } from '../../policies/fallback/index.js';
import type { DrainPhase } from '../../draining/index.js';

/** What a policy knows of the key of a call, where it has keys. */
interface WithKey {
  readonly key?: string;
}

/** A phase of the drain has begun. */
interface DrainDetails {
  readonly from: DrainPhase;
  /** Requests and tracked work under way. */
  readonly inFlight: number;
  readonly cutOff: number;
}

/** What can happen to any policy. */
interface OfAny {
  /** Somebody resets it: its numbers begin anew at 0 right after this. */
  readonly cleared: undefined;
  /** What an operator did, through the admin routes. */
  readonly changed: {
    /** Who: as the admin module's `user` tells. */
    readonly by: string;
    /** What: `options`, `force-open`, `start` … */
    readonly action: string;
    readonly reason?: string;
    /** The options that were changed, as JSON. */
    readonly options?: string;
  };
  readonly reset: { readonly by: string };
}

/** All events, by kind and type, and what each one tells. @publicApi */
export interface PolicyEventDetails {
  readonly circuitBreaker: OfAny & {
    readonly 'state-changed': WithKey & {
      readonly from: CircuitState;
      readonly to: CircuitState;
      readonly reason: string;
    };
    /** Under `meterOnly()`: it would have opened. */
    readonly 'threshold-crossed': WithKey & { readonly reason: string };
    readonly rejected: WithKey & { readonly error: CircuitOpenError };
  };
  readonly retry: OfAny & {
    /** A failed attempt will be followed by another. */
    readonly retried: {
      /** 1 for the first retry. */
      readonly attempt: number;
      readonly delayMs: number;
      /** `undefined` where a result was not good enough. */
      readonly error: unknown;
    };
    /** A retry would have been worth it, but the budget did not allow it; before a first attempt `error` is undefined. */
    readonly 'budget-exhausted': { readonly error: unknown };
  };
  /** They speak through the retries and hedges that use them. */
  readonly retryBudget: OfAny;
  readonly bulkhead: OfAny & {
    readonly rejected: WithKey & { readonly reason: RefusalReason; readonly error: BulkheadFullError };
  };
  readonly rateLimit: OfAny & { readonly rejected: { readonly error: RateLimitExceededError } };
  readonly timeout: OfAny & {
    readonly 'timed-out': {
      /** What ran out: an attempt, the whole call, or an HTTP client's time to connect, to read or for a request. */
      readonly scope: 'attempt' | 'total' | 'connect' | 'read' | 'request';
      readonly limitMs: number;
      readonly error: unknown;
    };
  };
  readonly fallback: OfAny & {
    /** Another level than the primary answered. */
    readonly degraded: { readonly level: FallbackLevel };
    /** No level did. */
    readonly exhausted: { readonly error: unknown };
  };
  readonly idempotency: OfAny & {
    readonly rejected: { readonly error: unknown };
    readonly 'lease-lost': { readonly key: string };
    readonly 'store-failed': { readonly key: string; readonly error: unknown };
  };
  readonly hedge: OfAny & { readonly hedged: undefined };
  readonly chaos: OfAny & {
    readonly injected: { readonly fault: ChaosFault; readonly latencyMs?: number };
    readonly started: { readonly fault: ChaosFault; readonly targets: readonly string[] };
    readonly ended: {
      readonly fault: ChaosFault;
      readonly by: FaultEnd;
      readonly totalInjected: number;
    };
    readonly experiment: { readonly state: ExperimentState; readonly reason?: string };
  };
  readonly sharedState: {
    /** The store does not answer: each instance decides alone. */
    readonly lost: { readonly error: unknown };
    readonly returned: { readonly lostForMs: number };
  };
  readonly draining: {
    readonly draining: DrainDetails;
    readonly quiesced: DrainDetails;
    readonly closed: DrainDetails;
  };
}

/** The types of events of a kind. @publicApi */
export type EventType<K extends EventKind> = keyof PolicyEventDetails[K] & string;

/** One event, with what it tells. @publicApi */
export type PolicyEventOf<K extends EventKind, T extends EventType<K>> = Omit<
  PolicyEvent,
  'kind' | 'type' | 'details'
> & {
  readonly kind: K;
  readonly type: T;
  readonly details: PolicyEventDetails[K][T];
};

type Types = { readonly [K in EventKind]: readonly EventType<K>[] };

const BY_OPERATOR = ['changed', 'reset'] as const;
const OF_ANY = [...BY_OPERATOR, 'cleared'] as const;

/** The types of events, by kind. */
export const EVENT_TYPES: Types = {
  circuitBreaker: ['state-changed', 'threshold-crossed', 'rejected', ...OF_ANY],
  retry: ['retried', 'budget-exhausted', ...OF_ANY],
  retryBudget: [...OF_ANY],
  bulkhead: ['rejected', ...OF_ANY],
  rateLimit: ['rejected', ...OF_ANY],
  timeout: ['timed-out', ...OF_ANY],
  fallback: ['degraded', 'exhausted', ...OF_ANY],
  idempotency: ['rejected', 'lease-lost', 'store-failed', ...OF_ANY],
  hedge: ['hedged', ...OF_ANY],
  chaos: ['injected', 'started', 'ended', 'experiment', ...OF_ANY],
  sharedState: ['lost', 'returned'],
  draining: ['draining', 'quiesced', 'closed'],
};

/** The events that say that something is different from now on. They are rare: no call has one of its own. */
export const TRANSITIONS = {
  circuitBreaker: ['state-changed', 'threshold-crossed', ...BY_OPERATOR],
  retry: BY_OPERATOR,
  retryBudget: BY_OPERATOR,
  bulkhead: BY_OPERATOR,
  rateLimit: BY_OPERATOR,
  timeout: BY_OPERATOR,
  fallback: BY_OPERATOR,
  idempotency: BY_OPERATOR,
  hedge: BY_OPERATOR,
  chaos: ['started', 'ended', 'experiment', ...BY_OPERATOR],
  sharedState: ['lost', 'returned'],
  draining: ['draining', 'quiesced', 'closed'],
} satisfies Partial<Types> & EventSelection;
