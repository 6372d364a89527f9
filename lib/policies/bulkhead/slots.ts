import { Priority, type Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { BulkheadSettings } from './bulkhead.options.js';
import type { BorrowedPermits, Borrower } from './shared-permits.js';
import { Waiter, WaitingLine } from './waiting-line.js';

/** Why a bulkhead did not let a call in. */
export type RefusalReason = 'full' | 'closed' | 'waited' | 'shed' | 'utilisation';

/** Told of what happens to the slots; builds the errors. */
export interface SlotsObserver {
  refusal(reason: RefusalReason, slots: Slots): Error;
  waited(ms: number): void;
  /** Nothing runs and nobody waits any more. */
  emptied(slots: Slots): void;
  /** What the slots borrow, where instances share their limit. */
  permitsFor(slots: Slots): BorrowedPermits | undefined;
}

/** The slots of one bulkhead (of one key), and who waits for them. */
export class Slots implements Borrower {
  running = 0;
  /** So many may run now: all that there are, or what is borrowed of them. */
  private limit: number;
  private permits: BorrowedPermits | undefined;
  private readonly line = new WaitingLine<Slots>();
  /** Calls at most that wait without a place, until the store has answered. */
  private provisional = 0;

  constructor(
    private settings: BulkheadSettings,
    private readonly clock: Clock,
    private readonly observer: SlotsObserver,
    readonly key?: string,
  ) {
    this.permits = observer.permitsFor(this);
    this.limit = this.permits?.limit ?? settings.maxConcurrent;
  }

  get queued(): number {
    return this.line.size;
  }

  /** Nothing runs, nobody waits, and nothing is borrowed. */
  get idle(): boolean {
    const { permits } = this;
    return this.running === 0 && this.line.size === 0 && (permits === undefined || permits.isSettled);
  }

  /** What is borrowed of a shared limit. */
  get borrowed(): BorrowedPermits['state'] | undefined {
    return this.permits?.state;
  }

  /** (running + queued) / (slots + places in the queue), in percent. */
  get utilizationPercent(): number {
    const capacity = this.settings.maxConcurrent + this.settings.maxQueue;
    return capacity === 0 ? 100 : ((this.running + this.line.size) * 100) / capacity;
  }

  queuedByPriority(): Record<keyof typeof Priority, number> {
    return this.line.countByPriority();
  }

  /** Takes a slot, now or when one is free; throws the refusal or ends the wait with it. */
  enter(call: Call, priority: Priority): Slots | Waiter<Slots> {
    const { settings, permits } = this;
    if (settings.shedding !== undefined) {
      const threshold = priority === Priority.CRITICAL ? undefined : settings.shedding[priority];
      if (threshold !== undefined && this.utilizationPercent > threshold) {
        throw this.refused('utilisation');
      }
    }
    if (permits !== undefined) permits.refresh();
    if (this.running < this.limit) {
      this.running++;
      if (permits !== undefined) permits.used();
      return this;
    }
    if (settings.maxConcurrent === 0) throw this.refused('closed');
    return this.queue(call, priority);
  }

  /**
   * A slot is free again. Starts whoever is next; their calls go on in turns of their own, so nothing recurses.
   *
   * Permits carry no mark against coming back twice: only the frame of a call gives them back, where an attempt is either
   * refused or ended, a second end (an abort, then the late result) finds it waiting no more, and a run that outlives its
   * call reports once.
   */
  release(): void {
    this.running--;
    if (this.line.size > 0) {
      this.permits?.refresh();
      this.startWaiters();
    }
    if (this.key !== undefined && this.idle) this.observer.emptied(this);
  }

  /** Takes new limits over: a raised one starts waiters at once, a lowered one lets what runs finish. */
  configure(settings: BulkheadSettings): void {
    this.settings = settings;
    this.permits ??= this.observer.permitsFor(this);
    if (this.permits === undefined) this.limitChanged(settings.maxConcurrent);
    else this.permits.configure(settings);
  }

  /** Gives back what is borrowed, for good. */
  async leave(): Promise<void> {
    await this.permits?.leave();
  }

  limitChanged(limit: number): void {
    this.limit = limit;
    this.startWaiters();
    if (this.provisional > 0) this.refuseBeyondPlaces();
  }

  settled(): void {
    if (this.idle) this.observer.emptied(this);
  }

  private refused(reason: RefusalReason): Error {
    if (this.idle) this.observer.emptied(this);
    return this.observer.refusal(reason, this);
  }

  private queue(call: Call, priority: Priority): Waiter<Slots> {
    const { settings, clock, line, permits } = this;
    const now = clock.now();
    if (line.size >= this.places) {
      const victim = line.lastBelow(priority, now, settings.agingMs);
      if (victim === undefined) throw this.observer.refusal('full', this);
      this.takeOut(victim);
      victim.refuseWith(() => this.observer.refusal('shed', this));
    }
    const waiter = new Waiter<Slots>(call, priority, now, this.left);
    if (permits !== undefined && line.size >= settings.maxQueue) this.provisional++;
    line.add(waiter);
    clock.arm(waiter, now + settings.maxWaitMs);
    if (call.cancellable) call.onAbortAdd(waiter);
    if (permits !== undefined) permits.wanted();
    return waiter;
  }

  /** How many may wait: beyond the places those for which the store may yet have a permit. */
  private get places(): number {
    const { maxQueue } = this.settings;
    return this.permits === undefined ? maxQueue : maxQueue + this.permits.expected;
  }

  /** The store had less than was hoped for. */
  private refuseBeyondPlaces(): void {
    const { line, places, settings } = this;
    const now = this.clock.now();
    for (; this.provisional > 0 && line.size > places; this.provisional--) {
      const waiter = line.last(now, settings.agingMs) as Waiter<Slots>;
      this.takeOut(waiter);
      waiter.refuseWith(() => this.observer.refusal('full', this));
    }
    if (line.size <= settings.maxQueue) this.provisional = 0;
  }

  private startWaiters(): void {
    const { settings, line } = this;
    if (line.size === 0) return;
    const now = this.clock.now();
    while (this.running < this.limit) {
      const waiter = line.first(now, settings.agingMs);
      if (waiter === undefined) return;
      this.takeOut(waiter);
      this.running++;
      this.observer.waited(now - waiter.since);
      waiter.grant(this);
    }
  }

  private takeOut(waiter: Waiter<Slots>): void {
    this.line.remove(waiter);
    this.clock.disarm(waiter);
    if (waiter.call.cancellable) waiter.call.onAbortRemove(waiter);
  }

  private readonly left = (waiter: Waiter<Slots>, why: 'waited' | 'aborted'): void => {
    this.takeOut(waiter);
    if (this.idle) this.observer.emptied(this);
    if (why === 'aborted') waiter.refuse(waiter.call.abortReason);
    else waiter.refuseWith(() => this.observer.refusal('waited', this));
  };
}
