import { performance } from 'node:perf_hooks';
import { clearTimeout, setTimeout } from 'node:timers';
import type { Clock } from './clock.js';
import type { TimerEntry } from './timer-entry.js';
import { TimerWheel, type NativeTimer } from './timer-wheel.js';

const LONGEST_DELAY_MS = 2 ** 31 - 1;

/**
 * The clock of the running process. It takes time and timers from Node's modules, not from the globals, so that fake
 * timers installed by somebody's test can neither stop it nor make it step back; tests pass a `ManualClock` instead.
 *
 * @publicApi
 */
export class SystemClock implements Clock {
  private readonly wheel = new TimerWheel({
    now: () => performance.now(),
    setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
    clearTimeout: (timer: NativeTimer) => clearTimeout(timer as NodeJS.Timeout),
  });

  /** How many coarse timers are armed; for leak tests. */
  get armedTimers(): number {
    return this.wheel.size;
  }

  now(): number {
    return performance.now();
  }

  wallTime(): number {
    return Date.now();
  }

  arm(entry: TimerEntry, dueAt: number): void {
    this.wheel.arm(entry, dueAt);
  }

  disarm(entry: TimerEntry): void {
    this.wheel.disarm(entry);
  }

  delay(delayMs: number, callback: () => void): () => void {
    const dueAt = performance.now() + delayMs;
    // A native timer can wake up to a millisecond early and reaches only 2^31-1 ms: both end in another leg.
    const leg = (): void => {
      const leftMs = dueAt - performance.now();
      if (leftMs <= 0) callback();
      else timer = setTimeout(leg, legOf(leftMs));
    };
    let timer = setTimeout(leg, legOf(delayMs));
    return () => clearTimeout(timer);
  }
}

function legOf(leftMs: number): number {
  return Math.min(Math.ceil(leftMs), LONGEST_DELAY_MS);
}

/** The clock that policies use unless they are given another: one per loaded copy, so that there is one native timer. */
export const systemClock: Clock = new SystemClock();
