import { placed, retriesOf, type Application } from '../application.js';
import type { Finding } from '../finding.js';

/** A bulkhead outside a retry: who waits in back-off does nothing, and holds a slot. */
export function bulkheadAroundRetry(application: Application): Finding[] {
  return application.protected.flatMap((code) => {
    const innermost = retriesOf(code).at(-1);
    if (innermost === undefined) return [];
    return placed(code, 'bulkhead')
      .filter(({ depth }) => depth < innermost.depth)
      .map(({ policy }): Finding => ({
        code: 'bulkhead-around-retry',
        severity: 'warning',
        where: code.name,
        message: `Bulkhead "${policy.name}" stands outside retry "${innermost.policy.name}": a call holds its slot through every back-off, so that a failing dependency fills the bulkhead with calls that do nothing.`,
        advice:
          'Leave both in the default order, the bulkhead inside the retry; of a handler, move the bulkhead to the method that is retried.',
      }));
  });
}
