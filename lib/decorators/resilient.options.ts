import type { Duration } from '../core/duration.js';
import type { PipelineSlot } from '../pipeline/order.js';
import type { BulkheadOptions, BulkheadPolicy } from '../policies/bulkhead/index.js';
import type { ChaosOptions, ChaosPolicy } from '../policies/chaos/index.js';
import type { CircuitBreakerOptions, CircuitBreakerPolicy } from '../policies/circuit-breaker/index.js';
import type { FallbackChain, FallbackHandler, FallbackOptions } from '../policies/fallback/index.js';
import type { HedgeOptions, HedgePolicy } from '../policies/hedge/index.js';
import type { IdempotencyOptions, IdempotencyPolicy } from '../policies/idempotency/index.js';
import type { RateLimitPolicy } from '../policies/rate-limit/index.js';
import type { RetryOptions, RetryPolicy } from '../policies/retry/index.js';
import type { TimeoutOptions, TimeoutPolicy } from '../policies/timeout/index.js';
import { checkOptions, defineOptions } from '../core/option-table.js';
import type { CommonOptions, RateLimitDecoratorOptions } from './decorator-types.js';
import type { DecoratedKind } from './method-record.js';
import { namedRequest, type ParsedRequest } from './policy-request.js';
import { fallbackRequest, timeoutRequest } from './unnamed-request.js';

/** Options of `@Resilient`: each policy by name, by options, or made by the user. @publicApi */
export interface ResilientOptions {
  readonly circuitBreaker?: string | (CircuitBreakerOptions & CommonOptions) | CircuitBreakerPolicy;
  readonly retry?: string | (RetryOptions & CommonOptions) | RetryPolicy;
  readonly bulkhead?: string | (BulkheadOptions & CommonOptions) | BulkheadPolicy;
  readonly rateLimit?: string | (RateLimitDecoratorOptions & CommonOptions) | RateLimitPolicy;
  readonly idempotency?: string | (IdempotencyOptions & CommonOptions) | IdempotencyPolicy;
  readonly hedge?: string | (HedgeOptions & CommonOptions) | HedgePolicy;
  readonly chaos?: string | (ChaosOptions & CommonOptions) | ChaosPolicy;
  /** A duration, options, or a policy. */
  readonly timeout?: Duration | (TimeoutOptions & CommonOptions) | TimeoutPolicy;
  /** The name of a method of the class, a function, options, or a chain. */
  readonly fallback?: string | FallbackHandler | (FallbackOptions & CommonOptions) | FallbackChain;
  /** Where each kind runs, outermost first; kinds that it does not name stay where they are. */
  readonly order?: readonly PipelineSlot[];
  /** What the method returns, where its type annotation does not say. */
  readonly returns?: 'promise' | 'observable';
}

/** Only their names are looked at here: each policy's own table says what it takes. */
const resilientTable = defineOptions<ResilientOptions>(
  ...(
    [
      'circuitBreaker',
      'retry',
      'bulkhead',
      'rateLimit',
      'idempotency',
      'hedge',
      'chaos',
      'timeout',
      'fallback',
      'order',
    ] as const
  ).map((name) => ({ name, kind: 'any' as const, optional: true, sentence: '' })),
  {
    name: 'returns',
    kind: 'one-of',
    values: ['promise', 'observable'],
    optional: true,
    sentence: 'What the method returns, where its annotation does not say.',
  },
);

/** The policies that a {@link ResilientOptions} asks for. */
export function requestsOf(decorator: string, options: ResilientOptions): Omit<ParsedRequest, 'returns'> {
  const mistakes = checkOptions(resilientTable, options, decorator);
  if (mistakes.length > 0) return { requests: [], mistakes };
  const { fallback, timeout } = options;
  const named: readonly DecoratedKind[] = [
    'circuitBreaker',
    'retry',
    'bulkhead',
    'rateLimit',
    'idempotency',
    'hedge',
    'chaos',
  ];
  const parsed = [
    ...named.flatMap((kind) => {
      const given = options[kind];
      return given === undefined
        ? []
        : [namedRequest(`${decorator} ${kind}`, kind, given as string | object, undefined)];
    }),
    ...(timeout === undefined ? [] : [timeoutRequest(`${decorator} timeout`, timeout, undefined)]),
    ...(fallback === undefined ? [] : [fallbackRequest(`${decorator} fallback`, fallback, undefined)]),
  ];
  return {
    requests: parsed.flatMap(({ requests }) => requests),
    mistakes: parsed.flatMap((one) => one.mistakes),
  };
}
