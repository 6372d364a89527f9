import { placed, retriesOf, type Application, type ProtectedCode } from '../application.js';
import type { Finding } from '../finding.js';

/** Policies that learn from how calls end, around calls that may never end. */
export function noTimeout(application: Application): Finding[] {
  const bounded = application.protected.filter((code) => placed(code, 'timeout').length > 0);
  return application.protected.flatMap((code): Finding[] => {
    const [waiting] = [...retriesOf(code), ...placed(code, 'circuitBreaker')];
    if (waiting === undefined || isBounded(code, bounded, application.calls)) return [];
    const { policy } = waiting;
    const title = policy.kind === 'retry' ? 'Retry' : 'Circuit breaker';
    const never = policy.kind === 'retry' ? 'retried' : 'counted';
    return [
      {
        code: 'no-timeout',
        severity: 'warning',
        where: code.name,
        message: `${title} "${policy.name}" waits for each call to end, and nothing ends one that hangs: it is never ${never}, and its caller waits with it.`,
        advice:
          'Add @Timeout with what an attempt may take, and give the signal (@CallSignal) to what the method calls.',
      },
    ];
  });
}

/** Whether a timeout stands around it, or around something that it calls: who only passes a call on needs none. */
function isBounded(
  code: ProtectedCode,
  bounded: readonly ProtectedCode[],
  calls: Application['calls'],
): boolean {
  if (bounded.includes(code)) return true;
  const method = code.type && calls.find(code.type, String(code.key));
  if (method === undefined) return false;
  const reached = calls.reachableFrom(method);
  return bounded.some(({ type, key }) => {
    const other = type && calls.find(type, String(key));
    return other !== undefined && reached.has(other);
  });
}
