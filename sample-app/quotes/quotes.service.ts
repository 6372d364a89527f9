import { Injectable } from '@nestjs/common';
import { CallSignal, Fallback, FallbackLevel, Timeout } from 'nestjs-breakwater';
import { CacheService } from '../cache/cache.service.js';
import { UpstreamClient, type Price } from '../upstream/upstream.client.js';

/** A price, and which of the six levels gave it; the local cache gives what it was given, word for word. */
export interface Quote extends Price {
  readonly level: FallbackLevel;
}

const CACHED_MS = 5 * 60_000;

/** Prices with everything that can stand in for the service: a chain of all six levels. */
@Injectable()
export class QuotesService {
  constructor(
    private readonly upstream: UpstreamClient,
    private readonly cache: CacheService,
  ) {}

  @Fallback({
    name: 'quotes',
    levels: [
      { level: FallbackLevel.REPLICA, use: 'fromReplica' },
      { level: FallbackLevel.DISTRIBUTED_CACHE, use: 'fromDistributedCache' },
      // Fills itself with what primary and replica answer.
      { level: FallbackLevel.LOCAL_CACHE, ttl: '1m', staleTtl: '1h' },
      { level: FallbackLevel.BACKUP_SERVICE, use: 'fromBackup' },
      { level: FallbackLevel.DEFAULT, use: 'unknownPrice' },
    ],
  })
  @Timeout({ name: 'quotes', duration: '2s', adaptive: { minSamples: 20, min: '50ms' } })
  async quote(sku: string, @CallSignal() signal?: AbortSignal): Promise<Quote> {
    return this.fromRegion(sku, 'primary', FallbackLevel.PRIMARY, signal);
  }

  async fromReplica(sku: string): Promise<Quote> {
    return this.fromRegion(sku, 'replica', FallbackLevel.REPLICA);
  }

  async fromDistributedCache(sku: string): Promise<Quote> {
    const kept = (await this.cache.get(cacheKey(sku))) as Quote | undefined;
    if (kept === undefined) throw new Error(`The cache has no quote for "${sku}".`);
    return { ...kept, level: FallbackLevel.DISTRIBUTED_CACHE };
  }

  async fromBackup(sku: string): Promise<Quote> {
    return this.fromRegion(sku, 'backup', FallbackLevel.BACKUP_SERVICE);
  }

  async unknownPrice(sku: string): Promise<Quote> {
    return { sku, cents: 0, source: 'none', level: FallbackLevel.DEFAULT };
  }

  private async fromRegion(
    sku: string,
    region: 'primary' | 'replica' | 'backup',
    level: FallbackLevel,
    signal?: AbortSignal,
  ): Promise<Quote> {
    const quote = { ...(await this.upstream.price(sku, { region, signal })), level };
    // A cache that fails is no reason to keep a price back.
    await this.cache.set(cacheKey(sku), quote, CACHED_MS).catch(() => undefined);
    return quote;
  }
}

function cacheKey(sku: string): string {
  return `quote:${sku}`;
}
