import type { PolicyEnvironment } from '../../core/environment.js';

/** Who starts a process says with it that chaos may run in production. */
export const CHAOS_VARIABLE = 'RESILIENCE_CHAOS';

/** What chaos needs from outside, beyond what every policy does. @publicApi */
export interface ChaosEnvironment extends PolicyEnvironment {
  /** Says that chaos may run with `NODE_ENV=production`, if `RESILIENCE_CHAOS=allow` says so too. Default false. */
  readonly allowChaosInProduction?: boolean | undefined;
  /** Where `NODE_ENV` and `RESILIENCE_CHAOS` are read. Default: `process.env`. */
  readonly processEnv?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * Why chaos must not run here; `undefined` where it may. In production two people must want it: who writes the options
 * and who starts the process.
 */
export function refusalOfChaos(
  environment: ChaosEnvironment | undefined,
  allowInProduction = environment?.allowChaosInProduction === true,
): string | undefined {
  const { NODE_ENV, [CHAOS_VARIABLE]: said } = environment?.processEnv ?? process.env;
  const allowedOutside = said === 'allow';
  if (NODE_ENV !== 'production' || (allowInProduction && allowedOutside)) return undefined;
  const missing = [
    ...(allowInProduction ? [] : ['"allowInProduction" is not true']),
    ...(allowedOutside ? [] : [`the environment variable ${CHAOS_VARIABLE} is not "allow"`]),
  ];
  return `Chaos does not run with NODE_ENV=production unless both are said; ${missing.join(', and ')}.`;
}
