import type { Application } from '../application.js';
import type { Finding } from '../finding.js';

/** What the start of the application only logs. */
export function startUpWarnings({ warnings }: Application): Finding[] {
  return warnings.map((warning) => {
    const colon = warning.indexOf(': ');
    return {
      code: 'start-up-warning',
      severity: 'warning',
      where: warning.slice(0, colon),
      message: warning.slice(colon + 2),
      advice: 'The log says the same at each start.',
    };
  });
}
