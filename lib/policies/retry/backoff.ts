import { jittered, type RandomSource } from '../../core/clock.js';
import { parseDuration, type Duration } from '../../core/duration.js';

/** How delays grow from one retry to the next. @publicApi */
export type BackoffName = 'exponential' | 'linear' | 'fibonacci' | 'constant' | 'decorrelated';

/** A delay of the user's own: `attempt` is 1 before the first retry. @publicApi */
export type BackoffFunction = { delay(attempt: number, error: unknown): Duration }['delay'];

/** ± a fraction of the delay, or the AWS forms: `full` in [0, d), `equal` in [d/2, d), `none`. @publicApi */
export type Jitter = number | 'full' | 'equal' | 'none';

/** Timers of Node take no more. */
export const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** The growth of each strategy: the delay before retry number `retry` (1, 2, …) from a base, not yet capped. */
const GROWTH: Readonly<
  Record<Exclude<BackoffName, 'decorrelated'>, (retry: number, capFactor: number) => number>
> = {
  exponential: (retry) => 2 ** (retry - 1),
  linear: (retry) => retry,
  fibonacci,
  constant: () => 1,
};

export interface BackoffSettings {
  readonly backoff: BackoffName | BackoffFunction;
  readonly maxDelayMs: number;
  readonly jitter: Jitter;
}

/**
 * The delay before retry number `retry`, in [0, maxDelay]. Jitter is drawn below the cap, never cut off by it: a base of
 * min(d, maxDelay / (1 + jitter)) spreads as widely at the cap as below it, so that clients do not herd there.
 * Decorrelated after Brooker, *Exponential Backoff and Jitter* (AWS Architecture Blog, 2015), drawn below the cap too.
 */
export function backoffDelay(
  settings: BackoffSettings,
  retry: number,
  baseDelayMs: number,
  previousMs: number,
  error: unknown,
  random: RandomSource,
): number {
  const { backoff, maxDelayMs, jitter } = settings;
  if (typeof backoff === 'function') return customDelay(backoff, retry, error, maxDelayMs);
  if (backoff === 'decorrelated') {
    const low = Math.min(baseDelayMs, maxDelayMs);
    const high = Math.min(maxDelayMs, Math.max(baseDelayMs, previousMs) * 3);
    return low + random() * (high - low);
  }
  const grown = baseDelayMs === 0 ? 0 : baseDelayMs * GROWTH[backoff](retry, maxDelayMs / baseDelayMs);
  switch (jitter) {
    case 'none':
      return Math.min(grown, maxDelayMs);
    case 'full':
      return Math.min(grown, maxDelayMs) * random();
    case 'equal':
      return (Math.min(grown, maxDelayMs) / 2) * (1 + random());
    default: {
      return jittered(Math.min(grown, maxDelayMs / (1 + jitter)), jitter, random);
    }
  }
}

/** What jitter adds to a wait that the other side asked for: never earlier than asked. */
export function addedJitter(settings: BackoffSettings, baseDelayMs: number, random: RandomSource): number {
  const { jitter } = settings;
  if (jitter === 'none') return 0;
  return baseDelayMs * random() * (typeof jitter === 'number' ? jitter : 1);
}

function customDelay(backoff: BackoffFunction, retry: number, error: unknown, maxDelayMs: number): number {
  const given = backoff(retry, error);
  const delayMs = parseDuration(given);
  if (delayMs === undefined) {
    throw new TypeError(`A backoff function must return a duration of at least 0, got ${String(given)}.`);
  }
  return Math.min(delayMs, maxDelayMs);
}

/** 1, 2, 3, 5, 8 …, and no further than the cap needs. */
function fibonacci(retry: number, capFactor: number): number {
  let current = 1;
  let next = 2;
  for (let i = 1; i < retry && current < capFactor; i++) [current, next] = [next, current + next];
  return current;
}
