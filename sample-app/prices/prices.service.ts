import { Injectable } from '@nestjs/common';
import {
  Bulkhead,
  CallSignal,
  CircuitBreaker,
  Fallback,
  HealthProbe,
  RateLimit,
  Retry,
  Timeout,
} from 'nestjs-breakwater';
import { UpstreamClient, type Price } from '../upstream/upstream.client.js';

/** Prices come from an upstream that may be slow, or ill, or gone: this is all that it takes. */
@Injectable()
export class PricesService {
  private readonly lastKnown = new Map<string, Price>();

  constructor(private readonly upstream: UpstreamClient) {}

  @Fallback('lastKnownPrice', { on: [{ status: { from: 500, to: 599 } }, isUnavailable] })
  @Retry({ maxRetries: 2, baseDelay: '50ms' })
  @RateLimit('upstream', { capacity: 100, refillPerSecond: 50 })
  @Bulkhead('upstream', { maxConcurrent: 20, maxQueue: 50, maxWait: '1s' })
  @CircuitBreaker('upstream', {
    failureRatePercent: 50,
    window: { calls: 20 },
    minimumCalls: 10,
    openDuration: '5s',
  })
  @Timeout('500ms')
  async price(sku: string, @CallSignal() signal?: AbortSignal): Promise<Price> {
    const price = await this.upstream.price(sku, { signal });
    this.lastKnown.set(sku, price);
    return price;
  }

  /** Answers while the upstream cannot; gets the arguments of `price` and, after them, the error. */
  async lastKnownPrice(sku: string, _signal: AbortSignal | undefined, error: Error): Promise<Price> {
    const known = this.lastKnown.get(sku);
    if (known === undefined) throw error;
    return { ...known, source: 'last known' };
  }

  @HealthProbe({
    kind: 'deep',
    name: 'pricing',
    interval: '5s',
    timeout: '1s',
    maxLatency: '500ms',
    critical: false,
  })
  async ping(signal: AbortSignal): Promise<void> {
    await this.upstream.price('ping', { signal });
  }
}

/** Errors without a status: of the network, of a timeout, of a policy that refused. A 404 is an answer. */
function isUnavailable(error: unknown): boolean {
  return (error as { status?: unknown }).status === undefined;
}
