export { registerResilienceTelemetry, type TelemetryOptions } from './register-telemetry.js';
export { ResilienceTelemetryModule } from './resilience-telemetry.module.js';
