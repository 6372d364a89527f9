export * from './retry.policy.js';
export { RetryBudget, type RetryBudgetStats } from './retry-budget.js';
export { FINAL_ERRORS, type FinalErrors } from './retry-classification.js';
export type { RetryOptions } from './retry.options.js';
export type { RetryBudgetOptions } from './retry-budget.options.js';
export type { BackoffFunction, BackoffName, Jitter } from './backoff.js';
