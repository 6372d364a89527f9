import type { Redis } from 'ioredis';
import { CacheStore } from './cache-store.js';

const PREFIX = 'traffic-manager:cache:';

/** A cache in Redis, shared by all instances. */
export class RedisCacheStore extends CacheStore {
  constructor(private readonly redis: Redis) {
    super();
  }

  async get(key: string): Promise<unknown> {
    const text = await this.redis.get(PREFIX + key);
    return text === null ? undefined : JSON.parse(text);
  }

  async set(key: string, value: unknown, ttlMs: number): Promise<void> {
    await this.redis.set(PREFIX + key, JSON.stringify(value), 'PX', ttlMs);
  }

  async delete(key: string): Promise<void> {
    await this.redis.del(PREFIX + key);
  }

  async clear(): Promise<void> {
    for await (const keys of this.redis.scanStream({ match: `${PREFIX}*` })) {
      if ((keys as string[]).length > 0) await this.redis.del(keys as string[]);
    }
  }

  async ping(): Promise<void> {
    await this.redis.ping();
  }
}
