export * from './timeout.policy.js';
export { AdaptiveTimeout, type AdaptiveTimeoutForm, type AdaptiveTimeoutStats } from './adaptive-timeout.js';
export type { AdaptiveTimeoutOptions, TimeoutOptions } from './timeout.options.js';
