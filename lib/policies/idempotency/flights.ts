import type { AbortListener, Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { OnceOutcome } from '../../core/once-store.js';
import { TimerEntry } from '../../core/timer-entry.js';

/** A run of this process that others may wait for. */
export class Flight {
  private readonly waiters = new Set<FlightWaiter>();

  constructor(readonly fingerprint: string) {}

  /** Waits for its outcome; `undefined` where the time was over before. Rejects when the waiting call is aborted. */
  wait(call: Call, waitMs: number, clock: Clock): Promise<OnceOutcome | undefined> {
    return new Promise((resolve, reject) => {
      const waiter = new FlightWaiter((outcome, aborted) => {
        this.waiters.delete(waiter);
        clock.disarm(waiter);
        if (call.cancellable) call.onAbortRemove(waiter);
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- users throw what they like
        if (aborted) reject(call.abortReason);
        else resolve(outcome);
      });
      this.waiters.add(waiter);
      clock.arm(waiter, clock.now() + waitMs);
      if (call.cancellable) call.onAbortAdd(waiter);
    });
  }

  land(outcome: OnceOutcome): void {
    for (const waiter of this.waiters) waiter.end(outcome, false);
  }
}

class FlightWaiter extends TimerEntry implements AbortListener {
  override keepAlive = true;

  constructor(readonly end: (outcome: OnceOutcome | undefined, aborted: boolean) => void) {
    super();
  }

  onDue(): void {
    this.end(undefined, false);
  }

  onAbort(): void {
    this.end(undefined, true);
  }
}
