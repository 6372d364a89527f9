import { formatDuration } from '../../core/duration.js';
import type { CircuitBreakerPolicy } from '../../policies/circuit-breaker/index.js';
import type { RateLimitPolicy } from '../../policies/rate-limit/index.js';
import { attempts, placed, type Application, type Placed, type ProtectedCode } from '../application.js';
import type { Finding } from '../finding.js';

/** One circuit breaker, and where it stands. */
interface Used {
  readonly breaker: CircuitBreakerPolicy;
  readonly in: { readonly code: ProtectedCode; readonly depth: number }[];
}

/**
 * Breakers over a window of time that must see more calls before they open than can come: because a rate limit lets fewer
 * pass, or because a bulkhead has too few slots for as many calls as it takes while each of them hangs.
 */
export function breakerReach(application: Application): Finding[] {
  return [...breakersOf(application).values()].flatMap((used): Finding[] => {
    const { window } = used.breaker.configuration;
    if (window?.durationMs === undefined) return [];
    const windowMs = window.durationMs;
    const needed = neededBy(used.breaker);
    return neverOpens(used, windowMs, needed) ?? blindToHangs(used, windowMs, needed) ?? [];
  });
}

function breakersOf(application: Application): Map<CircuitBreakerPolicy, Used> {
  const breakers = new Map<CircuitBreakerPolicy, Used>();
  for (const code of application.protected) {
    for (const { policy, depth } of placed(code, 'circuitBreaker')) {
      const used = breakers.get(policy) ?? { breaker: policy, in: [] };
      used.in.push({ code, depth });
      breakers.set(policy, used);
    }
  }
  return breakers;
}

/** How many calls its window must hold before it opens. */
function neededBy({ configuration }: CircuitBreakerPolicy): number {
  const { rateMode, minimumCalls, failureThreshold } = configuration;
  return rateMode ? minimumCalls : Math.max(minimumCalls, failureThreshold ?? 0);
}

function neverOpens({ breaker, in: places }: Used, windowMs: number, needed: number): Finding[] | undefined {
  // Methods that draw on one limit share what it lets through.
  const byLimit = new Map<RateLimitPolicy, number>();
  for (const { code, depth } of places) {
    const [least] = placed(code, 'rateLimit')
      .map((limit) => ({ limit: limit.policy, calls: reaching(code, limit, depth, windowMs) }))
      .toSorted((a, b) => a.calls - b.calls);
    if (least === undefined || least.calls === Number.POSITIVE_INFINITY) return undefined;
    byLimit.set(least.limit, Math.max(least.calls, byLimit.get(least.limit) ?? 0));
  }
  const most = [...byLimit.values()].reduce((sum, calls) => sum + calls, 0);
  if (most >= needed) return undefined;
  const limits = [...byLimit.keys()].map(({ name }) => `"${name}"`).join(', ');
  return [
    {
      code: 'breaker-never-opens',
      severity: 'error',
      where: wherever(places),
      message: `Circuit breaker "${breaker.name}" must see ${needed} calls within ${formatDuration(windowMs)} before it opens, and rate limit ${limits} lets at most ${most} pass in that time: it can never open.`,
      advice: `Set "minimumCalls" (and "failureThreshold") to ${Math.max(1, Math.floor(most / 2))} or less, or make the window longer.`,
    },
  ];
}

/** How many calls a limit lets come to a breaker within a time, those that are repeated on the way included. */
function reaching(code: ProtectedCode, limit: Placed<'rateLimit'>, depth: number, windowMs: number): number {
  const { policy } = limit;
  if (policy.configuration.key !== undefined) return Number.POSITIVE_INFINITY;
  const between = (inner: { readonly depth: number }) => inner.depth > limit.depth && inner.depth < depth;
  const retries = placed(code, 'retry').filter(between);
  const hedges = placed(code, 'hedge').filter(between);
  return (
    passing(policy, windowMs) *
    retries.reduce((product, retry) => product * attempts(retry.policy), 1) *
    hedges.reduce((product, hedge) => product * (1 + hedge.policy.configuration.maxHedges), 1)
  );
}

/** The most that a limit lets pass within any stretch of time. */
function passing(policy: RateLimitPolicy, windowMs: number): number {
  const { algorithm, cost, windowMs: ownMs } = policy.configuration;
  if (typeof cost === 'function') return Number.POSITIVE_INFINITY;
  const { limit } = policy;
  const units =
    algorithm === 'sliding-window'
      ? limit * Math.ceil(windowMs / ownMs)
      : limit + (Number.isFinite(ownMs) ? (limit * windowMs) / ownMs : 0);
  return Math.floor(units / cost);
}

/** Calls that hang until their timeout: as many as there are slots, again and again. */
function blindToHangs(
  { breaker, in: places }: Used,
  windowMs: number,
  needed: number,
): Finding[] | undefined {
  let most = 0;
  const bulkheads = new Set<string>();
  for (const { code, depth } of places) {
    const timeouts = placed(code, 'timeout')
      .filter((timeout) => timeout.slot === 'timeout' && timeout.depth > depth)
      .map(({ policy }) => (policy.configuration.adaptive ? undefined : policy.configuration.durationMs));
    const timeoutMs = Math.min(...timeouts.map((ms) => ms ?? 0));
    const [narrowest] = placed(code, 'bulkhead')
      .filter(({ policy }) => policy.configuration.key === undefined)
      .toSorted((a, b) => a.policy.configuration.maxConcurrent - b.policy.configuration.maxConcurrent);
    if (narrowest === undefined || !(timeoutMs > 0) || timeoutMs === Number.POSITIVE_INFINITY)
      return undefined;
    most += narrowest.policy.configuration.maxConcurrent * (Math.floor(windowMs / timeoutMs) + 1);
    bulkheads.add(`"${narrowest.policy.name}"`);
  }
  if (most >= needed) return undefined;
  return [
    {
      code: 'breaker-blind-to-hangs',
      severity: 'warning',
      where: wherever(places),
      message: `Circuit breaker "${breaker.name}" must see ${needed} calls within ${formatDuration(windowMs)} before it opens. While calls hang until they time out, bulkhead ${[...bulkheads].join(', ')} lets at most ${most} end in that time: it stays closed just then.`,
      advice: `Set "minimumCalls" to ${Math.max(1, Math.floor(most / 2))} or less, make the window longer, or the timeout shorter.`,
    },
  ];
}

function wherever(places: Used['in']): string {
  return places.map(({ code }) => code.name).join(', ');
}
