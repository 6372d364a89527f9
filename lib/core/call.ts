import { TimerEntry } from './timer-entry.js';
import type { Clock } from './clock.js';
import { TimeoutExceededError } from './errors.js';

/** Who waits least when there is not enough for all; lower numbers go first. @publicApi */
export enum Priority {
  CRITICAL = 0,
  HIGH = 1,
  NORMAL = 2,
  LOW = 3,
  BACKGROUND = 4,
}

/** What a caller may say about one call. @publicApi */
export interface CallOptions {
  /** Ends the call when it aborts; the caller then sees the signal's own reason. */
  readonly signal?: AbortSignal | undefined;
  /** How long the caller waits from now, in milliseconds, or the instant at which it stops waiting. */
  readonly deadline?: number | Date | undefined;
  readonly priority?: Priority | undefined;
  /** Which of a policy's keyed states this call belongs to (a tenant, a user). */
  readonly key?: string | undefined;
  readonly idempotencyKey?: string | undefined;
  /** The HTTP statuses that are retried in this call, in place of the policy's. */
  readonly retryOnStatus?: readonly number[] | undefined;
  /** How many units of a rate limit the call takes; default 1. */
  readonly cost?: number | undefined;
  /** What option functions such as `key` and fallbacks see as the arguments. */
  readonly args?: readonly unknown[] | undefined;
}

/** What option functions and protected functions see of a call. @publicApi */
export interface CallInfo {
  readonly args: readonly unknown[];
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Aborts when the attempt times out or the caller gives up. Created when it is first read. */
  readonly signal: AbortSignal;
  /** What the caller said about this call. */
  readonly options: CallOptions;
}

/** Runs the protected method once. */
export interface Invoke {
  (call: Call): unknown;
  /** How many parameters the method declares, where that is known. */
  arity?: number;
}

/** The rest of a pipeline. */
export type Next = (call: Call) => unknown;

/** Why a call ended before its method did: its caller gave up, its time ran out, or nobody needs its answer any more. */
export type AbortKind = 'caller' | 'timeout' | 'abandoned';

/** Told once when the call that it waits in is aborted. */
export interface AbortListener {
  onAbort(call: Call): void;
}

const NO_OPTIONS: CallOptions = Object.freeze({});

/**
 * One use of a pipeline, and, as a child of it, one attempt. It is what can be aborted: a timer, a caller's signal or a
 * parent ends it, and everything that waits inside hears of it. It costs one object; signal, listeners and the race
 * against its method exist only where something needs them.
 */
export class Call implements CallInfo, AbortListener {
  attempt = 1;
  /** When the call must be over, on the clock's scale; `Infinity` where nothing bounds it. */
  deadline = Number.POSITIVE_INFINITY;
  /** Whether anything can end this call before its method does. Where nothing can, no race is set up. */
  cancellable = false;
  /** Whether a first value has reached the subscriber of an observable call; from then on nothing may be repeated. */
  emitted = false;
  /** The level of a fallback chain that answered, where one did. */
  fallbackLevel: string | undefined = undefined;
  abortKind: AbortKind | undefined = undefined;
  abortReason: unknown = undefined;
  /** Turns what the user's code returns into what a pipeline understands; only observable calls need it. */
  adapt: ((call: Call, result: unknown) => unknown) | undefined = undefined;
  private controller: AbortController | undefined = undefined;
  private listeners: AbortListener[] | undefined = undefined;
  private running: PromiseLike<unknown> | undefined = undefined;
  private rejectRace: ((reason: unknown) => void) | undefined = undefined;
  private orphans = 0;
  private orphanWaiters: (() => void)[] | undefined = undefined;

  constructor(
    readonly invoke: Invoke,
    readonly self: unknown,
    readonly args: readonly unknown[],
    readonly options: CallOptions = NO_OPTIONS,
    readonly parent?: Call,
  ) {}

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.abortKind !== undefined) this.controller.abort(this.abortReason);
    }
    return this.controller.signal;
  }

  get root(): Call {
    let call: Call = this;
    while (call.parent !== undefined) call = call.parent;
    return call;
  }

  /** Whether the call was given up rather than failed: neither success nor failure of what it called. */
  get abandoned(): boolean {
    return this.abortKind === 'caller' || this.abortKind === 'abandoned';
  }

  /** An attempt of this call: aborted with it, but able to end alone. */
  child(): Call {
    const child = new Call(this.invoke, this.self, this.args, this.options, this);
    child.attempt = this.attempt;
    child.deadline = this.deadline;
    child.adapt = this.adapt;
    if (this.cancellable) {
      child.cancellable = true;
      this.onAbortAdd(child);
    }
    return child;
  }

  /** Ends an attempt's tie to its call; every `child()` is detached once. */
  detach(): void {
    if (this.cancellable) this.parent?.onAbortRemove(this);
  }

  /** Ends the call now. Only the first reason counts. */
  abort(kind: AbortKind, reason: unknown): void {
    if (this.abortKind !== undefined) return;
    this.abortKind = kind;
    this.abortReason = reason;
    const { listeners, rejectRace, running } = this;
    this.listeners = undefined;
    if (rejectRace !== undefined) {
      this.rejectRace = undefined;
      this.trackOrphan(running as PromiseLike<unknown>);
      rejectRace(reason);
    }
    if (listeners !== undefined) for (const listener of listeners) listener.onAbort(this);
    this.controller?.abort(reason);
  }

  onAbort(parent: Call): void {
    this.abort(parent.abortKind as AbortKind, parent.abortReason);
  }

  /** Tells `listener` once when the call is aborted; at once, where it has been already. */
  onAbortAdd(listener: AbortListener): void {
    if (this.abortKind !== undefined) listener.onAbort(this);
    else if (this.listeners === undefined) this.listeners = [listener];
    else this.listeners.push(listener);
  }

  onAbortRemove(listener: AbortListener): void {
    const { listeners } = this;
    if (listeners === undefined) return;
    const index = listeners.indexOf(listener);
    if (index < 0) return;
    const last = listeners.pop() as AbortListener;
    if (index < listeners.length) listeners[index] = last;
  }

  /**
   * Runs something of the user's inside this call: throws at once where the call is over already, and stops waiting for
   * it when the call is aborted. What still runs then is remembered as an orphan until it settles.
   */
  runInside(invoke: Invoke): unknown {
    if (!this.cancellable) return invoke(this);
    if (this.abortKind !== undefined) throw this.abortReason;
    const result = this.adapt === undefined ? invoke(this) : this.adapt(this, invoke(this));
    // An abort from within the method itself: its result counts no more.
    if (this.abortKind !== undefined) {
      const pending = Promise.resolve(result);
      this.trackOrphan(pending);
      throw this.abortReason;
    }
    if (
      result === null ||
      typeof result !== 'object' ||
      typeof (result as PromiseLike<unknown>).then !== 'function'
    ) {
      return result;
    }
    const running = result instanceof Promise ? result : Promise.resolve(result);
    this.running = running;
    return new Promise((resolve, reject) => {
      this.rejectRace = reject;
      running.then(
        (value) => {
          this.rejectRace = undefined;
          resolve(value);
        },
        (error) => {
          this.rejectRace = undefined;
          reject(error as Error);
        },
      );
    });
  }

  /** Whether the method runs right inside this call, and has not settled. */
  get racing(): boolean {
    return this.rejectRace !== undefined;
  }

  /** How many runs of the method, inside this call, are still going after the call stopped waiting for them. */
  get hasOrphans(): boolean {
    return this.orphans > 0;
  }

  /** Runs `callback` when the last orphan has settled. */
  whenOrphansSettle(callback: () => void): void {
    (this.orphanWaiters ??= []).push(callback);
  }

  private trackOrphan(running: PromiseLike<unknown>): void {
    for (let call: Call | undefined = this; call !== undefined; call = call.parent) call.orphans++;
    const settled = () => {
      for (let call: Call | undefined = this; call !== undefined; call = call.parent) call.orphanSettled();
    };
    running.then(settled, settled);
  }

  private orphanSettled(): void {
    if (--this.orphans > 0 || this.orphanWaiters === undefined) return;
    const waiters = this.orphanWaiters;
    this.orphanWaiters = undefined;
    for (const waiter of waiters) waiter();
  }
}

/** Runs the protected method of a call; the innermost end of every pipeline. */
export function runMethod(call: Call): unknown {
  return call.runInside(call.invoke);
}

/** Ends a call when its time is up. Armed on the clock by whoever bounds the call. */
export abstract class CallTimer extends TimerEntry {
  /** Whether it ended the call. */
  fired = false;
  private settled = false;

  constructor(
    protected readonly call: Call,
    private readonly clock: Clock,
  ) {
    super();
  }

  /** What the caller gets; `undefined` where the call may go on. */
  protected abstract reason(): TimeoutExceededError | undefined;

  onDue(): void {
    const { racing } = this.call;
    // One turn later: a method that has settled already, but was not yet heard, keeps its own outcome.
    queueMicrotask(() => {
      if (this.settled || this.call.abortKind !== undefined) return;
      if (racing && !this.call.racing) {
        // Whoever bounds the call takes this back on hearing of it, unless there are attempts to come.
        this.clock.arm(this, this.clock.now());
        return;
      }
      const reason = this.reason();
      if (reason === undefined) return;
      this.fired = true;
      this.call.abort('timeout', reason);
    });
  }

  /** The bounded part is over: takes the timer back. */
  settle(): void {
    this.settled = true;
    this.clock.disarm(this);
  }
}

class DeadlineTimer extends CallTimer {
  constructor(
    call: Call,
    clock: Clock,
    private readonly limitMs: number,
  ) {
    super(call, clock);
  }

  protected override reason(): TimeoutExceededError {
    return deadlineError(this.limitMs);
  }
}

function deadlineError(limitMs: number): TimeoutExceededError {
  return new TimeoutExceededError('The deadline of the call has passed.', undefined, 'deadline', limitMs);
}

/**
 * Runs a call that its caller bounds: follows the caller's signal and deadline for as long as the call takes, and no
 * longer. Only calls that come with one of the two pay for this frame.
 */
export async function runBounded(call: Call, clock: Clock, run: Next): Promise<unknown> {
  const { signal, deadline } = call.options;
  if (signal?.aborted) throw signal.reason;
  call.cancellable = true;
  const follow = signal && (() => call.abort('caller', signal.reason));
  let timer: CallTimer | undefined;
  if (deadline !== undefined) {
    const leftMs = deadline instanceof Date ? deadline.getTime() - clock.wallTime() : deadline;
    if (!(leftMs > 0)) throw deadlineError(leftMs);
    call.deadline = Math.min(call.deadline, clock.now() + leftMs);
    if (Number.isFinite(leftMs)) {
      timer = new DeadlineTimer(call, clock, leftMs);
      clock.arm(timer, call.deadline);
    }
  }
  if (follow) signal.addEventListener('abort', follow, { once: true });
  try {
    return await run(call);
  } finally {
    if (follow) signal.removeEventListener('abort', follow);
    timer?.settle();
  }
}

/** Whether {@link runBounded} has anything to do for these options. */
export function isBounded(options: CallOptions): boolean {
  return options.signal !== undefined || options.deadline !== undefined;
}
