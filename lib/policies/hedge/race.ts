import type { AsyncResource } from 'node:async_hooks';
import { captureContext, runInContext } from '../../core/async-context.js';
import type { Call, Next } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { TimerEntry } from '../../core/timer-entry.js';

/** What a race asks and tells its policy. */
export interface RaceRules {
  /** How long to wait before the next attempt; `undefined` for none. */
  delayMs(): number | undefined;
  /** Takes what another attempt costs; false where there shall be none. */
  mayHedge(): boolean;
  /** An attempt has answered, after so long. */
  answered(durationMs: number, hedged: boolean): void;
}

interface Attempt {
  readonly call: Call;
  readonly startedAt: number;
  readonly hedged: boolean;
}

/**
 * Attempts of one call, the later ones started while the earlier ones are slow. The first success wins at once; the others
 * are aborted and not waited for. A failure only counts when nobody else is running.
 */
export class Race extends TimerEntry {
  private readonly attempts = new Set<Attempt>();
  private firstError: { readonly error: unknown } | undefined;
  private started = 0;
  private over = false;
  /** Where hedges run: the timer's turn is somebody else's. */
  private context: AsyncResource | undefined;
  private resolve!: (value: unknown) => void;
  private reject!: (reason: unknown) => void;

  constructor(
    private readonly call: Call,
    private readonly runAttempt: Next,
    private readonly clock: Clock,
    private readonly maxHedges: number,
    private readonly rules: RaceRules,
  ) {
    super();
  }

  run(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.start();
    });
  }

  onDue(): void {
    if (this.over || this.call.abortKind !== undefined) return;
    runInContext(this.context, () => {
      if (this.rules.mayHedge()) this.start();
    });
  }

  private start(): void {
    const call = this.call.child();
    // Whoever else is faster ends it.
    call.cancellable = true;
    const attempt: Attempt = { call, startedAt: this.clock.now(), hedged: this.started > 0 };
    this.started++;
    this.attempts.add(attempt);
    if (this.started <= this.maxHedges) {
      this.context ??= captureContext();
      this.armNext();
    }
    let result: unknown;
    try {
      result = this.runAttempt(call);
    } catch (error) {
      this.failed(attempt, error);
      return;
    }
    Promise.resolve(result).then(
      (value) => this.succeeded(attempt, value),
      (error: unknown) => this.failed(attempt, error),
    );
  }

  private armNext(): void {
    const delayMs = this.rules.delayMs();
    if (delayMs !== undefined) this.clock.arm(this, this.clock.now() + delayMs);
  }

  private succeeded(attempt: Attempt, value: unknown): void {
    this.leave(attempt);
    // A loser that was not stopped in time.
    if (this.over) return;
    this.rules.answered(this.clock.now() - attempt.startedAt, attempt.hedged);
    this.end();
    for (const loser of this.attempts) {
      loser.call.abort('abandoned', new DOMException('Another attempt was faster.', 'AbortError'));
    }
    this.resolve(value);
  }

  private failed(attempt: Attempt, error: unknown): void {
    this.leave(attempt);
    if (this.over) return;
    this.firstError ??= { error };
    if (this.attempts.size > 0) return;
    this.end();
    this.reject(this.call.abortKind === undefined ? this.firstError.error : this.call.abortReason);
  }

  private leave(attempt: Attempt): void {
    this.attempts.delete(attempt);
    attempt.call.detach();
  }

  private end(): void {
    this.over = true;
    this.clock.disarm(this);
  }
}
