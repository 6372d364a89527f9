import { sharedSymbol } from './identity.js';

/** What identifies the kind of a {@link ResilienceError} across builds, processes and languages. */
export type ResilienceErrorCode =
  | 'CIRCUIT_OPEN'
  | 'BULKHEAD_FULL'
  | 'RATE_LIMITED'
  | 'TIMEOUT'
  | 'RETRY_BUDGET_EXHAUSTED'
  | 'FALLBACK_EXHAUSTED'
  | 'IDEMPOTENCY_CONFLICT'
  | 'IDEMPOTENCY_MISMATCH'
  | 'IDEMPOTENCY_KEY_MISSING'
  | 'IDEMPOTENCY_UNAVAILABLE'
  | 'DRAINING'
  | 'CHAOS_INJECTED'
  | 'INVALID_OPTIONS';

const BRAND = sharedSymbol('error');

/** The codes by which a policy says that it did not let a call in. */
const REJECTIONS: ReadonlySet<ResilienceErrorCode> = new Set<ResilienceErrorCode>([
  'CIRCUIT_OPEN',
  'BULKHEAD_FULL',
  'RATE_LIMITED',
  'RETRY_BUDGET_EXHAUSTED',
  'IDEMPOTENCY_CONFLICT',
  'IDEMPOTENCY_MISMATCH',
  'IDEMPOTENCY_KEY_MISSING',
  'IDEMPOTENCY_UNAVAILABLE',
  'DRAINING',
]);

/** What a policy's error may carry beside its message. */
export interface ResilienceErrorDetails {
  /** The policy that raised it, by name. */
  policy?: string | undefined;
  /** When to try again, in milliseconds from now. */
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/**
 * Base of all errors of this package. `instanceof` holds across two loaded copies of the package, because it looks at
 * a brand and a code, not at the prototype chain.
 *
 * @publicApi
 */
export class ResilienceError extends Error {
  readonly code: ResilienceErrorCode;
  /** The policy that raised it, by name. */
  readonly policy: string | undefined;
  /** When to try again, in milliseconds from the moment of the error; absent where nobody knows. */
  readonly retryAfterMs?: number;

  constructor(code: ResilienceErrorCode, message: string, details?: ResilienceErrorDetails) {
    super(message, details?.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.policy = details?.policy;
    if (details?.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false;
    const code = (value as { [BRAND]?: string })[BRAND];
    if (code === undefined) return false;
    if (this === ResilienceError) return true;
    // A subclass of the user's inherits its brand, which says nothing about it.
    return Object.hasOwn(this.prototype, BRAND)
      ? (this.prototype as unknown as { [BRAND]: string })[BRAND] === code
      : Function.prototype[Symbol.hasInstance].call(this, value);
  }
}

// On the prototypes, so that neither an instance's keys nor its construction know of it.
function brand(type: { prototype: Error }, name: string, code: string): void {
  Object.defineProperty(type.prototype, 'name', { value: name, configurable: true, writable: true });
  Object.defineProperty(type.prototype, BRAND, { value: code, configurable: true });
}
brand(ResilienceError, 'ResilienceError', 'RESILIENCE');

/** A circuit breaker refused the call: it is open, forced open, or its half-open probes are taken. HTTP 503. @publicApi */
export class CircuitOpenError extends ResilienceError {
  constructor(message: string, details?: ResilienceErrorDetails) {
    super('CIRCUIT_OPEN', message, details);
  }
}
brand(CircuitOpenError, 'CircuitOpenError', 'CIRCUIT_OPEN');

/** A bulkhead refused the call: no slot and no place in its queue, waited too long, or shed. HTTP 503. @publicApi */
export class BulkheadFullError extends ResilienceError {
  constructor(message: string, details?: ResilienceErrorDetails) {
    super('BULKHEAD_FULL', message, details);
  }
}
brand(BulkheadFullError, 'BulkheadFullError', 'BULKHEAD_FULL');

/** A rate limit refused the call. HTTP 429. @publicApi */
export class RateLimitExceededError extends ResilienceError {
  constructor(
    message: string,
    details?: ResilienceErrorDetails,
    /** The decision behind it: limit, what remains, when it resets. */
    readonly decision?: RateLimitDecision,
  ) {
    super('RATE_LIMITED', message, details);
  }
}
brand(RateLimitExceededError, 'RateLimitExceededError', 'RATE_LIMITED');

/** What a rate limiter answered for one call. @publicApi */
export interface RateLimitDecision {
  readonly allowed: boolean;
  /** Whole units left after this call. */
  readonly remaining: number;
  /** Units at most: the capacity, or the limit of the window. */
  readonly limit: number;
  /** 0 where allowed, else when the same call would be; `Infinity` where never. */
  readonly retryAfterMs: number;
  /** When all of `limit` is available again. */
  readonly resetMs: number;
}

/** An attempt, a whole call, or its deadline took too long. HTTP 504. @publicApi */
export class TimeoutExceededError extends ResilienceError {
  constructor(
    message: string,
    details?: ResilienceErrorDetails,
    /**
     * What ran out: one attempt's time, that of all attempts together, the caller's deadline, or an HTTP client's time to
     * connect or to read.
     */
    readonly scope: 'attempt' | 'total' | 'deadline' | 'connect' | 'read' = 'attempt',
    /** How long it was allowed to take. */
    readonly timeoutMs?: number,
  ) {
    super('TIMEOUT', message, details);
  }
}
brand(TimeoutExceededError, 'TimeoutExceededError', 'TIMEOUT');

/** No retry left in the budget, and the policy was told to say so. HTTP 503. @publicApi */
export class RetryBudgetExhaustedError extends ResilienceError {
  constructor(message: string, details?: ResilienceErrorDetails) {
    super('RETRY_BUDGET_EXHAUSTED', message, details);
  }
}
brand(RetryBudgetExhaustedError, 'RetryBudgetExhaustedError', 'RETRY_BUDGET_EXHAUSTED');

/**
 * Every level of a fallback chain failed; `errors` holds what each threw, in the order in which they ran, `cause` the
 * primary's. An `AggregateError` that is also a {@link ResilienceError}. HTTP 503.
 *
 * @publicApi
 */
export class FallbackExhaustedError extends AggregateError implements ResilienceError {
  readonly code = 'FALLBACK_EXHAUSTED';
  readonly policy: string | undefined;
  readonly retryAfterMs?: number;

  constructor(message: string, errors: readonly unknown[], details?: ResilienceErrorDetails) {
    super(errors, message, { cause: details?.cause });
    this.policy = details?.policy;
    if (details?.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof ResilienceError && value.code === 'FALLBACK_EXHAUSTED';
  }
}
brand(FallbackExhaustedError, 'FallbackExhaustedError', 'FALLBACK_EXHAUSTED');

/** Another call with the same idempotency key is still running. HTTP 409. @publicApi */
export class IdempotencyConflictError extends ResilienceError {
  constructor(message: string, details?: ResilienceErrorDetails) {
    super('IDEMPOTENCY_CONFLICT', message, details);
  }
}
brand(IdempotencyConflictError, 'IdempotencyConflictError', 'IDEMPOTENCY_CONFLICT');

/** The idempotency key was used before with other arguments. HTTP 422. @publicApi */
export class IdempotencyMismatchError extends ResilienceError {
  constructor(message: string, details?: ResilienceErrorDetails) {
    super('IDEMPOTENCY_MISMATCH', message, details);
  }
}
brand(IdempotencyMismatchError, 'IdempotencyMismatchError', 'IDEMPOTENCY_MISMATCH');

/** The shared store is lost, so nobody knows whether the call has been made before. HTTP 503. @publicApi */
export class IdempotencyUnavailableError extends ResilienceError {
  constructor(message: string, details?: ResilienceErrorDetails) {
    super('IDEMPOTENCY_UNAVAILABLE', message, details);
  }
}
brand(IdempotencyUnavailableError, 'IdempotencyUnavailableError', 'IDEMPOTENCY_UNAVAILABLE');

/** A call that needs an idempotency key came without one. HTTP 400. @publicApi */
export class IdempotencyKeyMissingError extends ResilienceError {
  constructor(message: string, details?: ResilienceErrorDetails) {
    super('IDEMPOTENCY_KEY_MISSING', message, details);
  }
}
brand(IdempotencyKeyMissingError, 'IdempotencyKeyMissingError', 'IDEMPOTENCY_KEY_MISSING');

/** The application is shutting down and takes no new work. HTTP 503. @publicApi */
export class DrainingError extends ResilienceError {
  constructor(message: string, details?: ResilienceErrorDetails) {
    super('DRAINING', message, details);
  }
}
brand(DrainingError, 'DrainingError', 'DRAINING');

/** A fault that chaos injected on purpose. @publicApi */
export class ChaosInjectedError extends ResilienceError {
  constructor(
    message: string,
    details?: ResilienceErrorDetails,
    /** The status that the fault pretends to be, if it does. */
    readonly status?: number,
  ) {
    super('CHAOS_INJECTED', message, details);
  }
}
brand(ChaosInjectedError, 'ChaosInjectedError', 'CHAOS_INJECTED');

/** One thing wrong with an application's options. */
export interface OptionProblem {
  /** Where it stands, e.g. `@Retry on PaymentsService.charge`. */
  readonly where: string;
  /** The option's name; absent where the whole is at fault. */
  readonly option?: string;
  /** A full sentence: what was given, what is allowed. */
  readonly message: string;
}

/** Options that cannot be; names every problem that was found, each with its place. @publicApi */
export class InvalidOptionsError extends ResilienceError {
  constructor(readonly problems: readonly OptionProblem[]) {
    super('INVALID_OPTIONS', describeProblems(problems));
  }
}
brand(InvalidOptionsError, 'InvalidOptionsError', 'INVALID_OPTIONS');

function describeProblems(problems: readonly OptionProblem[]): string {
  const lines = problems.map((problem) => `${problem.where}: ${problem.message}`);
  if (lines.length === 1) return lines[0] as string;
  return `${lines.length} problems:\n${lines.map((line) => `  - ${line}`).join('\n')}`;
}

/** Whether a policy of ours refused the call, so that the protected method did not run for it. */
export function isRejection(error: unknown): error is ResilienceError {
  return error instanceof ResilienceError && REJECTIONS.has(error.code);
}

/**
 * Builds a rejection without capturing a stack (60–70 % of its price), unless asked to. The stack of a refusal only
 * shows our own frames.
 */
export function withoutStack<E extends Error>(build: () => E): E {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return build();
  } finally {
    Error.stackTraceLimit = limit;
  }
}
