import { createHash } from 'node:crypto';
import { runMethod, type Call, type CallInfo, type CallOptions, type Next } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { announce, clockOf, type PolicyEnvironment } from '../../core/environment.js';
import {
  IdempotencyConflictError,
  IdempotencyKeyMissingError,
  IdempotencyMismatchError,
  TimeoutExceededError,
  isRejection,
} from '../../core/errors.js';
import { execute } from '../../core/execute.js';
import { MemoryOnceStore } from '../../core/memory-once-store.js';
import type { OnceBegin, OnceOutcome, OnceStore } from '../../core/once-store.js';
import type { Driver, Policy } from '../../core/policy.js';
import { withStandIns } from '../../core/stand-ins.js';
import { TimerEntry } from '../../core/timer-entry.js';
import { fingerprintOf } from '../../core/fingerprint.js';
import { Flight } from './flights.js';
import {
  idempotencySettings,
  type IdempotencyOptions,
  type IdempotencySettings,
} from './idempotency.options.js';
import { SharedOnceStore } from './shared-once.js';

/** The numbers of an idempotency policy. @publicApi */
export interface IdempotencyStats {
  readonly name: string;
  /** Calls that ran the method, and those that got the outcome of another one. */
  readonly totalRuns: number;
  readonly totalReplays: number;
  readonly totalShared: number;
  readonly totalConflicts: number;
  readonly totalMismatches: number;
  readonly totalMissingKeys: number;
  /** Runs whose lease was lost before they ended. */
  readonly totalLost: number;
  /** Outcomes that could not be kept. */
  readonly totalStoreFailures: number;
  readonly running: number;
  /** Finished outcomes in memory, and those that went before their time. */
  readonly records: number | undefined;
  readonly evicted: number | undefined;
}

/** A key that a run of this process holds, and where. */
interface Lease {
  readonly store: OnceStore;
  readonly key: string;
  readonly fence: number;
  /** Of the time when it began: what it is renewed by, and how often, stays the same. */
  readonly leaseMs: number;
}

/** What a record keeps of a fingerprint as it is; of a longer one it keeps a hash. */
const LONGEST_FINGERPRINT = 64;

/** What became of a run, and for whom. */
interface RunOutcome extends OnceOutcome {
  /** Whether it is replayed to later calls. */
  readonly isKept: boolean;
  /** Whether it is an outcome for those who wait, too. */
  readonly isShared: boolean;
}

/** Where outcomes are kept. */
export interface IdempotencyEnvironment extends PolicyEnvironment {
  /** Default: memory. */
  readonly once?: OnceStore | undefined;
}

/**
 * Runs a method once per key, however often it is called: who comes later gets the first one's outcome, and who comes
 * meanwhile waits for it or is refused. A failure is not kept, so that it can be tried again.
 *
 * After the `Idempotency-Key` HTTP header (IETF draft-ietf-httpapi-idempotency-key-header).
 *
 * @example
 * const once = new IdempotencyPolicy('orders', { ttl: '24h', wait: '5s' });
 * await once.execute(() => placeOrder(order), { idempotencyKey: request.headers['idempotency-key'], args: [order] });
 *
 * @publicApi
 */
export class IdempotencyPolicy implements Policy, Driver {
  readonly kind = 'idempotency';
  readonly policy = this;
  private readonly clock: Clock;
  private store: OnceStore;
  private settings: IdempotencySettings;
  private readonly flights = new Map<string, Flight>();
  private totals = {
    totalRuns: 0,
    totalReplays: 0,
    totalShared: 0,
    totalConflicts: 0,
    totalMismatches: 0,
    totalMissingKeys: 0,
    totalLost: 0,
    totalStoreFailures: 0,
  };

  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(
    readonly name: string,
    private options: IdempotencyOptions = {},
    private readonly environment?: IdempotencyEnvironment,
  ) {
    this.settings = idempotencySettings(options, `idempotency "${name}"`);
    this.clock = clockOf(environment);
    this.store = environment?.once ?? this.createStore();
  }

  /** @internal What it is set to do, for who looks at an application as a whole. */
  get configuration(): IdempotencySettings {
    return this.settings;
  }

  /**
   * Runs `fn`, unless that was done before under the call's `idempotencyKey`, or what the option `key` makes of the call.
   *
   * @throws {@link IdempotencyKeyMissingError}, {@link IdempotencyMismatchError} and {@link IdempotencyConflictError}
   * without running `fn`; else what `fn` throws, or threw.
   */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    return execute((call) => this.run(call, runMethod), fn, options, this.clock);
  }

  async run(call: Call, next: Next): Promise<unknown> {
    const { settings } = this;
    // JSON knows `null` as well.
    const key: string | null | undefined = call.options.idempotencyKey ?? settings.key?.(call);
    if (key === undefined || key === null || key === '') {
      if (settings.onMissingKey === 'pass') return next(call);
      this.totals.totalMissingKeys++;
      const message = `Idempotency "${this.name}" needs a key, and the call has none.`;
      throw this.refused(new IdempotencyKeyMissingError(message, { policy: this.name }));
    }
    const fingerprint = shortened(settings.fingerprint?.(call)) ?? fingerprintOf(withStandIns(call.args));
    const flight = this.flights.get(key);
    if (flight !== undefined) return this.join(flight, key, fingerprint, call, next);
    return this.take(key, fingerprint, call, next);
  }

  reset(): void {
    announce(this.environment, this, 'cleared');
    for (const total of Object.keys(this.totals)) this.totals[total as keyof typeof this.totals] = 0;
    if (this.store instanceof MemoryOnceStore) this.store.clear();
  }

  /**
   * Changes options while it runs; what is kept stays kept for its time. Where `shared` becomes true or false, outcomes are
   * kept elsewhere from then on: those of before are not replayed, and what runs is settled where it began.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: IdempotencyOptions): void {
    const merged = { ...this.options, ...options };
    this.settings = idempotencySettings(merged, `idempotency "${this.name}"`);
    this.options = merged;
    // A store that was given may keep the records of others too.
    if (this.environment?.once !== undefined) return;
    if (this.store instanceof MemoryOnceStore && !this.isShared) this.store.resize(this.settings.maxRecords);
    else this.store = this.createStore();
  }

  stats(): IdempotencyStats {
    const memory = this.store instanceof MemoryOnceStore ? this.store : undefined;
    return {
      name: this.name,
      ...this.totals,
      running: this.flights.size,
      records: memory?.size,
      evicted: memory?.evicted,
    };
  }

  describe(): string {
    const { settings } = this;
    const wait =
      settings.waitMs === 0 ? 'refuses meanwhile' : `waits ${formatDuration(settings.waitMs)} meanwhile`;
    return `once per key for ${formatDuration(settings.ttlMs)}, ${wait}`;
  }

  /** Somebody in this process is at it: shares the outcome. */
  private async join(
    flight: Flight,
    key: string,
    fingerprint: string,
    call: Call,
    next: Next,
  ): Promise<unknown> {
    if (flight.fingerprint !== fingerprint) throw this.mismatch(key);
    if (this.settings.waitMs === 0) throw this.conflict(key);
    const outcome = await flight.wait(call, this.settings.waitMs, this.clock);
    if (outcome === undefined) throw this.conflict(key);
    // The first caller gave up, which is no outcome for this one.
    if (outcome === ABANDONED) return this.run(call, next);
    this.totals.totalShared++;
    return settle(outcome);
  }

  private get isShared(): boolean {
    return this.settings.shared !== false && this.environment?.fleet !== undefined;
  }

  private createStore(): OnceStore {
    const { shared, maxRecords } = this.settings;
    const fleet = this.environment?.fleet;
    if (shared === false || fleet === undefined) return new MemoryOnceStore(this.clock, maxRecords);
    const codec = typeof shared === 'object' ? shared.codec : undefined;
    return new SharedOnceStore(this.name, fleet, this.clock, codec);
  }

  private async take(key: string, fingerprint: string, call: Call, next: Next): Promise<unknown> {
    const flight = new Flight(fingerprint);
    this.flights.set(key, flight);
    const land = (outcome: OnceOutcome) => {
      this.flights.delete(key);
      flight.land(outcome);
    };
    let begun: OnceBegin;
    const { store } = this;
    const { leaseMs } = this.settings;
    try {
      begun = await store.begin(key, fingerprint, leaseMs, call.remainingMs(this.clock.now()));
    } catch (error) {
      land(ABANDONED);
      throw error;
    }
    if (begun.kind === 'run') {
      return settle(await this.runOnce({ store, key, fence: begun.fence, leaseMs }, call, next, land));
    }
    land(begun.kind === 'replay' ? begun.outcome : ABANDONED);
    if (begun.kind === 'mismatch') throw this.mismatch(key);
    if (begun.kind === 'busy') throw this.conflict(key, begun.leftMs);
    this.totals.totalReplays++;
    return settle(begun.outcome);
  }

  /** The first run of a key. Its outcome is what the caller gets, whatever becomes of keeping it. */
  private async runOnce(
    lease: Lease,
    call: Call,
    next: Next,
    land: (outcome: OnceOutcome) => void,
  ): Promise<OnceOutcome> {
    this.totals.totalRuns++;
    const heart = new Heart(this.clock, lease.leaseMs / 3, () => this.beat(lease));
    heart.start();
    const outcome = await this.outcomeOf(call, next);
    const end = async () => {
      heart.stop();
      // What a method returned after its caller was told of a timeout is what the next call shall get.
      const late = outcome.ok ? undefined : call.lateSuccess;
      const last: RunOutcome =
        late === undefined ? outcome : { ok: true, value: late.value, isKept: true, isShared: true };
      await this.keep(lease, last);
      land(last.isShared ? last : ABANDONED);
    };
    // A failed run that something has outlived still holds the key: nobody may run beside it.
    if (!outcome.ok && call.hasOrphans) call.whenOrphansSettle(() => void end());
    else await end();
    return outcome;
  }

  /** What a mistake in `storeErrors` throws is what the caller gets, in the place of the error that it was asked about. */
  private async outcomeOf(call: Call, next: Next): Promise<RunOutcome> {
    try {
      return { ok: true, value: await next(call), isKept: true, isShared: true };
    } catch (error) {
      const isShared = !gaveUp(call);
      try {
        const isKept = isShared && !isRejection(error) && this.settings.storeErrors?.(error, call) === true;
        return { ok: false, value: error, isKept, isShared };
      } catch (mistake) {
        return { ok: false, value: mistake, isKept: false, isShared };
      }
    }
  }

  /** Never throws: the work is done, and keeping its outcome is a courtesy to later calls. */
  private async keep({ store, key, fence }: Lease, { ok, value, isKept }: RunOutcome): Promise<void> {
    try {
      if (!isKept) await store.fail(key, fence);
      else if (!(await store.complete(key, fence, { ok, value }, this.settings.ttlMs))) {
        this.totals.totalLost++;
        announce(this.environment, this, 'lease-lost', () => ({ key }));
      }
    } catch (error) {
      this.totals.totalStoreFailures++;
      announce(this.environment, this, 'store-failed', () => ({ key, error }));
    }
  }

  private async beat({ store, key, fence, leaseMs }: Lease): Promise<void> {
    try {
      await store.beat(key, fence, leaseMs);
    } catch (error) {
      announce(this.environment, this, 'store-failed', () => ({ key, error }));
    }
  }

  private conflict(key: string, retryAfterMs?: number): IdempotencyConflictError {
    this.totals.totalConflicts++;
    const message = `Another call with the idempotency key ${JSON.stringify(key)} is still running.`;
    return this.refused(new IdempotencyConflictError(message, { policy: this.name, retryAfterMs }));
  }

  private mismatch(key: string): IdempotencyMismatchError {
    this.totals.totalMismatches++;
    const message = `The idempotency key ${JSON.stringify(key)} was used before, with other arguments.`;
    return this.refused(new IdempotencyMismatchError(message, { policy: this.name }));
  }

  private refused<E extends Error>(error: E): E {
    announce(this.environment, this, 'rejected', () => ({ error }));
    return error;
  }
}

/** Whether a call ended because its own caller waited no longer, by abort or deadline. */
function gaveUp({ abandoned, abortReason }: Call): boolean {
  return abandoned || (abortReason instanceof TimeoutExceededError && abortReason.scope === 'deadline');
}

/** The outcome of a run whose caller gave up. */
const ABANDONED: OnceOutcome = { ok: false, value: undefined };

function settle({ ok, value }: OnceOutcome): unknown {
  if (ok) return value;
  throw value;
}

/** Says at intervals that a run is still alive. */
class Heart extends TimerEntry {
  constructor(
    private readonly clock: Clock,
    private readonly intervalMs: number,
    private readonly beat: () => Promise<void>,
  ) {
    super();
  }

  start(): void {
    this.clock.arm(this, this.clock.now() + this.intervalMs);
  }

  stop(): void {
    this.clock.disarm(this);
  }

  onDue(): void {
    // It never rejects.
    void this.beat();
    this.start();
  }
}

function shortened(fingerprint: string | undefined): string | undefined {
  if (fingerprint === undefined || fingerprint.length <= LONGEST_FINGERPRINT) return fingerprint;
  return createHash('sha256').update(fingerprint).digest('base64url');
}
