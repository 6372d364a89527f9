// What of cockatiel several benchmarks measure.
import { cockatiel } from './peers/index.mjs';

export function cockatielBreaker() {
  return cockatiel.circuitBreaker(cockatiel.handleAll, {
    halfOpenAfter: 60_000,
    breaker: new cockatiel.ConsecutiveBreaker(5),
  });
}

/** Retry, breaker, timeout, bulkhead. */
export function cockatielStack() {
  return cockatiel.wrap(
    cockatiel.retry(cockatiel.handleAll, { maxAttempts: 3 }),
    cockatielBreaker(),
    cockatiel.timeout(10_000, cockatiel.TimeoutStrategy.Cooperative),
    cockatiel.bulkhead(100, 200),
  );
}
