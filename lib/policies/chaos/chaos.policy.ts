import { recomposePipelines } from '../../core/composition.js';
import {
  runMethod,
  type AbortListener,
  type Call,
  type CallInfo,
  type CallOptions,
  type Next,
} from '../../core/call.js';
import type { Clock, RandomSource } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { announce, clockOf, randomOf } from '../../core/environment.js';
import { execute } from '../../core/execute.js';
import type { Driver, Policy } from '../../core/policy.js';
import {
  chaosSettings,
  refuseLaterPermission,
  type ChaosOptions,
  type ChaosSettings,
} from './chaos.options.js';
import { errorOf, type ChaosFault } from './fault.js';
import { drawLatency, formatLatency } from './latency.js';
import type { ChaosEnvironment } from './permission.js';

/** The numbers of chaos. @publicApi */
export interface ChaosStats {
  readonly name: string;
  readonly enabled: boolean;
  /** Enabled, and its duration is not over. */
  readonly active: boolean;
  readonly fault: ChaosFault | undefined;
  readonly ratePercent: number;
  /** Calls that came while it was enabled. */
  readonly totalCalls: number;
  /** Calls that it hit. */
  readonly totalInjected: number;
  /** Of these, calls that went on into the method because the fault ended while it kept them. */
  readonly totalReleased: number;
  /** Calls that it keeps now. */
  readonly waiting: number;
  /** Until its duration is over; `undefined` where it is not active, or lasts until it is stopped. */
  readonly remainingMs: number | undefined;
}

/**
 * Injects faults on purpose, as if they were the method's own: the other policies see them as they would see the real
 * thing. Off unless enabled; with `NODE_ENV=production` it refuses to be enabled unless `allowInProduction` and the
 * environment variable `RESILIENCE_CHAOS=allow` both say so. What it throws is recognised by `isChaosInjected`.
 *
 * @example
 * const chaos = new ChaosPolicy('payments', { enabled: true, error: 503, ratePercent: 5, duration: '1m' });
 * await chaos.execute(() => charge(order));
 * chaos.stop();
 *
 * @publicApi
 */
export class ChaosPolicy implements Policy, Driver {
  readonly kind = 'chaos';
  readonly policy = this;
  private readonly clock: Clock;
  private readonly random: RandomSource;
  private settings: ChaosSettings;
  private enabledAt: number;
  /** Calls since it was enabled. */
  private seen = 0;
  private totalCalls = 0;
  private totalInjected = 0;
  private totalReleased = 0;
  private readonly waits = new Set<InjectedWait>();
  /** Said where it was made: whoever changes it later is perhaps not who writes the options. */
  private readonly allowedInProduction: boolean;

  /** @throws {@link InvalidOptionsError} naming every option that cannot be, also that it must not run here. */
  constructor(
    readonly name: string,
    private options: ChaosOptions = {},
    private readonly environment?: ChaosEnvironment,
  ) {
    this.settings = chaosSettings(options, `chaos "${name}"`, environment);
    this.allowedInProduction = options.allowInProduction === true;
    this.clock = clockOf(environment);
    this.random = randomOf(environment);
    this.enabledAt = this.clock.now();
  }

  /** A pipeline leaves it out then. */
  get isOff(): boolean {
    return !this.settings.enabled;
  }

  /**
   * Runs `fn`, or does to it what the options say.
   *
   * @throws the injected error, else what `fn` throws.
   */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    return execute((call) => this.run(call, runMethod), fn, options, this.clock);
  }

  // Its answer is a promise in every case: whoever stands alone around it must not see a throw.
  async run(call: Call, next: Next): Promise<unknown> {
    if (!this.settings.enabled) return next(call);
    this.totalCalls++;
    return this.hits() ? this.inject(call, next) : next(call);
  }

  /** Injects no more. Calls that it keeps go on at once, into the method. */
  stop(): void {
    if (this.settings.enabled) this.update({ enabled: false });
  }

  reset(): void {
    announce(this.environment, this, 'cleared');
    this.seen = this.totalCalls = this.totalInjected = this.totalReleased = 0;
    this.enabledAt = this.clock.now();
  }

  /**
   * Changes options while it runs. What is disabled thereby lets go of the calls that it keeps; what is enabled, or given
   * another duration, begins anew. `allowInProduction` is what it was made with, and cannot be given later.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: ChaosOptions): void {
    const where = `chaos "${this.name}"`;
    if (!this.allowedInProduction) refuseLaterPermission(options, where);
    const before = this.settings;
    const merged = { ...this.options, ...options };
    this.settings = chaosSettings(merged, where, this.environment);
    this.options = merged;
    if (this.settings.enabled && (!before.enabled || options.duration !== undefined)) {
      this.enabledAt = this.clock.now();
      this.seen = 0;
    }
    if (!this.settings.enabled) for (const wait of this.waits) wait.end('released');
    recomposePipelines();
  }

  stats(): ChaosStats {
    const { settings } = this;
    const remainingMs = this.remainingMs();
    const active = settings.enabled && remainingMs > 0;
    return {
      name: this.name,
      enabled: settings.enabled,
      active,
      fault: settings.fault,
      ratePercent: settings.ratePercent,
      totalCalls: this.totalCalls,
      totalInjected: this.totalInjected,
      totalReleased: this.totalReleased,
      waiting: this.waits.size,
      remainingMs: active && Number.isFinite(remainingMs) ? remainingMs : undefined,
    };
  }

  describe(): string {
    const { settings } = this;
    if (!settings.enabled || settings.fault === undefined) return 'off';
    const what = settings.latency === undefined ? '' : ` of ${formatLatency(settings.latency)}`;
    const kept =
      settings.fault === 'latency' || settings.fault === 'timeout' ? what : what.replace(' of', ' after');
    const which = [
      `${settings.ratePercent} % of calls`,
      Number.isFinite(settings.firstCalls) && `the first ${settings.firstCalls}`,
      settings.every > 1 && `one in ${settings.every}`,
      Number.isFinite(settings.durationMs) && `for ${formatDuration(settings.durationMs)}`,
    ].filter(Boolean);
    return `injects ${settings.fault}${kept} into ${which.join(', ')}`;
  }

  private remainingMs(): number {
    return this.enabledAt + this.settings.durationMs - this.clock.now();
  }

  private hits(): boolean {
    const { ratePercent, firstCalls, every } = this.settings;
    if (!(this.remainingMs() > 0)) return false;
    const number = ++this.seen;
    if (number > firstCalls || number % every !== 0) return false;
    return ratePercent === 100 || this.random() * 100 < ratePercent;
  }

  private async inject(call: Call, next: Next): Promise<unknown> {
    const { settings } = this;
    const { latency } = settings;
    const fault = settings.fault as ChaosFault;
    const latencyMs = latency === undefined ? 0 : drawLatency(latency, this.random);
    this.totalInjected++;
    this.tell(fault, latency === undefined ? undefined : latencyMs);
    if (latencyMs > 0 && (await this.keep(call, latencyMs)) === 'released') {
      this.totalReleased++;
      return next(call);
    }
    if (fault === 'latency') return next(call);
    if (call.abortKind !== undefined) throw call.abortReason;
    // As the method's own answer, so that an observable call takes it for one.
    if (fault === 'wrong-result') return call.runInside(settings.result);
    throw errorOf(fault, settings.errors, {
      name: this.name,
      call,
      random: this.random,
      waitedMs: latencyMs,
    });
  }

  /** Keeps a call, at most for as long as the fault lasts. */
  private async keep(call: Call, latencyMs: number): Promise<'over' | 'released'> {
    const leftMs = this.remainingMs();
    const wait = new InjectedWait(call, this.clock, Math.min(latencyMs, leftMs), latencyMs > leftMs);
    this.waits.add(wait);
    try {
      return await wait.done;
    } finally {
      this.waits.delete(wait);
    }
  }

  private tell(fault: ChaosFault, latencyMs: number | undefined): void {
    announce(this.environment, this, 'injected', () => ({
      fault,
      ...(latencyMs !== undefined && { latencyMs }),
    }));
  }
}

/** A call that is kept: until its time is over, the fault ends, or the call is aborted. */
class InjectedWait implements AbortListener {
  readonly done: Promise<'over' | 'released'>;
  private resolve!: (end: 'over' | 'released') => void;
  private reject!: (reason: unknown) => void;
  private readonly cancel: () => void;

  constructor(
    private readonly call: Call,
    clock: Clock,
    delayMs: number,
    outlivesFault: boolean,
  ) {
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.cancel = clock.delay(delayMs, () => this.end(outlivesFault ? 'released' : 'over'));
    if (call.cancellable) call.onAbortAdd(this);
  }

  end(how: 'over' | 'released'): void {
    this.cancel();
    this.call.onAbortRemove(this);
    this.resolve(how);
  }

  onAbort(call: Call): void {
    this.cancel();
    this.reject(call.abortReason);
  }
}
