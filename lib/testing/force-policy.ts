import { TimeoutExceededError, type RateLimitDecision } from '../core/errors.js';
import { describeValue, either } from '../core/option-form.js';
import { BulkheadPolicy } from '../policies/bulkhead/index.js';
import { CircuitBreakerPolicy } from '../policies/circuit-breaker/index.js';
import { RateLimitPolicy } from '../policies/rate-limit/index.js';
import { RetryBudget } from '../policies/retry/index.js';
import { TimeoutPolicy } from '../policies/timeout/index.js';

/** What a policy of each class can be forced to. @publicApi */
export type ForcedState<P> = P extends CircuitBreakerPolicy
  ? 'open' | 'closed'
  : P extends BulkheadPolicy
    ? 'full'
    : P extends RateLimitPolicy | RetryBudget
      ? 'exhausted'
      : P extends TimeoutPolicy
        ? 'expired'
        : never;

type Forceable = CircuitBreakerPolicy | BulkheadPolicy | RateLimitPolicy | RetryBudget | TimeoutPolicy;

const REASON = 'forced by a test';

/**
 * Makes a policy do one thing, whatever happens, until what this returns is called: a breaker is open (refuses everything)
 * or closed (lets everything pass), a bulkhead is full, a limit or a budget is exhausted, a timeout has expired before
 * the method begins.
 *
 * @returns what lets the policy decide again.
 * @throws TypeError where the policy cannot be forced to be that.
 *
 * @example
 * const letGo = forcePolicy(resilience.circuitBreaker('payments'), 'open');
 * await expect(orders.place(order)).resolves.toMatchObject({ payment: 'later' });
 * letGo();
 *
 * @publicApi
 */
export function forcePolicy<P extends Forceable>(policy: P, state: ForcedState<P>): () => void {
  const states = statesOf(policy);
  if (!states.includes(state)) {
    const allowed = either(states.map((one) => JSON.stringify(one)));
    throw new TypeError(
      `forcePolicy: "${policy.name}" can be forced to be ${allowed}, got ${describeValue(state)}.`,
    );
  }
  if (policy instanceof CircuitBreakerPolicy) return forceBreaker(policy, state as 'open' | 'closed');
  if (policy instanceof BulkheadPolicy) return forceFull(policy);
  if (policy instanceof RateLimitPolicy) return forceLimit(policy);
  if (policy instanceof TimeoutPolicy) return forceExpired(policy);
  return shadow(policy, { tryTake: () => false, canRetry: () => false });
}

function statesOf(policy: Forceable): readonly string[] {
  if (policy instanceof CircuitBreakerPolicy) return ['open', 'closed'];
  if (policy instanceof BulkheadPolicy) return ['full'];
  if (policy instanceof RateLimitPolicy || policy instanceof RetryBudget) return ['exhausted'];
  if (policy instanceof TimeoutPolicy) return ['expired'];
  throw new TypeError(
    `forcePolicy: it takes a circuit breaker, bulkhead, rate limit, retry budget or timeout, got ${describeValue(policy)}.`,
  );
}

function forceBreaker(breaker: CircuitBreakerPolicy, state: 'open' | 'closed'): () => void {
  if (state === 'open') breaker.forceOpen(REASON);
  else breaker.disable(REASON);
  return () => breaker.close('no longer forced');
}

function forceFull(bulkhead: BulkheadPolicy): () => void {
  const { maxConcurrent, maxQueue } = bulkhead.stats();
  bulkhead.update({ maxConcurrent: 0, maxQueue: 0 });
  return () => bulkhead.update({ maxConcurrent, maxQueue });
}

function forceLimit(limit: RateLimitPolicy): () => void {
  const used = (): RateLimitDecision => {
    const retryAfterMs = Number.isFinite(limit.windowMs) ? limit.windowMs : 1_000;
    return { allowed: false, remaining: 0, limit: limit.limit, retryAfterMs, resetMs: retryAfterMs };
  };
  return shadow(limit, {
    enter: (): never => {
      throw limit.refusal(used());
    },
    decide: used,
    acquire: async () => used(),
  });
}

function forceExpired(timeout: TimeoutPolicy): () => void {
  const enter = (): never => {
    throw new TimeoutExceededError(`Timeout "${timeout.name}" was forced to expire by a test.`, {
      policy: timeout.name,
    });
  };
  const stops = [shadow(timeout.attempt, { enter }), shadow(timeout.total, { enter })];
  return () => {
    for (const stop of stops) stop();
  };
}

/** Puts other methods in place of an object's, until what this returns is called. */
function shadow(target: object, methods: object): () => void {
  const before = Object.keys(methods).map(
    (name) => [name, Object.getOwnPropertyDescriptor(target, name)] as const,
  );
  Object.assign(target, methods);
  return () => {
    for (const [name, own] of before) {
      if (own === undefined) Reflect.deleteProperty(target, name);
      else Object.defineProperty(target, name, own);
    }
  };
}
