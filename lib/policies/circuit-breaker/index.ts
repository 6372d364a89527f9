export * from './circuit-breaker.policy.js';
export type { CircuitBreakerOptions } from './circuit-breaker.options.js';
export { CIRCUIT_TRANSITIONS } from './circuit.js';
export type { CircuitState } from './circuit-state.js';
