import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.js';
import type { Duration } from '../../core/duration.js';
import { fingerprintOf } from '../../core/fingerprint.js';
import { defineOptions, resolveOptions } from '../../core/option-table.js';

/** A store that outlives the process; Keyv and its kin have this form. @publicApi */
export interface FallbackStore {
  get(key: string): unknown;
  /** `ttl` in milliseconds. */
  set(key: string, value: unknown, ttl?: number): unknown;
}

/** A cache level of a fallback chain, which fills itself from what the levels above it answer. @publicApi */
export interface CacheOptions {
  /** How long an answer is good. Default 5 min. */
  readonly ttl?: Duration;
  /** How much longer it may be given where everything above has failed. Default 1 h. */
  readonly staleTtl?: Duration;
  /** What tells one question from another. Default: a hash of the arguments. */
  readonly key?: (...args: never[]) => string;
  /** Answers kept in memory. Default 1,000. */
  readonly maxEntries?: number;
  /** Where answers are kept; without it in this process. */
  readonly store?: FallbackStore;
}

interface Resolved {
  readonly ttl: number;
  readonly staleTtl: number;
  readonly key?: (...args: unknown[]) => string;
  readonly maxEntries: number;
  readonly store?: FallbackStore;
}

/** The options of a cache level, for validation and documentation. */
export const cacheRows = [
  { name: 'ttl', kind: 'duration', default: '5m', sentence: 'How long an answer is good.' },
  {
    name: 'staleTtl',
    kind: 'duration',
    min: 0,
    default: '1h',
    sentence: 'How much longer it may be given where everything above has failed.',
  },
  {
    name: 'key',
    kind: 'function',
    optional: true,
    defaultText: 'a hash of the arguments',
    sentence: 'What tells one question from another.',
  },
  { name: 'maxEntries', kind: 'integer', min: 1, default: 1_000, sentence: 'Answers kept in memory.' },
  {
    name: 'store',
    kind: 'any',
    optional: true,
    defaultText: 'memory',
    sentence: 'Where answers are kept: anything with `get` and `set`, such as Keyv.',
    check: (value: unknown) =>
      typeof (value as Partial<FallbackStore> | null)?.get === 'function' &&
      typeof (value as Partial<FallbackStore>).set === 'function'
        ? undefined
        : '"store" must have the methods get and set.',
  },
] as const;

const cacheTable = defineOptions<CacheOptions, Resolved>(...cacheRows);

/** An answer with the time at which it was given. */
interface Entry {
  readonly value: unknown;
  /** Wall time: it may be read in another process. */
  readonly at: number;
}

/** The answers of one cache level. It has none where it cannot be sure: a broken store is a store without an answer. */
export class CacheLevel {
  private readonly settings: Resolved;
  private readonly memory: LRUCache<string, Entry> | undefined;
  private readonly reading = new Map<string, Promise<Entry | undefined>>();
  /** What went wrong with the store, last. */
  lastError: unknown;

  constructor(
    options: CacheOptions,
    private readonly clock: Clock,
  ) {
    this.settings = resolveOptions(cacheTable, options);
    if (this.settings.store === undefined) this.memory = new LRUCache({ max: this.settings.maxEntries });
  }

  /** The answer to these arguments, if there is one; a stale one only where `failing`. */
  async read(args: readonly unknown[], failing: boolean): Promise<{ readonly value: unknown } | undefined> {
    const entry = await this.find(this.keyOf(args));
    if (entry === undefined) return undefined;
    const { ttl, staleTtl } = this.settings;
    const ageMs = this.clock.wallTime() - entry.at;
    return ageMs <= ttl || (failing && ageMs <= ttl + staleTtl) ? entry : undefined;
  }

  /** Keeps an answer. Does not wait for a store, and does not fail with it. */
  write(args: readonly unknown[], value: unknown): void {
    const { store, ttl, staleTtl } = this.settings;
    const entry: Entry = { value, at: this.clock.wallTime() };
    if (this.memory !== undefined) {
      this.memory.set(this.keyOf(args), entry);
      return;
    }
    const failed = (error: unknown) => {
      this.lastError = error;
    };
    try {
      Promise.resolve(store?.set(this.keyOf(args), entry, ttl + staleTtl)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  clear(): void {
    this.memory?.clear();
  }

  /** Who asks for the same at the same time shares one reading. */
  private find(key: string): Promise<Entry | undefined> | Entry | undefined {
    if (this.memory !== undefined) return this.memory.get(key);
    let reading = this.reading.get(key);
    if (reading === undefined) {
      reading = this.ask(key).finally(() => this.reading.delete(key));
      this.reading.set(key, reading);
    }
    return reading;
  }

  private async ask(key: string): Promise<Entry | undefined> {
    try {
      const found = await this.settings.store?.get(key);
      return isEntry(found) ? found : undefined;
    } catch (error) {
      this.lastError = error;
      return undefined;
    }
  }

  private keyOf(args: readonly unknown[]): string {
    return this.settings.key?.(...args) ?? fingerprintOf(args);
  }
}

function isEntry(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && 'value' in value && 'at' in value;
}
