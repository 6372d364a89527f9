import { Inject, Injectable } from '@nestjs/common';
import {
  Bulkhead,
  BulkheadFullError,
  CircuitBreaker,
  Fallback,
  FallbackLevel,
  Priority,
  Retry,
  Timeout,
  type CallInfo,
} from 'nestjs-breakwater';
import { REPLICA } from '../database/database.module.js';
import type { Replica } from '../database/replica.js';
import { RouteCache } from './route-cache.js';
import type { ResolvedRoute, RouteKey } from './route.js';
import { findRoute, RoutesRepository } from './routes.repository.js';

/** Where the database says that requests go, and who says so while it cannot. */
@Injectable()
export class RouteLookupService {
  constructor(
    private readonly routes: RoutesRepository,
    private readonly cache: RouteCache,
    @Inject(REPLICA) private readonly replica: Replica,
  ) {}

  /**
   * The route of a key; `undefined` where there is none. That is an answer of the database, and no failure of it.
   *
   * @param priority - Who goes first when more ask than may read at once.
   */
  @Fallback({
    name: 'route_lookup',
    // Who stands in a full queue shall go away, not ask somebody else.
    on: (error: unknown) => !(error instanceof BulkheadFullError),
    levels: [
      { level: FallbackLevel.REPLICA, use: 'fromReplica' },
      { level: FallbackLevel.DISTRIBUTED_CACHE, use: 'fromCache' },
    ],
  })
  @Retry('database_reads', { maxRetries: 2, baseDelay: '100ms', budget: 'database' })
  @Bulkhead('read_operations', { priority: priorityOf })
  @CircuitBreaker('database')
  @Timeout({ name: 'database_reads', duration: '2s' })
  async find(key: RouteKey, _priority: Priority): Promise<ResolvedRoute | undefined> {
    const route = await this.routes.find(key);
    const url = route?.active === true ? route.url : null;
    await this.cache.remember(key, url);
    return url === null ? undefined : { ...key, url };
  }

  async fromReplica(key: RouteKey): Promise<ResolvedRoute | undefined> {
    const route = await findRoute(this.replica.db, key);
    return route?.active === true ? { ...key, url: route.url, source: 'replica' } : undefined;
  }

  async fromCache(key: RouteKey): Promise<ResolvedRoute | undefined> {
    const cached = await this.cache.any(key);
    if (cached === undefined) throw new Error('The cache does not know this route.');
    return cached.url === null ? undefined : { ...key, url: cached.url, source: 'cache_fallback' };
  }
}

function priorityOf({ args }: CallInfo): Priority {
  return args[1] as Priority;
}
