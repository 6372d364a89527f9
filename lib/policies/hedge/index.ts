export * from './hedge.policy.js';
export type { HedgeOptions } from './hedge.options.js';
