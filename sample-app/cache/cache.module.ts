import { Global, Module } from '@nestjs/common';
import { RedisConnection } from '../redis/redis.connection.js';
import { CacheService } from './cache.service.js';
import { CacheStore } from './cache-store.js';
import { MemoryCacheStore } from './memory-cache.store.js';
import { RedisCacheStore } from './redis-cache.store.js';

/** The cache: in Redis where `REDIS_URL` names one, else in this process. */
@Global()
@Module({
  providers: [
    {
      provide: CacheStore,
      inject: [RedisConnection],
      useFactory: ({ client }: RedisConnection) =>
        client === undefined ? new MemoryCacheStore() : new RedisCacheStore(client),
    },
    CacheService,
  ],
  exports: [CacheService, CacheStore],
})
export class CacheModule {}
