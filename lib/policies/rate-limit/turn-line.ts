import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { PermitWait } from '../../core/permit-wait.js';

/** A call that waits for its turn. */
export class TurnWaiter<P> extends PermitWait<P> {
  /** Its neighbours in line. */
  before: TurnWaiter<P> | undefined = undefined;
  behind: TurnWaiter<P> | undefined = undefined;

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
  size = 0;
  private first: TurnWaiter<P> | undefined = undefined;
  private last: TurnWaiter<P> | undefined = undefined;
  private cancelTimer: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly take: (cost: number, now: number) => boolean,
    private readonly waitMs: (cost: number, now: number) => number,
    private readonly permit: (cost: number, now: number) => P,
    private readonly refusal: (cost: number, now: number) => Error,
    private readonly emptied: () => void,
  ) {}

  join(call: Call, cost: number): TurnWaiter<P> {
    const waiter = new TurnWaiter<P>(call, cost, (gone) => this.leave(gone));
    waiter.before = this.last;
    if (this.last === undefined) this.first = waiter;
    else this.last.behind = waiter;
    this.last = waiter;
    this.size++;
    this.cost += cost;
    if (call.cancellable) call.onAbortAdd(waiter);
    if (this.first === waiter) this.arm(waiter);
    return waiter;
  }

  private leave(waiter: TurnWaiter<P>): void {
    const wasFirst = this.first === waiter;
    this.remove(waiter);
    waiter.refuse(waiter.call.abortReason);
    if (wasFirst) this.serve();
  }

  /** Lets in whoever can be, and sleeps until the next one can. */
  serve(now = this.clock.now()): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    for (;;) {
      const { first } = this;
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
      if (!taken) {
        this.arm(first);
        return;
      }
      this.dequeue(first);
      first.grant(this.permit(first.cost, now));
    }
  }

  /** From wherever it stands, at once: with a crowd in line many give up at the same time. */
  private remove(waiter: TurnWaiter<P>): void {
    const { before, behind } = waiter;
    if (before === undefined) this.first = behind;
    else before.behind = behind;
    if (behind === undefined) this.last = before;
    else behind.before = before;
    waiter.before = waiter.behind = undefined;
    this.size--;
    this.cost = this.size === 0 ? 0 : this.cost - waiter.cost;
  }

  private dequeue(first: TurnWaiter<P>): void {
    this.remove(first);
    if (first.call.cancellable) first.call.onAbortRemove(first);
  }

  private arm(first: TurnWaiter<P>): void {
    const now = this.clock.now();
    const wait = this.waitMs(first.cost, now);
    // Served as of when it was due, so that late timers do not add up to a lower rate.
    this.cancelTimer = this.clock.delay(wait, () => this.serve(now + wait));
  }
}
