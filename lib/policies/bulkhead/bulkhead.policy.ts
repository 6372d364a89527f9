import { AsyncResource } from 'node:async_hooks';
import { Priority, type Call, type CallInfo, type CallOptions, type Next } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import {
  announce,
  buildRejection,
  clockOf,
  randomOf,
  type PolicyEnvironment,
} from '../../core/environment.js';
import { BulkheadFullError } from '../../core/errors.js';
import { attemptFrame } from '../../core/attempt-frame.js';
import { execute } from '../../core/execute.js';
import { PermitWait } from '../../core/permit-wait.js';
import type { Guard, Policy } from '../../core/policy.js';
import { subjectOf } from '../../core/shared-state.js';
import { describeValue, either } from '../../core/option-form.js';
import {
  PRIORITIES,
  bulkheadSettings,
  isPriority,
  type BulkheadOptions,
  type BulkheadSettings,
} from './bulkhead.options.js';
import { BorrowedPermits } from './shared-permits.js';
import { Slots, type RefusalReason, type SlotsObserver } from './slots.js';

/** The numbers of a bulkhead. @publicApi */
export interface BulkheadStats {
  readonly name: string;
  readonly activeCalls: number;
  readonly queuedCalls: number;
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  /** Free slots; with `key` those of the fullest key. */
  readonly availableSlots: number;
  /** Running calls per 100 slots; with `key` of the fullest key. */
  readonly utilizationPercent: number;
  /** Calls let in, since the start. */
  readonly totalCalls: number;
  readonly rejectedCalls: number;
  /** Why they were rejected. */
  readonly rejectedBy: Readonly<Record<RefusalReason, number>>;
  readonly queuedByPriority: Readonly<Record<keyof typeof Priority, number>>;
  /** Of the calls that waited: how many, how long on average and at most. */
  readonly waited: { readonly count: number; readonly meanMs: number; readonly maxMs: number };
  /** Of the calls whose run was timed: how many and how long on average. Never includes the wait. */
  readonly executed: { readonly count: number; readonly meanMs: number };
  /** With `key`: how many keys have calls (or permits of a shared limit) at the moment. */
  readonly keys?: number;
  /**
   * Of a limit that instances share: permits that this one holds, and whether it lives on them or, while the store is
   * lost, on its share.
   */
  readonly shared?: { readonly held: number; readonly source: 'store' | 'local-share' };
}

/**
 * Lets a bounded number of calls run at once and a bounded number wait, so that one slow dependency cannot take all of
 * a process. Who waits goes by priority; a slot is held until the method itself has settled, even where its caller has
 * stopped waiting.
 *
 * @example
 * const reads = new BulkheadPolicy('reads', { maxConcurrent: 20, maxQueue: 50, maxWait: '5s' });
 * const row = await reads.execute(() => db.find(id), { priority: Priority.HIGH });
 *
 * @publicApi
 */
export class BulkheadPolicy implements Policy, Guard<Slots>, SlotsObserver {
  readonly kind = 'bulkhead';
  readonly policy = this;
  readonly needsTime = 'never';
  readonly settlesWithMethod = true;
  private readonly clock: Clock;
  private readonly slots: Slots;
  private readonly keyed = new Map<string, Slots>();
  /** Where a shared store is asked. */
  private readonly context: AsyncResource | undefined;
  /** Whether this instance has left those that share limits. */
  private hasLeft = false;
  /** The frame of `execute`. */
  private alone: Next | undefined;
  private settings: BulkheadSettings;
  private totalCalls = 0;
  private rejectedBy = { full: 0, closed: 0, waited: 0, shed: 0, utilisation: 0 };
  private waits = { count: 0, totalMs: 0, maxMs: 0 };
  private runs = { count: 0, totalMs: 0 };

  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(
    readonly name: string,
    private options: BulkheadOptions = {},
    private readonly environment?: PolicyEnvironment,
  ) {
    this.settings = bulkheadSettings(options, `bulkhead "${name}"`);
    this.clock = clockOf(environment);
    if (environment?.fleet !== undefined) this.context = new AsyncResource('ResiliencePermits');
    this.slots = new Slots(this.settings, this.clock, this);
    this.declareNumbers();
    environment?.fleet?.onLeave?.(() => this.leave());
  }

  /** @internal What it is set to do, for who looks at an application as a whole. */
  get configuration(): BulkheadSettings {
    return this.settings;
  }

  /**
   * Runs `fn` when a slot is free.
   *
   * @throws {@link BulkheadFullError} without running `fn` where there is neither a slot nor a place to wait, the wait
   * took longer than `maxWait`, or a call of a higher priority took the place.
   */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    this.alone ??= attemptFrame({ guards: [this], clock: this.clock });
    return execute(this.alone, fn, options, this.clock);
  }

  enter(call: Call): Slots | PermitWait<Slots> {
    const { settings } = this;
    const priority =
      call.options.priority ??
      (typeof settings.priority === 'function' ? settings.priority(call) : settings.priority);
    if (!isPriority(priority)) throw this.wrongPriority(priority);
    const entered = this.slotsOf(call).enter(call, priority);
    if (!(entered instanceof PermitWait)) this.totalCalls++;
    return entered;
  }

  cancel(slots: Slots): void {
    this.totalCalls--;
    slots.release();
  }

  settle(
    slots: Slots,
    _call: Call,
    _ok: boolean,
    _result: unknown,
    startedAt: number,
    endedAt: number,
  ): void {
    // Equal, or NaN, where no guard in the frame needs to know the end.
    if (endedAt > startedAt) {
      this.runs.count++;
      this.runs.totalMs += endedAt - startedAt;
    }
    slots.release();
  }

  reset(): void {
    announce(this.environment, this, 'cleared');
    // Those that run count from now on: one that is taken back must have been counted.
    this.totalCalls = this.slots.running;
    for (const { running } of this.keyed.values()) this.totalCalls += running;
    this.rejectedBy = { full: 0, closed: 0, waited: 0, shed: 0, utilisation: 0 };
    this.waits = { count: 0, totalMs: 0, maxMs: 0 };
    this.runs = { count: 0, totalMs: 0 };
  }

  /**
   * Changes options while it runs. A raised limit starts waiting calls at once; a lowered one lets what runs finish; 0
   * admits nothing.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: BulkheadOptions): void {
    const merged = { ...this.options, ...options };
    this.settings = bulkheadSettings(merged, `bulkhead "${this.name}"`);
    this.options = merged;
    this.declareNumbers();
    this.slots.configure(this.settings);
    for (const slots of this.keyed.values()) slots.configure(this.settings);
  }

  stats(): BulkheadStats {
    const { settings, slots, waits, runs } = this;
    let active = slots.running;
    let queued = slots.queued;
    let fullest = slots.running;
    const byPriority = slots.queuedByPriority();
    for (const keyed of this.keyed.values()) {
      active += keyed.running;
      queued += keyed.queued;
      fullest = Math.max(fullest, keyed.running);
      for (const [priority, count] of Object.entries(keyed.queuedByPriority())) {
        byPriority[priority as keyof typeof Priority] += count;
      }
    }
    const shared = this.sharedStats();
    const rejected = Object.values(this.rejectedBy).reduce((sum, count) => sum + count, 0);
    return {
      name: this.name,
      activeCalls: active,
      queuedCalls: queued,
      maxConcurrent: settings.maxConcurrent,
      maxQueue: settings.maxQueue,
      availableSlots: Math.max(0, settings.maxConcurrent - fullest),
      utilizationPercent: settings.maxConcurrent === 0 ? 100 : (fullest * 100) / settings.maxConcurrent,
      totalCalls: this.totalCalls,
      rejectedCalls: rejected,
      rejectedBy: { ...this.rejectedBy },
      queuedByPriority: byPriority,
      waited: {
        count: waits.count,
        meanMs: waits.count === 0 ? 0 : waits.totalMs / waits.count,
        maxMs: waits.maxMs,
      },
      executed: { count: runs.count, meanMs: runs.count === 0 ? 0 : runs.totalMs / runs.count },
      ...(settings.key && { keys: this.keyed.size }),
      ...(shared && { shared }),
    };
  }

  describe(): string {
    const { settings } = this;
    const where = this.isShared ? ' on all instances together' : '';
    return `${settings.maxConcurrent} at once${where}, ${settings.maxQueue} waiting for at most ${formatDuration(settings.maxWaitMs)}`;
  }

  refusal(reason: RefusalReason, slots: Slots): BulkheadFullError {
    this.rejectedBy[reason]++;
    const message = this.refusalMessage(reason, slots);
    const error = buildRejection(
      this.environment,
      () => new BulkheadFullError(message, { policy: this.name }),
    );
    announce(this.environment, this, 'rejected', () => ({
      reason,
      error,
      ...(slots.key !== undefined && { key: slots.key }),
    }));
    return error;
  }

  waited(ms: number): void {
    this.totalCalls++;
    this.waits.count++;
    this.waits.totalMs += ms;
    if (ms > this.waits.maxMs) this.waits.maxMs = ms;
  }

  permitsFor(slots: Slots): BorrowedPermits | undefined {
    const { settings, clock, environment, context } = this;
    const fleet = environment?.fleet;
    if (settings.leaseMs === undefined || fleet === undefined || context === undefined) return undefined;
    const key = { kind: this.kind, policy: this.name, subject: subjectOf(slots.key) };
    const around = { fleet, clock, random: randomOf(environment), context };
    const permits = new BorrowedPermits(key, settings, slots, around);
    if (this.hasLeft) void permits.leave();
    return permits;
  }

  private get isShared(): boolean {
    return this.settings.leaseMs !== undefined && this.environment?.fleet !== undefined;
  }

  /** Instances tell each other what they go by. */
  private declareNumbers(): void {
    if (this.isShared)
      this.environment?.fleet?.declare?.(this.kind, this.name, `${this.settings.maxConcurrent} at once`);
  }

  private sharedStats(): BulkheadStats['shared'] {
    if (!this.isShared) return undefined;
    let held = 0;
    let source: 'store' | 'local-share' = 'store';
    for (const { borrowed } of [this.slots, ...this.keyed.values()]) {
      held += borrowed?.held ?? 0;
      source = borrowed?.source === 'local-share' ? 'local-share' : source;
    }
    return { held, source };
  }

  private async leave(): Promise<void> {
    this.hasLeft = true;
    await Promise.all([this.slots, ...this.keyed.values()].map((slots) => slots.leave()));
  }

  /** A mistake in the program, as its code says: nothing tries it again. */
  private wrongPriority(given: unknown): TypeError {
    const allowed = PRIORITIES.map((priority) => `Priority.${Priority[priority]} (${priority})`);
    const message = `Bulkhead "${this.name}": a priority must be ${either(allowed)}, got ${describeValue(given)}.`;
    return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
  }

  private slotsOf(call: Call): Slots {
    const { key } = this.settings;
    if (key === undefined) return this.slots;
    const name = call.options.key ?? key(call) ?? undefined;
    if (name === undefined) return this.slots;
    let slots = this.keyed.get(name);
    if (slots === undefined) {
      slots = new Slots(this.settings, this.clock, this, name);
      this.keyed.set(name, slots);
    }
    return slots;
  }

  /** A key without calls is forgotten, so that there are never more keys than calls. */
  emptied(slots: Slots): void {
    // One that was emptied twice is no longer that of its key.
    if (slots.key !== undefined && this.keyed.get(slots.key) === slots) this.keyed.delete(slots.key);
  }

  private refusalMessage(reason: RefusalReason, slots: Slots): string {
    const { settings } = this;
    const name = `Bulkhead "${this.name}"${slots.key === undefined ? '' : ` (key "${slots.key}")`}`;
    switch (reason) {
      case 'full':
        return `${name} is full: ${slots.running} running, ${slots.queued} waiting${this.isShared ? ' on this instance' : ''}.`;
      case 'closed':
        return `${name} is closed: its limit is 0.`;
      case 'waited':
        return `${name} had no free slot within ${formatDuration(settings.maxWaitMs)}.`;
      case 'shed':
        return `${name} gave the place of this waiting call to one of a higher priority.`;
      case 'utilisation':
        return `${name} is ${Math.round(slots.utilizationPercent)} % used and refuses calls of this priority.`;
    }
  }
}
