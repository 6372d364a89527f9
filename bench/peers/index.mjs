// The libraries that we compare with, installed here and nowhere else.
export * as cockatiel from 'cockatiel';
export * as mollitia from 'mollitia';
export * as nestjsResilience from 'nestjs-resilience';
export { default as Opossum } from 'opossum';
export { default as pLimit } from 'p-limit';
export { default as pRetry } from 'p-retry';
export { default as autocannon } from 'autocannon';
export { RateLimiter } from 'limiter';
export { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
export { ThrottlerStorageRedisService } from '@nest-lab/throttler-storage-redis';
export { Redis } from 'ioredis';
export { defer, lastValueFrom } from 'rxjs';
