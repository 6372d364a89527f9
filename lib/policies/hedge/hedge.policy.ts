import { runMethod, type Call, type CallInfo, type CallOptions, type Next } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { announce, clockOf } from '../../core/environment.js';
import { execute } from '../../core/execute.js';
import { SlidingHistogram } from '../../core/histogram.js';
import type { Driver, Inside, Policy } from '../../core/policy.js';
import { RetryPolicy, type RetryBudget, type RetryBudgetStats } from '../retry/index.js';
import { budgetOf, updatedBudget, type RetryEnvironment } from '../retry/retry-budget.js';
import { hedgeSettings, type HedgeOptions, type HedgeSettings } from './hedge.options.js';
import { Race } from './race.js';

/** The numbers of hedging. @publicApi */
export interface HedgeStats {
  readonly name: string;
  readonly totalCalls: number;
  /** Attempts that were started beside a slow one. */
  readonly totalHedges: number;
  /** Calls that a hedge answered. */
  readonly hedgeWins: number;
  /** Hedges that were due, and not started: the budget was spent, or a breaker inside was not closed. */
  readonly totalSuppressed: number;
  /** How long the next first attempt is alone; `undefined` where there are too few samples yet. */
  readonly currentDelayMs: number | undefined;
  readonly budget: RetryBudgetStats | undefined;
}

const NOTHING: readonly Policy[] = [];
const CALM: Inside = { isCalm: () => true };

/**
 * Starts a second attempt while the first is slow, and takes whichever answers first. Cuts the tail of latencies at the
 * price of some more calls, within a budget. After Dean and Barroso, *The Tail at Scale* (2013).
 *
 * @example
 * const hedge = new HedgePolicy('catalogue', { delay: '50ms' });
 * const item = await hedge.execute(({ signal }) => fetch(url, { signal }));
 *
 * @publicApi
 */
export class HedgePolicy implements Policy, Driver {
  readonly kind = 'hedge';
  readonly policy = this;
  private readonly clock: Clock;
  private settings: HedgeSettings;
  private budget: RetryBudget | undefined;
  private readonly durations = new SlidingHistogram();
  private totalCalls = 0;
  private totalHedges = 0;
  private hedgeWins = 0;
  private totalSuppressed = 0;

  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(
    readonly name: string,
    private options: HedgeOptions = {},
    private readonly environment?: RetryEnvironment,
  ) {
    this.settings = hedgeSettings(options, `hedge "${name}"`);
    this.clock = clockOf(environment);
    this.budget = budgetOf(name, this.settings.budget, environment);
  }

  /** @internal What it is set to do, for who looks at an application as a whole. */
  get configuration(): HedgeSettings {
    return this.settings;
  }

  /**
   * Runs `fn`, and again beside it while it is slow. Only for work that may be done twice.
   *
   * @throws what the first attempt threw, where none succeeded.
   */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    return execute((call) => this.run(call, runMethod), fn, options, this.clock);
  }

  run(
    call: Call,
    next: Next,
    inside: Inside = CALM,
    policies: readonly Policy[] = NOTHING,
  ): Promise<unknown> {
    this.totalCalls++;
    // A retry that draws from the same budget counts the call.
    const { budget } = this;
    if (!policies.some((policy) => policy instanceof RetryPolicy && policy.budget === budget))
      budget?.deposit();
    return new Race(call, next, this.clock, this.settings.maxHedges, {
      delayMs: () => this.delayMs,
      mayHedge: () => this.mayHedge(call, inside),
      answered: (durationMs, hedged) => {
        if (this.settings.delayMs === undefined) this.durations.record(durationMs, this.clock.now());
        if (hedged) this.hedgeWins++;
      },
    }).run();
  }

  reset(): void {
    announce(this.environment, this, 'cleared');
    this.totalCalls = this.totalHedges = this.hedgeWins = this.totalSuppressed = 0;
    this.durations.clear();
  }

  /**
   * Changes options while it runs; what was observed stays.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: HedgeOptions): void {
    const merged = { ...this.options, ...options };
    const settings = hedgeSettings(merged, `hedge "${this.name}"`);
    const budget =
      options.budget === undefined
        ? this.budget
        : updatedBudget(this.name, this.budget, this.settings.budget, settings.budget, this.environment);
    this.options = merged;
    this.settings = settings;
    this.budget = budget;
  }

  stats(): HedgeStats {
    return {
      name: this.name,
      totalCalls: this.totalCalls,
      totalHedges: this.totalHedges,
      hedgeWins: this.hedgeWins,
      totalSuppressed: this.totalSuppressed,
      currentDelayMs: this.delayMs,
      budget: this.budget?.stats(),
    };
  }

  describe(): string {
    const { settings } = this;
    const after =
      settings.delayMs === undefined ? `the P${settings.percentile}` : formatDuration(settings.delayMs);
    return `up to ${settings.maxHedges} more after ${after}`;
  }

  private get delayMs(): number | undefined {
    const { delayMs, percentile, minSamples } = this.settings;
    if (delayMs !== undefined) return delayMs;
    const now = this.clock.now();
    return this.durations.count(now) < minSamples ? undefined : this.durations.percentile(percentile, now);
  }

  private mayHedge(call: Call, inside: Inside): boolean {
    if (call.emitted || !inside.isCalm(call) || this.budget?.tryTake() === false) {
      this.totalSuppressed++;
      return false;
    }
    this.totalHedges++;
    announce(this.environment, this, 'hedged');
    return true;
  }
}
