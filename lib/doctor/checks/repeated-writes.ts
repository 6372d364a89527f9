import { placed, retriesOf, type Application, type ProtectedCode } from '../application.js';
import type { Finding } from '../finding.js';

/** HTTP methods that may do something again each time (RFC 9110, 9.2.2); a handler of all has these too. */
const WRITES = ['POST', 'PATCH', 'ALL'];

/** Handlers that may do their work twice for one request, with nothing that notices. */
export function repeatedWrites(application: Application): Finding[] {
  return application.protected.flatMap((code) => {
    const { route } = code;
    if (route === undefined || !WRITES.includes(route.verb)) return [];
    if (placed(code, 'idempotency').length > 0) return [];
    return [...retried(code, `${route.verb} ${route.path}`), ...hedged(code, `${route.verb} ${route.path}`)];
  });
}

function retried(code: ProtectedCode, request: string): Finding[] {
  return retriesOf(code).map(({ policy }) => ({
    code: 'repeated-write',
    severity: 'error',
    where: code.name,
    message: `Retry "${policy.name}" runs ${request} again when an attempt fails, also one whose work was done and whose answer was lost: the client gets it twice.`,
    advice:
      'Add @Idempotent with the key of the request, or retry only the calls inside the handler that are safe to repeat.',
  }));
}

function hedged(code: ProtectedCode, request: string): Finding[] {
  return placed(code, 'hedge').map(({ policy }): Finding => {
    const { idempotent } = policy.configuration;
    return {
      code: idempotent ? 'unproven-idempotence' : 'repeated-write',
      severity: idempotent ? 'warning' : 'error',
      where: code.name,
      message: idempotent
        ? `Hedge "${policy.name}" runs ${request} twice at the same time. That this does no harm is only declared ("idempotent: true"); nothing sees to it.`
        : `Hedge "${policy.name}" runs ${request} twice at the same time, and nothing notices the second.`,
      advice: 'Add @Idempotent with the key of the request, or hedge only what reads.',
    };
  });
}
