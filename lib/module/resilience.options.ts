import type { Clock, RandomSource } from '../core/clock.js';
import type { OptionProblem } from '../core/errors.js';
import { describeValue } from '../core/option-form.js';
import { propertyOf } from '../core/property.js';
import { checkOptions, defineOptions } from '../core/option-table.js';
import { orderProblems, type PipelineSlot } from '../pipeline/order.js';
import type { BulkheadOptions } from '../policies/bulkhead/index.js';
import type { SharedState } from '../core/shared-state.js';
import type { ChaosOptions } from '../policies/chaos/index.js';
import type { CircuitBreakerOptions } from '../policies/circuit-breaker/index.js';
import type { FallbackOptions } from '../policies/fallback/index.js';
import type { HedgeOptions } from '../policies/hedge/index.js';
import type { IdempotencyOptions } from '../policies/idempotency/index.js';
import type { RetryBudgetOptions, RetryOptions } from '../policies/retry/index.js';
import type { TimeoutOptions } from '../policies/timeout/index.js';
import type { RateLimitDecoratorOptions } from '../decorators/decorator-types.js';
import { chaosModuleTable, type ChaosModuleOptions } from './chaos-module.options.js';
import { drainingTable, type DrainingOptions } from '../draining/draining.options.js';
import { eventsTable, type EventOptions } from './events/events.options.js';

/** Policies by name, per kind. @publicApi */
export interface NamedPolicies {
  readonly circuitBreakers?: Readonly<Record<string, CircuitBreakerOptions>>;
  readonly retries?: Readonly<Record<string, RetryOptions>>;
  readonly retryBudgets?: Readonly<Record<string, RetryBudgetOptions>>;
  readonly bulkheads?: Readonly<Record<string, BulkheadOptions>>;
  readonly rateLimiters?: Readonly<Record<string, RateLimitDecoratorOptions>>;
  readonly timeouts?: Readonly<Record<string, TimeoutOptions>>;
  readonly fallbacks?: Readonly<Record<string, FallbackOptions>>;
  readonly idempotencies?: Readonly<Record<string, IdempotencyOptions>>;
  readonly hedges?: Readonly<Record<string, HedgeOptions>>;
  readonly chaosPolicies?: Readonly<Record<string, ChaosOptions>>;
}

/** What holds for every policy of a kind that does not say otherwise. @publicApi */
export interface PolicyDefaults {
  readonly circuitBreaker?: CircuitBreakerOptions;
  readonly retry?: RetryOptions;
  readonly retryBudget?: RetryBudgetOptions;
  readonly bulkhead?: BulkheadOptions;
  readonly rateLimit?: RateLimitDecoratorOptions;
  readonly timeout?: TimeoutOptions;
  readonly fallback?: FallbackOptions;
  readonly idempotency?: IdempotencyOptions;
  readonly hedge?: HedgeOptions;
  readonly chaos?: ChaosOptions;
}

/** How errors and limits look in HTTP. @publicApi */
export interface HttpOptions {
  /** Whether errors of policies become answers such as 503, 429 and 504. Default true. */
  readonly translateErrors?: boolean;
  /** `RateLimit` and `RateLimit-Policy` (IETF draft), `X-RateLimit-*`, both, or none. Default `standard`. */
  readonly rateLimitHeaders?: 'standard' | 'legacy' | 'both' | 'none';
}

/** Options of the context of a request. @publicApi */
export interface RequestContextOptions {
  /**
   * The header in which services tell each other how many milliseconds they still wait, e.g. `x-request-timeout-ms`: read
   * from requests, where it can only shorten what calls may take, and written by `ResilienceService.deadlineHeaders()`.
   * Default: none. Only for callers that you trust: calls that they cut short count as failures.
   */
  readonly deadlineHeader?: string;
}

/** Options of `ResilienceModule.forRoot()`. @publicApi */
export interface ResilienceModuleOptions extends NamedPolicies {
  readonly defaults?: PolicyDefaults;
  /** Where each kind runs, outermost first; kinds that it does not name stay where they are. */
  readonly order?: readonly PipelineSlot[];
  /** Whether decorators and interceptors apply policies. One that is used by itself always works. Default true. */
  readonly enabled?: boolean;
  /**
   * Opens a context per HTTP request: deadlines reach nested calls, and an answer that a fallback served anywhere below
   * says so. With options also how deadlines travel between services. Default false: it makes every await dearer below
   * Node 24.
   */
  readonly requestContext?: boolean | RequestContextOptions;
  readonly http?: HttpOptions;
  /** How the application drains before it closes; `enableGracefulShutdown(app)` in main.ts ties it to signals. */
  readonly draining?: DrainingOptions;
  /** Where events go: what the event log keeps, Nest's log, `EventEmitter2`. */
  readonly events?: EventOptions;
  /**
   * Whether each pipeline counts how long its calls take, for `stats().calls` and `resilience_call_duration_seconds`. Default
   * false: it costs each call two readings of the clock and a promise, about 0.3 µs.
   */
  readonly callDurations?: boolean;
  /** Whether chaos may run in production, and the chaos monkey. */
  readonly chaos?: ChaosModuleOptions;
  /**
   * What instances share: policies with `shared` join it. `redisState(client, { app })` of `nestjs-breakwater/redis`.
   * Default: every instance keeps to itself.
   */
  readonly sharedState?: SharedState;
  /** Whether rejections capture a stack. Default false: that is most of their price. */
  readonly stackTraces?: boolean;
  /** Named policies at most, per kind, so that a name taken from user input cannot fill the memory. Default 10,000. */
  readonly maxPolicies?: number;
  /** Default: the system's monotonic clock. */
  readonly clock?: Clock;
  /** Default: `Math.random`. */
  readonly random?: RandomSource;
}

const requestContextTable = defineOptions<RequestContextOptions, RequestContextOptions>({
  name: 'deadlineHeader',
  kind: 'string',
  optional: true,
  sentence: 'The header in which services tell each other how many milliseconds they still wait.',
  check: (value) =>
    /^[\w-]+$/.test(String(value))
      ? undefined
      : `"requestContext.deadlineHeader" must be the name of a header, of letters, digits, "-" and "_", got ${describeValue(value)}.`,
});

const httpTable = defineOptions<HttpOptions>(
  {
    name: 'translateErrors',
    kind: 'boolean',
    default: true,
    sentence: 'Whether errors of policies become answers such as 503, 429 and 504.',
  },
  {
    name: 'rateLimitHeaders',
    kind: 'one-of',
    values: ['standard', 'legacy', 'both', 'none'],
    default: 'standard',
    sentence: '`RateLimit` and `RateLimit-Policy` (IETF draft), `X-RateLimit-*`, both, or none.',
  },
);

const records = (
  [
    ['circuitBreakers', 'Circuit breakers'],
    ['retries', 'Retries'],
    ['retryBudgets', 'Retry budgets'],
    ['bulkheads', 'Bulkheads'],
    ['rateLimiters', 'Rate limits'],
    ['timeouts', 'Timeouts'],
    ['fallbacks', 'Fallbacks'],
    ['idempotencies', 'Idempotency policies'],
    ['hedges', 'Hedges'],
    ['chaosPolicies', 'Chaos policies'],
  ] as const
).map(([name, plural]) => ({
  name,
  kind: 'record' as const,
  each: { kind: 'object' as const },
  default: {},
  sentence: `${plural}, by name.`,
}));

const defaultNames = [
  'circuitBreaker',
  'retry',
  'retryBudget',
  'bulkhead',
  'rateLimit',
  'timeout',
  'fallback',
  'idempotency',
  'hedge',
  'chaos',
] as const;

/** The options of one feature module. */
export const namedPoliciesTable = defineOptions<NamedPolicies>(...records);

/** The options of the module, for validation and documentation. */
export const moduleTable = defineOptions<ResilienceModuleOptions>(
  ...records,
  {
    name: 'defaults',
    kind: 'record',
    values: defaultNames,
    each: { kind: 'object' },
    default: {},
    sentence: 'What holds for every policy of a kind that does not say otherwise.',
  },
  {
    name: 'order',
    kind: 'any',
    optional: true,
    sentence: 'Where each kind runs, outermost first; kinds that it does not name stay where they are.',
  },
  {
    name: 'enabled',
    kind: 'boolean',
    default: true,
    sentence: 'Whether decorators and interceptors apply policies.',
  },
  {
    name: 'requestContext',
    kind: 'boolean',
    or: [{ kind: 'object', fields: requestContextTable }],
    default: false,
    sentence: 'Opens a context per request: deadlines reach nested calls, and degraded answers say so.',
  },
  {
    name: 'http',
    kind: 'object',
    fields: httpTable,
    default: {},
    sentence: 'How errors and limits look in HTTP.',
  },
  {
    name: 'draining',
    kind: 'object',
    fields: drainingTable,
    default: {},
    sentence: 'How the application drains before it closes.',
  },
  {
    name: 'events',
    kind: 'object',
    fields: eventsTable,
    default: {},
    sentence: "Where events go: what the event log keeps, Nest's log, `EventEmitter2`.",
  },
  {
    name: 'callDurations',
    kind: 'boolean',
    default: false,
    sentence: 'Whether each pipeline counts how long its calls take, for stats and metrics.',
  },
  {
    name: 'sharedState',
    kind: 'any',
    optional: true,
    sentence: 'What instances share; policies with `shared` join it.',
    check: (value) =>
      typeof propertyOf(value, 'take') === 'function'
        ? undefined
        : `"sharedState" must be what redisState() returns, got ${describeValue(value)}.`,
  },
  {
    name: 'chaos',
    kind: 'object',
    fields: chaosModuleTable,
    default: {},
    sentence: 'Whether chaos may run in production, and the chaos monkey.',
  },
  { name: 'stackTraces', kind: 'boolean', default: false, sentence: 'Whether rejections capture a stack.' },
  {
    name: 'maxPolicies',
    kind: 'integer',
    min: 1,
    default: 10_000,
    sentence: 'Named policies at most, per kind.',
  },
  {
    name: 'clock',
    kind: 'any',
    optional: true,
    sentence: "Where time comes from; default the system's clock.",
  },
  {
    name: 'random',
    kind: 'function',
    optional: true,
    sentence: 'Where randomness comes from; default `Math.random`.',
  },
);

/** Everything that is wrong with the module's own options; those of policies are looked at with their kind. */
export function moduleProblems(options: ResilienceModuleOptions): OptionProblem[] {
  const where = 'ResilienceModule.forRoot';
  return [...checkOptions(moduleTable, options, where), ...orderProblems(options.order, where)];
}
