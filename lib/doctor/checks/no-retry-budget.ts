import { isOfKind, placed, retriesOf, type Application } from '../application.js';
import type { Finding } from '../finding.js';
import type { HedgePolicy } from '../../policies/hedge/index.js';
import type { RetryPolicy } from '../../policies/retry/index.js';

/** Retries and hedges that nothing bounds in sum: in an outage each call becomes several. */
export function noRetryBudget({ protected: all }: Application): Finding[] {
  const users = new Map<RetryPolicy | HedgePolicy, string[]>();
  for (const code of all) {
    const unbounded = [
      ...retriesOf(code).filter(({ policy }) => policy.budget === undefined),
      // A hedge draws on the budget of its method's retry: what that has not, is said once.
      ...(retriesOf(code).length > 0 ? [] : placed(code, 'hedge')).filter(
        ({ policy }) => policy.stats().budget === undefined,
      ),
    ];
    for (const { policy } of unbounded) users.set(policy, [...(users.get(policy) ?? []), code.name]);
  }
  return [...users].map(([policy, names]): Finding => {
    const factor = isOfKind(policy, 'retry')
      ? policy.configuration.maxRetries + 1
      : policy.configuration.maxHedges + 1;
    const title = isOfKind(policy, 'retry') ? 'Retry' : 'Hedge';
    return {
      code: 'no-retry-budget',
      severity: 'warning',
      where: names.join(', '),
      message: `${title} "${policy.name}" has no budget ("budget: false"): when everything fails, or is slow, ${factor} times the usual load meets a dependency that cannot bear the usual one.`,
      advice: 'Remove "budget: false" (the default adds 10 % at most), or name a budget that several share.',
    };
  });
}
