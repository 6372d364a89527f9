import { ResilienceModule } from 'nestjs-breakwater';
import { redisState } from 'nestjs-breakwater/redis';
import { RedisConnection } from '../redis/redis.connection.js';
import type { Settings } from '../settings/settings.js';
import { SETTINGS } from '../settings/settings.module.js';
import { presets } from './presets.js';

/** The library, as this application uses it. */
export const resilience = ResilienceModule.forRootAsync({
  inject: [SETTINGS, RedisConnection],
  useFactory: ({ resilience: enabled, readinessDelay }: Settings, { client }: RedisConnection) => ({
    ...presets,
    enabled,
    // So that answers of a fallback carry X-Degraded-Mode.
    requestContext: true,
    callDurations: true,
    draining: { readinessDelay, timeout: '30s' },
    // Longer than usual: the embedded database may keep this thread from answers that have long come.
    ...(client && { sharedState: redisState(client, { app: 'traffic-manager', timeout: '250ms' }) }),
  }),
});
