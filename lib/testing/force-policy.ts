import { TimeoutExceededError, type RateLimitDecision } from '../core/errors.js';
import { describeValue, either } from '../core/option-form.js';
import { BulkheadPolicy } from '../policies/bulkhead/index.js';
import { putBack } from '../policies/chaos/forced-circuits.js';
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

/** What a policy is forced to, how to let it decide again, and all that have not let go yet. */
interface Forcing {
  readonly restore: () => void;
  readonly applied: (() => void)[];
}

const forcings = new WeakMap<Forceable, Forcing>();

/**
 * Makes a policy do one thing, whatever happens, until what this returns is called: a breaker is open (refuses everything)
 * or closed (lets everything pass), a bulkhead is full, a limit or a budget is exhausted, a timeout has expired before
 * the method begins. Forced several times, it does what the last one says that has not been let go, in whatever order.
 *
 * @returns what lets the policy decide again; a breaker that was told something by hand before goes back to that.
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
  const forcing = forcings.get(policy) ?? { restore: restoring(policy), applied: [] };
  forcings.set(policy, forcing);
  const apply = () => force(policy, state);
  forcing.applied.push(apply);
  apply();
  return () => {
    const { applied, restore } = forcing;
    if (!applied.includes(apply)) return;
    applied.splice(applied.indexOf(apply), 1);
    const last = applied.at(-1);
    if (last !== undefined) return last();
    forcings.delete(policy);
    restore();
  };
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

function force(policy: Forceable, state: string): void {
  if (policy instanceof CircuitBreakerPolicy) {
    if (state === 'open') policy.forceOpen(REASON);
    else policy.disable(REASON);
  } else if (policy instanceof BulkheadPolicy) policy.update({ maxConcurrent: 0, maxQueue: 0 });
  else for (const [target, methods] of shadowsOf(policy)) Object.assign(target, methods);
}

/** What puts a policy back to what it is now. */
function restoring(policy: Forceable): () => void {
  if (policy instanceof CircuitBreakerPolicy) {
    const { state } = policy;
    const { reason } = policy.stats();
    return () => putBack(policy, { state, reason }, 'no longer forced');
  }
  if (policy instanceof BulkheadPolicy) {
    const { maxConcurrent, maxQueue } = policy.stats();
    return () => policy.update({ maxConcurrent, maxQueue });
  }
  const restores = shadowsOf(policy).map(([target, methods]) => unshadowing(target, methods));
  return () => {
    for (const restore of restores) restore();
  };
}

/** The methods that stand in place of a policy's while it is forced, by the object that has them. */
function shadowsOf(
  policy: RateLimitPolicy | RetryBudget | TimeoutPolicy,
): readonly (readonly [object, object])[] {
  if (policy instanceof RateLimitPolicy) return [[policy, exhausted(policy)]];
  if (policy instanceof RetryBudget) return [[policy, { tryTake: () => false, canRetry: () => false }]];
  const enter = (): never => {
    throw new TimeoutExceededError(`Timeout "${policy.name}" was forced to expire by a test.`, {
      policy: policy.name,
    });
  };
  return [
    [policy.attempt, { enter }],
    [policy.total, { enter }],
  ];
}

function exhausted(limit: RateLimitPolicy): object {
  const used = (): RateLimitDecision => {
    const retryAfterMs = Number.isFinite(limit.windowMs) ? limit.windowMs : 1_000;
    return { allowed: false, remaining: 0, limit: limit.limit, retryAfterMs, resetMs: retryAfterMs };
  };
  return {
    enter: (): never => {
      throw limit.refusal(used());
    },
    decide: used,
    acquire: async () => used(),
  };
}

/** What gives an object back the methods that it has now. */
function unshadowing(target: object, methods: object): () => void {
  const before = Object.keys(methods).map(
    (name) => [name, Object.getOwnPropertyDescriptor(target, name)] as const,
  );
  return () => {
    for (const [name, own] of before) {
      if (own === undefined) Reflect.deleteProperty(target, name);
      else Object.defineProperty(target, name, own);
    }
  };
}
