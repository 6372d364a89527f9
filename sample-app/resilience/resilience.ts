import { ResilienceModule, type ResilienceModuleOptions } from 'nestjs-breakwater';
import { redisState } from 'nestjs-breakwater/redis';
import { RedisConnection } from '../redis/redis.connection.js';
import type { Settings } from '../settings/settings.js';
import { SETTINGS } from '../settings/settings.module.js';
import { presets } from './presets.js';

/** Where all instances stand on one server, they learn together that it is away, and spare it together. */
const withOneDatabase: ResilienceModuleOptions = {
  ...presets,
  circuitBreakers: {
    ...presets.circuitBreakers,
    database: { ...presets.circuitBreakers.database, shared: true },
  },
  bulkheads: {
    ...presets.bulkheads,
    write_operations: { ...presets.bulkheads.write_operations, shared: true },
  },
};

/** The library, as this application uses it. */
export const resilience = ResilienceModule.forRootAsync({
  inject: [SETTINGS, RedisConnection],
  useFactory: (
    { resilience: enabled, readinessDelay, databaseUrl }: Settings,
    { client }: RedisConnection,
  ) => ({
    ...(databaseUrl === undefined ? presets : withOneDatabase),
    enabled,
    // So that answers of a fallback carry X-Degraded-Mode.
    requestContext: true,
    callDurations: true,
    draining: { readinessDelay, timeout: '30s' },
    // Much longer than usual: the embedded database may keep this thread from answers that have long come, and a small
    // machine has all of the fleet on it.
    ...(client && { sharedState: redisState(client, { app: 'traffic-manager', timeout: '2s' }) }),
  }),
});
