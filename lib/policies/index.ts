export * from './bulkhead/index.js';
export * from './circuit-breaker/index.js';
export * from './fallback/index.js';
export * from './hedge/index.js';
export * from './idempotency/index.js';
export * from './rate-limit/index.js';
export * from './retry/index.js';
export * from './timeout/index.js';
