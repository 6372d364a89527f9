import type { PolicyKind } from './policy.js';
import { isThenable } from './property.js';

/** Whom events speak of: `draining` of the application as a whole, `sharedState` of its store. @publicApi */
export type EventKind = PolicyKind | 'draining' | 'sharedState';

/** Something that happened to a policy. @publicApi */
export interface PolicyEvent {
  readonly kind: EventKind;
  readonly policy: string;
  /** What happened, e.g. `opened`, `rejected`, `retried`. */
  readonly type: string;
  /** Monotonic milliseconds. */
  readonly at: number;
  /** What else is known: numbers, states, the error. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A listener's answer is not awaited; what it throws is reported once and changes nothing. @publicApi */
export type PolicyEventListener = (event: PolicyEvent) => unknown;

/** Some types of events, by kind. @publicApi */
export type EventSelection = { readonly [kind in EventKind]?: readonly string[] };

/**
 * Delivers events in the order in which they happened, in a microtask of their own, so that a listener never runs inside
 * a policy's state change. What nobody wants is not built: policies ask {@link EventHub.wants} first.
 *
 * @publicApi
 */
export class EventHub {
  /** Whether anybody listens to anything. */
  active = false;
  private listeners: readonly Subscription[] = [];
  private witnesses: readonly Subscription[] = [];
  private pending: PolicyEvent[] = [];

  /** @param report - Told of the first failure of each listener. */
  constructor(readonly report: (error: unknown) => void = defaultReport) {}

  /**
   * Adds a listener; returns what removes it.
   *
   * @param only - The events that it wants; default all. Others stay as cheap as without it.
   */
  listen(listener: PolicyEventListener, only?: EventSelection): () => void {
    const subscription = new Subscription(listener, only, this.report);
    this.change([...this.listeners, subscription], this.witnesses);
    return () => this.change(without(this.listeners, subscription), this.witnesses);
  }

  /**
   * Adds a listener that is told at once, inside the state change and in the caller's asynchronous context; returns what
   * removes it. For what reads that context, such as tracing: it must neither call policies nor take its time.
   */
  witness(listener: PolicyEventListener, only?: EventSelection): () => void {
    const subscription = new Subscription(listener, only, this.report);
    this.change(this.listeners, [...this.witnesses, subscription]);
    return () => this.change(this.listeners, without(this.witnesses, subscription));
  }

  /** Whether somebody is told at once, so that the asynchronous context of events matters. */
  get witnessed(): boolean {
    return this.witnesses.length > 0;
  }

  /** Whether anybody listens to events of this type. */
  wants(kind: EventKind, type: string): boolean {
    return this.active && (isWanted(this.listeners, kind, type) || isWanted(this.witnesses, kind, type));
  }

  emit(event: PolicyEvent): void {
    if (!this.active) return;
    for (const witness of this.witnesses) witness.tell(event);
    if (!isWanted(this.listeners, event.kind, event.type)) return;
    if (this.pending.push(event) === 1) queueMicrotask(() => this.deliver());
  }

  private change(listeners: readonly Subscription[], witnesses: readonly Subscription[]): void {
    this.listeners = listeners;
    this.witnesses = witnesses;
    this.active = listeners.length + witnesses.length > 0;
  }

  private deliver(): void {
    const events = this.pending;
    this.pending = [];
    for (const event of events) for (const listener of this.listeners) listener.tell(event);
  }
}

/** Calls somebody's code, whose first failure, thrown or promised, is reported; none changes anything. */
export class ListenerGuard {
  private failed = false;

  constructor(private readonly report: (error: unknown) => void) {}

  call(listen: () => unknown): void {
    try {
      const answer = listen();
      if (isThenable(answer)) Promise.resolve(answer).catch((error: unknown) => this.fail(error));
    } catch (error) {
      this.fail(error);
    }
  }

  /** What failed; once is enough. */
  fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    this.report(error);
  }
}

/** A listener, and what it wants. */
class Subscription {
  private readonly guard: ListenerGuard;

  constructor(
    private readonly listener: PolicyEventListener,
    private readonly only: EventSelection | undefined,
    report: (error: unknown) => void,
  ) {
    this.guard = new ListenerGuard(report);
  }

  wants(kind: EventKind, type: string): boolean {
    return this.only === undefined || this.only[kind]?.includes(type) === true;
  }

  tell(event: PolicyEvent): void {
    if (this.wants(event.kind, event.type)) this.guard.call(() => this.listener(event));
  }
}

function isWanted(subscriptions: readonly Subscription[], kind: EventKind, type: string): boolean {
  for (const subscription of subscriptions) if (subscription.wants(kind, type)) return true;
  return false;
}

function without(subscriptions: readonly Subscription[], one: Subscription): readonly Subscription[] {
  return subscriptions.filter((other) => other !== one);
}

function defaultReport(error: unknown): void {
  process.emitWarning(`A listener of resilience events failed: ${String(error)}`, 'ResilienceWarning');
}
