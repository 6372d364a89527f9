export * from './rate-limit.policy.js';
export { LeakyBucket, SlidingWindow, TokenBucket } from './limiter.js';
export type { RateLimitOptions } from './rate-limit.options.js';
