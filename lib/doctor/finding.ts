/** What a check can find. @publicApi */
export type FindingCode =
  | 'layered-retries'
  | 'backoff-exceeds-bound'
  | 'bulkhead-below-hedge'
  | 'bulkhead-around-retry'
  | 'bulkhead-waits-beyond-timeout'
  | 'breaker-never-opens'
  | 'breaker-blind-to-hangs'
  | 'repeated-write'
  | 'unproven-idempotence'
  | 'open-operator-routes'
  | 'no-retry-budget'
  | 'no-timeout'
  | 'timeout-leaves-no-retry'
  | 'shared-without-store'
  | 'start-up-warning';

/** Something about an application that will hurt. @publicApi */
export interface Finding {
  readonly code: FindingCode;
  /** `error`: it cannot do what it is there for, or does harm; `warning`: it will hurt on a bad day. */
  readonly severity: 'warning' | 'error';
  /** The method, policy or route that it is about. */
  readonly where: string;
  readonly message: string;
  /** What to do about it. */
  readonly advice: string;
}
