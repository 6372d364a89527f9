import { EventHub, type EventKind, type PolicyEvent } from '../core/events.js';
import type { ResilienceService } from '../module/index.js';

/** What has happened to policies, as a test sees it. @publicApi */
export interface EventRecorder {
  /** In order. */
  readonly events: readonly PolicyEvent[];
  /** Those of one kind, and of one type. */
  of(kind: EventKind, type?: string): readonly PolicyEvent[];
  /** All of them in short: `circuitBreaker payments state-changed`. */
  lines(): readonly string[];
  /** Forgets what there was. */
  clear(): void;
  /** Hears nothing more. */
  stop(): void;
}

/**
 * Records the events of an application's policies, or of an event hub. They come in a microtask after what they tell of.
 *
 * @example
 * const recorder = recordEvents(module.get(ResilienceService));
 * await expect(payments.charge()).rejects.toThrow();
 * expect(recorder.of('retry', 'retried')).toHaveLength(3);
 *
 * @publicApi
 */
export function recordEvents(source: ResilienceService | EventHub): EventRecorder {
  const events: PolicyEvent[] = [];
  const note = (event: PolicyEvent) => void events.push(event);
  const stop =
    source instanceof EventHub ? source.listen(note) : unsubscriber(source.events$.subscribe(note));
  return {
    events,
    of: (kind, type) =>
      events.filter((event) => event.kind === kind && (type === undefined || event.type === type)),
    lines: () => events.map(({ kind, policy, type }) => `${kind} ${policy} ${type}`),
    clear: () => void events.splice(0),
    stop,
  };
}

function unsubscriber(subscription: { unsubscribe(): void }): () => void {
  return () => subscription.unsubscribe();
}
