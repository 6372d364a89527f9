import { TIME_WINDOW_SLICES } from '../../lib/policies/circuit-breaker/sliding-window.js';

export interface Outcome {
  readonly at: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

/** What a window holds, as it says itself. */
export interface Held {
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}

/** What a window of the last `size` calls holds, counted anew. */
export const lastCalls = (log: readonly Outcome[], size: number): Held => countsOf(log.slice(-size));

/** What a window of time holds, counted anew: the calls of the slice in progress and of those before it. */
export function lastMs(log: readonly Outcome[], durationMs: number, now: number): Held {
  const width = durationMs / TIME_WINDOW_SLICES;
  const oldest = Math.floor(now / width) - TIME_WINDOW_SLICES + 1;
  const first = log.findLastIndex(({ at }) => Math.floor(at / width) < oldest) + 1;
  return countsOf(log.slice(first));
}

function countsOf(held: readonly Outcome[]): Held {
  let failures = 0;
  let slow = 0;
  for (const outcome of held) {
    if (outcome.failed) failures++;
    if (outcome.slow) slow++;
  }
  return { calls: held.length, failures, slow };
}
