import type { Clock } from '../../core/clock.js';

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** The waits of somebody who can be told to stop; one at a time. */
export class Pause {
  private cut: ((reason: Error) => void) | undefined;
  private stopped: Error | undefined;

  constructor(private readonly clock: Clock) {}

  /** What waits now, and whatever would wait later, ends with the reason. Only the first counts. */
  stop(reason: Error): void {
    if (this.stopped !== undefined) return;
    this.stopped = reason;
    this.cut?.(reason);
  }

  /** @throws the reason, where it was stopped. */
  check(): void {
    if (this.stopped !== undefined) throw this.stopped;
  }

  sleep(delayMs: number): Promise<void> {
    return this.wait<void>(delayMs, ({ resolve }) => resolve());
  }

  /** Sleeps until an instant of the wall clock, which may step meanwhile. */
  async sleepUntil(at: Date): Promise<void> {
    for (;;) {
      const leftMs = at.getTime() - this.clock.wallTime();
      if (!(leftMs > 0)) return;
      await this.sleep(leftMs);
    }
  }

  /** What `run` answers, if it does in time. What it answers later is observed, and counts no more. */
  bounded<T>(limitMs: number, late: () => Error, run: () => T | PromiseLike<T>): Promise<T> {
    return this.wait<T>(
      limitMs,
      ({ reject }) => reject(late()),
      ({ resolve, reject }) => void Promise.resolve().then(run).then(resolve, reject),
    );
  }

  private wait<T>(
    delayMs: number,
    due: (waiter: Waiter<T>) => void,
    start?: (waiter: Waiter<T>) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.check();
      let over = false;
      const once = (settle: () => void) => {
        if (over) return;
        over = true;
        cancel();
        this.cut = undefined;
        settle();
      };
      const waiter: Waiter<T> = {
        resolve: (value) => once(() => resolve(value)),
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- users throw what they like
        reject: (reason) => once(() => reject(reason)),
      };
      const cancel = this.clock.delay(delayMs, () => due(waiter));
      this.cut = (reason) => waiter.reject(reason);
      start?.(waiter);
    });
  }
}
