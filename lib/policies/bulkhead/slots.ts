import { Priority, type Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { BulkheadSettings } from './bulkhead.options.js';
import { Waiter, WaitingLine } from './waiting-line.js';

/** Why a bulkhead did not let a call in. */
export type RefusalReason = 'full' | 'closed' | 'waited' | 'shed' | 'utilisation';

/** Told of what happens to the slots; builds the errors. */
export interface SlotsObserver {
  refusal(reason: RefusalReason, slots: Slots): Error;
  waited(ms: number): void;
  /** Nothing runs and nobody waits any more. */
  emptied(slots: Slots): void;
}

/** The slots of one bulkhead (of one key), and who waits for them. */
export class Slots {
  running = 0;
  private readonly line = new WaitingLine<Slots>();

  constructor(
    private settings: BulkheadSettings,
    private readonly clock: Clock,
    private readonly observer: SlotsObserver,
    readonly key?: string,
  ) {}

  get queued(): number {
    return this.line.size;
  }

  /** Nothing runs and nobody waits. */
  get idle(): boolean {
    return this.running === 0 && this.line.size === 0;
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
    const { settings } = this;
    if (settings.shedding !== undefined) {
      const threshold = priority === Priority.CRITICAL ? undefined : settings.shedding[priority];
      if (threshold !== undefined && this.utilizationPercent > threshold) {
        throw this.refused('utilisation');
      }
    }
    if (this.running < settings.maxConcurrent) {
      this.running++;
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
    if (this.line.size > 0) this.startWaiters();
    if (this.key !== undefined && this.idle) this.observer.emptied(this);
  }

  /** Takes new limits over: a raised one starts waiters at once, a lowered one lets what runs finish. */
  configure(settings: BulkheadSettings): void {
    this.settings = settings;
    this.startWaiters();
  }

  private refused(reason: RefusalReason): Error {
    if (this.idle) this.observer.emptied(this);
    return this.observer.refusal(reason, this);
  }

  private queue(call: Call, priority: Priority): Waiter<Slots> {
    const { settings, clock, line } = this;
    const now = clock.now();
    if (line.size >= settings.maxQueue) {
      const victim = line.lastBelow(priority, now, settings.agingMs);
      if (victim === undefined) throw this.observer.refusal('full', this);
      this.leave(victim);
      victim.refuseWith(() => this.observer.refusal('shed', this));
    }
    const waiter = new Waiter<Slots>(call, priority, now, this.left);
    line.add(waiter);
    clock.arm(waiter, now + settings.maxWaitMs);
    if (call.cancellable) call.onAbortAdd(waiter);
    return waiter;
  }

  private startWaiters(): void {
    const { settings, line } = this;
    if (line.size === 0) return;
    const now = this.clock.now();
    while (this.running < settings.maxConcurrent) {
      const waiter = line.first(now, settings.agingMs);
      if (waiter === undefined) return;
      this.leave(waiter);
      this.running++;
      this.observer.waited(now - waiter.since);
      waiter.grant(this);
    }
  }

  private leave(waiter: Waiter<Slots>): void {
    this.line.remove(waiter);
    this.clock.disarm(waiter);
    if (waiter.call.cancellable) waiter.call.onAbortRemove(waiter);
  }

  private readonly left = (waiter: Waiter<Slots>, why: 'waited' | 'aborted'): void => {
    this.leave(waiter);
    if (this.idle) this.observer.emptied(this);
    if (why === 'aborted') waiter.refuse(waiter.call.abortReason);
    else waiter.refuseWith(() => this.observer.refusal('waited', this));
  };
}
