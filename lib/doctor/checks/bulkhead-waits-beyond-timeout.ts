import { formatDuration } from '../../core/duration.js';
import { placed, type Application } from '../application.js';
import type { Finding } from '../finding.js';

/** A wait that was asked for and can never be had: the timeout around it is over sooner. */
export function bulkheadWaitsBeyondTimeout(application: Application): Finding[] {
  return application.protected.flatMap((code) => {
    const totals = placed(code, 'timeout').filter(({ slot }) => slot === 'totalTimeout');
    return placed(code, 'bulkhead').flatMap(({ policy, depth }): Finding[] => {
      const { maxQueue, maxWaitMs, waitGiven } = policy.configuration;
      // The default is long, and a timeout is the usual way to make it shorter.
      if (maxQueue === 0 || !waitGiven) return [];
      const around = totals.find(
        (total) => total.depth < depth && (total.policy.configuration.totalMs ?? Infinity) < maxWaitMs,
      );
      if (around === undefined) return [];
      const totalMs = around.policy.configuration.totalMs as number;
      return [
        {
          code: 'bulkhead-waits-beyond-timeout',
          severity: 'warning',
          where: code.name,
          message: `Bulkhead "${policy.name}" lets a call wait for ${formatDuration(maxWaitMs)}, and timeout "${around.policy.name}" ends the whole call after ${formatDuration(totalMs)}: calls spend all their time in the queue, and its places are taken by calls that cannot succeed.`,
          advice: `Set "maxWait" to what the call can spare beside its work, well below ${formatDuration(totalMs)}.`,
        },
      ];
    });
  });
}
