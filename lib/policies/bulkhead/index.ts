export * from './bulkhead.policy.js';
export type { BulkheadOptions } from './bulkhead.options.js';
