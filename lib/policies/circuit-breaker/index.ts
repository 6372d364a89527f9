export * from './circuit-breaker.policy.js';
export type { CircuitBreakerOptions, SharedCircuitOptions } from './circuit-breaker.options.js';
export { CIRCUIT_TRANSITIONS, type SharedCircuitStats } from './circuit.js';
export type { KeyedCircuitStats } from './keyed-circuits.js';
export type { CircuitState } from './circuit-state.js';
