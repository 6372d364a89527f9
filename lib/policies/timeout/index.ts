export * from './timeout.policy.js';
export { AdaptiveTimeout, type AdaptiveTimeoutForm, type AdaptiveTimeoutStats } from './adaptive-timeout.js';
export {
  HttpTimeouts,
  timeoutPhaseOf,
  type AxiosTimeouts,
  type NodeAgents,
  type TimeoutPhase,
  type UndiciTimeouts,
} from './http-timeouts.js';
export type { AdaptiveTimeoutOptions, TimeoutOptions } from './timeout.options.js';
