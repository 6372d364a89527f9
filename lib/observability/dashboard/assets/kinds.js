// What is shown of each kind of policy. A fact is a label and a text; some have a bar, some a tone.
import { percentiles } from './history.js';
import { milliseconds, number, percent, perSecond } from './page.js';

const TONES = { closed: 'good', open: 'bad', 'half-open': 'warn', 'forced-open': 'bad' };

/** The tone of a circuit's state: the ones an operator chose are neither good nor bad. */
export const toneOf = (state) => TONES[state] ?? 'manual';

const fact = (label, text, bar) => ({ label, text, bar });

function circuitBreaker(name, stats, history) {
  const { calls, failureCount } = stats;
  const failures = stats.failureRatePercent ?? (calls > 0 ? (failureCount * 100) / calls : undefined);
  const rate = (field) => history.rate('circuitBreakers', name, (one) => one[field]);
  return [
    fact('Failures', calls > 0 ? `${percent(failures)} (${number(failureCount)} of ${number(calls)})` : '–'),
    fact('Slow calls', percent(stats.slowCallRatePercent)),
    fact('Calls', perSecond(rate('totalCalls'))),
    fact('Rejected', `${perSecond(rate('totalRejected'))}, ${number(stats.totalRejected)} in all`),
    ...(stats.retryAfterMs ? [fact('Probe in', milliseconds(stats.retryAfterMs))] : []),
    ...(stats.reason ? [fact('Because', stats.reason)] : []),
    ...(stats.keys ? [fact('Keys', number(stats.keys.count)), ...keysNotClosed(stats.keys)] : []),
  ];
}

/** The first few of them: there can be a hundred. */
function keysNotClosed({ notClosed }) {
  const keys = Object.entries(notClosed);
  if (keys.length === 0) return [];
  const named = keys.slice(0, 5).map(([key, state]) => `${key} (${state})`);
  return [fact('Not closed', [...named, ...(keys.length > 5 ? [`${keys.length - 5} more`] : [])].join(', '))];
}

function bulkhead(name, stats, history) {
  return [
    fact('Running', `${number(stats.activeCalls)} of ${number(stats.maxConcurrent)}`, {
      value: stats.activeCalls,
      max: stats.maxConcurrent,
    }),
    fact('Waiting', `${number(stats.queuedCalls)} of ${number(stats.maxQueue)}`, {
      value: stats.queuedCalls,
      max: stats.maxQueue,
    }),
    fact('Rejected', perSecond(history.rate('bulkheads', name, (one) => one.rejectedCalls))),
    fact('Mean wait', stats.waited.count > 0 ? milliseconds(stats.waited.meanMs) : '–'),
  ];
}

function rateLimiter(name, stats, history) {
  const rate = (field) => perSecond(history.rate('rateLimiters', name, (one) => one[field]));
  return [
    fact('Left', `${number(stats.remaining)} of ${number(stats.limit)}`, {
      value: stats.remaining,
      max: stats.limit,
      emptyIsBad: true,
    }),
    fact('Allowed', rate('totalAllowed')),
    fact('Rejected', rate('totalRejected')),
    fact('Waiting', number(stats.waiting)),
    fact('Keys', number(stats.keys)),
  ];
}

function timeout(name, stats, history) {
  const { adaptive } = stats;
  return [
    fact('Attempt', milliseconds(stats.currentTimeoutMs)),
    ...(stats.totalTimeoutMs ? [fact('Whole call', milliseconds(stats.totalTimeoutMs))] : []),
    ...(adaptive ? [threePercentiles([adaptive.p50, adaptive.p95, adaptive.p99])] : []),
    fact(
      'Timed out',
      perSecond(history.rate('timeouts', name, (one) => one.timedOutAttempts + one.timedOutCalls)),
    ),
    fact(
      'In all',
      `${number(stats.timedOutAttempts + stats.timedOutCalls)} of ${number(stats.totalAttempts)}`,
    ),
  ];
}

function threePercentiles(values) {
  return fact('p50, p95, p99', values.map(milliseconds).join(', '));
}

function budget(stats) {
  return [
    fact('Budget left', `${number(stats.budgetRemaining)} of ${number(stats.maxRetries)}`, {
      value: stats.budgetRemaining,
      max: stats.maxRetries,
      emptyIsBad: true,
    }),
    fact('Retries per 100 calls', number(stats.retryRatePercent)),
    fact('Not allowed', number(stats.totalRefused)),
  ];
}

function retry(name, stats, history) {
  const rate = (field) => perSecond(history.rate('retries', name, (one) => one[field]));
  return [
    fact('Calls', rate('totalCalls')),
    fact('Retries', rate('totalRetries')),
    fact('Helped', number(stats.successfulWithRetry)),
    fact('In vain', number(stats.failedWithRetry)),
    ...(stats.budget ? budget(stats.budget) : []),
  ];
}

function fallback(_name, stats) {
  return [
    fact('Degraded', `${number(stats.degradedCalls)} of ${number(stats.totalCalls)}`),
    fact('Exhausted', number(stats.exhaustedCalls)),
    ...Object.entries(stats.levels).map(([level, { answered, failed }]) =>
      fact(level, `${number(answered)} answered, ${number(failed)} failed`),
    ),
  ];
}

function idempotency(_name, stats) {
  return [
    fact('Ran', number(stats.totalRuns)),
    fact('Replayed', number(stats.totalReplays + stats.totalShared)),
    fact('Refused', number(stats.totalConflicts + stats.totalMismatches + stats.totalMissingKeys)),
    fact('Running', number(stats.running)),
  ];
}

function hedge(_name, stats) {
  return [
    fact('Calls', number(stats.totalCalls)),
    fact('Hedges', number(stats.totalHedges)),
    fact('Won by a hedge', number(stats.hedgeWins)),
    fact('After', milliseconds(stats.currentDelayMs)),
  ];
}

function chaosPolicy(_name, stats) {
  return [
    fact('Fault', stats.fault ?? '–'),
    fact('State', stats.active ? `active, ${percent(stats.ratePercent)} of calls` : 'off'),
    fact('Injected', number(stats.totalInjected)),
  ];
}

/** Of the last ten seconds where there were enough, else of all. */
function calls(name, stats, history) {
  const before = history.before('calls', name);
  const ends = Object.values(stats);
  const grownBy = (end, earlier) =>
    Object.fromEntries(
      Object.entries(end.upToSeconds).map(([bound, count]) => [
        bound,
        count - (earlier?.upToSeconds[bound] ?? 0),
      ]),
    );
  const added = (all) => {
    const sum = {};
    for (const one of all)
      for (const [bound, count] of Object.entries(one)) sum[bound] = (sum[bound] ?? 0) + count;
    return sum;
  };
  const recent = added(Object.keys(stats).map((end) => grownBy(stats[end], before?.[end])));
  const enough = Math.max(0, ...Object.values(recent)) >= 10;
  const durations = enough ? recent : added(ends.map(({ upToSeconds }) => upToSeconds));
  const rate = (end) => perSecond(history.rate('calls', name, (one) => one[end].count));
  return [
    threePercentiles(percentiles(durations, [50, 95, 99])),
    fact('Measured', enough ? 'in the last 10 s' : 'since the start'),
    fact('Successful', rate('successful')),
    fact('Failed', rate('failed')),
    fact('Rejected', rate('rejected')),
  ];
}

/** All kinds, in the order of the page. */
export const KINDS = [
  { plural: 'circuitBreakers', title: 'Circuit breakers', one: 'circuit breaker', facts: circuitBreaker },
  { plural: 'calls', title: 'Calls', one: 'pipeline', facts: calls, readOnly: true },
  { plural: 'bulkheads', title: 'Bulkheads', one: 'bulkhead', facts: bulkhead },
  { plural: 'rateLimiters', title: 'Rate limits', one: 'rate limit', facts: rateLimiter },
  { plural: 'timeouts', title: 'Timeouts', one: 'timeout', facts: timeout },
  { plural: 'retries', title: 'Retries', one: 'retry', facts: retry },
  {
    plural: 'retryBudgets',
    title: 'Retry budgets',
    one: 'retry budget',
    facts: (_name, stats) => budget(stats),
  },
  { plural: 'fallbacks', title: 'Fallbacks', one: 'fallback', facts: fallback },
  { plural: 'idempotencies', title: 'Idempotency', one: 'idempotency', facts: idempotency },
  { plural: 'hedges', title: 'Hedges', one: 'hedge', facts: hedge },
  { plural: 'chaosPolicies', title: 'Chaos policies', one: 'chaos policy', facts: chaosPolicy },
];
