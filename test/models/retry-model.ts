/** How an attempt ends: what it throws or returns is tried again, final, or fine. */
export type Ending = 'error' | 'status 503' | 'result 503' | 'status 404' | 'result 404' | 'fine';

export interface RetryRules {
  readonly maxRetries: number;
  readonly baseDelay: number;
  readonly maxDelay: number;
  readonly maxElapsed: number | undefined;
}

const AGAIN: ReadonlySet<Ending> = new Set(['error', 'status 503', 'result 503']);

/** When the attempts of a call begin, if each takes `tookMs` and they end so; exponential, without jitter. */
export function attemptsOf(rules: RetryRules, endings: readonly Ending[], tookMs: number): number[] {
  const startedAt = [0];
  let now = 0;
  for (const ending of endings) {
    now += tookMs;
    const retry = startedAt.length;
    if (!AGAIN.has(ending) || retry > rules.maxRetries) return startedAt;
    const delay = Math.min(rules.baseDelay * 2 ** (retry - 1), rules.maxDelay);
    if (rules.maxElapsed !== undefined && now + delay >= rules.maxElapsed) return startedAt;
    now += delay;
    startedAt.push(now);
  }
  return startedAt;
}
