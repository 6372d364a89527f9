export * from './idempotency.policy.js';
export type { IdempotencyOptions, SharedIdempotencyOptions } from './idempotency.options.js';
export type { OutcomeCodec } from './shared-once.js';
