export * from './idempotency.policy.js';
export type { IdempotencyOptions } from './idempotency.options.js';
