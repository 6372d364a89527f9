import type { TimerEntry } from './timer-entry.js';

/**
 * Where every policy takes its time from. Two implementations exist: {@link SystemClock} for production and
 * `ManualClock` (`nestjs-breakwater/testing`) for tests.
 *
 * @publicApi
 */
export interface Clock {
  /** Monotonic milliseconds, with fractions; the origin is arbitrary. Never steps back. */
  now(): number;
  /** Milliseconds since 1970 (UTC). May step; used only for HTTP dates and time stamps. */
  wallTime(): number;
  /**
   * Arms a coarse timer: `entry.onDue()` runs once, never before `dueAt` (on the scale of {@link Clock.now})
   * and at most one tick of the clock's wheel after it. Arming an armed entry moves it. O(1).
   */
  arm(entry: TimerEntry, dueAt: number): void;
  /** Takes an armed timer back; does nothing to one that is not armed. O(1). */
  disarm(entry: TimerEntry): void;
  /**
   * An exact timer that keeps the process alive until it has run or was cancelled. `delayMs` above 2^31-1 is
   * served in several legs.
   *
   * @returns a function that cancels it.
   */
  delay(delayMs: number, callback: () => void): () => void;
}

/** Random numbers in [0, 1), like `Math.random`. Injected, so that tests can fix it. */
export type RandomSource = () => number;

/** Somewhere between a `share` less and a `share` more than `ms`. */
export function jittered(ms: number, share: number, random: RandomSource): number {
  return ms * (1 - share + 2 * share * random());
}
