export { HealthProbe } from './health-probe.decorator.js';
export {
  BulkheadHealthIndicator,
  CircuitBreakerHealthIndicator,
  DeepHealthIndicator,
  DrainingHealthIndicator,
  LivenessHealthIndicator,
  ReadinessHealthIndicator,
} from './indicators.js';
export { Probe, type ProbeResult, type ProbeStatus } from './probe.js';
export type { ProbeKind, ProbeOptions } from './probe.options.js';
export { ResilienceHealthModule } from './resilience-health.module.js';
export type { ResilienceHealthOptions } from './resilience-health.options.js';
