export { METRICS_REGISTRY } from './metrics-registry.js';
export type { ResiliencePrometheusOptions } from './prometheus.options.js';
export { registerResilienceMetrics } from './register-metrics.js';
export { ResiliencePrometheusModule } from './resilience-prometheus.module.js';
