import { describeValue } from '../core/option-form.js';

/** What Jest and Vitest want of a matcher. */
interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
}

/**
 * The matchers, for the types of your test framework.
 *
 * @example
 * declare module 'expect' { interface Matchers<R> extends ResilienceMatchers<R> {} } // Jest
 * declare module 'vitest' { interface Matchers<T = any> extends ResilienceMatchers {} } // Vitest
 *
 * @publicApi
 */
export interface ResilienceMatchers<R = void> {
  /** Of a circuit breaker: it refuses calls, also where it was forced to. */
  toBeOpen(): R;
  toBeClosed(): R;
  toBeHalfOpen(): R;
  /** Of a circuit breaker, bulkhead or rate limit: it has refused so many calls; without a number at least one. */
  toHaveRejected(times?: number): R;
  /** Of a retry: it has made so many retries; without a number at least one. */
  toHaveRetried(times?: number): R;
  /** Of a timeout: so many attempts and calls ran out of time; without a number at least one. */
  toHaveTimedOut(times?: number): R;
  /** Of a fallback: another level than the primary has answered so often; without a number at least once. */
  toHaveFallenBack(times?: number): R;
  /** Of an idempotency policy: it has answered so many calls without running them; without a number at least one. */
  toHaveReplayed(times?: number): R;
  /** Of a retry budget: retries were made, and it allows none now. */
  toBeExhausted(): R;
}

type Stats = Readonly<Record<string, unknown>>;

/**
 * Matchers over policies (or their stats), for `expect.extend()` of Jest and of Vitest.
 *
 * @example
 * expect.extend(resilienceMatchers);
 * expect(resilience.circuitBreaker('payments')).toBeOpen();
 * expect(resilience.retry('payments')).toHaveRetried(2);
 *
 * @publicApi
 */
export const resilienceMatchers = {
  toBeOpen: (policy: unknown) => hasState(policy, 'toBeOpen', ['open', 'forced-open']),
  toBeClosed: (policy: unknown) => hasState(policy, 'toBeClosed', ['closed']),
  toBeHalfOpen: (policy: unknown) => hasState(policy, 'toBeHalfOpen', ['half-open']),
  toHaveRejected: (policy: unknown, times?: number) =>
    hasCounted(policy, 'toHaveRejected', ['totalRejected', 'rejectedCalls'], 'rejected calls', times),
  toHaveRetried: (policy: unknown, times?: number) =>
    hasCounted(policy, 'toHaveRetried', ['totalRetries'], 'retries', times),
  toHaveTimedOut: (policy: unknown, times?: number) =>
    hasCounted(policy, 'toHaveTimedOut', ['timedOutAttempts', 'timedOutCalls'], 'time-outs', times),
  toHaveFallenBack: (policy: unknown, times?: number) =>
    hasCounted(
      policy,
      'toHaveFallenBack',
      ['degradedCalls'],
      'answers of other levels than the primary',
      times,
    ),
  toHaveReplayed: (policy: unknown, times?: number) =>
    hasCounted(policy, 'toHaveReplayed', ['totalReplays', 'totalShared'], 'replays', times),
  toBeExhausted: (policy: unknown) => {
    const { currentRetries, budgetRemaining, name } = statsOf(policy, 'toBeExhausted', ['budgetRemaining']);
    const pass = Number(currentRetries) > 0 && budgetRemaining === 0;
    return result(pass, `"${String(name)}" to be exhausted`, `${String(budgetRemaining)} retries are left`);
  },
};

function hasState(policy: unknown, matcher: string, states: readonly string[]): MatcherResult {
  const { state, name, reason } = statsOf(policy, matcher, ['state']);
  const why = typeof reason === 'string' ? ` (${reason})` : '';
  return result(
    states.includes(String(state)),
    `"${String(name)}" to be ${String(states[0])}`,
    `it is ${String(state)}${why}`,
  );
}

function hasCounted(
  policy: unknown,
  matcher: string,
  fields: readonly string[],
  what: string,
  times: number | undefined,
): MatcherResult {
  const stats = statsOf(policy, matcher, fields);
  const count = fields.reduce((sum, field) => sum + Number(stats[field] ?? 0), 0);
  const pass = times === undefined ? count > 0 : count === times;
  const wanted = times === undefined ? `any ${what}` : `${times} ${what}`;
  return result(pass, `"${String(stats['name'])}" to have ${wanted}`, `it has ${count}`);
}

/** The numbers of a policy, or those that were given; they must have one of the fields. */
function statsOf(policy: unknown, matcher: string, fields: readonly string[]): Stats {
  const { stats } = (policy ?? {}) as { stats?: () => Stats };
  const found = typeof stats === 'function' ? stats.call(policy) : (policy as Stats | undefined);
  if (typeof found === 'object' && found !== null && fields.some((field) => field in found)) return found;
  throw new TypeError(
    `${matcher} is for policies whose stats have ${fields.map((field) => `"${field}"`).join(' or ')}, got ${describeValue(policy)}.`,
  );
}

function result(pass: boolean, wanted: string, seen: string): MatcherResult {
  return { pass, message: () => `expected ${pass ? `not ${wanted}` : wanted}; ${seen}` };
}
