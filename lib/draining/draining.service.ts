import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import { parseDuration, type Duration } from '../core/duration.js';
import { DrainingError } from '../core/errors.js';
import { TimerEntry } from '../core/timer-entry.js';
import { RUNTIME_TOKEN } from '../decorators/runtime.js';
import type { ResilienceRuntime } from '../module/resilience.runtime.js';

/** The numbers of draining. @publicApi */
export interface DrainingStats {
  readonly isDraining: boolean;
  readonly inFlightRequests: number;
  /** ISO time stamp; `undefined` while it does not drain. */
  readonly drainingStartedAt: string | undefined;
  readonly drainingElapsedMs: number | undefined;
}

/**
 * The application's drain state: whether it still takes work, and how much of it is under way. `start()` turns readiness
 * down; work that is tracked afterwards is refused; `wait()` says when what was under way is done.
 *
 * @publicApi
 */
@Injectable()
export class DrainingService {
  private readonly clock: Clock;
  private running = 0;
  private startedAt = Number.NaN;
  private startedWallTime = Number.NaN;
  private readonly waiting = new Set<DrainWaiter>();

  constructor(@Inject(RUNTIME_TOKEN) runtime: ResilienceRuntime) {
    this.clock = runtime.clock;
  }

  get isDraining(): boolean {
    return !Number.isNaN(this.startedAt);
  }

  /** Tracked work that is under way. */
  get inFlight(): number {
    return this.running;
  }

  /** Begins to drain; once is enough. */
  start(): void {
    if (this.isDraining) return;
    this.startedAt = this.clock.now();
    this.startedWallTime = this.clock.wallTime();
  }

  /**
   * Runs work that a drain waits for.
   *
   * @throws {@link DrainingError} without running it, once the drain has begun.
   */
  async track<T>(fn: () => T | PromiseLike<T>): Promise<T> {
    if (this.isDraining) throw new DrainingError('The application is shutting down and takes no new work.');
    this.running++;
    try {
      return await fn();
    } finally {
      this.running--;
      if (this.running === 0) for (const waiter of this.waiting) waiter.done(true);
    }
  }

  /** Waits until nothing is under way: `true`, or `false` where `timeout` (default 30 s) was over before. */
  wait(timeout: Duration = '30s'): Promise<boolean> {
    const timeoutMs = parseDuration(timeout);
    if (timeoutMs === undefined)
      throw new TypeError(`A timeout must be a duration, got ${JSON.stringify(timeout)}.`);
    if (this.running === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiter = new DrainWaiter((drained) => {
        this.waiting.delete(waiter);
        this.clock.disarm(waiter);
        resolve(drained);
      });
      this.waiting.add(waiter);
      this.clock.arm(waiter, this.clock.now() + timeoutMs);
    });
  }

  stats(): DrainingStats {
    const { isDraining } = this;
    return {
      isDraining,
      inFlightRequests: this.running,
      drainingStartedAt: isDraining ? new Date(this.startedWallTime).toISOString() : undefined,
      drainingElapsedMs: isDraining ? this.clock.now() - this.startedAt : undefined,
    };
  }
}

class DrainWaiter extends TimerEntry {
  override keepAlive = true;

  constructor(readonly done: (drained: boolean) => void) {
    super();
  }

  onDue(): void {
    this.done(false);
  }
}
