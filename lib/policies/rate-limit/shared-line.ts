import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { RateLimitDecision } from '../../core/errors.js';
import { PermitWait } from '../../core/permit-wait.js';

/** What those in line need of their limit. */
export interface SharedLineSource<P> {
  /** Takes so many units, from memory or of the store. Never rejects. */
  decide(cost: number, remainingMs: number | undefined): RateLimitDecision | PromiseLike<RateLimitDecision>;
  permit(cost: number, at: number): P;
  refusal(decision: RateLimitDecision): Error;
  /** What was taken is of no use any more. */
  unused(cost: number): void;
  /** How long so many units take to come back, if nobody else takes any. */
  spanMs(units: number): number;
  emptied(): void;
}

/** A call that is in line for a shared limit: for the store's answer, and for its turn where it may wait for that. */
export class SharedTurn<P> extends PermitWait<P> {
  /** Whether its answer is to come. */
  asks = false;
  /** Whether it has been told to wait. */
  waits = false;

  constructor(
    call: Call,
    readonly cost: number,
    readonly until: number,
    private readonly aborted: (turn: SharedTurn<P>) => void,
  ) {
    super(call);
  }

  onAbort(): void {
    this.aborted(this);
  }

  /** The line's timer is the one that wakes it. */
  onDue(): void {}
}

/** Of those who wait, how many ask at once when their time has come. */
const ASKED_TOGETHER = 64;
/** What the times of the store and those of here may differ by, for who was told once that its turn comes in time. */
const SLACK_MS = 1;

/**
 * Who of this instance is in line for one key of a shared limit, first come, first served; exists only while somebody is.
 * As long as nobody was told to wait all ask at once; then those in front do, when there should be something for the first.
 */
export class SharedLine<P> {
  /** How many were told to wait. */
  waiting = 0;
  private readonly turns = new Set<SharedTurn<P>>();
  /** Units that those in line will take. */
  private cost = 0;
  /** Answers that are to come. */
  private asked = 0;
  private refusal: RateLimitDecision | undefined;
  /** Until then nothing is there for `refusedCost` and above; `undefined` where that is to be asked. */
  private dueAt: number | undefined;
  private refusedCost = 0;
  /** Ends when the limit becomes another one: what the one before answers says nothing of when to come back. */
  private epoch = 0;
  private cancelTimer: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly source: SharedLineSource<P>,
  ) {}

  join(call: Call, cost: number, maxWaitMs: number): SharedTurn<P> {
    const turn = new SharedTurn<P>(call, cost, this.clock.now() + maxWaitMs, (gone) => this.leave(gone));
    this.turns.add(turn);
    this.cost += cost;
    if (call.cancellable) call.onAbortAdd(turn);
    if (call.abortKind !== undefined) return turn;
    if (this.waiting > 0) this.wait(turn);
    else this.ask(turn);
    return turn;
  }

  /** What somebody is told who comes now, where others wait already. */
  look(cost: number): RateLimitDecision | undefined {
    if (this.waiting === 0 || this.refusal === undefined) return undefined;
    return { ...this.refusal, retryAfterMs: this.waitMs(cost, this.cost) };
  }

  /** The limit is another one, or has forgotten what was used. */
  renew(): void {
    this.epoch++;
    this.dueAt = undefined;
    if (this.asked === 0) this.goOn();
  }

  private ask(turn: SharedTurn<P>): void {
    turn.asks = true;
    this.asked++;
    void this.hear(turn, this.epoch);
  }

  private async hear(turn: SharedTurn<P>, epoch: number): Promise<void> {
    const { call, cost } = turn;
    const decision = await this.source.decide(cost, call.remainingMs(this.clock.now()));
    this.asked--;
    if (decision.allowed) this.give(turn);
    else this.deny(turn, decision, epoch === this.epoch);
    if (this.asked === 0) this.goOn();
  }

  /** Who was told to wait before this one asked goes first, and this one waits in its stead. */
  private give(asked: SharedTurn<P>): void {
    const { cost } = asked;
    const first = this.find((turn) => turn === asked || (!turn.asks && turn.cost === cost));
    if (first === undefined) {
      this.source.unused(cost);
      return;
    }
    if (asked.asks && first !== asked) this.wait(asked);
    this.leaveLine(first);
    first.grant(this.source.permit(cost, this.clock.now()));
  }

  private deny(asked: SharedTurn<P>, decision: RateLimitDecision, isCurrent: boolean): void {
    this.refusal = decision;
    if (isCurrent) {
      this.dueAt = this.clock.now() + decision.retryAfterMs;
      this.refusedCost = asked.cost;
    }
    if (!asked.asks) return;
    if (isCurrent && !asked.waits && this.comesTooLate(asked, decision.retryAfterMs)) {
      this.refuse(asked, decision);
    } else {
      this.wait(asked);
    }
  }

  /** All have their answers: who cannot be served in time goes, and the first has its turn or sleeps until then. */
  private goOn(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    if (this.dueAt !== undefined) this.dismiss();
    const first = this.find(() => true);
    if (first === undefined) {
      this.source.emptied();
    } else if (this.dueAt === undefined || first.cost < this.refusedCost) {
      this.serve(first.cost);
    } else {
      this.cancelTimer = this.clock.delay(this.dueAt - this.clock.now(), () => {
        this.dueAt = undefined;
        this.goOn();
      });
    }
  }

  private serve(cost: number): void {
    this.dueAt = undefined;
    let left = ASKED_TOGETHER;
    for (const turn of this.turns) {
      if (turn.cost !== cost || left-- === 0) return;
      this.ask(turn);
    }
  }

  private dismiss(): void {
    let ahead = 0;
    for (const turn of this.turns) {
      const retryAfterMs = this.waitMs(turn.cost, ahead);
      if (this.comesTooLate(turn, retryAfterMs - SLACK_MS)) {
        this.refuse(turn, { ...(this.refusal as RateLimitDecision), retryAfterMs });
      } else {
        ahead += turn.cost;
      }
    }
  }

  /** How long until `cost` units could be there after the `ahead` units of others, if nobody else took any. */
  private waitMs(cost: number, ahead: number): number {
    const { dueAt, refusedCost } = this;
    const dueMs = dueAt === undefined ? 0 : Math.max(0, dueAt - this.clock.now());
    return dueMs + this.source.spanMs(Math.max(0, ahead + cost - refusedCost));
  }

  private comesTooLate({ until }: SharedTurn<P>, waitMs: number): boolean {
    return waitMs === Number.POSITIVE_INFINITY || this.clock.now() + waitMs > until;
  }

  private find(matches: (turn: SharedTurn<P>) => boolean): SharedTurn<P> | undefined {
    for (const turn of this.turns) if (matches(turn)) return turn;
    return undefined;
  }

  private wait(turn: SharedTurn<P>): void {
    turn.asks = false;
    if (turn.waits) return;
    turn.waits = true;
    this.waiting++;
  }

  private refuse(turn: SharedTurn<P>, decision: RateLimitDecision): void {
    this.leaveLine(turn);
    turn.refuseWith(() => this.source.refusal(decision));
  }

  private leave(turn: SharedTurn<P>): void {
    const wasFirst = this.find(() => true) === turn;
    this.remove(turn);
    turn.refuse(turn.call.abortReason);
    if (wasFirst && this.asked === 0) this.goOn();
  }

  private leaveLine(turn: SharedTurn<P>): void {
    this.remove(turn);
    if (turn.call.cancellable) turn.call.onAbortRemove(turn);
  }

  private remove(turn: SharedTurn<P>): void {
    this.turns.delete(turn);
    this.cost = this.turns.size === 0 ? 0 : this.cost - turn.cost;
    turn.asks = false;
    if (turn.waits) this.waiting--;
  }
}
