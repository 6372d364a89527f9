import type { Application } from '../application.js';
import type { Finding } from '../finding.js';

/** Routes that open circuits and start faults, with nobody at the door. */
export function openOperatorRoutes({ operatorRoutes }: Application): Finding[] {
  return operatorRoutes
    .filter(({ isGuarded }) => !isGuarded)
    .map(({ module, path }) => ({
      code: 'open-operator-routes',
      severity: 'error',
      where: path,
      message: `${module} answers below ${path} with "public: true" and without a guard: whoever reaches the port can use it.`,
      advice:
        'Give "guards", or provide a guard with APP_GUARD. One that main.ts sets with app.useGlobalGuards() is not seen from here.',
    }));
}
