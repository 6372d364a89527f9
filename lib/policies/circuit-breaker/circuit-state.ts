/**
 * - `closed`, `open`, `half-open`: the breaker decides;
 * - `forced-open`, `disabled`, `meter-only`: an operator decided: refuse all, let all pass uncounted, let all pass and
 *   only say when a threshold is crossed.
 *
 * @publicApi
 */
export type CircuitState = 'closed' | 'open' | 'half-open' | 'forced-open' | 'disabled' | 'meter-only';
