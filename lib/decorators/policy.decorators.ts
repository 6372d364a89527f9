import type { Duration } from '../core/duration.js';
import { propertyOf } from '../core/property.js';
import type { PipelineSlot } from '../pipeline/order.js';
import type { BulkheadOptions } from '../policies/bulkhead/index.js';
import type { ChaosOptions } from '../policies/chaos/index.js';
import type { CircuitBreakerOptions } from '../policies/circuit-breaker/index.js';
import type { FallbackHandler, FallbackOptions } from '../policies/fallback/index.js';
import type { HedgeOptions } from '../policies/hedge/index.js';
import type { IdempotencyOptions } from '../policies/idempotency/index.js';
import type { RetryOptions } from '../policies/retry/index.js';
import type { TimeoutOptions } from '../policies/timeout/index.js';
import { decoratorOf } from './apply-decorator.js';
import type {
  CommonOptions,
  FallbackDecorator,
  RateLimitDecoratorOptions,
  ResilienceDecorator,
} from './decorator-types.js';
import { namedRequest, type ParsedRequest } from './policy-request.js';
import { requestsOf, type ResilientOptions } from './resilient.options.js';
import { fallbackRequest, timeoutRequest } from './unnamed-request.js';

/**
 * Stops calling what keeps failing, and tries again with a few probes after a while.
 *
 * @param nameOrOptions - A name shares the breaker with all who use it; else {@link CircuitBreakerOptions}.
 * @throws CircuitOpenError from the method, while open.
 * @example
 * @CircuitBreaker({ failureRatePercent: 50, window: { calls: 20 }, minimumCalls: 10, openDuration: '30s' })
 * async charge(order: Order): Promise<Receipt> { … }
 *
 * @publicApi
 */
export function CircuitBreaker(
  nameOrOptions?: string | (CircuitBreakerOptions & CommonOptions),
  options?: CircuitBreakerOptions & CommonOptions,
): ResilienceDecorator {
  return single('@CircuitBreaker', namedRequest('@CircuitBreaker', 'circuitBreaker', nameOrOptions, options));
}

/**
 * Tries again what may succeed the next time, with growing, jittered delays and within a budget.
 *
 * @param nameOrOptions - A name shares statistics and budget with all who use it; else {@link RetryOptions}.
 * @throws the last error of the method.
 * @example
 * @Retry({ maxRetries: 2, baseDelay: '50ms' })
 * async stock(sku: string): Promise<number> { … }
 *
 * @publicApi
 */
export function Retry(
  nameOrOptions?: string | (RetryOptions & CommonOptions),
  options?: RetryOptions & CommonOptions,
): ResilienceDecorator {
  return single('@Retry', namedRequest('@Retry', 'retry', nameOrOptions, options));
}

/**
 * Lets a bounded number of calls run at once and a bounded number wait.
 *
 * @param nameOrOptions - A name shares the slots with all who use it; else {@link BulkheadOptions}.
 * @throws BulkheadFullError from the method, where there is neither a slot nor a place to wait.
 * @example
 * @Bulkhead('reads', { maxConcurrent: 20, maxQueue: 50, maxWait: '5s' })
 * async find(id: string): Promise<Row> { … }
 *
 * @publicApi
 */
export function Bulkhead(
  nameOrOptions?: string | (BulkheadOptions & CommonOptions),
  options?: BulkheadOptions & CommonOptions,
): ResilienceDecorator {
  return single('@Bulkhead', namedRequest('@Bulkhead', 'bulkhead', nameOrOptions, options));
}

/**
 * Lets calls pass at a rate. With `by`, on a handler, each request is counted once by a guard, before everything else;
 * otherwise each attempt counts, inside the retry.
 *
 * @param nameOrOptions - A name shares the limit with all who use it; else {@link RateLimitDecoratorOptions}.
 * @throws RateLimitExceededError from the method, beyond the rate.
 * @example
 * @RateLimit({ limit: 100, window: '1m', by: byIp() })
 * @Get('search') search() { … }
 *
 * @publicApi
 */
export function RateLimit(
  nameOrOptions?: string | (RateLimitDecoratorOptions & CommonOptions),
  options?: RateLimitDecoratorOptions & CommonOptions,
): ResilienceDecorator {
  return single('@RateLimit', namedRequest('@RateLimit', 'rateLimit', nameOrOptions, options));
}

/**
 * Bounds how long an attempt, and all attempts together, may take.
 *
 * @param durationOrOptions - What an attempt may take, or {@link TimeoutOptions}; its name goes through `name`.
 * @throws TimeoutExceededError from the method, when the time is over.
 * @example
 * @Timeout('2s')
 * async search(query: string, @CallSignal() signal?: AbortSignal): Promise<Hit[]> { … }
 *
 * @publicApi
 */
export function Timeout(
  durationOrOptions?: Duration | (TimeoutOptions & CommonOptions),
  options?: TimeoutOptions & CommonOptions,
): ResilienceDecorator {
  return single('@Timeout', timeoutRequest('@Timeout', durationOrOptions, options));
}

/**
 * Answers in the place of a method that failed: another method of the class, a function, or a chain of levels. Gets the
 * method's arguments and, after them, the error. Several with different `on` may stand on a method; the one whose error
 * class is nearest answers.
 *
 * @param use - The name of a method of the class, a function, or {@link FallbackOptions}.
 * @throws FallbackExhaustedError from the method, where every level failed.
 * @example
 * @Fallback('cachedRates')
 * async rates(): Promise<Rates> { … }
 * async cachedRates(error: unknown): Promise<Rates> { … }
 *
 * @publicApi
 */
export function Fallback<Name extends string>(
  use: Name,
  options?: Omit<FallbackOptions, 'use' | 'levels'> & CommonOptions,
): FallbackDecorator<Name>;
export function Fallback(
  use: FallbackHandler,
  options?: Omit<FallbackOptions, 'use' | 'levels'> & CommonOptions,
): ResilienceDecorator;
export function Fallback(options: FallbackOptions & CommonOptions): ResilienceDecorator;
export function Fallback(
  use: string | FallbackHandler | (FallbackOptions & CommonOptions),
  options?: FallbackOptions & CommonOptions,
): ResilienceDecorator {
  return single('@Fallback', fallbackRequest('@Fallback', use, options));
}

/**
 * Runs the method once per key, however often it is called: later calls get the first one's outcome, calls meanwhile wait
 * for it or are refused.
 *
 * @param nameOrOptions - A name shares the keys with all who use it; else {@link IdempotencyOptions}.
 * @throws IdempotencyConflictError, IdempotencyMismatchError or IdempotencyKeyMissingError from the method.
 * @example
 * @Idempotent({ key: ({ args: [order] }) => (order as Order).id, wait: '5s' })
 * async place(order: Order): Promise<Receipt> { … }
 *
 * @publicApi
 */
export function Idempotent(
  nameOrOptions?: string | (IdempotencyOptions & CommonOptions),
  options?: IdempotencyOptions & CommonOptions,
): ResilienceDecorator {
  return single('@Idempotent', namedRequest('@Idempotent', 'idempotency', nameOrOptions, options));
}

/**
 * Starts a second attempt while the first is slow and takes whichever answers first, within the budget of the method's
 * retries. Only for methods that carry `@Idempotent` or say `idempotent: true`.
 *
 * @param nameOrOptions - A name shares what was observed with all who use it; else {@link HedgeOptions}.
 * @example
 * @Hedge({ delay: '50ms', idempotent: true })
 * async item(id: string, @CallSignal() signal?: AbortSignal): Promise<Item> { … }
 *
 * @publicApi
 */
export function Hedge(
  nameOrOptions?: string | (HedgeOptions & CommonOptions),
  options?: HedgeOptions & CommonOptions,
): ResilienceDecorator {
  return single('@Hedge', namedRequest('@Hedge', 'hedge', nameOrOptions, options));
}

/**
 * Injects faults on purpose, innermost, as if they were the method's own. Off unless `enabled: true`; refused in
 * production unless allowed twice. Faults that come and go while the application runs are `ChaosService`'s.
 *
 * @param nameOrOptions - A name shares the fault with all who use it; else {@link ChaosOptions}.
 * @throws what is injected, from the method; `isChaosInjected` recognises it.
 * @example
 * @Chaos('slow-payments', { latency: { min: '100ms', max: '2s' }, ratePercent: 10 })
 * async charge(order: Order): Promise<Receipt> { … }
 *
 * @publicApi
 */
export function Chaos(
  nameOrOptions?: string | (ChaosOptions & CommonOptions),
  options?: ChaosOptions & CommonOptions,
): ResilienceDecorator {
  return single('@Chaos', namedRequest('@Chaos', 'chaos', nameOrOptions, options));
}

/**
 * Several policies in one. Without options it marks a method, so that the class's defaults apply to it.
 *
 * @example
 * @Resilient({ circuitBreaker: 'payments', retry: { maxRetries: 2 }, timeout: '2s', fallback: 'queued' })
 * async charge(order: Order): Promise<Receipt> { … }
 *
 * @publicApi
 */
export function Resilient(options: ResilientOptions = {}): ResilienceDecorator {
  const decorator = '@Resilient';
  return decoratorOf({
    decorator,
    ...requestsOf(decorator, options),
    order: propertyOf(options, 'order') as PipelineSlot[] | undefined,
    returns: propertyOf(options, 'returns') as ResilientOptions['returns'],
  });
}

function single(decorator: string, parsed: ParsedRequest): ResilienceDecorator {
  return decoratorOf({ decorator, ...parsed });
}
