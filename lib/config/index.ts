export { resilienceConfig } from './resilience-config.js';
export { resilienceConfigFromEnv, type EnvConfigOptions } from './resilience-config-from-env.js';
