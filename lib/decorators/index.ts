export { CallSignal } from './call-signal.decorator.js';
export type {
  CommonOptions,
  FallbackDecorator,
  RateLimitDecoratorOptions,
  ResilienceDecorator,
} from './decorator-types.js';
export {
  InjectBulkhead,
  InjectChaos,
  InjectCircuitBreaker,
  InjectFallback,
  InjectHedge,
  InjectIdempotency,
  InjectRateLimiter,
  InjectRetry,
  InjectRetryBudget,
  InjectTimeout,
  getBulkheadToken,
  getChaosToken,
  getCircuitBreakerToken,
  getFallbackToken,
  getHedgeToken,
  getIdempotencyToken,
  getRateLimiterToken,
  getRetryBudgetToken,
  getRetryToken,
  getTimeoutToken,
} from './inject.decorators.js';
export type { InterceptorPolicies } from './interceptor-policies.js';
export {
  Bulkhead,
  Chaos,
  CircuitBreaker,
  Fallback,
  Hedge,
  Idempotent,
  RateLimit,
  Resilient,
  Retry,
  Timeout,
} from './policy.decorators.js';
export type { ResilientOptions } from './resilient.options.js';
export * from './policy.interceptors.js';
export { RateLimitGuard } from './rate-limit.guard.js';
export { byHeader, byIp, byTenant, byUser } from './request-keys.js';
export { ResilienceInterceptor } from './resilience.interceptor.js';
export { configureUnmanaged, type UnmanagedMode } from './runtime.js';
