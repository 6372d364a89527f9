import { Inject } from '@nestjs/common';
import type { PolicyKind } from '../core/policy.js';
import { sharedState, sharedSymbol } from '../core/identity.js';
import { refuseStandardDecorator } from './standard-decorator.js';

/** A policy that somebody wants injected. */
export interface InjectedPolicy {
  readonly kind: PolicyKind;
  readonly name: string;
  readonly token: symbol;
  /** The classes, or their prototypes, that ask for it. The process may hold applications that have none of them. */
  readonly targets: Set<object>;
}

const injected = sharedState('injected-policies', () => new Map<symbol, InjectedPolicy>());

/** Every policy that some `@InjectX` has named so far. */
export function injectedPolicies(): readonly InjectedPolicy[] {
  return [...injected.values()];
}

/** The token under which a policy is provided. */
export function policyToken(kind: PolicyKind, name: string): symbol {
  return sharedSymbol(`${kind} "${name}"`);
}

/** `@InjectCircuitBreaker`. Of a rate limit it is that of the rate limiter. */
export function injectedAs(kind: PolicyKind): string {
  return kind === 'rateLimit'
    ? '@InjectRateLimiter'
    : `@Inject${kind.charAt(0).toUpperCase()}${kind.slice(1)}`;
}

function injectPolicy(kind: PolicyKind, name: string): ParameterDecorator & PropertyDecorator {
  const token = policyToken(kind, name);
  const policy = injected.get(token) ?? { kind, name, token, targets: new Set() };
  injected.set(token, policy);
  const inject = Inject(token);
  return (target: object, key: string | symbol | undefined, index?: number) => {
    refuseStandardDecorator(injectedAs(kind), key);
    policy.targets.add(target);
    inject(target, key as string, index as number);
  };
}

/** The token of a circuit breaker. @publicApi */
export const getCircuitBreakerToken = (name: string): symbol => policyToken('circuitBreaker', name);
/** Injects the circuit breaker of that name, the same that decorators use. @publicApi */
export const InjectCircuitBreaker = (name: string) => injectPolicy('circuitBreaker', name);

/** The token of a retry policy. @publicApi */
export const getRetryToken = (name: string): symbol => policyToken('retry', name);
/** Injects the retry policy of that name, the same that decorators use. @publicApi */
export const InjectRetry = (name: string) => injectPolicy('retry', name);

/** The token of a retry budget. @publicApi */
export const getRetryBudgetToken = (name: string): symbol => policyToken('retryBudget', name);
/** Injects the retry budget of that name, the same that retries use. @publicApi */
export const InjectRetryBudget = (name: string) => injectPolicy('retryBudget', name);

/** The token of a bulkhead. @publicApi */
export const getBulkheadToken = (name: string): symbol => policyToken('bulkhead', name);
/** Injects the bulkhead of that name, the same that decorators use. @publicApi */
export const InjectBulkhead = (name: string) => injectPolicy('bulkhead', name);

/** The token of a rate limit. @publicApi */
export const getRateLimiterToken = (name: string): symbol => policyToken('rateLimit', name);
/** Injects the rate limit of that name, the same that decorators use. @publicApi */
export const InjectRateLimiter = (name: string) => injectPolicy('rateLimit', name);

/** The token of a timeout. @publicApi */
export const getTimeoutToken = (name: string): symbol => policyToken('timeout', name);
/** Injects the timeout of that name, the same that decorators use. @publicApi */
export const InjectTimeout = (name: string) => injectPolicy('timeout', name);

/** The token of a fallback. @publicApi */
export const getFallbackToken = (name: string): symbol => policyToken('fallback', name);
/** Injects the fallback of that name, the same that decorators use. @publicApi */
export const InjectFallback = (name: string) => injectPolicy('fallback', name);

/** The token of a hedge. @publicApi */
export const getHedgeToken = (name: string): symbol => policyToken('hedge', name);
/** Injects the hedge of that name, the same that decorators use. @publicApi */
export const InjectHedge = (name: string) => injectPolicy('hedge', name);

/** The token of an idempotency policy. @publicApi */
export const getIdempotencyToken = (name: string): symbol => policyToken('idempotency', name);
/** Injects the idempotency policy of that name, the same that decorators use. @publicApi */
export const InjectIdempotency = (name: string) => injectPolicy('idempotency', name);

/** The token of a chaos policy. @publicApi */
export const getChaosToken = (name: string): symbol => policyToken('chaos', name);
/** Injects the chaos policy of that name, the same that decorators use. @publicApi */
export const InjectChaos = (name: string) => injectPolicy('chaos', name);
