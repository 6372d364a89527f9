import type { ResilienceModuleOptions } from 'nestjs-breakwater';

/**
 * The policies that the whole application knows by name. Who stands in front of the database writes
 * `@CircuitBreaker('database')` and shares this one.
 */
export const presets = {
  circuitBreakers: {
    /** The routes. */
    database: {
      failureThreshold: 5,
      window: { duration: '60s' },
      minimumCalls: 10,
      openDuration: '60s',
      successThreshold: 1,
      halfOpenMaxCalls: 1,
    },
    /** The cache. */
    redis: {
      failureThreshold: 10,
      window: { duration: '60s' },
      minimumCalls: 20,
      openDuration: '30s',
      successThreshold: 1,
      halfOpenMaxCalls: 1,
    },
    /** The audit log. Many keep it in MongoDB; here it is a table, under the name that dashboards know. */
    mongodb: {
      failureThreshold: 5,
      window: { duration: '60s' },
      minimumCalls: 10,
      openDuration: '60s',
      successThreshold: 1,
      halfOpenMaxCalls: 1,
    },
  },
  retryBudgets: {
    database: { max: 100, window: '60s', minInterval: '100ms' },
    redis: { max: 200, window: '60s', minInterval: '50ms' },
  },
  bulkheads: {
    // As many may wait as come: `maxWait` is what bounds them.
    read_operations: { maxConcurrent: 20, maxQueue: 100_000, maxWait: '5s' },
    write_operations: { maxConcurrent: 5, maxQueue: 100_000, maxWait: '10s' },
    audit_operations: { maxConcurrent: 10, maxQueue: 100_000, maxWait: '5s' },
  },
} as const satisfies ResilienceModuleOptions;
