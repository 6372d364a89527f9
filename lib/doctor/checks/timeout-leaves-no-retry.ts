import { formatDuration } from '../../core/duration.js';
import { placed, retriesOf, type Application, type ProtectedCode } from '../application.js';
import type { Finding } from '../finding.js';

/** An attempt that may take all of the call's time leaves none for another. */
export function timeoutLeavesNoRetry(application: Application): Finding[] {
  return application.protected.flatMap(withoutRetry);
}

function withoutRetry(code: ProtectedCode): Finding[] {
  const all = placed(code, 'timeout');
  return retriesOf(code).flatMap((retry) => {
    const totals = all.filter(({ slot, depth }) => slot === 'totalTimeout' && depth < retry.depth);
    const each = all.filter(({ slot, depth }) => slot === 'timeout' && depth > retry.depth);
    return each.flatMap(({ policy: attempt }) =>
      totals.flatMap(({ policy: total }): Finding[] => {
        const { durationMs, adaptive } = attempt.configuration;
        const { totalMs } = total.configuration;
        if (adaptive !== undefined || durationMs === undefined || totalMs === undefined) return [];
        if (durationMs < totalMs) return [];
        return [
          {
            code: 'timeout-leaves-no-retry',
            severity: 'warning',
            where: code.name,
            message: `One attempt may take ${formatDuration(durationMs)}, and the whole call ${formatDuration(totalMs)}: after an attempt that has timed out retry "${retry.policy.name}" has no time left.`,
            advice: `Set the timeout of an attempt well below its share, ${formatDuration(Math.floor(totalMs / (retry.policy.configuration.maxRetries + 1)))}.`,
          },
        ];
      }),
    );
  });
}
