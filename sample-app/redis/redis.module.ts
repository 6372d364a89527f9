import { Global, Module } from '@nestjs/common';
import type { Settings } from '../settings/settings.js';
import { SETTINGS } from '../settings/settings.module.js';
import { RedisConnection } from './redis.connection.js';

/** Redis or Valkey, where `REDIS_URL` names one: for the cache, and for what instances share. */
@Global()
@Module({
  providers: [
    {
      provide: RedisConnection,
      inject: [SETTINGS],
      useFactory: async ({ redisUrl }: Settings) => {
        const connection = new RedisConnection(redisUrl);
        await connection.ready();
        return connection;
      },
    },
  ],
  exports: [RedisConnection],
})
export class RedisModule {}
