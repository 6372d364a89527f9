export { CallSignal } from './call-signal.decorator.js';
export type {
  CommonOptions,
  FallbackDecorator,
  RateLimitDecoratorOptions,
  ResilienceDecorator,
} from './decorator-types.js';
export {
  InjectBulkhead,
  InjectCircuitBreaker,
  InjectFallback,
  InjectRateLimiter,
  InjectRetry,
  InjectRetryBudget,
  InjectTimeout,
  getBulkheadToken,
  getCircuitBreakerToken,
  getFallbackToken,
  getRateLimiterToken,
  getRetryBudgetToken,
  getRetryToken,
  getTimeoutToken,
} from './inject.decorators.js';
export type { InterceptorPolicies } from './interceptor-policies.js';
export {
  Bulkhead,
  CircuitBreaker,
  Fallback,
  RateLimit,
  Resilient,
  Retry,
  Timeout,
  type ResilientOptions,
} from './policy.decorators.js';
export * from './policy.interceptors.js';
export { RateLimitGuard } from './rate-limit.guard.js';
export { byHeader, byIp, byTenant, byUser } from './request-keys.js';
export { ResilienceInterceptor } from './resilience.interceptor.js';
export { configureUnmanaged, type UnmanagedMode } from './runtime.js';
