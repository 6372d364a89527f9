import type { Duration } from '../core/duration.js';
import { defineOptions } from '../core/option-table.js';

/** Options of `ResilienceHealthModule.register()`. @publicApi */
export interface ResilienceHealthOptions {
  /** Where the endpoints are mounted. Default `health`. */
  readonly path?: string;
  /** What an open circuit breaker does to readiness. Default `degraded`: 200, and it is named. */
  readonly openBreakers?: 'degraded' | 'unready' | 'ignore';
  /** An event loop that was blocked for longer makes the process not live. Default 10 s. */
  readonly maxEventLoopDelay?: Duration;
  /** A heap that is fuller, in percent of its limit, makes the process not live. Default 98. */
  readonly maxHeapPercent?: number;
}

/** The options as they are used. */
export interface HealthSettings {
  readonly path: string;
  readonly openBreakers: 'degraded' | 'unready' | 'ignore';
  readonly maxEventLoopDelay: number;
  readonly maxHeapPercent: number;
}

/** The options of the health module, for validation and documentation. */
export const healthTable = defineOptions<ResilienceHealthOptions, HealthSettings>(
  { name: 'path', kind: 'string', default: 'health', sentence: 'Where the endpoints are mounted.' },
  {
    name: 'openBreakers',
    kind: 'one-of',
    values: ['degraded', 'unready', 'ignore'],
    default: 'degraded',
    sentence: 'What an open circuit breaker does to readiness.',
  },
  {
    name: 'maxEventLoopDelay',
    kind: 'duration',
    default: '10s',
    sentence: 'An event loop that was blocked for longer makes the process not live.',
  },
  {
    name: 'maxHeapPercent',
    kind: 'percent',
    above: 0,
    default: 98,
    sentence: 'A heap that is fuller, in percent of its limit, makes the process not live.',
  },
);
