import type { OnceBegin } from './once-store.js';

/** What one value may take in a shared store. */
export const MAX_VALUE_BYTES = 64 * 1024;

/**
 * What a piece of shared state is about; together with the application's name it becomes a key. The subject (a user, a
 * tenant) is hashed on its way, so that a store never sees it.
 */
export interface StateKey {
  readonly kind: string;
  readonly policy: string;
  /** Which of a policy's keyed states; `''` where there is only one. */
  readonly subject: string;
}

/** What {@link StateKey.subject} is where a policy may have keys: one of its own for each, even where it is empty. */
export function subjectOf(key: string | undefined): string {
  return key === undefined ? '' : `key ${key}`;
}

/** Units that are asked of a rate limit, in GCRA's terms. */
export interface TakeRequest {
  /** Microseconds between two units. */
  readonly emissionUs: number;
  /** How far ahead of time the units may be, in microseconds: the burst times `emissionUs`. */
  readonly toleranceUs: number;
  /** Units that would be welcome (a lease), and those below which none are of use. */
  readonly want: number;
  readonly min: number;
}

/** What a rate limit gave. */
export interface TakeAnswer {
  /** 0, or from `min` to `want`. */
  readonly granted: number;
  /** When `min` units could be there; 0 where they were. */
  readonly retryAfterMs: number;
  /** When all units are back. */
  readonly resetMs: number;
  /** Units that are left. */
  readonly remaining: number;
}

/** Permits that an instance borrows in blocks, each block for one lease. */
export interface SharedPermits {
  /** Up to `want` more permits of `limit`; how many it got, and how many all instances hold now. */
  acquire(
    key: StateKey,
    request: { readonly limit: number; readonly want: number; readonly leaseMs: number },
  ): Promise<{ readonly granted: number; readonly held: number }>;
  /**
   * Keeps what this instance holds, at most `count` of it, for another lease; how many that is, 0 where the lease was
   * lost. What it held beyond that is free: an answer that never came may have brought more than is known here.
   */
  renew(key: StateKey, leaseMs: number, count?: number): Promise<number>;
  /** Gives `count` permits back. */
  release(key: StateKey, count: number): Promise<void>;
}

/** Remembers what has been done under a key, for all instances. Outcomes are text: the policy knows how to read them. */
export interface SharedOnce {
  /** @param remainingMs - How long its caller can wait at all. */
  begin(key: StateKey, fingerprint: string, leaseMs: number, remainingMs?: number): Promise<SharedOnceBegin>;
  /** Keeps the outcome; false where the lease was lost. */
  complete(key: StateKey, fence: number, outcome: string, ttlMs: number): Promise<boolean>;
  fail(key: StateKey, fence: number): Promise<void>;
  beat(key: StateKey, fence: number, leaseMs: number): Promise<boolean>;
}

/** What {@link SharedOnce.begin} answers. */
export type SharedOnceBegin =
  Exclude<OnceBegin, { readonly kind: 'replay' }> | { readonly kind: 'replay'; readonly outcome: string };

/** Values that instances share, each with its age. */
export interface SharedCache {
  get(key: StateKey): Promise<{ readonly value: string; readonly ageMs: number } | undefined>;
  put(key: StateKey, value: string, ttlMs: number): Promise<void>;
}

/** Whose word opens a circuit for all instances: that of several, or of any. */
export type CircuitScope = 'quorum' | 'any';

/** What an instance says of a circuit. */
export interface CircuitReport {
  /** The version that it knows; what is said under an older one counts for nothing. */
  readonly version: number;
  /** Within its window. */
  readonly calls: number;
  readonly failures: number;
  /** Whether its own circuit has opened by what it saw itself. */
  readonly vote: boolean;
  /** An operator closes the circuit for all. */
  readonly close: boolean;
  /** For how long it speaks. */
  readonly ttlMs: number;
  readonly scope: CircuitScope;
  /** How many instances there are, as far as it knows. */
  readonly size: number;
  /** Failures per 100 calls of all instances together that open it; `undefined` where only votes do. */
  readonly failureRatePercent: number | undefined;
  readonly minimumCalls: number;
  /** For how long, if it opens now. */
  readonly openMs: number;
}

/** The circuit of all instances. */
export interface CircuitView {
  /** Rises with each change. */
  readonly version: number;
  readonly open: boolean;
  /** Until probes may run; 0 or less where they may, and where it is closed. */
  readonly leftMs: number;
  /** How often it has opened in a row. */
  readonly openings: number;
  /** How long ago it closed; `undefined` where it has never been open, as far as the store remembers. */
  readonly closedForMs: number | undefined;
}

/** A question for a probe's permit. */
export interface CircuitProbeRequest {
  readonly version: number;
  /** Names the probe. */
  readonly probe: string;
  /** Probes at most at the same time. */
  readonly limit: number;
  /** Probes at most, with those that have ended; 0 where only those at the same time count. */
  readonly results: number;
  /** When the permit ends by itself. */
  readonly ttlMs: number;
}

/** How a probe ended, and by which rule that decides. */
export interface CircuitProbeResult {
  readonly version: number;
  readonly probe: string;
  /** `undefined` where it counts as nothing. */
  readonly outcome: { readonly failed: boolean; readonly slow: boolean } | undefined;
  /** Successes that close it, where `results` is 0. */
  readonly successThreshold: number;
  readonly results: number;
  readonly failureRatePercent: number | undefined;
  readonly slowCallRatePercent: number | undefined;
  readonly scope: CircuitScope;
  readonly size: number;
  readonly openMs: number;
}

/** Circuits that instances open and close together. */
export interface SharedCircuits {
  /** Says what this instance sees, and hears how things are for all. */
  sync(key: StateKey, report: CircuitReport): Promise<CircuitView>;
  /**
   * Asks for one of the fleet's half-open probes.
   *
   * @param remainingMs - How long its caller can wait at all.
   */
  probe(
    key: StateKey,
    request: CircuitProbeRequest,
    remainingMs?: number,
  ): Promise<CircuitView & { readonly granted: boolean }>;
  /** Ends a probe. Under an older version, or a second time, it changes nothing. */
  settle(key: StateKey, result: CircuitProbeResult): Promise<CircuitView>;
}

/** How many instances there are. */
export interface SharedPresence {
  /** Says that this instance is alive for `ttlMs`; how many are. */
  beat(ttlMs: number): Promise<number>;
  leave(): Promise<void>;
}

/** The instances that share state, as a policy sees them. */
export interface Fleet {
  readonly state: SharedState;
  /** How many there are, as far as is known; 1 where nobody knows. */
  readonly size: number;
  /**
   * Says by which numbers a shared policy goes here, so that instances which go by others can be told of. Each instance
   * goes by its own.
   */
  declare?(kind: string, policy: string, numbers: string): void;
  /** Calls `leave` when this instance leaves the others, before the store is let go. */
  onLeave?(leave: () => Promise<void>): void;
}

/** How a store does, as this instance sees it. */
export interface StoreHealth {
  /** Whether it is not asked at the moment, since it did not answer. */
  readonly lost: boolean;
  /** Calls that were made, those of them that failed or took too long, and how long all took together. */
  readonly calls: number;
  readonly failures: number;
  readonly totalMs: number;
  /** Calls `listener` when the store is lost, with the last error, and when it is back. */
  onChange(listener: (lost: boolean, error: unknown) => void): void;
  /** Whether who can wait so long at all gives the store less than its whole time. */
  isHurried?(remainingMs: number): boolean;
}

/**
 * State that several instances share. Every call may fail or take too long: who uses it decides from memory then.
 * Nothing that was given up is applied later, and nothing is applied twice.
 */
export interface SharedState {
  /**
   * Takes units of a rate limit (GCRA).
   *
   * @param remainingMs - How long its caller can wait at all.
   */
  take(key: StateKey, request: TakeRequest, remainingMs?: number): Promise<TakeAnswer>;
  readonly permits: SharedPermits;
  readonly once: SharedOnce;
  readonly circuit: SharedCircuits;
  readonly cache: SharedCache;
  readonly presence: SharedPresence;
  /** Where it is a store that can be lost. */
  readonly health?: StoreHealth;
  /** The state for one more application of this process: each is an instance by itself, and ends by itself. */
  join?(): SharedState;
  /** Lets go of what this instance holds. A client that was given is not closed. */
  close(): Promise<void>;
}
