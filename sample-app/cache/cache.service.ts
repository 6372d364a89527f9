import { Injectable } from '@nestjs/common';
import { CircuitBreaker, Retry, Timeout } from 'nestjs-breakwater';
import { CacheStore } from './cache-store.js';

/** The cache behind its circuit, so that a Redis that hangs costs nobody more than a moment. */
@Injectable()
export class CacheService {
  constructor(private readonly store: CacheStore) {}

  @Retry('cache', { maxRetries: 1, baseDelay: '10ms', budget: 'redis' })
  @CircuitBreaker('redis')
  @Timeout({ name: 'cache', duration: '250ms' })
  async get(key: string): Promise<unknown> {
    return this.store.get(key);
  }

  @CircuitBreaker('redis')
  @Timeout({ name: 'cache', duration: '250ms' })
  async set(key: string, value: unknown, ttlMs: number): Promise<void> {
    await this.store.set(key, value, ttlMs);
  }

  @Retry('cache', { maxRetries: 1, baseDelay: '10ms', budget: 'redis' })
  @CircuitBreaker('redis')
  @Timeout({ name: 'cache', duration: '250ms' })
  async delete(key: string): Promise<void> {
    await this.store.delete(key);
  }

  /** For operators: they want to hear it if it fails. */
  async clear(): Promise<void> {
    await this.store.clear();
  }
}
