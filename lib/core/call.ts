import { isThenable } from './property.js';

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

/** Runs the method of a call, and hears when it need not wait for it any longer. */
export interface Runner {
  /** What it waits for. */
  readonly running: PromiseLike<unknown>;
  stopWaiting(reason: unknown): void;
}

const NO_OPTIONS: CallOptions = Object.freeze({});

/** What few calls need; made at first use. */
class Extras {
  abortReason: unknown = undefined;
  adapt: ((call: Call, result: unknown) => unknown) | undefined = undefined;
  fallbackLevel: string | undefined = undefined;
  controller: AbortController | undefined = undefined;
  listeners: AbortListener[] | undefined = undefined;
  owner: AbortListener | undefined = undefined;
  orphans = 0;
  lateSuccess: { readonly value: unknown } | undefined = undefined;
  orphanWaiters: (() => void)[] | undefined = undefined;
}

/**
 * One use of a pipeline, and, as a child of it, one attempt. It is what can be aborted: a timer, a caller's signal or a
 * parent ends it, and everything that waits inside hears of it. It costs one small object; signal, listeners and the
 * rest exist only where something needs them.
 */
export class Call implements CallInfo, AbortListener {
  attempt = 1;
  /** When the call must be over, on the clock's scale; `undefined` where nothing bounds it. */
  deadline: number | undefined = undefined;
  /** The timer that ends the present attempt first, of those that may. */
  private attemptTimer: { readonly dueAt: number } | undefined = undefined;
  /** Whether anything can end this call before its method does. Where nothing can, nobody listens for it. */
  cancellable = false;
  /** Whether a first value has reached the subscriber of an observable call; from then on nothing may be repeated. */
  emitted = false;
  abortKind: AbortKind | undefined = undefined;
  /** Who runs the method right inside this call, until it has settled. */
  runner: Runner | undefined = undefined;
  private extras: Extras | undefined = undefined;

  constructor(
    readonly invoke: Invoke,
    readonly self: unknown,
    readonly args: readonly unknown[],
    readonly options: CallOptions = NO_OPTIONS,
    readonly parent?: Call,
  ) {}

  get signal(): AbortSignal {
    const extras = this.needExtras();
    if (extras.controller === undefined) {
      extras.controller = new AbortController();
      if (this.abortKind !== undefined) extras.controller.abort(extras.abortReason);
    }
    return extras.controller.signal;
  }

  get abortReason(): unknown {
    return this.extras?.abortReason;
  }

  /** The level of a fallback chain that answered, where one did. */
  get fallbackLevel(): string | undefined {
    return this.extras?.fallbackLevel;
  }

  set fallbackLevel(level: string) {
    this.needExtras().fallbackLevel = level;
  }

  /** Turns what the user's code returns into what a pipeline understands; only observable calls need it. */
  set adapt(adapt: (call: Call, result: unknown) => unknown) {
    this.needExtras().adapt = adapt;
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

  /** Brings the deadline forward. */
  bound(deadline: number): void {
    if (this.deadline === undefined || deadline < this.deadline) this.deadline = deadline;
  }

  /** How long it has at `now`; `undefined` where nothing bounds it. */
  remainingMs(now: number): number | undefined {
    return this.deadline === undefined ? undefined : this.deadline - now;
  }

  /** When the present attempt must be over; calls nested in it must not take longer. */
  get attemptDeadline(): number | undefined {
    const dueAt = this.attemptTimer?.dueAt;
    // One that was taken back, such as at the first value of an observable, bounds nothing any more.
    return Number.isNaN(dueAt) ? undefined : dueAt;
  }

  /** Notes an armed timer that ends the present attempt. */
  boundAttempt(timer: { readonly dueAt: number }): void {
    if (this.attemptTimer === undefined || timer.dueAt < this.attemptTimer.dueAt) this.attemptTimer = timer;
  }

  /** An attempt of this call: aborted with it, but able to end alone. */
  child(): Call {
    const child = new Call(this.invoke, this.self, this.args, this.options, this);
    child.attempt = this.attempt;
    child.deadline = this.deadline;
    const adapt = this.extras?.adapt;
    if (adapt !== undefined) child.adapt = adapt;
    if (this.cancellable) {
      child.cancellable = true;
      this.onAbortAdd(child);
    }
    return child;
  }

  /** The same call once more, as if nothing had ended it. */
  renew(): Call {
    const call = new Call(this.invoke, this.self, this.args, this.options, this.parent);
    call.attempt = this.attempt;
    call.deadline = this.deadline;
    return call;
  }

  /** Ends an attempt's tie to its call; every `child()` is detached once. */
  detach(): void {
    const { parent } = this;
    if (parent?.cancellable === true) parent.onAbortRemove(this);
  }

  /** Whether anything inside would hear of an abort; where nothing does, an outcome is on its way out. */
  get isHeard(): boolean {
    return this.runner !== undefined || (this.extras?.listeners?.length ?? 0) > 0;
  }

  /** Ends the call now. Only the first reason counts. */
  abort(kind: AbortKind, reason: unknown): void {
    if (this.abortKind !== undefined) return;
    this.abortKind = kind;
    const extras = this.needExtras();
    extras.abortReason = reason;
    const { listeners, controller } = extras;
    const { runner } = this;
    extras.listeners = undefined;
    if (runner !== undefined) {
      this.runner = undefined;
      this.trackOrphan(runner.running);
      runner.stopWaiting(reason);
    }
    if (listeners !== undefined) for (const listener of listeners) listener.onAbort(this);
    extras.owner?.onAbort(this);
    controller?.abort(reason);
  }

  /** Tells who holds the signal that no more is wanted, of a call that ends well all the same. */
  abortSignal(reason: unknown): void {
    this.extras?.controller?.abort(reason);
  }

  onAbort(parent: Call): void {
    this.abort(parent.abortKind as AbortKind, parent.abortReason);
  }

  /** Who ends the call's frame when it is aborted, whether or not what runs inside hears of it. */
  set owner(owner: AbortListener) {
    this.needExtras().owner = owner;
  }

  /** Tells `listener` once when the call is aborted; at once, where it has been already. */
  onAbortAdd(listener: AbortListener): void {
    if (this.abortKind !== undefined) {
      listener.onAbort(this);
      return;
    }
    const extras = this.needExtras();
    if (extras.listeners === undefined) extras.listeners = [listener];
    else extras.listeners.push(listener);
  }

  onAbortRemove(listener: AbortListener): void {
    const listeners = this.extras?.listeners;
    if (listeners === undefined) return;
    const index = listeners.indexOf(listener);
    if (index < 0) return;
    const last = listeners.pop() as AbortListener;
    if (index < listeners.length) listeners[index] = last;
  }

  /** Runs something of the user's for this call. Throws at once where the call is over already. */
  start(invoke: Invoke): unknown {
    if (!this.cancellable) return invoke(this);
    if (this.abortKind !== undefined) throw this.abortReason;
    const adapt = this.extras?.adapt;
    const result = adapt === undefined ? invoke(this) : adapt(this, invoke(this));
    // An abort from within the method itself: its result counts no more. (The cast: TypeScript remembers too much.)
    if ((this.abortKind as AbortKind | undefined) !== undefined) {
      this.trackOrphan(Promise.resolve(result));
      throw this.abortReason;
    }
    return result;
  }

  /**
   * Runs something of the user's inside this call, and stops waiting for it when the call is aborted. What still runs
   * then is remembered as an orphan until it settles.
   */
  runInside(invoke: Invoke): unknown {
    const result = this.start(invoke);
    if (!this.cancellable || !isThenable(result)) return result;
    return new Promise((resolve, reject) => {
      const running = result instanceof Promise ? result : Promise.resolve(result);
      this.runner = { running, stopWaiting: reject };
      running.then(
        (value) => {
          this.runner = undefined;
          resolve(value);
        },
        (error) => {
          this.runner = undefined;
          reject(error as Error);
        },
      );
    });
  }

  /** Whether a run of the method, inside this call, is still going after the call stopped waiting for it. */
  get hasOrphans(): boolean {
    return this.extras !== undefined && this.extras.orphans > 0;
  }

  /** What an orphan has returned after all, where one has. */
  get lateSuccess(): { readonly value: unknown } | undefined {
    return this.extras?.lateSuccess;
  }

  /** Runs `callback` when the last orphan has settled. */
  whenOrphansSettle(callback: () => void): void {
    (this.needExtras().orphanWaiters ??= []).push(callback);
  }

  private trackOrphan(running: PromiseLike<unknown>): void {
    for (let call: Call | undefined = this; call !== undefined; call = call.parent)
      call.needExtras().orphans++;
    const settled = (success?: { readonly value: unknown }) => {
      for (let call: Call | undefined = this; call !== undefined; call = call.parent)
        call.orphanSettled(success);
    };
    running.then(
      (value) => settled({ value }),
      () => settled(),
    );
  }

  private orphanSettled(success: { readonly value: unknown } | undefined): void {
    const extras = this.needExtras();
    extras.lateSuccess ??= success;
    if (--extras.orphans > 0 || extras.orphanWaiters === undefined) return;
    const waiters = extras.orphanWaiters;
    extras.orphanWaiters = undefined;
    for (const waiter of waiters) waiter();
  }

  private needExtras(): Extras {
    return (this.extras ??= new Extras());
  }
}

/** Runs the protected method of a call; the innermost end of every pipeline. */
export function runMethod(call: Call): unknown {
  return call.runInside(call.invoke);
}
