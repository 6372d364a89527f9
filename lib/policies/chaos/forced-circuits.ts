import type { CircuitState } from '../circuit-breaker/circuit-state.js';
import type { CircuitBreakerPolicy } from '../circuit-breaker/index.js';

interface Forced {
  readonly holders: Set<object>;
  /** What the breaker was before anybody forced it, and why. */
  readonly state: CircuitState;
  readonly reason: string | undefined;
  /** What we said when we forced it last. */
  said: string;
}

/** Circuit breakers that faults hold open. Each goes back to what it was when the last of its holders lets go. */
export class ForcedCircuits {
  private readonly forced = new Map<CircuitBreakerPolicy, Forced>();

  force(holder: object, breakers: readonly CircuitBreakerPolicy[], cause: Error): void {
    for (const breaker of breakers) {
      const known = this.forced.get(breaker);
      const forced = known ?? {
        holders: new Set(),
        state: breaker.state,
        reason: breaker.stats().reason,
        said: cause.message,
      };
      forced.holders.add(holder);
      forced.said = cause.message;
      this.forced.set(breaker, forced);
      breaker.forceOpen(cause);
    }
  }

  release(holder: object): void {
    for (const [breaker, forced] of this.forced) {
      if (!forced.holders.delete(holder) || forced.holders.size > 0) continue;
      this.forced.delete(breaker);
      // Somebody else has decided meanwhile.
      if (breaker.state !== 'forced-open' || breaker.stats().reason !== forced.said) continue;
      restore(breaker, forced);
    }
  }
}

/** What it had counted is gone; one that was open closes, and finds out again. */
function restore(breaker: CircuitBreakerPolicy, { state, reason }: Forced): void {
  if (state === 'disabled') breaker.disable(reason);
  else if (state === 'meter-only') breaker.meterOnly(reason);
  else if (state === 'forced-open') breaker.forceOpen(reason);
  else breaker.close('chaos has ended');
}
