import type { AsyncResource } from 'node:async_hooks';
import { runInContext } from '../../core/async-context.js';
import { jittered, type Clock, type RandomSource } from '../../core/clock.js';
import type { Fleet, StateKey } from '../../core/shared-state.js';
import { TimerEntry } from '../../core/timer-entry.js';

/** What of a bulkhead's settings its permits depend on. */
export interface PermitSettings {
  /** The limit of all instances together. */
  readonly maxConcurrent: number;
  /** For how long permits are borrowed; without it the limit is this instance's own. */
  readonly leaseMs: number | undefined;
}

/** Who runs calls on permits. */
export interface Borrower {
  readonly running: number;
  readonly queued: number;
  /** So many may run now. */
  limitChanged(limit: number): void;
  /** Nothing is held any more, and nothing is asked for. */
  settled(): void;
}

/** What stands around the permits of one bulkhead. */
export interface PermitSurroundings {
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly random: RandomSource;
  /** Where the store is asked: one operation leads to the next, and none of them is any caller's. */
  readonly context: AsyncResource;
}

/** What was idle for one whole tick goes back: within two of them. */
const TICK_MS = 500;
/** For so long after a denial the fleet counts as full. */
const DENIED_MS = 50;
/** For so long after a failure the store is not asked again. */
const RETRY_MS = 200;
const JITTER = 0.2;
const NEVER = Number.NEGATIVE_INFINITY;

/**
 * Permits that this instance borrows of a limit that all instances share: in blocks, each for one lease, so that most
 * calls start from memory. One operation of the store is under way at a time, so that answers cannot cross. What an
 * unanswered one may have brought is given up by the renewal that follows it before anything else.
 *
 * While the store is lost what is held is kept until its lease ends; from then on this instance keeps to its share.
 */
export class BorrowedPermits extends TimerEntry {
  private held = 0;
  /** Reckoned from before the request was sent: never later than at the store. */
  private leaseEndsAt = NEVER;
  private renewAt = NEVER;
  private tickAt = NEVER;
  /** How many were idle during the whole present tick. */
  private leastIdle = 0;
  /** Before that nobody is asked for more. */
  private askAt = NEVER;
  /** Until then the store may hold more for this instance than is known here. */
  private uncertainUntil = NEVER;
  /** Whether the last answer about permits was none. */
  private lost = false;
  private hasLeft = false;
  /** Of the last time that the limit was shared. */
  private leaseMs: number;
  private operation: Promise<void> | undefined;

  constructor(
    private readonly key: StateKey,
    private settings: PermitSettings,
    private readonly borrower: Borrower,
    private readonly around: PermitSurroundings,
  ) {
    super();
    this.leaseMs = settings.leaseMs ?? 0;
  }

  /** How many calls may run. */
  get limit(): number {
    const { maxConcurrent } = this.settings;
    if (this.settings.leaseMs === undefined) return maxConcurrent;
    return Math.min(maxConcurrent, this.isAlone ? this.share : this.held);
  }

  /** How many are held, and by whose count calls run. */
  get state(): { readonly held: number; readonly source: 'store' | 'local-share' } {
    return { held: this.held, source: this.isAlone ? 'local-share' : 'store' };
  }

  /** Nothing is held, and nothing is to be settled with the store. */
  get isSettled(): boolean {
    return this.held === 0 && this.operation === undefined && !this.isUncertain;
  }

  /** How many more calls the answer that is awaited may let run. */
  get expected(): number {
    if (!this.isShared || this.isAlone || this.askAt > this.around.clock.now()) return 0;
    return Math.max(0, this.settings.maxConcurrent - this.held);
  }

  /** Takes new settings over; where the limit is not shared any more, everything goes back. */
  configure(settings: PermitSettings): void {
    this.settings = settings;
    this.leaseMs = settings.leaseMs ?? this.leaseMs;
    this.publish();
    this.step();
  }

  /** Looks whether the lease still holds: the event loop may have stood still. */
  refresh(): void {
    if (this.held > 0 && this.around.clock.now() >= this.leaseEndsAt) this.publish();
  }

  /** A call has started at once. */
  used(): void {
    this.noteIdle();
  }

  /** A call waits. */
  wanted(): void {
    this.step();
  }

  /** Gives everything back for good; what still comes is let in by this instance's share. */
  async leave(): Promise<void> {
    this.hasLeft = true;
    this.publish();
    this.step();
    while (this.operation !== undefined) await this.operation;
    // What could not be given back expires.
    this.uncertainUntil = NEVER;
    this.step();
  }

  onDue(): void {
    this.publish();
    this.step();
  }

  private get isShared(): boolean {
    return this.settings.leaseMs !== undefined && !this.hasLeft;
  }

  /** Whether calls run on this instance's share. */
  private get isAlone(): boolean {
    return this.settings.leaseMs !== undefined && (this.hasLeft || (this.lost && this.held === 0));
  }

  private get isUncertain(): boolean {
    return this.uncertainUntil > this.around.clock.now();
  }

  /** At least one: with more instances than permits rounding down would stop everything. */
  private get share(): number {
    return Math.max(1, Math.floor(this.settings.maxConcurrent / this.around.fleet.size));
  }

  /** How many to ask for: what is needed, at least a block, and never more than there can be. */
  private get want(): number {
    const { maxConcurrent } = this.settings;
    const needed = this.borrower.running + this.borrower.queued - this.held;
    if (needed <= 0 || !this.isShared) return 0;
    const block = Math.max(1, Math.floor(maxConcurrent / (4 * this.around.fleet.size)));
    return Math.min(maxConcurrent - this.held, Math.max(needed, block));
  }

  /** Begins the operation that is due, or sleeps until there is one. */
  private step(): void {
    if (this.operation !== undefined) return;
    const now = this.around.clock.now();
    if (!this.isShared && this.held > 0) this.forget(now);
    const { isUncertain, want } = this;
    if (!isUncertain) this.uncertainUntil = NEVER;
    if ((isUncertain || this.held > 0) && now >= this.renewAt) this.renew();
    else if (want > 0 && !isUncertain && now >= this.askAt) this.acquire(want);
    else if (this.held > 0 && !isUncertain && now >= this.tickAt) this.giveIdleBack(now);
    else this.sleep(isUncertain, want);
  }

  private sleep(isUncertain: boolean, want: number): void {
    let dueAt = Number.POSITIVE_INFINITY;
    if (isUncertain || this.held > 0) dueAt = this.renewAt;
    if (this.held > 0) dueAt = Math.min(dueAt, this.leaseEndsAt);
    if (!isUncertain && this.held > 0) dueAt = Math.min(dueAt, this.tickAt);
    if (!isUncertain && want > 0) dueAt = Math.min(dueAt, this.askAt);
    const { clock } = this.around;
    if (dueAt !== Number.POSITIVE_INFINITY) {
      clock.arm(this, dueAt);
      return;
    }
    clock.disarm(this);
    if (this.held === 0 && this.lost && this.borrower.running === 0 && this.borrower.queued === 0) {
      // Who comes next asks the store again.
      this.lost = false;
      this.publish();
    }
    this.borrower.settled();
  }

  private acquire(want: number): void {
    const { maxConcurrent: limit } = this.settings;
    const { permits } = this.around.fleet.state;
    // What is asked for now, whatever is said until the answer is in.
    const { leaseMs } = this;
    this.perform(
      () => permits.acquire(this.key, { limit, want, leaseMs }),
      ({ granted, held: ofAll }, sentAt) => {
        const now = this.around.clock.now();
        this.lost = false;
        if (granted > 0) {
          if (this.held === 0) this.beginTick(now);
          this.held += granted;
          this.renewAt = sentAt + leaseMs / 3;
          this.leaseEndsAt = sentAt + leaseMs;
        }
        // The store has forgotten what it had lent, or remembers more than is known here: a renewal settles it.
        if (ofAll < this.held || this.isUncertain) this.renewAt = now;
        if (granted < want) this.askAt = now + jittered(DENIED_MS, JITTER, this.around.random);
      },
    );
  }

  private renew(): void {
    const { permits } = this.around.fleet.state;
    const { leaseMs } = this;
    this.perform(
      () => permits.renew(this.key, leaseMs, this.held),
      (kept, sentAt) => {
        this.held = kept;
        this.uncertainUntil = NEVER;
        this.renewAt = sentAt + leaseMs / 3;
        this.leaseEndsAt = sentAt + leaseMs;
        // Of who holds nothing it says nothing: a store that is full of other things lets go, but lends nothing.
        if (kept > 0) this.lost = false;
      },
    );
  }

  private giveIdleBack(now: number): void {
    const count = Math.max(0, this.leastIdle);
    this.held -= count;
    this.beginTick(now);
    // Sent before anybody is told: who listens may call, and one operation is under way at a time.
    if (count > 0) this.perform(() => this.around.fleet.state.permits.release(this.key, count));
    this.publish();
    this.step();
  }

  private beginTick(now: number): void {
    this.tickAt = now + TICK_MS;
    this.leastIdle = Number.POSITIVE_INFINITY;
  }

  /** Sends one operation. Nothing else is sent before its end. */
  private perform<T>(send: () => Promise<T>, take?: (answer: T, sentAt: number) => void): void {
    const sentAt = this.around.clock.now();
    this.around.clock.disarm(this);
    const answered = async () => {
      try {
        const answer = await send();
        take?.(answer, sentAt);
      } catch {
        this.failed();
      }
    };
    runInContext(this.around.context, () => {
      this.operation = answered().then(() => {
        this.operation = undefined;
        this.publish();
        this.step();
      });
    });
  }

  private failed(): void {
    const now = this.around.clock.now();
    const again = now + jittered(RETRY_MS, JITTER, this.around.random);
    this.lost = true;
    this.askAt = this.renewAt = again;
    // A renewal of nothing leaves nothing behind.
    if (this.held > 0 || this.uncertainUntil === NEVER) this.uncertainUntil = now + this.leaseMs;
  }

  /** Holds nothing any more; a renewal of nothing tells the store. */
  private forget(now: number): void {
    this.held = 0;
    this.uncertainUntil = now + this.leaseMs;
    if (!this.lost) this.renewAt = now;
  }

  /** Says how many may run. */
  private publish(): void {
    const now = this.around.clock.now();
    if (this.held > 0 && now >= this.leaseEndsAt) this.forget(now);
    this.borrower.limitChanged(this.limit);
    this.noteIdle();
  }

  private noteIdle(): void {
    this.leastIdle = Math.min(this.leastIdle, this.held - this.borrower.running);
  }
}
