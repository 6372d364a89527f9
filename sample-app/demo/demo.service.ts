import { Injectable } from '@nestjs/common';
import { CircuitBreaker, FallbackLevel, Priority, Resilient, Retry } from 'nestjs-breakwater';
import { CacheService } from '../cache/cache.service.js';
import { UpstreamClient, type Price } from '../upstream/upstream.client.js';

/** What the protected endpoint answers. */
export interface DemoAnswer {
  readonly result: FallbackLevel;
  readonly data: unknown;
  readonly degraded: boolean;
}

const SKU = 'demo';
const CACHE_KEY = 'demo_api';
const CACHED_MS = 5 * 60_000;

/** All patterns around one call, in the order in which a gateway wants them. */
@Injectable()
export class DemoService {
  constructor(
    private readonly upstream: UpstreamClient,
    private readonly cache: CacheService,
  ) {}

  @Resilient({
    rateLimit: { name: 'demo_api', capacity: 100, refillPerSecond: 10, shared: true },
    bulkhead: { name: 'demo_api', maxConcurrent: 100, maxQueue: 200, priority: Priority.NORMAL },
    circuitBreaker: { name: 'demo_api', failureThreshold: 5, openDuration: '60s' },
    retry: { name: 'demo_api', maxRetries: 3, baseDelay: '100ms', budget: { percent: 10 } },
    fallback: {
      name: 'demo_api',
      levels: [
        { level: FallbackLevel.REPLICA, use: 'fromReplica' },
        { level: FallbackLevel.DISTRIBUTED_CACHE, use: 'fromCache' },
        { level: FallbackLevel.DEFAULT, use: 'byDefault' },
      ],
    },
    order: ['rateLimit', 'bulkhead', 'circuitBreaker', 'retry', 'fallback'],
  })
  async protected(): Promise<DemoAnswer> {
    const data = await this.upstream.price(SKU);
    // A cache that fails is no reason to keep an answer back.
    await this.cache.set(CACHE_KEY, data, CACHED_MS).catch(() => undefined);
    return { result: FallbackLevel.PRIMARY, data, degraded: false };
  }

  async fromReplica(): Promise<DemoAnswer> {
    return degraded(FallbackLevel.REPLICA, await this.upstream.price(SKU, { region: 'replica' }));
  }

  async fromCache(): Promise<DemoAnswer> {
    const data = (await this.cache.get(CACHE_KEY)) as Price | undefined;
    if (data === undefined) throw new Error('The cache is empty.');
    return degraded(FallbackLevel.DISTRIBUTED_CACHE, data);
  }

  async byDefault(): Promise<DemoAnswer> {
    return degraded(FallbackLevel.DEFAULT, []);
  }

  @CircuitBreaker('simple_api', { failureThreshold: 5 })
  @Retry('simple_api', { maxRetries: 2 })
  async simple(): Promise<string> {
    const { sku } = await this.upstream.price('simple');
    return `The price of ${sku} was asked for under a circuit breaker and two retries.`;
  }
}

function degraded(result: FallbackLevel, data: unknown): DemoAnswer {
  return { result, data, degraded: true };
}
