import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 20;
const SPAN_MS = 10_000;
const NS_PER_MS = 1e6;

/**
 * How long the event loop was blocked, at worst, in the last 10 to 20 seconds. It ages by time and not by being read, so
 * that one reader does not take the news from another.
 */
export class LoopDelay {
  private readonly histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private before = 0;
  private since: number;

  constructor(private readonly now: () => number = () => performance.now()) {
    this.since = now();
    this.histogram.enable();
  }

  worstMs(): number {
    const present = Math.max(0, this.histogram.max / NS_PER_MS - RESOLUTION_MS);
    const worst = Math.max(present, this.before);
    const age = this.now() - this.since;
    if (age >= SPAN_MS) {
      this.before = age < 2 * SPAN_MS ? present : 0;
      this.since = this.now();
      this.histogram.reset();
    }
    return worst;
  }

  stop(): void {
    this.histogram.disable();
  }
}
