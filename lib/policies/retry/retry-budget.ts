import type { Clock } from '../../core/clock.js';
import { announce, clockOf, type PolicyEnvironment } from '../../core/environment.js';
import { formatDuration } from '../../core/duration.js';
import { InvalidOptionsError, type OptionProblem } from '../../core/errors.js';
import type { Policy } from '../../core/policy.js';
import type { Fleet } from '../../core/shared-state.js';
import {
  retryBudgetProblems,
  retryBudgetSettings,
  type RetryBudgetOptions,
  type RetryBudgetSettings,
} from './retry-budget.options.js';

const SLICES = 10;

/** The numbers of a retry budget. @publicApi */
export interface RetryBudgetStats {
  readonly name: string;
  /** Calls and retries within the window. */
  readonly totalRequests: number;
  readonly currentRetries: number;
  /** Retries that the window allows at the moment. */
  readonly maxRetries: number;
  readonly budgetRemaining: number;
  /** Retries per 100 that are allowed. */
  readonly budgetUsedPercent: number;
  /** Retries per 100 calls, within the window. */
  readonly retryRatePercent: number;
  readonly budgetPercent: number | undefined;
  readonly withinBudget: boolean;
  readonly windowMs: number;
  /** Since the start. */
  readonly totalRetries: number;
  readonly totalRefused: number;
}

/**
 * How many retries (and hedges) a group of calls may add to a dependency: a share of the calls in a sliding window, with
 * a floor per second, or a fixed number per window. Check and take are one step. After the retry budgets of Finagle.
 *
 * Nothing is shared among instances: shares of each one's own calls add up to the share of all. Where there is a fleet
 * the floor is divided by the number of its instances.
 *
 * @example
 * const budget = new RetryBudget('payments', { percent: 10, minPerSecond: 1, window: '10s' });
 *
 * @publicApi
 */
export class RetryBudget implements Policy {
  readonly kind = 'retryBudget';
  private readonly clock: Clock;
  private settings: RetryBudgetSettings;
  private meter: BudgetMeter;
  private lastTakenAt = Number.NEGATIVE_INFINITY;
  private totalRetries = 0;
  private totalRefused = 0;

  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(
    readonly name: string,
    private options: RetryBudgetOptions = {},
    private readonly environment?: PolicyEnvironment,
  ) {
    this.settings = retryBudgetSettings(options, `retry budget "${name}"`);
    this.clock = clockOf(environment);
    this.meter = this.createMeter();
  }

  /**
   * Counts a call; a share of it may be retried. Called once per call, before its first attempt.
   *
   * @param now - The present on the clock's scale, where the caller has read it already.
   */
  deposit(now = this.clock.now()): void {
    if (this.settings.max === undefined) this.meter.deposit(now);
  }

  /** Whether a retry would be allowed now. */
  canRetry(): boolean {
    return this.canRetryAt(this.clock.now());
  }

  /** Whether retries were made and none is left; a budget that nobody has used yet is not exhausted. */
  get exhausted(): boolean {
    this.meter.advance(this.clock.now());
    return this.meter.retries > 0 && !this.hasRetry();
  }

  /** Takes one retry if there is one. */
  tryTake(): boolean {
    const now = this.clock.now();
    if (!this.canRetryAt(now)) {
      this.totalRefused++;
      return false;
    }
    this.meter.take(now);
    this.lastTakenAt = now;
    this.totalRetries++;
    return true;
  }

  reset(): void {
    announce(this.environment, this, 'cleared');
    this.meter = this.createMeter();
    this.lastTakenAt = Number.NEGATIVE_INFINITY;
    this.totalRetries = this.totalRefused = 0;
  }

  /**
   * Changes options while it runs; what was counted in a window of the same length stays counted.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: RetryBudgetOptions): void {
    this.configure({ ...this.options, ...options });
  }

  /** @internal As {@link update}, with options that take the place of all others. */
  configure(options: RetryBudgetOptions): void {
    const settings = retryBudgetSettings(options, `retry budget "${this.name}"`);
    this.options = options;
    this.settings = settings;
    if (!this.meter.adopt(settings)) this.meter = this.createMeter();
  }

  stats(): RetryBudgetStats {
    const { settings, meter } = this;
    meter.advance(this.clock.now());
    const allowed = meter.allowed;
    return {
      name: this.name,
      totalRequests: meter.calls,
      currentRetries: meter.retries,
      maxRetries: Math.floor(allowed),
      budgetRemaining: Math.max(0, Math.floor(allowed - meter.retries)),
      budgetUsedPercent: allowed === 0 ? 100 : (meter.retries * 100) / allowed,
      retryRatePercent: meter.calls === 0 ? 0 : (meter.retries * 100) / meter.calls,
      budgetPercent: settings.max === undefined ? settings.percent : undefined,
      withinBudget: meter.retries <= allowed,
      windowMs: settings.windowMs,
      totalRetries: this.totalRetries,
      totalRefused: this.totalRefused,
    };
  }

  describe(): string {
    const { settings } = this;
    return settings.max === undefined
      ? `${settings.percent} % of calls, at least ${settings.minPerSecond}/s, over ${formatDuration(settings.windowMs)}`
      : `${settings.max} in ${formatDuration(settings.windowMs)}`;
  }

  private createMeter(): BudgetMeter {
    const { settings } = this;
    return settings.max === undefined
      ? new ShareMeter(settings, this.environment?.fleet)
      : new CountMeter(settings);
  }

  private canRetryAt(now: number): boolean {
    if (now - this.lastTakenAt < this.settings.minIntervalMs) return false;
    this.meter.advance(now);
    return this.hasRetry();
  }

  private hasRetry(): boolean {
    // The margin takes up the rounding of the share.
    return this.meter.retries + 1 <= this.meter.allowed + 1e-9;
  }
}

/** Finds budgets that several policies share by name. */
export interface RetryEnvironment extends PolicyEnvironment {
  readonly budgets?: (name: string) => RetryBudget;
}

type BudgetOption = RetryBudgetOptions | RetryBudget | string | false;

/**
 * The budget that an option means; `undefined` for none.
 *
 * @throws {@link InvalidOptionsError} where it is a name that nobody has given to a budget.
 */
export function budgetOf(
  owner: string,
  option: BudgetOption,
  environment: RetryEnvironment | undefined,
): RetryBudget | undefined {
  if (option === false) return undefined;
  if (option instanceof RetryBudget) return option;
  if (typeof option === 'object') return new RetryBudget(owner, option, environment);
  const shared = environment?.budgets?.(option);
  if (shared === undefined)
    throw new InvalidOptionsError([
      {
        where: `"${owner}"`,
        option: 'budget',
        message: `"budget" names the retry budget "${option}", which nobody provides.`,
      },
    ]);
  return shared;
}

/**
 * The budget after an update of its user's options: one of its own goes on with what it has counted, and so do the others
 * that draw from it.
 *
 * @throws as {@link budgetOf}.
 */
export function updatedBudget(
  owner: string,
  budget: RetryBudget | undefined,
  before: BudgetOption,
  after: BudgetOption,
  environment: RetryEnvironment | undefined,
): RetryBudget | undefined {
  if (budget === undefined || !isOwn(before) || !isOwn(after)) return budgetOf(owner, after, environment);
  budget.configure(after);
  return budget;
}

function isOwn(option: BudgetOption): option is RetryBudgetOptions {
  return typeof option === 'object' && !(option instanceof RetryBudget);
}

/** Everything that is wrong with the options of a budget inside those of its user. */
export function budgetProblems(option: BudgetOption | undefined, where: string): OptionProblem[] {
  if (typeof option !== 'object' || option instanceof RetryBudget) return [];
  return retryBudgetProblems(option, where).map((problem) => ({
    ...problem,
    option: `budget.${problem.option}`,
    message: `budget: ${problem.message}`,
  }));
}

/** What a budget counts in its window. */
interface BudgetMeter {
  readonly calls: number;
  readonly retries: number;
  /** How many retries the window allows, with fractions. */
  readonly allowed: number;
  deposit(now: number): void;
  take(now: number): void;
  advance(now: number): void;
  /** Goes on under new settings; false where it is not made for them. */
  adopt(settings: RetryBudgetSettings): boolean;
}

/** Calls and retries per slice of the window. */
class ShareMeter implements BudgetMeter {
  calls = 0;
  retries = 0;
  private readonly callsBySlice = new Float64Array(SLICES);
  private readonly retriesBySlice = new Float64Array(SLICES);
  private newest = Number.NEGATIVE_INFINITY;
  private newestEndsAt = Number.NEGATIVE_INFINITY;

  constructor(
    private settings: RetryBudgetSettings,
    private readonly fleet: Fleet | undefined,
  ) {}

  get allowed(): number {
    const { percent, minPerSecond, windowMs } = this.settings;
    const floor = (minPerSecond * windowMs) / 1000;
    return (this.calls * percent) / 100 + floor / (this.fleet?.size ?? 1);
  }

  deposit(now: number): void {
    if (now >= this.newestEndsAt) this.advance(now);
    this.callsBySlice[placeOf(this.newest)]!++;
    this.calls++;
  }

  take(now: number): void {
    this.advance(now);
    this.retriesBySlice[placeOf(this.newest)]!++;
    this.retries++;
  }

  advance(now: number): void {
    const sliceMs = this.settings.windowMs / SLICES;
    const slice = Math.floor(now / sliceMs);
    if (slice <= this.newest) return;
    const first = Math.max(this.newest + 1, slice - SLICES + 1);
    for (let number = first; number <= slice; number++) {
      const place = placeOf(number);
      this.calls -= this.callsBySlice[place] as number;
      this.retries -= this.retriesBySlice[place] as number;
      this.callsBySlice[place] = this.retriesBySlice[place] = 0;
    }
    this.newest = slice;
    this.newestEndsAt = (slice + 1) * sliceMs;
  }

  adopt(settings: RetryBudgetSettings): boolean {
    if (settings.max !== undefined || settings.windowMs !== this.settings.windowMs) return false;
    this.settings = settings;
    return true;
  }
}

/** Slices before the clock's origin have negative numbers. */
function placeOf(slice: number): number {
  return ((slice % SLICES) + SLICES) % SLICES;
}

/** The instants of the last `max` retries: exact, so that no window of any position holds more. */
class CountMeter implements BudgetMeter {
  readonly calls = 0;
  private takenAt: number[] = [];
  private oldest = 0;

  constructor(private settings: RetryBudgetSettings) {}

  get allowed(): number {
    return this.settings.max as number;
  }

  get retries(): number {
    return this.takenAt.length - this.oldest;
  }

  deposit(): void {}

  take(now: number): void {
    this.takenAt.push(now);
  }

  advance(now: number): void {
    const since = now - this.settings.windowMs;
    while (this.oldest < this.takenAt.length && (this.takenAt[this.oldest] as number) <= since) this.oldest++;
    // Compacted when half is dead, so that each instant is moved once on average.
    if (this.oldest > 32 && this.oldest * 2 > this.takenAt.length) {
      this.takenAt = this.takenAt.slice(this.oldest);
      this.oldest = 0;
    }
  }

  adopt(settings: RetryBudgetSettings): boolean {
    if (settings.max === undefined || settings.windowMs < this.settings.windowMs) return false;
    this.settings = settings;
    return true;
  }
}
