import type { PolicyKind } from './policy.js';

/** Something that happened to a policy. @publicApi */
export interface PolicyEvent {
  /** `draining` speaks of the application as a whole. */
  readonly kind: PolicyKind | 'draining';
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

/**
 * Delivers events in the order in which they happened, in a microtask of their own, so that a listener never runs inside
 * a policy's state change. Without a listener nothing is built: policies ask {@link EventHub.active} first.
 */
export class EventHub {
  /** Whether anybody listens. */
  active = false;
  private readonly listeners = new Set<PolicyEventListener>();
  private readonly failed = new WeakSet<PolicyEventListener>();
  private pending: PolicyEvent[] = [];

  constructor(private readonly onListenerError: (error: unknown) => void = defaultReport) {}

  /** Adds a listener; returns what removes it. */
  listen(listener: PolicyEventListener): () => void {
    this.listeners.add(listener);
    this.active = true;
    return () => {
      this.listeners.delete(listener);
      this.active = this.listeners.size > 0;
    };
  }

  emit(event: PolicyEvent): void {
    if (!this.active) return;
    if (this.pending.push(event) === 1) queueMicrotask(() => this.deliver());
  }

  private deliver(): void {
    const events = this.pending;
    this.pending = [];
    for (const event of events) for (const listener of this.listeners) this.tell(listener, event);
  }

  private tell(listener: PolicyEventListener, event: PolicyEvent): void {
    const failed = (error: unknown) => {
      if (this.failed.has(listener)) return;
      this.failed.add(listener);
      this.onListenerError(error);
    };
    try {
      const answer = listener(event);
      if (answer instanceof Promise) answer.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}

function defaultReport(error: unknown): void {
  process.emitWarning(`A listener of resilience events failed: ${String(error)}`, 'ResilienceWarning');
}
