import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import type { Clock } from '../core/clock.js';
import { systemClock } from '../core/system-clock.js';
import { CallbackTimer } from '../core/timer-entry.js';

const RESOLUTION_MS = 20;
const SPAN_MS = 10_000;
const NS_PER_MS = 1e6;

type DelayHistogram = Pick<IntervalHistogram, 'max' | 'enable' | 'disable' | 'reset'>;

/**
 * How long the event loop was blocked, at worst, in the last 10 to 20 seconds. It ages by time and not by being read, so
 * that one reader does not take the news from another. By the system's clock: what it measures is real.
 */
export class LoopDelay {
  /** Two, begun a span apart: what is forgotten when one begins anew, the other still has. */
  private older: DelayHistogram;
  private newer: DelayHistogram;
  private readonly timer = new CallbackTimer(() => this.turn());

  constructor(
    private readonly clock: Clock = systemClock,
    monitor: () => DelayHistogram = () => monitorEventLoopDelay({ resolution: RESOLUTION_MS }),
  ) {
    this.older = monitor();
    this.newer = monitor();
    this.older.enable();
    this.newer.enable();
    this.arm();
  }

  worstMs(): number {
    const worstNs = Math.max(this.older.max, this.newer.max);
    return Math.max(0, worstNs / NS_PER_MS - RESOLUTION_MS);
  }

  stop(): void {
    this.clock.disarm(this.timer);
    this.older.disable();
    this.newer.disable();
  }

  private turn(): void {
    const { older, newer } = this;
    older.reset();
    this.older = newer;
    this.newer = older;
    this.arm();
  }

  private arm(): void {
    this.clock.arm(this.timer, this.clock.now() + SPAN_MS);
  }
}
