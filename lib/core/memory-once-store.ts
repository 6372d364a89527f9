import type { Clock } from './clock.js';
import type { OnceBegin, OnceOutcome, OnceStore } from './once-store.js';
import { TimerEntry } from './timer-entry.js';

interface Lease {
  readonly fingerprint: string;
  readonly fence: number;
  until: number;
}

/** An outcome, and the timer that lets go of it when its time is over. */
class Finished extends TimerEntry {
  constructor(
    private readonly records: Map<string, Finished>,
    private readonly key: string,
    readonly fingerprint: string,
    readonly outcome: OnceOutcome,
    readonly expiresAt: number,
  ) {
    super();
  }

  onDue(): void {
    this.records.delete(this.key);
  }
}

/**
 * Keeps outcomes in memory: at most `maxRecords` finished ones, of which the oldest goes first, and none longer than its
 * time. What runs is never dropped, and is bounded by what runs.
 */
export class MemoryOnceStore implements OnceStore {
  /** Finished records that went before their time. */
  evicted = 0;
  private readonly running = new Map<string, Lease>();
  /** In the order in which they finished. */
  private readonly finished = new Map<string, Finished>();
  private fences = 0;

  constructor(
    private readonly clock: Clock,
    private maxRecords: number,
  ) {}

  /** Finished records that are kept. */
  get size(): number {
    return this.finished.size;
  }

  begin(key: string, fingerprint: string, leaseMs: number): OnceBegin {
    const now = this.clock.now();
    const done = this.finished.get(key);
    if (done !== undefined && done.expiresAt > now) {
      return done.fingerprint === fingerprint
        ? { kind: 'replay', outcome: done.outcome }
        : { kind: 'mismatch' };
    }
    const lease = this.running.get(key);
    if (lease !== undefined && lease.until > now) {
      if (lease.fingerprint !== fingerprint) return { kind: 'mismatch' };
      return { kind: 'busy', leftMs: lease.until - now };
    }
    this.forget(key);
    const fence = ++this.fences;
    this.running.set(key, { fingerprint, fence, until: now + leaseMs });
    return { kind: 'run', fence };
  }

  complete(key: string, fence: number, outcome: OnceOutcome, ttlMs: number): boolean {
    const lease = this.running.get(key);
    if (lease?.fence !== fence) return false;
    this.running.delete(key);
    this.forget(key);
    const expiresAt = this.clock.now() + ttlMs;
    const record = new Finished(this.finished, key, lease.fingerprint, outcome, expiresAt);
    this.finished.set(key, record);
    this.clock.arm(record, expiresAt);
    this.makeRoom();
    return true;
  }

  fail(key: string, fence: number): void {
    if (this.running.get(key)?.fence === fence) this.running.delete(key);
  }

  beat(key: string, fence: number, leaseMs: number): boolean {
    const lease = this.running.get(key);
    if (lease?.fence !== fence) return false;
    lease.until = this.clock.now() + leaseMs;
    return true;
  }

  clear(): void {
    for (const key of this.finished.keys()) this.forget(key);
  }

  /** Keeps so many finished records from now on. */
  resize(maxRecords: number): void {
    this.maxRecords = maxRecords;
    this.makeRoom();
  }

  private makeRoom(): void {
    for (const oldest of this.finished.keys()) {
      if (this.finished.size <= this.maxRecords) break;
      this.forget(oldest);
      this.evicted++;
    }
  }

  private forget(key: string): void {
    const record = this.finished.get(key);
    if (record === undefined) return;
    this.clock.disarm(record);
    this.finished.delete(key);
  }
}
