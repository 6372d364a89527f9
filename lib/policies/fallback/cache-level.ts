import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.js';
import { formatDuration, type Duration } from '../../core/duration.js';
import { TimeoutExceededError } from '../../core/errors.js';
import { fingerprintOf } from '../../core/fingerprint.js';
import { defineOptions, resolveOptions } from '../../core/option-table.js';
import { isThenable } from '../../core/property.js';
import { CallbackTimer } from '../../core/timer-entry.js';
import type { SharedAnswers } from './shared-answers.js';

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
  /**
   * Of the distributed cache: whether answers are kept for all instances of the application as well, through
   * `forRoot({ sharedState })`, as JSON of at most 64 KiB each. Without a shared store, and while it is lost, they are
   * this instance's own. Default false.
   */
  readonly shared?: boolean;
  /** How long a store, or the other instances, are waited for; then there is no answer. Default 1 s. */
  readonly storeTimeout?: Duration;
}

interface Resolved {
  readonly ttl: number;
  readonly staleTtl: number;
  readonly key?: (...args: unknown[]) => string;
  readonly maxEntries: number;
  readonly store?: FallbackStore;
  readonly shared: boolean;
  readonly storeTimeout: number;
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
  {
    name: 'shared',
    kind: 'boolean',
    default: false,
    sentence: 'Of the distributed cache: whether answers are kept for all instances.',
  },
  {
    name: 'storeTimeout',
    kind: 'duration',
    default: '1s',
    sentence: 'How long a store, or the other instances, are waited for; then there is no answer.',
  },
] as const;

/** The options of a cache level, for validation. */
export const cacheTable = defineOptions<CacheOptions, Resolved>(...cacheRows);

/** The store gets one answer to a question each second: who needs it has nothing better. */
const SHARE_EVERY_MS = 1_000;

/** An answer with the time at which it was given. */
interface Entry {
  readonly value: unknown;
  /** Wall time in a store, since another process may read it; in memory that of the clock which never steps. */
  readonly at: number;
}

/** One in memory. */
interface LocalEntry extends Entry {
  /** When an answer to this question was last given to the other instances, or got from them. */
  readonly sharedAt: number;
}

/** The answers of one cache level. It has none where it cannot be sure: a broken store is a store without an answer. */
export class CacheLevel {
  private readonly settings: Resolved;
  private readonly memory: LRUCache<string, LocalEntry> | undefined;
  private readonly reading = new Map<string, Promise<Entry | undefined>>();
  /** What went wrong with the store or the key, last. */
  lastError: unknown;

  constructor(
    options: CacheOptions,
    private readonly clock: Clock,
    private readonly shared?: SharedAnswers,
  ) {
    this.settings = resolveOptions(cacheTable, options);
    if (this.settings.store === undefined) this.memory = new LRUCache({ max: this.settings.maxEntries });
  }

  /** Whether it tells questions apart by all of the arguments. */
  get hashesArguments(): boolean {
    return this.settings.key === undefined;
  }

  /** The answer to these arguments, if there is one; a stale one only where `failing`. Never rejects. */
  async read(args: readonly unknown[], failing: boolean): Promise<{ readonly value: unknown } | undefined> {
    try {
      const entry = await this.find(this.keyOf(args));
      if (entry === undefined) return undefined;
      const { ttl, staleTtl } = this.settings;
      const ageMs = this.now() - entry.at;
      return ageMs <= ttl || (failing && ageMs <= ttl + staleTtl) ? entry : undefined;
    } catch (error) {
      this.lastError = error;
      return undefined;
    }
  }

  /** Keeps an answer. Does not wait for a store, and never throws. */
  write(args: readonly unknown[], value: unknown): void {
    try {
      this.keep(this.keyOf(args), value);
    } catch (error) {
      this.lastError = error;
    }
  }

  /** Forgets what is in memory, and what went wrong. */
  clear(): void {
    this.memory?.clear();
    this.lastError = undefined;
  }

  private keep(key: string, value: unknown): void {
    const at = this.now();
    const { memory, shared } = this;
    const { store, ttl, staleTtl } = this.settings;
    if (memory === undefined) {
      this.behind(store?.set(key, { value, at } satisfies Entry, ttl + staleTtl));
      return;
    }
    const sharedAt = memory.peek(key)?.sharedAt ?? Number.NEGATIVE_INFINITY;
    const due = shared !== undefined && at - sharedAt >= SHARE_EVERY_MS;
    memory.set(key, { value, at, sharedAt: due ? at : sharedAt });
    if (due) this.behind(shared.put(key, value, ttl + staleTtl));
  }

  private now(): number {
    return this.memory === undefined ? this.clock.wallTime() : this.clock.now();
  }

  private behind(kept: unknown): void {
    if (!isThenable(kept)) return;
    this.inTime(kept).catch((error: unknown) => {
      this.lastError = error;
    });
  }

  private find(key: string): Promise<Entry | undefined> | Entry | undefined {
    const { memory, shared } = this;
    if (memory === undefined) return this.readOnce(key, () => this.ask(key));
    const local = memory.get(key);
    if (shared === undefined || (local !== undefined && this.isGood(local))) return local;
    return this.readOnce(key, () => this.askOthers(key, shared, memory));
  }

  private isGood({ at }: Entry): boolean {
    return this.now() - at <= this.settings.ttl;
  }

  /** Who asks for the same at the same time shares one reading. */
  private readOnce(key: string, read: () => Promise<Entry | undefined>): Promise<Entry | undefined> {
    let reading = this.reading.get(key);
    if (reading === undefined) {
      reading = read().finally(() => this.reading.delete(key));
      this.reading.set(key, reading);
    }
    return reading;
  }

  private async ask(key: string): Promise<Entry | undefined> {
    const answer = this.settings.store?.get(key);
    const found = isThenable(answer) ? await this.inTime(answer) : answer;
    return isEntry(found) ? found : undefined;
  }

  /** What the other instances have, or what is here where that is newer, or they cannot be asked. */
  private async askOthers(
    key: string,
    shared: SharedAnswers,
    memory: LRUCache<string, LocalEntry>,
  ): Promise<Entry | undefined> {
    let found;
    try {
      found = await this.inTime(shared.get(key));
    } catch (error) {
      this.lastError = error;
    }
    const local = memory.get(key);
    if (found === undefined) return local;
    const now = this.now();
    const entry = { value: found.value, at: now - found.ageMs, sharedAt: now };
    if (local !== undefined && local.at >= entry.at) return local;
    memory.set(key, entry);
    return entry;
  }

  /** What a store answers, unless that takes too long: whoever fell back has waited long enough already. */
  private inTime<T>(answer: PromiseLike<T>): Promise<T> {
    const { clock } = this;
    const { storeTimeout } = this.settings;
    return new Promise((resolve, reject) => {
      const timer = new CallbackTimer(() => {
        const message = `The store has not answered within ${formatDuration(storeTimeout)}.`;
        reject(new TimeoutExceededError(message, undefined, 'read', storeTimeout));
      });
      clock.arm(timer, clock.now() + storeTimeout);
      answer.then(
        (value) => {
          clock.disarm(timer);
          resolve(value);
        },
        (error: unknown) => {
          clock.disarm(timer);
          // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- stores reject with what they like
          reject(error);
        },
      );
    });
  }

  private keyOf(args: readonly unknown[]): string {
    return this.settings.key?.(...args) ?? fingerprintOf(args);
  }
}

function isEntry(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && 'value' in value && 'at' in value;
}
