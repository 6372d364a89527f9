import type { NestInterceptor, Type } from '@nestjs/common';
import type { ResilientOptions } from './resilient.options.js';
import { ResilienceInterceptor } from './resilience.interceptor.js';

type Given<K extends keyof ResilientOptions> = NonNullable<ResilientOptions[K]>;

/** `CircuitBreakerInterceptor.for('payments')`: a circuit breaker around a handler. @publicApi */
export const CircuitBreakerInterceptor = {
  for: (circuitBreaker: Given<'circuitBreaker'> = {}): Type<NestInterceptor> =>
    ResilienceInterceptor.for({ circuitBreaker }),
};

/** `RetryInterceptor.for({ maxRetries: 2 })`: retries around a handler. @publicApi */
export const RetryInterceptor = {
  for: (retry: Given<'retry'> = {}): Type<NestInterceptor> => ResilienceInterceptor.for({ retry }),
};

/** `BulkheadInterceptor.for({ maxConcurrent: 5 })`: a bulkhead around a handler. @publicApi */
export const BulkheadInterceptor = {
  for: (bulkhead: Given<'bulkhead'> = {}): Type<NestInterceptor> => ResilienceInterceptor.for({ bulkhead }),
};

/** `RateLimitInterceptor.for({ limit: 100 })`: a rate limit around a handler. @publicApi */
export const RateLimitInterceptor = {
  for: (rateLimit: Given<'rateLimit'> = {}): Type<NestInterceptor> =>
    ResilienceInterceptor.for({ rateLimit }),
};

/** `TimeoutInterceptor.for('2s')`: a timeout around a handler. @publicApi */
export const TimeoutInterceptor = {
  for: (timeout: Given<'timeout'> = {}): Type<NestInterceptor> => ResilienceInterceptor.for({ timeout }),
};

/** `FallbackInterceptor.for(() => [])`: another answer where a handler fails. @publicApi */
export const FallbackInterceptor = {
  for: (fallback: Given<'fallback'>): Type<NestInterceptor> => ResilienceInterceptor.for({ fallback }),
};
