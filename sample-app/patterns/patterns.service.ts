import { Injectable } from '@nestjs/common';
import {
  Bulkhead,
  CallSignal,
  CircuitBreaker,
  Fallback,
  FallbackLevel,
  RateLimit,
  ResilienceService,
  Retry,
  Timeout,
} from 'nestjs-breakwater';
import { UpstreamClient, type Price } from '../upstream/upstream.client.js';

/** Each method stands under one pattern alone, so that it can be seen at work. */
@Injectable()
export class PatternsService {
  constructor(
    private readonly upstream: UpstreamClient,
    private readonly resilience: ResilienceService,
  ) {}

  @CircuitBreaker('pattern_circuit_breaker', { failureThreshold: 3, openDuration: '2s' })
  async behindBreaker(): Promise<Price> {
    return this.upstream.price('breaker', { query: { status: '503' } });
  }

  @Retry('pattern_retry', { maxRetries: 3, baseDelay: '20ms' })
  async retried(id: string, onRequest: () => void): Promise<Price> {
    onRequest();
    return this.upstream.price('retry', { query: { failFirst: '2', id } });
  }

  @Bulkhead('pattern_bulkhead', { maxConcurrent: 2, maxQueue: 1 })
  async inBulkhead(): Promise<Price> {
    return this.upstream.price('bulkhead', { query: { delay: '100' } });
  }

  @RateLimit('pattern_rate_limit', { capacity: 3, refillPerSecond: 1 })
  async limited(): Promise<Price> {
    return this.upstream.price('limit');
  }

  @Timeout({ name: 'pattern_timeout', duration: '100ms' })
  async hurried(@CallSignal() signal?: AbortSignal): Promise<Price> {
    return this.upstream.price('timeout', { query: { delay: '2000' }, signal });
  }

  @Fallback({
    name: 'pattern_fallback',
    levels: [
      { level: FallbackLevel.REPLICA, use: 'replica' },
      { level: FallbackLevel.LOCAL_CACHE, use: 'cached' },
    ],
  })
  async withFallbacks(): Promise<Price> {
    return this.upstream.price('fallback', { query: { status: '503' } });
  }

  async replica(): Promise<Price> {
    return this.upstream.price('replica', { query: { status: '503' } });
  }

  async cached(): Promise<Price> {
    return { sku: 'fallback', cents: 1_234, source: 'local cache' };
  }

  /** Puts the patterns back to where they began, so that each demonstration tells the same story. */
  startOver(): void {
    this.resilience.reset('circuitBreaker', 'pattern_circuit_breaker');
    this.resilience.reset('rateLimit', 'pattern_rate_limit');
  }
}
