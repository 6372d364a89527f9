/** What became of a run that is over. */
export interface OnceOutcome {
  readonly ok: boolean;
  /** What it returned, or threw where `ok` is false. */
  readonly value: unknown;
}

/** What a store answers to somebody who wants to run under a key. */
export type OnceBegin =
  /** Go ahead; `fence` proves later that this run is still the one. */
  | { readonly kind: 'run'; readonly fence: number }
  /** It has been done. */
  | { readonly kind: 'replay'; readonly outcome: OnceOutcome }
  /** Somebody else is at it, for at most so long. */
  | { readonly kind: 'busy'; readonly leftMs: number }
  /** The key was used for something else. */
  | { readonly kind: 'mismatch' };

/**
 * Remembers what has been done under a key. A run holds a lease; when that is lost, somebody else may run, and the first
 * can no longer change anything (its fence is old).
 */
export interface OnceStore {
  /** @param remainingMs - How long its caller can wait at all. */
  begin(
    key: string,
    fingerprint: string,
    leaseMs: number,
    remainingMs?: number,
  ): OnceBegin | Promise<OnceBegin>;
  /** Keeps the outcome for `ttlMs`; false where the lease was lost. */
  complete(key: string, fence: number, outcome: OnceOutcome, ttlMs: number): boolean | Promise<boolean>;
  /** Frees the key: there is nothing to keep. */
  fail(key: string, fence: number): void | Promise<void>;
  /** Renews the lease; false where it was lost. */
  beat(key: string, fence: number, leaseMs: number): boolean | Promise<boolean>;
}
