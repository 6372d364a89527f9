import { US_PER_MS } from '../core/duration.js';
import type { TakeAnswer, TakeRequest } from '../core/shared-state.js';

/**
 * Grants units of a rate limit by GCRA (ATM Forum Traffic Management 4.0, the virtual scheduling algorithm), in whole
 * microseconds. The script of a store does the same arithmetic.
 *
 * @param fullAt - When all units are back, as kept; `undefined` where nothing is.
 * @returns what to keep, `undefined` where nothing was granted.
 */
export function grantUnits(
  fullAt: number | undefined,
  { emissionUs, toleranceUs, want, min }: TakeRequest,
  nowUs: number,
): { readonly next: number | undefined; readonly answer: TakeAnswer } {
  const base = Math.max(fullAt ?? nowUs, nowUs);
  const room = Math.max(0, Math.floor((nowUs + toleranceUs - base) / emissionUs));
  const granted = room < min ? 0 : Math.min(want, room);
  // Rounded up: never more than the rate.
  const next = Math.ceil(base + granted * emissionUs);
  const waitUs = base + min * emissionUs - toleranceUs - nowUs;
  return {
    next: granted > 0 ? next : undefined,
    answer: {
      granted,
      retryAfterMs: granted > 0 ? 0 : waitUs / US_PER_MS,
      resetMs: (next - nowUs) / US_PER_MS,
      remaining: room - granted,
    },
  };
}
