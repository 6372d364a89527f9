import { Injectable, Logger } from '@nestjs/common';
import { CacheService } from '../cache/cache.service.js';
import { routeName, type RouteKey } from './route.js';

/** How long the cache is as good as the database. */
const FOUND_MS = 60_000;
const MISSING_MS = 10_000;
/** How long it is better than nothing. */
const KEPT_MS = 3_600_000;

/** What the cache knows of a key. */
export interface CachedRoute {
  /** `null`: there is no such route. */
  readonly url: string | null;
  readonly freshUntil: number;
}

/** The routes in the cache. A cache that fails is a cache without an answer: nobody fails with it. */
@Injectable()
export class RouteCache {
  private readonly log = new Logger(RouteCache.name);

  constructor(private readonly cache: CacheService) {}

  /** What may be answered without a look into the database. */
  async fresh(key: RouteKey): Promise<CachedRoute | undefined> {
    const cached = await this.any(key);
    return cached !== undefined && cached.freshUntil > Date.now() ? cached : undefined;
  }

  /** What was known last, however old. */
  async any(key: RouteKey): Promise<CachedRoute | undefined> {
    return this.orNothing(() => this.cache.get(routeName(key))) as Promise<CachedRoute | undefined>;
  }

  async remember(key: RouteKey, url: string | null): Promise<void> {
    const freshMs = url === null ? MISSING_MS : FOUND_MS;
    const entry: CachedRoute = { url, freshUntil: Date.now() + freshMs };
    await this.orNothing(() => this.cache.set(routeName(key), entry, url === null ? MISSING_MS : KEPT_MS));
  }

  async forget(key: RouteKey): Promise<void> {
    await this.orNothing(() => this.cache.delete(routeName(key)));
  }

  private async orNothing(work: () => Promise<unknown>): Promise<unknown> {
    try {
      return await work();
    } catch (error) {
      this.log.debug(error);
      return undefined;
    }
  }
}
