import { performance } from 'node:perf_hooks';
import { clearTimeout, setTimeout } from 'node:timers';
import type { Clock } from './clock.js';
import type { TimerEntry } from './timer-entry.js';
import { LONGEST_SLEEP_MS, TimerWheel, type TimerHost } from './timer-wheel.js';

// From Node's modules, not from the globals: fake timers that somebody's test installs can neither stop this clock nor
// make it step back. Tests pass a `ManualClock` instead.
const node: TimerHost = {
  now: () => performance.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/**
 * The clock of the running process: `performance.now()`, `Date.now()`, and one coarse timer wheel.
 *
 * @publicApi
 */
export class SystemClock implements Clock {
  private readonly wheel: TimerWheel;

  constructor(private readonly host: TimerHost = node) {
    this.wheel = new TimerWheel(host);
  }

  /** How many coarse timers are armed; for leak tests. */
  get armedTimers(): number {
    return this.wheel.size;
  }

  now(): number {
    return this.host.now();
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
    const { host } = this;
    const dueAt = host.now() + delayMs;
    // A native timer can wake up to a millisecond early and reaches only 2^31-1 ms: both end in another leg.
    const leg = (): void => {
      const leftMs = dueAt - host.now();
      if (leftMs <= 0) callback();
      else timer = host.setTimeout(leg, legOf(leftMs));
    };
    let timer = host.setTimeout(leg, legOf(delayMs));
    return () => host.clearTimeout(timer);
  }
}

function legOf(leftMs: number): number {
  return Math.min(Math.ceil(leftMs), LONGEST_SLEEP_MS);
}

/** The clock that policies use unless they are given another: one per loaded copy, so that there is one native timer. */
export const systemClock: Clock = new SystemClock();
