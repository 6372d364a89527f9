export {
  diskCheck,
  eventLoopCheck,
  heapCheck,
  httpCheck,
  portCheck,
  redisCheck,
  sqlCheck,
  terminusCheck,
  type RedisPinger,
  type SqlRunner,
} from './checks.js';
export { HealthProbe } from './health-probe.decorator.js';
export {
  BulkheadHealthIndicator,
  CircuitBreakerHealthIndicator,
  DeepHealthIndicator,
  DrainingHealthIndicator,
  LivenessHealthIndicator,
  ReadinessHealthIndicator,
} from './indicators.js';
export { Probe, type ProbeCheck, type ProbeResult, type ProbeStatus } from './probe.js';
export type { ProbeKind, ProbeOptions } from './probe.options.js';
export { ResilienceHealthModule } from './resilience-health.module.js';
export type {
  GivenProbe,
  ResilienceHealthOptions,
  ResilienceIndicatorOptions,
} from './resilience-health.options.js';
