export * from './bulkhead.policy.js';
export type { BulkheadOptions, SharedBulkheadOptions } from './bulkhead.options.js';
