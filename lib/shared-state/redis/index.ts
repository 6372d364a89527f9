export { redisState, RedisState, type RedisStateOptions } from './redis-state.js';
export type { IoredisLike, NodeRedisLike } from './drivers.js';
