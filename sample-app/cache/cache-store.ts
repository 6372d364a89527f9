/** Where answers are kept for a while: in this process, or in Redis. Values are what JSON can say. */
export abstract class CacheStore {
  abstract get(key: string): Promise<unknown>;
  abstract set(key: string, value: unknown, ttlMs: number): Promise<void>;
  abstract delete(key: string): Promise<void>;
  /** Forgets everything. */
  abstract clear(): Promise<void>;
  /** @throws where it does not answer. */
  abstract ping(): Promise<void>;
}
