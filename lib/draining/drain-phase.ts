/**
 * - `ready`: takes traffic;
 * - `draining`: readiness is down. Until the readiness delay is over everything is served; then new work is refused, and
 *   what is under way finishes;
 * - `quiesced`: nothing is under way any more, or the rest was given up;
 * - `closed`: the application has closed its connections and pools.
 *
 * @publicApi
 */
export type DrainPhase = 'ready' | 'draining' | 'quiesced' | 'closed';

/** What can follow what. An application that closes without draining goes to `closed` from wherever it is. */
const FOLLOWING: Readonly<Record<DrainPhase, readonly DrainPhase[]>> = {
  ready: ['draining', 'closed'],
  draining: ['quiesced', 'closed'],
  quiesced: ['closed'],
  closed: [],
};

/** @throws Error where the one cannot follow the other. */
export function nextPhase(from: DrainPhase, to: DrainPhase): DrainPhase {
  if (FOLLOWING[from].includes(to)) return to;
  throw new Error(`Draining cannot go from "${from}" to "${to}".`);
}
