import { LRUCache } from 'lru-cache';
import { CacheStore } from './cache-store.js';

const MAX_ENTRIES = 10_000;

/** A cache in this process. As text, so that nobody changes what another one reads, as with Redis. */
export class MemoryCacheStore extends CacheStore {
  private readonly entries = new LRUCache<string, string>({ max: MAX_ENTRIES });

  async get(key: string): Promise<unknown> {
    const text = this.entries.get(key);
    return text === undefined ? undefined : JSON.parse(text);
  }

  async set(key: string, value: unknown, ttlMs: number): Promise<void> {
    this.entries.set(key, JSON.stringify(value), { ttl: ttlMs });
  }

  async delete(key: string): Promise<void> {
    this.entries.delete(key);
  }

  async clear(): Promise<void> {
    this.entries.clear();
  }

  async ping(): Promise<void> {}
}
