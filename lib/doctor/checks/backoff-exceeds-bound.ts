import { formatDuration } from '../../core/duration.js';
import type { RetryPolicy } from '../../policies/retry/index.js';
import { backoffDelay } from '../../policies/retry/backoff.js';
import { placed, retriesOf, type Application, type ProtectedCode } from '../application.js';
import type { Finding } from '../finding.js';

interface Bound {
  readonly ms: number;
  readonly title: string;
}

/** Retries whose back-off alone takes longer than the call may take: the last of them never run. */
export function backoffExceedsBound(application: Application): Finding[] {
  return application.protected.flatMap((code) =>
    retriesOf(code).flatMap(({ policy, depth }): Finding[] => {
      const bound = tightestBound(code, policy, depth);
      const delays = shortestDelays(policy);
      if (bound === undefined || delays === undefined) return [];
      const fitting = fittingIn(bound.ms, delays);
      if (fitting === delays.length) return [];
      const totalMs = delays.reduce((sum, delay) => sum + delay, 0);
      const share = fitting === 0 ? 'none' : `only ${fitting}`;
      return [
        {
          code: 'backoff-exceeds-bound',
          severity: 'warning',
          where: code.name,
          message: `The shortest waits between ${delays.length} retries of retry "${policy.name}" add up to ${formatDuration(totalMs)}, and ${bound.title} leaves ${formatDuration(bound.ms)}: ${share} of them can run, even if every attempt fails at once.`,
          advice: `Set "maxRetries: ${fitting}", shorten "baseDelay" or "maxDelay", or give the call more time.`,
        },
      ];
    }),
  );
}

/** The least that anything around a retry lets the whole call take. */
function tightestBound(code: ProtectedCode, retry: RetryPolicy, depth: number): Bound | undefined {
  const { maxElapsedMs } = retry.configuration;
  const bounds: Bound[] = maxElapsedMs === undefined ? [] : [{ ms: maxElapsedMs, title: '"maxElapsed"' }];
  for (const timeout of placed(code, 'timeout')) {
    if (timeout.depth > depth) continue;
    const { totalMs, durationMs, adaptive } = timeout.policy.configuration;
    const ms = timeout.slot === 'totalTimeout' ? totalMs : adaptive === undefined ? durationMs : undefined;
    const what = timeout.slot === 'totalTimeout' ? 'the total of timeout' : 'timeout';
    if (ms !== undefined) bounds.push({ ms, title: `${what} "${timeout.policy.name}"` });
  }
  return bounds.toSorted((a, b) => a.ms - b.ms)[0];
}

/** The waits before each retry with the luckiest jitter; `undefined` where a function of the user's decides. */
function shortestDelays({ configuration }: RetryPolicy): number[] | undefined {
  const { backoff, maxRetries, baseDelayMs } = configuration;
  if (typeof backoff === 'function') return undefined;
  const delays: number[] = [];
  for (let retry = 1; retry <= maxRetries; retry++)
    delays.push(backoffDelay(configuration, retry, baseDelayMs, delays.at(-1) ?? 0, undefined, () => 0));
  return delays;
}

/** As the retry decides it: an attempt must begin before the time is over. */
function fittingIn(boundMs: number, delays: readonly number[]): number {
  let elapsedMs = 0;
  const first = delays.findIndex((delayMs) => (elapsedMs += delayMs) >= boundMs);
  return first === -1 ? delays.length : first;
}
