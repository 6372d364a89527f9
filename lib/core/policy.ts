import type { Call, Next } from './call.js';
import type { ResilienceError } from './errors.js';
import type { PermitWait } from './permit-wait.js';

/** The kinds of policies, as they appear in options, events and stats. @publicApi */
export type PolicyKind =
  | 'fallback'
  | 'idempotency'
  | 'timeout'
  | 'retry'
  | 'retryBudget'
  | 'hedge'
  | 'rateLimit'
  | 'bulkhead'
  | 'circuitBreaker'
  | 'chaos';

/** What all policies have in common. @publicApi */
export interface Policy {
  readonly kind: PolicyKind;
  readonly name: string;
  /** The numbers of this policy now; taking them changes nothing. */
  stats(): object;
  /** Back to how it was when it was made, as far as the calls that are under way allow; its options stay. */
  reset(): void;
  /** One line for `describe()`: what it is set to do. */
  describe(): string;
}

/**
 * Lets an attempt in and hears how it ended. Guards are synchronous calls inside one shared frame; only a guard that
 * makes a call wait answers with a wait in place of a permit.
 */
export interface Guard<P> {
  readonly policy: Policy;
  /** Whether it must know when an attempt began, and also when it ended; what nobody needs is not read. */
  readonly needsTime: 'never' | 'start' | 'start and end';
  /** Whether its permit comes back when the method itself settles, not when the attempt does. */
  readonly settlesWithMethod?: boolean;
  /** Whether it bounds the time of the call, and not only of an attempt. */
  readonly boundsCall?: boolean;
  /** Whether it wants to hear of what guards further in refuse. */
  readonly hearsRefusals?: boolean;
  /** Whether it can end an attempt while the call around it goes on. */
  readonly endsAttempts?: boolean;
  /** Whether all is well, so that a call may be sent more often than it was made. */
  isCalm?(call: Call): boolean;
  /** Says, without letting anything in, that the call would be refused; asked before any guard is entered. */
  peek?(call: Call, now: number): ResilienceError | undefined;
  /** Lets the attempt in, now or later, or throws (ends the wait with) its refusal. */
  enter(call: Call, now: number): P | PermitWait<P>;
  /** The attempt was let in here but refused further in, with `error`: takes it back, as if it had never come. */
  cancel(permit: P, call: Call, error: unknown): void;
  /**
   * The attempt is over. `result` is what it returned, or what it threw where `ok` is false. A throwing matcher of the
   * user's may throw out of here, after the permit was given back. `endedAt` is `startedAt` where no guard needs it.
   */
  settle(permit: P, call: Call, ok: boolean, result: unknown, startedAt: number, endedAt: number): void;
}

/** A guard among others: whoever composes guards hands permits back without looking at them. */
// oxlint-disable-next-line typescript/no-explicit-any -- permits differ by guard, and each gets only its own back
export type AnyGuard = Guard<any>;

/** How often a call was repeated, and what the repeater notes meanwhile. */
export interface Repetition {
  /** When the call began. */
  readonly begunAt: number;
  /** What {@link Repeater.begin} answered. */
  readonly mark: number;
  /** Attempts beyond the first, with the one that is waited for. */
  retries: number;
  /** The last delay. */
  delayMs: number;
  /** How the last attempt ended that was not refused, where that can still be shown. */
  outcome: { readonly ok: boolean; readonly result: unknown } | undefined;
}

/** Decides whether an attempt is followed by another. It lives in the frame of the guards right inside it. */
export interface Repeater {
  readonly policy: Policy;
  /** A call begins; throws to refuse it. It may answer with a number that it wants to know again later. */
  begin(call: Call, now: number): number;
  /** Whether a result is not good enough to be the call's. */
  refusesResult(call: Call, result: unknown): boolean;
  /**
   * How long to wait before the next attempt; `undefined` for none: then the caller gets `last`, which is the result, or
   * where that is a refusal, what the attempt before ended with. What it throws is what the caller gets.
   */
  delayAfter(
    call: Call,
    repetition: Repetition,
    ok: boolean,
    result: unknown,
    last: unknown,
  ): number | undefined;
  /** The delay is over: whether the next attempt may start. `ok` says whether there was a result, which is gone by now. */
  mayStart(call: Call, repetition: Repetition, ok: boolean): boolean;
  /** The call is over, after so many retries that began. */
  end(retries: number, ok: boolean): void;
}

/** What a driver knows of the pipeline inside it. */
export interface Inside {
  /** Whether all guards inside say that all is well. */
  isCalm(call: Call): boolean;
}

/** Decides how often, and in whose place, the rest of the pipeline runs. */
export interface Driver {
  readonly policy: Policy;
  /** Whether it does nothing at all now, so that a pipeline may leave it out until the next composition. */
  readonly isOff?: boolean;
  /** @param policies - All of the pipeline, outermost first. */
  run(call: Call, next: Next, inside: Inside, policies: readonly Policy[]): unknown;
}
