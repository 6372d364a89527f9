/**
 * - `closed`, `open`, `half-open`: the breaker decides;
 * - `forced-open`, `disabled`, `meter-only`: an operator decided: refuse all, let all pass uncounted, let all pass and
 *   only say when a threshold is crossed.
 *
 * @publicApi
 */
export type CircuitState = 'closed' | 'open' | 'half-open' | 'forced-open' | 'disabled' | 'meter-only';

/** Whether a circuit refuses all calls, by itself or by force. */
export function isOpen(state: CircuitState): boolean {
  return state === 'open' || state === 'forced-open';
}
