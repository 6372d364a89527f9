import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { PermitWait } from '../../core/permit-wait.js';

/** A call that waits for its turn. */
export class TurnWaiter<P> extends PermitWait<P> {
  constructor(
    call: Call,
    readonly cost: number,
    private readonly aborted: (waiter: TurnWaiter<P>) => void,
  ) {
    super(call);
  }

  onAbort(): void {
    this.aborted(this);
  }

  /** The line's timer is the one that wakes it. */
  onDue(): void {}
}

/**
 * Who waits for units of one limit, first come, first served; exists only while somebody waits. One exact timer for the
 * first in line keeps the process alive. Who aborts gives the turn to the next.
 */
export class TurnLine<P> {
  /** Units that those in line will take. */
  cost = 0;
  private readonly waiters: TurnWaiter<P>[] = [];
  private cancelTimer: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly take: (cost: number, now: number) => boolean,
    private readonly waitMs: (cost: number, now: number) => number,
    private readonly permit: (cost: number, now: number) => P,
    private readonly refusal: (cost: number, now: number) => Error,
    private readonly emptied: () => void,
  ) {}

  get size(): number {
    return this.waiters.length;
  }

  join(call: Call, cost: number): TurnWaiter<P> {
    const waiter = new TurnWaiter<P>(call, cost, (gone) => this.leave(gone));
    this.waiters.push(waiter);
    this.cost += cost;
    if (call.cancellable) call.onAbortAdd(waiter);
    if (this.waiters.length === 1) this.arm();
    return waiter;
  }

  private leave(waiter: TurnWaiter<P>): void {
    const index = this.waiters.indexOf(waiter);
    this.waiters.splice(index, 1);
    this.cost -= waiter.cost;
    waiter.refuse(waiter.call.abortReason);
    if (index === 0) this.serve();
  }

  /** Lets in whoever can be, and sleeps until the next one can. */
  serve(now = this.clock.now()): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    for (;;) {
      const first = this.waiters[0];
      if (first === undefined) {
        this.emptied();
        return;
      }
      const taken = this.take(first.cost, now);
      // The limit was changed while it waited, to one that it can never meet.
      if (!taken && this.waitMs(first.cost, now) === Number.POSITIVE_INFINITY) {
        this.dequeue(first);
        first.refuseWith(() => this.refusal(first.cost, now));
        continue;
      }
      if (!taken) break;
      this.dequeue(first);
      first.grant(this.permit(first.cost, now));
    }
    this.arm();
  }

  private dequeue(first: TurnWaiter<P>): void {
    this.waiters.shift();
    this.cost -= first.cost;
    if (first.call.cancellable) first.call.onAbortRemove(first);
  }

  private arm(): void {
    const first = this.waiters[0] as TurnWaiter<P>;
    const now = this.clock.now();
    const wait = this.waitMs(first.cost, now);
    // Served as of when it was due, so that late timers do not add up to a lower rate.
    this.cancelTimer = this.clock.delay(wait, () => this.serve(now + wait));
  }
}
