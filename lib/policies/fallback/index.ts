export { FallbackChain } from './fallback-chain.js';
export type { FallbackAnswer, FallbackLevelStats, FallbackStats } from './fallback-chain.js';
export type { CacheOptions, FallbackStore } from './cache-level.js';
export {
  FallbackLevel,
  type FallbackHandler,
  type FallbackOptions,
  type FallbackStep,
} from './fallback.options.js';
