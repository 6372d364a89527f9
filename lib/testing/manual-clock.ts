import { setImmediate } from 'node:timers';
import type { Clock } from '../core/clock.js';
import { CallbackTimer, TimerEntry } from '../core/timer-entry.js';
import { isLinked, linkBefore, TimerList, unlink } from '../core/timer-list.js';

/** Where a {@link ManualClock} begins. */
export interface ManualClockOptions {
  /** What {@link ManualClock.now} says at first. Default: 0. */
  readonly now?: number;
  /** What {@link ManualClock.wallTime} says at first, in milliseconds since 1970. Default: 2025-01-01T00:00:00Z. */
  readonly wallTime?: number;
}

/** One turn drains every promise job; the others are for code that itself waits for a turn of the event loop. */
const TURNS_TO_SETTLE = 3;

/**
 * A clock that stands still until a test moves it. Its timers are exact: each runs at its own instant. It works with
 * and without a test framework's fake timers.
 *
 * @example
 * ```ts
 * const clock = new ManualClock();
 * const retry = new RetryPolicy('payments', { baseDelay: '100ms', jitter: 'none' }, { clock });
 * const result = retry.execute(charge); // fails at once
 * await clock.advance(100); // the back-off is over, the second attempt has run
 * expect(attempts).toBe(2);
 * ```
 *
 * @publicApi
 */
export class ManualClock implements Clock {
  private readonly timers = new TimerList();
  private current: number;
  private wallOffset: number;
  private armed = 0;
  private advancing: Promise<void> = Promise.resolve();

  constructor(options: ManualClockOptions = {}) {
    this.current = options.now ?? 0;
    this.wallOffset = (options.wallTime ?? Date.UTC(2025, 0, 1)) - this.current;
  }

  /** Monotonic milliseconds; moves only by {@link ManualClock.advance}. */
  now(): number {
    return this.current;
  }

  /** Milliseconds since 1970; moves along with {@link ManualClock.now}. */
  wallTime(): number {
    return this.current + this.wallOffset;
  }

  /** Steps the wall clock, as an NTP correction does; {@link ManualClock.now} and the timers do not move. */
  setWallTime(wallTime: number): void {
    this.wallOffset = wallTime - this.current;
  }

  /**
   * How many timers are armed, delays included. `0` at the end of a test shows that nothing leaked.
   *
   * @example
   * ```ts
   * await timeout.execute(quickMethod);
   * expect(clock.pending).toBe(0);
   * ```
   */
  get pending(): number {
    return this.armed;
  }

  arm(entry: TimerEntry, dueAt: number): void {
    if (isLinked(entry)) this.disarm(entry);
    // From the end: equals stay in the order in which they were armed, and equal delays cost one step.
    let next: TimerEntry = this.timers;
    while (next.previous !== this.timers && (next.previous as TimerEntry).dueAt > dueAt)
      next = next.previous as TimerEntry;
    entry.dueAt = dueAt;
    linkBefore(next, entry);
    this.armed++;
  }

  disarm(entry: TimerEntry): void {
    if (!isLinked(entry)) return;
    unlink(entry);
    entry.dueAt = Number.NaN;
    this.armed--;
  }

  delay(delayMs: number, callback: () => void): () => void {
    const entry = new CallbackTimer(callback);
    this.arm(entry, this.current + delayMs);
    return () => this.disarm(entry);
  }

  /**
   * Moves time on by `ms`: whatever falls due runs at its own instant, in order (first armed, first run among equals),
   * and before, between and after, all promise jobs settle. `advance(0)` lets them settle and runs what is due now.
   *
   * Calls that are not awaited run one after the other.
   *
   * @param ms at least 0
   * @throws what a timer threw
   *
   * @example
   * ```ts
   * const call = timeout.execute(() => new Promise(() => {}));
   * const rejected = expect(call).rejects.toThrow(TimeoutExceededError);
   * await clock.advance(1_000);
   * await rejected;
   * ```
   */
  advance(ms: number): Promise<void> {
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) {
      return Promise.reject(
        new RangeError(`A clock advances by a finite number of milliseconds, at least 0, got ${ms}.`),
      );
    }
    const turn = this.advancing.then(() => this.runUntilAfter(ms));
    this.advancing = turn.catch(() => undefined);
    return turn;
  }

  private async runUntilAfter(ms: number): Promise<void> {
    const target = this.current + ms;
    await settle();
    for (
      let entry = this.timers.first();
      entry !== undefined && entry.dueAt <= target;
      entry = this.timers.first()
    ) {
      this.current = Math.max(this.current, entry.dueAt);
      this.disarm(entry);
      entry.onDue();
      await settle();
    }
    this.current = target;
    await settle();
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS_TO_SETTLE; turn++)
    await new Promise<void>((resolve) => setImmediate(resolve));
}
