import type { NamedKind, PolicyTypes } from '../../module/policy-kinds.js';
import type { CircuitState } from '../../policies/circuit-breaker/index.js';

/** Values by what the label says, or by the name of the part; `undefined` where nobody knows one yet. */
type ByLabel = Readonly<Record<string, number | undefined>>;

type StatsOf<K extends NamedKind> = ReturnType<PolicyTypes[K]['stats']>;

/**
 * A metric of the policies of one kind. A `counter` only rises; a `gauge` is what it is now; a `sum` has two values,
 * \`count\` and \`sum\`: a number of things and what they amount to together. Prometheus calls that a summary.
 */
export interface MetricFamily<K extends NamedKind = NamedKind> {
  readonly kind: K;
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'sum';
  /** As OpenTelemetry writes units; 1 where it is a number of things. */
  readonly unit: 's' | '%' | '1';
  readonly help: string;
  /** The label beside the policy's name, if there is one. */
  readonly label?: string;
  readonly read: (stats: StatsOf<K>) => ByLabel | number | undefined;
}

/** How states are called in metrics: as Resilience4j does, so that its boards and alerts can be taken over. */
const STATES: Readonly<Record<CircuitState, string>> = {
  closed: 'closed',
  open: 'open',
  'half-open': 'half_open',
  'forced-open': 'forced_open',
  disabled: 'disabled',
  'meter-only': 'metrics_only',
};

/** A family of one kind among those of all: whoever reads gives it the stats of its own kind. */
function family<K extends NamedKind>(metric: MetricFamily<K>): MetricFamily {
  return metric;
}

/**
 * All metrics of policies, in one place: what Prometheus and OpenTelemetry export. Each value is read from `stats()` when
 * somebody asks for it, so that no call pays for a metric.
 */
export const METRIC_FAMILIES: readonly MetricFamily[] = [
  family({
    kind: 'circuitBreaker',
    name: 'resilience_circuitbreaker_state',
    type: 'gauge',
    unit: '1',
    help: '1 for the state that the circuit breaker is in, 0 for the others; of one with keys, to calls without one.',
    label: 'state',
    read: ({ state }) =>
      Object.fromEntries(Object.entries(STATES).map(([ours, theirs]) => [theirs, ours === state ? 1 : 0])),
  }),
  family({
    kind: 'circuitBreaker',
    name: 'resilience_circuitbreaker_open_keys',
    type: 'gauge',
    unit: '1',
    help: 'Keys for which the circuit breaker is open, by itself or by force.',
    read: ({ keys }) => keys?.open ?? 0,
  }),
  family({
    kind: 'circuitBreaker',
    name: 'resilience_circuitbreaker_calls_total',
    type: 'counter',
    unit: '1',
    help: 'Calls that the circuit breaker let through, by how they ended.',
    label: 'kind',
    read: (stats) => ({
      successful: stats.totalSuccesses,
      failed: stats.totalFailures,
      ignored: stats.totalIgnored,
    }),
  }),
  family({
    kind: 'circuitBreaker',
    name: 'resilience_circuitbreaker_not_permitted_total',
    type: 'counter',
    unit: '1',
    help: 'Calls that the circuit breaker refused.',
    read: ({ totalRejected }) => totalRejected,
  }),
  family({
    kind: 'circuitBreaker',
    name: 'resilience_circuitbreaker_failure_rate_percent',
    type: 'gauge',
    unit: '%',
    help: 'Failures per 100 calls of the window; no number below the minimum of calls.',
    read: ({ failureRatePercent }) => failureRatePercent,
  }),
  family({
    kind: 'circuitBreaker',
    name: 'resilience_circuitbreaker_slow_call_rate_percent',
    type: 'gauge',
    unit: '%',
    help: 'Slow calls per 100 calls of the window; no number below the minimum of calls.',
    read: ({ slowCallRatePercent }) => slowCallRatePercent,
  }),
  family({
    kind: 'retry',
    name: 'resilience_retry_calls_total',
    type: 'counter',
    unit: '1',
    help: 'Calls, by whether they succeeded and whether they were retried.',
    label: 'kind',
    read: (stats) => ({
      successful_without_retry: stats.successfulWithoutRetry,
      successful_with_retry: stats.successfulWithRetry,
      failed_with_retry: stats.failedWithRetry,
      failed_without_retry: stats.failedWithoutRetry,
    }),
  }),
  family({
    kind: 'bulkhead',
    name: 'resilience_bulkhead_active',
    type: 'gauge',
    unit: '1',
    help: 'Calls that run now.',
    read: ({ activeCalls }) => activeCalls,
  }),
  family({
    kind: 'bulkhead',
    name: 'resilience_bulkhead_queued',
    type: 'gauge',
    unit: '1',
    help: 'Calls that wait for a slot now.',
    read: ({ queuedCalls }) => queuedCalls,
  }),
  family({
    kind: 'bulkhead',
    name: 'resilience_bulkhead_max_concurrent',
    type: 'gauge',
    unit: '1',
    help: 'Calls that may run at once; of a bulkhead with keys, for each key.',
    read: ({ maxConcurrent }) => maxConcurrent,
  }),
  family({
    kind: 'bulkhead',
    name: 'resilience_bulkhead_rejected_total',
    type: 'counter',
    unit: '1',
    help: 'Calls that the bulkhead refused.',
    read: ({ rejectedCalls }) => rejectedCalls,
  }),
  family({
    kind: 'bulkhead',
    name: 'resilience_bulkhead_wait_seconds',
    type: 'sum',
    unit: 's',
    help: 'How long calls waited that had to wait for a slot and got one.',
    read: ({ waited: { count, meanMs } }) => ({ count, sum: (meanMs * count) / 1_000 }),
  }),
  family({
    kind: 'rateLimit',
    name: 'resilience_ratelimiter_available',
    type: 'gauge',
    unit: '1',
    help: 'Whole units that are left now; of a rate limit with keys, to calls without one.',
    read: ({ remaining }) => remaining,
  }),
  family({
    kind: 'rateLimit',
    name: 'resilience_ratelimiter_decisions_total',
    type: 'counter',
    unit: '1',
    help: 'Calls that were let in and refused.',
    label: 'decision',
    read: ({ totalAllowed, totalRejected }) => ({ allowed: totalAllowed, rejected: totalRejected }),
  }),
  family({
    kind: 'rateLimit',
    name: 'resilience_store_decisions_total',
    type: 'counter',
    unit: '1',
    help: 'Decisions of a shared rate limit, by where they come from: the store, what it had lent, or this instance alone.',
    label: 'source',
    read: ({ shared }) => ({ ...shared }),
  }),
  family({
    kind: 'timeout',
    name: 'resilience_timeout_calls_total',
    type: 'counter',
    unit: '1',
    help: 'Attempts by how they ended, or calls where only those are bounded; total_timeout: calls that ran out of time.',
    label: 'kind',
    read: (stats) => ({
      successful: stats.successfulAttempts,
      failed: stats.failedAttempts,
      timeout: stats.timedOutAttempts,
      total_timeout: stats.timedOutCalls,
    }),
  }),
  family({
    kind: 'timeout',
    name: 'resilience_timeout_current_seconds',
    type: 'gauge',
    unit: 's',
    help: 'What the next attempt may take, or the next call where only those are bounded.',
    read: ({ currentTimeoutMs, totalTimeoutMs }) => {
      const ms = currentTimeoutMs ?? totalTimeoutMs;
      return ms === undefined ? undefined : ms / 1_000;
    },
  }),
  family({
    kind: 'fallback',
    name: 'resilience_fallback_calls_total',
    type: 'counter',
    unit: '1',
    help: 'Answers by the level that gave them; none: every level failed.',
    label: 'level',
    read: ({ levels, exhaustedCalls }) => ({
      ...Object.fromEntries(Object.entries(levels).map(([level, { answered }]) => [level, answered])),
      none: exhaustedCalls,
    }),
  }),
  family({
    kind: 'idempotency',
    name: 'resilience_idempotency_total',
    type: 'counter',
    unit: '1',
    help: 'Calls by what became of them, leases that were lost, and outcomes that could not be kept.',
    label: 'outcome',
    read: (stats) => ({
      run: stats.totalRuns,
      replayed: stats.totalReplays,
      shared: stats.totalShared,
      conflict: stats.totalConflicts,
      mismatch: stats.totalMismatches,
      missing_key: stats.totalMissingKeys,
      lease_lost: stats.totalLost,
      store_failed: stats.totalStoreFailures,
    }),
  }),
  family({
    kind: 'hedge',
    name: 'resilience_hedge_total',
    type: 'counter',
    unit: '1',
    help: 'Hedges that were started, that won, and that were due but not started.',
    label: 'outcome',
    read: (stats) => ({
      started: stats.totalHedges,
      won: stats.hedgeWins,
      suppressed: stats.totalSuppressed,
    }),
  }),
  family({
    kind: 'chaos',
    name: 'resilience_chaos_injected_total',
    type: 'counter',
    unit: '1',
    help: 'Calls that a fault of a configured chaos policy hit on purpose.',
    read: ({ totalInjected }) => totalInjected,
  }),
];

/** Metrics that are not of one kind of policies. */
export const OTHER_METRICS = {
  budget: {
    name: 'resilience_retry_budget_available',
    help: 'Retries that the budget allows now: a named one, or the own one of a retry, which has the name of that.',
  },
  drainState: {
    name: 'resilience_drain_state',
    help: '1 for the phase that the application is in, 0 for the others.',
  },
  drainInFlight: {
    name: 'resilience_drain_in_flight',
    help: 'Requests and tracked work under way, health endpoints left out.',
  },
  liveFaults: {
    name: 'resilience_chaos_live_faults',
    help: 'Faults that were started live and are active now.',
  },
  liveFaultsInjected: {
    name: 'resilience_chaos_live_injected_total',
    help: 'Calls that faults which were started live hit on purpose.',
  },
  storeState: {
    name: 'resilience_store_state',
    help: '1 for the state that the shared store is in (available, lost), 0 for the other.',
  },
  storeFailures: {
    name: 'resilience_store_failures_total',
    help: 'Calls of the shared store that failed or took too long.',
  },
  storeCalls: {
    name: 'resilience_store_call_seconds',
    help: 'How long calls of the shared store took.',
  },
  instances: {
    name: 'resilience_store_instances',
    help: 'Instances of the application that share state, as far as this one knows.',
  },
  durations: {
    name: 'resilience_call_duration_seconds',
    help: 'How long calls took as their callers saw it, with retries and waits, where forRoot({ callDurations }) asks for it.',
  },
} as const;
