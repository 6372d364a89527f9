import type { EventHub, PolicyEvent } from '../../core/events.js';
import { propertyOf } from '../../core/property.js';
import type { CircuitState } from '../circuit-breaker/circuit-state.js';
import type { CircuitBreakerPolicy } from '../circuit-breaker/index.js';

/** Somebody who holds circuits open. */
export interface CircuitHolder {
  /** Told of each call that a circuit has refused because of it. */
  onRefused(): void;
}

interface Forced {
  /** With the cause of what the circuit refuses on behalf of each; the last one's counts. */
  readonly holders: Map<CircuitHolder, Error>;
  /** What the breaker was before anybody forced it, and why. */
  readonly state: CircuitState;
  readonly reason: string | undefined;
  /** What we said when we forced it last. */
  said: Error;
}

/** Circuit breakers that faults hold open. Each goes back to what it was when the last of its holders lets go. */
export class ForcedCircuits {
  private readonly forced = new Map<CircuitBreakerPolicy, Forced>();
  private readonly causes = new Map<unknown, CircuitHolder>();
  private stopCounting: (() => void) | undefined;

  constructor(private readonly events: EventHub | undefined) {}

  force(holder: CircuitHolder, breakers: readonly CircuitBreakerPolicy[], cause: Error): void {
    this.causes.set(cause, holder);
    this.stopCounting ??= this.events?.witness((event) => this.count(event), {
      circuitBreaker: ['rejected'],
    });
    for (const breaker of breakers) {
      const forced = this.forced.get(breaker) ?? {
        holders: new Map(),
        state: breaker.state,
        reason: breaker.stats().reason,
        said: cause,
      };
      forced.holders.set(holder, cause);
      forced.said = cause;
      this.forced.set(breaker, forced);
      breaker.forceOpen(cause);
    }
  }

  release(holder: CircuitHolder): void {
    for (const [breaker, forced] of this.forced) {
      if (!forced.holders.delete(holder)) continue;
      // Else somebody else has decided meanwhile.
      const isOurs = breaker.state === 'forced-open' && breaker.stats().reason === forced.said.message;
      const next = [...forced.holders.values()].at(-1);
      if (next === undefined) {
        this.forced.delete(breaker);
        if (isOurs) putBack(breaker, forced, 'chaos has ended');
      } else if (isOurs && next !== forced.said) {
        forced.said = next;
        breaker.forceOpen(next);
      }
    }
    for (const [cause, one] of this.causes) if (one === holder) this.causes.delete(cause);
    if (this.causes.size > 0) return;
    this.stopCounting?.();
    this.stopCounting = undefined;
  }

  /** One by one, by their cause: a breaker's own numbers begin anew when it is reset, and know other reasons too. */
  private count({ details }: PolicyEvent): void {
    this.causes.get(propertyOf(details?.['error'], 'cause'))?.onRefused();
  }
}

/** What a breaker had counted is gone; one that was open closes, and finds out again. */
export function putBack(
  breaker: CircuitBreakerPolicy,
  { state, reason }: Pick<Forced, 'state' | 'reason'>,
  why: string,
): void {
  if (state === 'disabled') breaker.disable(reason);
  else if (state === 'meter-only') breaker.meterOnly(reason);
  else if (state === 'forced-open') breaker.forceOpen(reason);
  else breaker.close(why);
}
