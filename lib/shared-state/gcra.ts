import { US_PER_MS } from '../core/duration.js';
import type { TakeAnswer, TakeRequest } from '../core/shared-state.js';

/** When all units are back: a whole microsecond and the part of one beyond it, since a server's time leaves no digits for it. */
export interface FullAt {
  readonly us: number;
  readonly part: number;
}

/** What adding up parts of microseconds may be off by. */
const ROUNDING_US = 1e-3;

/**
 * Grants units of a rate limit by GCRA (ATM Forum Traffic Management 4.0, the virtual scheduling algorithm). The script of a
 * store does the same arithmetic, all of it on distances from now: a server's time is so large a number that sums with it
 * lose an eighth of a microsecond, and with it the last unit.
 *
 * @param fullAt - As kept; `undefined` where nothing is.
 * @returns what to keep, `undefined` where nothing was granted.
 */
export function grantUnits(
  fullAt: FullAt | undefined,
  request: TakeRequest,
  nowUs: number,
): { readonly next: FullAt | undefined; readonly answer: TakeAnswer } {
  const { emissionUs, toleranceUs, want, min } = request;
  const aheadUs = fullAt === undefined ? 0 : Math.max(0, fullAt.us - nowUs + fullAt.part);
  const room = Math.max(0, Math.floor((toleranceUs - aheadUs + ROUNDING_US) / emissionUs));
  const granted = room < min ? 0 : Math.min(want, room);
  const nextUs = aheadUs + granted * emissionUs;
  const wholeUs = Math.floor(nextUs);
  return {
    next: granted > 0 ? { us: nowUs + wholeUs, part: nextUs - wholeUs } : undefined,
    answer: takeAnswer(request, granted, Math.ceil(nextUs), room - granted),
  };
}

/** What whoever asked is told, from what was granted, when all units are back, and how many are left. */
export function takeAnswer(
  { emissionUs, toleranceUs, min }: TakeRequest,
  granted: number,
  resetUs: number,
  remaining: number,
): TakeAnswer {
  const waitUs = granted > 0 ? 0 : Math.max(0, Math.ceil(resetUs + min * emissionUs - toleranceUs));
  return { granted, retryAfterMs: waitUs / US_PER_MS, resetMs: resetUs / US_PER_MS, remaining };
}
