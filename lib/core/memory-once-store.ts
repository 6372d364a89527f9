import type { Clock } from './clock.js';
import type { OnceBegin, OnceOutcome, OnceStore } from './once-store.js';
import { TimerEntry } from './timer-entry.js';

interface Lease {
  readonly fingerprint: string;
  readonly fence: number;
  until: number;
}

interface Finished {
  readonly fingerprint: string;
  readonly outcome: OnceOutcome;
  readonly expiresAt: number;
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
  private readonly sweeper: Sweeper;

  constructor(
    private readonly clock: Clock,
    private maxRecords: number,
  ) {
    this.sweeper = new Sweeper(() => this.sweep());
  }

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
    this.finished.delete(key);
    const fence = ++this.fences;
    this.running.set(key, { fingerprint, fence, until: now + leaseMs });
    return { kind: 'run', fence };
  }

  complete(key: string, fence: number, outcome: OnceOutcome, ttlMs: number): boolean {
    const lease = this.running.get(key);
    if (lease?.fence !== fence) return false;
    this.running.delete(key);
    this.finished.delete(key);
    this.finished.set(key, { fingerprint: lease.fingerprint, outcome, expiresAt: this.clock.now() + ttlMs });
    this.makeRoom();
    if (!this.sweeper.armed) this.armSweeper();
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
    this.finished.clear();
    this.clock.disarm(this.sweeper);
    this.sweeper.armed = false;
  }

  /** Keeps so many finished records from now on. */
  resize(maxRecords: number): void {
    this.maxRecords = maxRecords;
    this.makeRoom();
  }

  private makeRoom(): void {
    for (const oldest of this.finished.keys()) {
      if (this.finished.size <= this.maxRecords) break;
      this.finished.delete(oldest);
      this.evicted++;
    }
  }

  /** Lets go of what has expired. With one time for all records they expire in the order in which they finished. */
  private sweep(): void {
    const now = this.clock.now();
    for (const [key, record] of this.finished) {
      if (record.expiresAt > now) break;
      this.finished.delete(key);
    }
    this.armSweeper();
  }

  private armSweeper(): void {
    const oldest = this.finished.values().next().value;
    this.sweeper.armed = oldest !== undefined;
    if (oldest !== undefined) this.clock.arm(this.sweeper, oldest.expiresAt);
  }
}

class Sweeper extends TimerEntry {
  armed = false;

  constructor(private readonly sweep: () => void) {
    super();
  }

  onDue(): void {
    this.sweep();
  }
}
