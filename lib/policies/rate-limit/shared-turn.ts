import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { RateLimitDecision } from '../../core/errors.js';
import { PermitWait } from '../../core/permit-wait.js';

/** What a waiting call needs of its limit. */
export interface SharedTurnSource<P> {
  decide(remainingMs: number | undefined): Promise<RateLimitDecision>;
  permit(at: number): P;
  refusal(decision: RateLimitDecision): Error;
  /** What was taken is of no use any more. */
  unused(): void;
}

/** A call that waits for a shared limit: for the store's answer, and for its turn where it may wait for that. */
export class SharedTurn<P> extends PermitWait<P> {
  private ended = false;
  private cancelDelay: (() => void) | undefined;
  private readonly until: number;

  constructor(
    call: Call,
    private readonly clock: Clock,
    maxWaitMs: number,
    private readonly source: SharedTurnSource<P>,
  ) {
    super(call);
    this.until = clock.now() + maxWaitMs;
    if (call.cancellable) call.onAbortAdd(this);
    void this.ask();
  }

  onAbort(): void {
    this.ended = true;
    this.cancelDelay?.();
    this.refuse(this.call.abortReason);
  }

  /** It waits on an exact timer of its own. */
  onDue(): void {}

  private async ask(): Promise<void> {
    const { call, clock, source } = this;
    const now = clock.now();
    const remainingMs = call.deadline === undefined ? undefined : call.deadline - now;
    const decision = await source.decide(remainingMs);
    if (this.ended) {
      if (decision.allowed) source.unused();
      return;
    }
    if (decision.allowed) this.end(() => this.grant(source.permit(clock.now())));
    else if (clock.now() + decision.retryAfterMs > this.until)
      this.end(() => this.refuse(source.refusal(decision)));
    else this.cancelDelay = clock.delay(decision.retryAfterMs, () => void this.ask());
  }

  private end(how: () => void): void {
    this.ended = true;
    if (this.call.cancellable) this.call.onAbortRemove(this);
    how();
  }
}
