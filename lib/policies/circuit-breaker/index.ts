export * from './circuit-breaker.policy.js';
export type { CircuitBreakerOptions } from './circuit-breaker.options.js';
export { CIRCUIT_TRANSITIONS, type CircuitState } from './circuit.js';
