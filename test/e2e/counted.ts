import type { INestApplicationContext } from '@nestjs/common';
import { ResilienceService } from 'nestjs-breakwater';

/** How many calls the circuit breaker of that name has seen; the application's own count, not the method's. */
export function callsOf(app: INestApplicationContext, breaker: string): number {
  const policy = app.get(ResilienceService).find('circuitBreaker', breaker);
  if (policy === undefined) throw new Error(`There is no circuit breaker "${breaker}".`);
  return policy.stats().totalCalls;
}
