import type { PolicyEnvironment } from '../core/environment.js';
import type { OptionProblem } from '../core/errors.js';
import type { OptionTable } from '../core/option-table.js';
import type { Policy } from '../core/policy.js';
import { BulkheadPolicy, type BulkheadOptions } from '../policies/bulkhead/index.js';
import { bulkheadProblems, bulkheadTable } from '../policies/bulkhead/bulkhead.options.js';
import { ChaosPolicy, type ChaosEnvironment, type ChaosOptions } from '../policies/chaos/index.js';
import { chaosProblems, chaosTable } from '../policies/chaos/chaos.options.js';
import { CircuitBreakerPolicy, type CircuitBreakerOptions } from '../policies/circuit-breaker/index.js';
import {
  circuitBreakerProblems,
  circuitBreakerTable,
} from '../policies/circuit-breaker/circuit-breaker.options.js';
import { FallbackChain, type FallbackHandler, type FallbackOptions } from '../policies/fallback/index.js';
import { fallbackProblems, fallbackTable } from '../policies/fallback/fallback.options.js';
import { methodHandler } from '../policies/fallback/method-handler.js';
import { HedgePolicy, type HedgeOptions } from '../policies/hedge/index.js';
import { hedgeProblems, hedgeTable } from '../policies/hedge/hedge.options.js';
import { IdempotencyPolicy, type IdempotencyOptions } from '../policies/idempotency/index.js';
import { idempotencyProblems, idempotencyTable } from '../policies/idempotency/idempotency.options.js';
import { RateLimitPolicy, type RateLimitOptions } from '../policies/rate-limit/index.js';
import { rateLimitProblems, rateLimitTable } from '../policies/rate-limit/rate-limit.options.js';
import {
  RetryBudget,
  RetryPolicy,
  type RetryBudgetOptions,
  type RetryOptions,
} from '../policies/retry/index.js';
import { retryBudgetProblems, retryBudgetTable } from '../policies/retry/retry-budget.options.js';
import { retryProblems, retryTable } from '../policies/retry/retry.options.js';
import { TimeoutPolicy, type TimeoutOptions } from '../policies/timeout/index.js';
import { timeoutProblems, timeoutTable } from '../policies/timeout/timeout.options.js';
import type { NamedPolicies, PolicyDefaults } from './resilience.options.js';

/** The policies of an application, by kind. */
export interface PolicyTypes {
  circuitBreaker: CircuitBreakerPolicy;
  retry: RetryPolicy;
  retryBudget: RetryBudget;
  bulkhead: BulkheadPolicy;
  rateLimit: RateLimitPolicy;
  timeout: TimeoutPolicy;
  fallback: FallbackChain;
  idempotency: IdempotencyPolicy;
  hedge: HedgePolicy;
  chaos: ChaosPolicy;
}

/** Their options, by kind. */
export interface PolicyOptions {
  circuitBreaker: CircuitBreakerOptions;
  retry: RetryOptions;
  retryBudget: RetryBudgetOptions;
  bulkhead: BulkheadOptions;
  rateLimit: RateLimitOptions;
  timeout: TimeoutOptions;
  fallback: FallbackOptions;
  idempotency: IdempotencyOptions;
  hedge: HedgeOptions;
  chaos: ChaosOptions;
}

export type NamedKind = keyof PolicyTypes & keyof PolicyDefaults;

/** What policies of an application are made with. */
export interface RegistryEnvironment extends ChaosEnvironment {
  readonly budgets: (name: string) => RetryBudget;
}

interface KindDefinition<K extends NamedKind> {
  /** Where its policies stand in the module's options, and in the stats. */
  readonly plural: keyof NamedPolicies;
  /** In words, for messages. */
  readonly title: string;
  readonly table: OptionTable;
  readonly problems: (
    options: PolicyOptions[K],
    where: string,
    environment: RegistryEnvironment,
  ) => OptionProblem[];
  readonly create: (
    name: string,
    options: PolicyOptions[K],
    environment: RegistryEnvironment,
  ) => PolicyTypes[K] & Policy;
  /** Says what a policy shall do that was made before anybody had said it. */
  readonly describe: (policy: PolicyTypes[K], options: PolicyOptions[K]) => void;
}

/** All that differs from kind to kind, in one place. */
export const POLICY_KINDS: { readonly [K in NamedKind]: KindDefinition<K> } = {
  circuitBreaker: {
    plural: 'circuitBreakers',
    title: 'circuit breaker',
    table: circuitBreakerTable,
    problems: circuitBreakerProblems,
    create: (name, options, environment) => new CircuitBreakerPolicy(name, options, environment),
    describe: (policy, options) => policy.update(options),
  },
  retry: {
    plural: 'retries',
    title: 'retry',
    table: retryTable,
    problems: retryProblems,
    create: (name, options, environment) => new RetryPolicy(name, options, environment),
    describe: (policy, options) => policy.update(options),
  },
  retryBudget: {
    plural: 'retryBudgets',
    title: 'retry budget',
    table: retryBudgetTable,
    problems: retryBudgetProblems,
    create: (name, options, environment) => new RetryBudget(name, options, environment),
    describe: (policy, options) => policy.update(options),
  },
  bulkhead: {
    plural: 'bulkheads',
    title: 'bulkhead',
    table: bulkheadTable,
    problems: bulkheadProblems,
    create: (name, options, environment) => new BulkheadPolicy(name, options, environment),
    describe: (policy, options) => policy.update(options),
  },
  rateLimit: {
    plural: 'rateLimiters',
    title: 'rate limit',
    table: rateLimitTable,
    problems: rateLimitProblems,
    create: (name, options, environment) => new RateLimitPolicy(name, options, environment),
    describe: (policy, options) => policy.update(options),
  },
  timeout: {
    plural: 'timeouts',
    title: 'timeout',
    table: timeoutTable,
    problems: timeoutProblems,
    create: (name, options, environment) => new TimeoutPolicy(name, options, environment),
    describe: (policy, options) => policy.update(options),
  },
  fallback: {
    plural: 'fallbacks',
    title: 'fallback',
    table: fallbackTable,
    problems: fallbackProblems,
    create: createFallback,
    describe: registerFallback,
  },
  idempotency: {
    plural: 'idempotencies',
    title: 'idempotency',
    table: idempotencyTable,
    problems: idempotencyProblems,
    create: (name, options, environment) => new IdempotencyPolicy(name, options, environment),
    describe: (policy, options) => policy.update(options),
  },
  hedge: {
    plural: 'hedges',
    title: 'hedge',
    table: hedgeTable,
    problems: hedgeProblems,
    create: (name, options, environment) => new HedgePolicy(name, options, environment),
    describe: (policy, options) => policy.update(options),
  },
  chaos: {
    plural: 'chaosPolicies',
    title: 'chaos policy',
    table: chaosTable,
    problems: chaosProblems,
    create: (name, options, environment) => new ChaosPolicy(name, options, environment),
    describe: (policy, options) => policy.update(options),
  },
};

export const NAMED_KINDS = Object.keys(POLICY_KINDS) as readonly NamedKind[];

function createFallback(
  name: string,
  options: FallbackOptions,
  environment: PolicyEnvironment,
): FallbackChain {
  return registerFallback(new FallbackChain(name, {}, environment), options);
}

/** Adds what the options of one decorator say to a chain. */
export function registerFallback(chain: FallbackChain, { use, levels, on }: FallbackOptions): FallbackChain {
  return chain.add({
    ...(use !== undefined && { use: handlerOf(use) }),
    ...(levels && {
      levels: levels.map((step) => (step.use ? { ...step, use: handlerOf(step.use) } : step)),
    }),
    ...(on !== undefined && { on }),
  });
}

function handlerOf(use: FallbackHandler | string): FallbackHandler {
  return typeof use === 'function' ? use : methodHandler(use);
}
