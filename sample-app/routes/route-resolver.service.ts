import { Injectable, NotFoundException } from '@nestjs/common';
import { InjectCircuitBreaker, type CircuitBreakerPolicy, type Priority } from 'nestjs-breakwater';
import { RouteCache } from './route-cache.js';
import { RouteLookupService } from './route-lookup.service.js';
import { routeName, type ResolvedRoute, type RouteKey } from './route.js';

/** The read path: the cache while it is fresh, else the database. */
@Injectable()
export class RouteResolverService {
  constructor(
    private readonly cache: RouteCache,
    private readonly lookup: RouteLookupService,
    @InjectCircuitBreaker('database') private readonly database: CircuitBreakerPolicy,
  ) {}

  /** @throws NotFoundException where there is no such route, or it is switched off. */
  async resolve(key: RouteKey, priority: Priority): Promise<ResolvedRoute> {
    // With its circuit open, an answer of the cache is a fallback and says so; and only the database itself may close it.
    const cached = this.database.state === 'closed' ? await this.cache.fresh(key) : undefined;
    const route =
      cached === undefined
        ? await this.lookup.find(key, priority)
        : cached.url === null
          ? undefined
          : { ...key, url: cached.url };
    if (route === undefined) throw new NotFoundException(`There is no active route ${routeName(key)}.`);
    return route;
  }
}
