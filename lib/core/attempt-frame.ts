import type { AsyncResource } from 'node:async_hooks';
import { captureContext, runInContext } from './async-context.js';
import { runMethod, type AbortListener, type Call, type Next, type Runner } from './call.js';
import type { Clock } from './clock.js';
import { isRejection } from './errors.js';
import { PermitWait, type PermitListener } from './permit-wait.js';
import type { AnyGuard, Repeater, Repetition } from './policy.js';
import { isThenable } from './property.js';

/** What stands around a frame and inside it. */
export interface FrameOptions {
  readonly guards: readonly AnyGuard[];
  /** What the frame encloses; by default the method. */
  readonly next?: Next;
  readonly clock: Clock;
  readonly repeater?: Repeater | undefined;
  /** Whether something stands around the frame that goes on when the frame's call has ended. */
  readonly enclosed?: boolean;
}

/**
 * Composes neighbouring guards, and the repeater right around them, with the rest of a pipeline. Guards are entered in
 * order and settled in reverse, each with the permit that it issued. A call through all of it is one promise and one
 * object; an `async` function for each part would cost several times as much.
 */
export function attemptFrame(options: FrameOptions): Next {
  const frame = new Frame(options);
  return (call) => {
    try {
      return new Run(frame, call).begin();
    } catch (error) {
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- users throw what they like
      return Promise.reject(error);
    }
  };
}

/** What all runs of one frame have in common. */
class Frame {
  readonly guards: readonly AnyGuard[];
  readonly count: number;
  readonly peekers: readonly AnyGuard[];
  readonly next: Next;
  /** Whether the method itself is what the frame encloses. */
  readonly innermost: boolean;
  /** Whether attempts begin further out. */
  readonly isInner: boolean;
  readonly clock: Clock;
  readonly repeater: Repeater | undefined;
  readonly readsStart: boolean;
  readonly readsEnd: boolean;
  readonly endsAttempts: boolean;
  /** Whether attempts are calls of their own, because one can end while the call around it goes on. */
  readonly nested: boolean;
  /** Whether a first attempt may use the call itself: nothing stands around the frame, and no guard bounds the call. */
  readonly mayBorrow: boolean;

  constructor({ guards, next = runMethod, clock, repeater, enclosed = false }: FrameOptions) {
    this.guards = guards;
    this.count = guards.length;
    // Not past one that wants to hear of refusals further in: it must have let the attempt in before.
    const listener = guards.findIndex(({ hearsRefusals }) => hearsRefusals === true);
    const asked = listener < 0 ? guards : guards.slice(0, listener + 1);
    this.peekers = asked.filter((guard) => guard.peek !== undefined);
    this.next = next;
    this.innermost = next === runMethod;
    this.isInner = enclosed && repeater === undefined;
    this.clock = clock;
    this.repeater = repeater;
    this.readsStart = repeater !== undefined || guards.some(({ needsTime }) => needsTime !== 'never');
    this.readsEnd = guards.some(({ needsTime }) => needsTime === 'start and end');
    this.endsAttempts = guards.some(({ endsAttempts }) => endsAttempts === true);
    this.nested = this.endsAttempts && (enclosed || repeater !== undefined);
    this.mayBorrow =
      !enclosed && (repeater === undefined || !guards.some(({ boundsCall }) => boundsCall === true));
  }
}

/**
 * One call on its way through a frame, attempt after attempt. As long as nothing but the method can keep it, each step
 * returns what the caller gets: a value, or the method's own promise, continued. From the moment that it has to wait,
 * can be aborted or is repeated, there is a promise of its own (`resolve` is set), and steps return nothing.
 */
class Run implements AbortListener, PermitListener {
  /** What the present attempt waits for; `undefined` as long as all of it has happened in the caller's own turn. */
  running: PromiseLike<unknown> | undefined = undefined;
  /** The call of the present attempt. */
  private call: Call;
  private readonly permits: unknown[];
  /** How many guards have let the attempt in. */
  private entered = 0;
  private startedAt = Number.NaN;
  /** What the repeater noted when the call began. */
  private mark = 0;
  /** Whether what runs inside is still to be heard. */
  private waiting = false;
  private repetition: Repetition | undefined = undefined;
  /** Where further attempts run: an abort comes from a turn of somebody else's. */
  private context: AsyncResource | undefined = undefined;
  private resolve: ((value: unknown) => void) | undefined = undefined;
  private reject: ((reason: unknown) => void) | undefined = undefined;

  constructor(
    private readonly frame: Frame,
    private outer: Call,
  ) {
    this.call = outer;
    this.permits = new Array<unknown>(frame.count);
  }

  begin(): unknown {
    const { frame, outer } = this;
    if (frame.readsStart) this.startedAt = frame.clock.now();
    if (frame.repeater !== undefined) this.mark = frame.repeater.begin(outer, this.startedAt);
    return this.attempt();
  }

  private attempt(): unknown {
    const { frame, outer } = this;
    // With nothing around the frame nobody else needs this call: the first attempt may use it up.
    const borrows = this.repetition === undefined && frame.mayBorrow && !outer.cancellable;
    this.call = frame.nested && !borrows ? outer.child() : outer;
    this.entered = 0;
    const { call, startedAt } = this;
    const { peekers } = frame;
    if (call.abortKind !== undefined) return this.refused(call.abortReason);
    try {
      for (let i = 0; i < peekers.length; i++) {
        const refusal = (peekers[i] as Required<AnyGuard>).peek(call, startedAt);
        if (refusal !== undefined) return this.refused(refusal);
      }
    } catch (error) {
      return this.refused(error);
    }
    return this.enter();
  }

  /** Enters the guards that are left, until one of them lets the attempt wait. */
  private enter(): unknown {
    const { frame, call, permits } = this;
    try {
      while (this.entered < frame.count) {
        const permit: unknown = (frame.guards[this.entered] as AnyGuard).enter(call, this.startedAt);
        if (permit instanceof PermitWait) return this.waitFor(permit);
        permits[this.entered++] = permit;
      }
    } catch (error) {
      return this.refused(error);
    }
    return this.runInside();
  }

  private waitFor(wait: PermitWait<unknown>): unknown {
    // The attempt begins when it is let in, the call began before: a repeater counts the wait.
    if (this.frame.repeater !== undefined) this.needRepetition();
    wait.listen(this);
    return this.keepOwnPromise();
  }

  granted(permit: unknown): void {
    const { frame, call } = this;
    this.permits[this.entered++] = permit;
    if (frame.readsStart) this.startedAt = frame.clock.now();
    // Aborted between the grant and this turn: the permit is there, and nobody to use it.
    if (call.abortKind === undefined) this.enter();
    else this.refused(call.abortReason);
  }

  /** Some guard did not let the attempt in: those before it take it back. */
  refused(error: unknown): unknown {
    const { frame, call, permits } = this;
    let thrown: { error: unknown } | undefined;
    for (let i = this.entered - 1; i >= 0; i--) {
      try {
        (frame.guards[i] as AnyGuard).cancel(permits[i], call, error);
      } catch (mistake) {
        // Only a user's matcher throws; the guards further out still get their permits back.
        thrown ??= { error: mistake };
      }
    }
    if (thrown !== undefined) return this.brokenOff(thrown.error);
    // What else a guard threw is a mistake in a user's function, such as that of a key.
    if (call.abortKind === undefined && !isRejection(error)) return this.brokenOff(error);
    if (frame.isInner) noteRefusal(error, this.outer);
    return this.concluded(false, error, true);
  }

  private runInside(): unknown {
    const { frame, call } = this;
    let result: unknown;
    try {
      result = frame.innermost ? call.start(call.invoke) : frame.next(call);
      if (!(result instanceof Promise) && isThenable(result)) result = Promise.resolve(result);
    } catch (error) {
      return this.ended(false, error);
    }
    if (!(result instanceof Promise)) return this.ended(true, result);
    if (call.cancellable || this.resolve !== undefined) return this.runRacing(result);
    this.running = result;
    return this.running.then(
      (value) => this.ended(true, value),
      (error: unknown) => this.ended(false, error),
    );
  }

  /** Waits for what runs inside, unless an abort comes first. */
  private runRacing(running: Promise<unknown>): unknown {
    const { frame, call } = this;
    const promise = this.keepOwnPromise();
    this.waiting = true;
    this.running = running;
    if (frame.repeater !== undefined && call.cancellable) this.context ??= captureContext();
    if (call.cancellable) {
      if (frame.innermost) call.runner = this as Runner;
      else if (frame.endsAttempts) call.owner = this;
    }
    running.then(
      (value) => {
        if (this.waiting && this.running === running) this.ended(true, value);
      },
      (error: unknown) => {
        if (this.waiting && this.running === running) this.ended(false, error);
      },
    );
    return promise;
  }

  stopWaiting(reason: unknown): void {
    if (this.waiting) this.ended(false, reason);
  }

  onAbort(call: Call): void {
    if (call === this.call) this.stopWaiting(call.abortReason);
  }

  /** The attempt is over: the guards get their permits back. */
  private ended(ok: boolean, result: unknown): unknown {
    this.waiting = false;
    const { frame, call, permits, startedAt } = this;
    call.runner = undefined;
    const endedAt = frame.readsEnd ? frame.clock.now() : startedAt;
    let thrown: { error: unknown } | undefined;
    for (let i = frame.count - 1; i >= 0; i--) {
      const guard = frame.guards[i] as AnyGuard;
      try {
        if (guard.settlesWithMethod === true && call.hasOrphans) {
          settleLater(guard, permits[i], call, ok, result, startedAt, endedAt);
        } else {
          guard.settle(permits[i], call, ok, result, startedAt, endedAt);
        }
      } catch (error) {
        // Only a user's matcher throws; the guards further out still get their permits back.
        thrown ??= { error };
      }
    }
    if (thrown !== undefined) return this.brokenOff(thrown.error);
    return this.concluded(ok, result, !ok && !frame.innermost && wasRefused(result, call));
  }

  /** Ends the call with a mistake in a user's function, which nothing repeats. */
  private brokenOff(mistake: unknown): unknown {
    if (this.call !== this.outer) this.call.detach();
    return this.finish(false, mistake);
  }

  private concluded(ok: boolean, result: unknown, refused: boolean): unknown {
    const { frame, call } = this;
    if (call !== this.outer) call.detach();
    const { repeater } = frame;
    if (repeater === undefined) return this.finish(ok, result);
    let again = !ok;
    if (ok) {
      try {
        again = repeater.refusesResult(this.outer, result);
      } catch (error) {
        return this.finish(false, error);
      }
    }
    return again ? this.repeat(repeater, ok, result, refused) : this.finish(ok, result);
  }

  private repeat(repeater: Repeater, ok: boolean, result: unknown, refused: boolean): unknown {
    // The first attempt's own timer has ended a call that it had borrowed.
    if (this.call === this.outer && this.frame.nested && this.outer.abortKind !== undefined) {
      this.outer = this.outer.renew();
    }
    const { outer } = this;
    const repetition = this.needRepetition();
    // A refusal is what the caller sees only where there is nothing of the method to show.
    const { outcome } = repetition;
    const isHidden = refused && outcome !== undefined && outer.abortKind === undefined;
    const last = isHidden ? outcome : { ok, result };
    if (!ok && !refused) repetition.outcome = last;
    let delayMs: number | undefined;
    try {
      delayMs = repeater.delayAfter(outer, repetition, ok, result, last.result);
    } catch (error) {
      return this.finish(false, error);
    }
    if (delayMs === undefined) return this.finish(last.ok, last.result, false);
    repetition.retries++;
    repetition.delayMs = delayMs;
    outer.attempt = repetition.retries + 1;
    const promise = this.keepOwnPromise();
    const again = () => runInContext(this.context, () => this.again(repeater, repetition, ok, last));
    if (delayMs > 0) this.sleep(delayMs, again);
    // In a turn of its own, so that a million immediate retries do not nest.
    else queueMicrotask(again);
    return promise;
  }

  /** Made when it is first needed, and before `startedAt` is no longer when the call began. */
  private needRepetition(): Repetition {
    return (this.repetition ??= {
      begunAt: this.startedAt,
      mark: this.mark,
      retries: 0,
      delayMs: 0,
      outcome: undefined,
    });
  }

  /** The delay is over. */
  private again(
    repeater: Repeater,
    repetition: Repetition,
    ok: boolean,
    last: { readonly ok: boolean; readonly result: unknown },
  ): void {
    const { outer, frame } = this;
    const aborted = outer.abortKind !== undefined;
    if (!aborted && repeater.mayStart(outer, repetition, ok)) {
      if (frame.readsStart) this.startedAt = frame.clock.now();
      this.attempt();
      return;
    }
    // The attempt that was waited for never began.
    repetition.retries--;
    if (aborted) this.finish(false, outer.abortReason);
    else this.finish(last.ok, last.result, false);
  }

  /** Waits, keeping the process alive; an abort ends it at once. */
  private sleep(delayMs: number, awake: () => void): void {
    const { outer, frame } = this;
    const listener: AbortListener = {
      onAbort: () => {
        cancel();
        awake();
      },
    };
    const cancel = frame.clock.delay(delayMs, () => {
      outer.onAbortRemove(listener);
      awake();
    });
    if (outer.cancellable) outer.onAbortAdd(listener);
  }

  /** From now on the caller waits for a promise of this run; `undefined` where it does already. */
  private keepOwnPromise(): Promise<unknown> | undefined {
    if (this.resolve !== undefined) return undefined;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  private finish(ok: boolean, result: unknown, successful = ok): unknown {
    this.frame.repeater?.end(this.repetition?.retries ?? 0, successful);
    if (this.resolve === undefined) {
      if (ok) return result;
      // In the caller's turn a throw would only be caught again, and cost more than all else of a refusal.
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- users throw what they like
      if (this.running === undefined) return Promise.reject(result);
      throw result;
    }
    if (ok) this.resolve(result);
    else (this.reject as (reason: unknown) => void)(result);
    return undefined;
  }
}

/** Of refusals in a frame inside another: whose call they have ended. */
const refusedCalls = new WeakMap<object, Call>();

function noteRefusal(refusal: unknown, call: Call): void {
  if (typeof refusal === 'object' && refusal !== null) refusedCalls.set(refusal, call.root);
}

/** Whether the error of an attempt is a refusal by a guard further in, so that the method has not run. */
function wasRefused(error: unknown, call: Call): boolean {
  return typeof error === 'object' && error !== null && refusedCalls.get(error) === call.root;
}

/** Apart from the loop over all guards, so that only the rare case pays for a closure. */
function settleLater(
  guard: AnyGuard,
  permit: unknown,
  call: Call,
  ...outcome: [boolean, unknown, number, number]
): void {
  call.whenOrphansSettle(() => guard.settle(permit, call, ...outcome));
}
