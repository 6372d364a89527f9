export * from './timeout.policy.js';
export { AdaptiveTimeout, type AdaptiveTimeoutStats } from './adaptive-timeout.js';
export type { AdaptiveTimeoutOptions, TimeoutOptions } from './timeout.options.js';
