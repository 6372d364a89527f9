import type { AbortListener, Call, CallInfo, CallOptions, Next } from '../../core/call.js';
import { retryAfterMsOf, statusOf } from '../../core/classify.js';
import type { Clock, RandomSource } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { clockOf, randomOf, type PolicyEnvironment } from '../../core/environment.js';
import { RetryBudgetExhaustedError } from '../../core/errors.js';
import { executeDriven } from '../../core/execute.js';
import { sharedState } from '../../core/identity.js';
import type { Driver, Policy } from '../../core/policy.js';

import { addedJitter, backoffDelay } from './backoff.js';
import { discard } from './discard.js';
import { isRetryable, isRetryableResult } from './retry-classification.js';
import { RetryBudget, type RetryBudgetStats } from './retry-budget.js';
import { retrySettings, type RetryOptions, type RetrySettings } from './retry.options.js';

/** The numbers of a retry policy. @publicApi */
export interface RetryStats {
  readonly name: string;
  readonly totalCalls: number;
  /** Attempts beyond the first of their call. */
  readonly totalRetries: number;
  readonly successfulWithoutRetry: number;
  readonly successfulWithRetry: number;
  readonly failedWithoutRetry: number;
  readonly failedWithRetry: number;
  /** Retries that the budget did not allow. */
  readonly budgetExhausted: number;
  readonly budget: RetryBudgetStats | undefined;
}

/** Finds budgets that several policies share by name. */
export interface RetryEnvironment extends PolicyEnvironment {
  readonly budgets?: (name: string) => RetryBudget;
}

/** Errors whose retry some budget refused: retries further out leave them alone, so that layers do not multiply. */
const REFUSED = sharedState('budget-refused', () => new WeakSet<object>());

/**
 * Tries again what may succeed the next time: up to `maxRetries` more attempts, with a delay that grows and is jittered,
 * within a budget that keeps retries a small share of all calls. The caller sees the last error of the method itself.
 *
 * @example
 * const retry = new RetryPolicy('inventory', { maxRetries: 3, baseDelay: '100ms' });
 * const stock = await retry.execute(({ signal }) => fetch(url, { signal }));
 *
 * @publicApi
 */
export class RetryPolicy implements Policy, Driver {
  readonly kind = 'retry';
  readonly policy = this;
  private readonly clock: Clock;
  private readonly random: RandomSource;
  private settings: RetrySettings;
  private budget: RetryBudget | undefined;
  private totalCalls = 0;
  private totalRetries = 0;
  private successfulWithRetry = 0;
  private failedWithoutRetry = 0;
  private failedWithRetry = 0;
  private running = 0;
  private budgetExhausted = 0;

  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(
    readonly name: string,
    private options: RetryOptions = {},
    private readonly environment?: RetryEnvironment,
  ) {
    this.settings = retrySettings(options, `retry "${name}"`);
    this.clock = clockOf(environment);
    this.random = randomOf(environment);
    this.budget = this.createBudget();
  }

  /**
   * Runs `fn`, again where that is worth it.
   *
   * @throws the last error of `fn`; {@link RetryBudgetExhaustedError} only where `onExhausted` asks for it; the
   * signal's reason where the caller gave up.
   */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    return executeDriven(this, fn, options, this.clock);
  }

  async run(call: Call, next: Next): Promise<unknown> {
    const { settings, budget } = this;
    if (budget !== undefined) {
      if (settings.onExhausted === 'fail-fast' && !budget.canRetry()) throw this.exhausted(undefined);
      budget.deposit();
    }
    this.totalCalls++;
    this.running++;
    const startedAt = settings.maxElapsedMs === undefined ? 0 : this.clock.now();
    let delayMs = 0;
    let retries = 0;
    let ok = false;
    try {
      for (;;) {
        call.attempt = retries + 1;
        let result: unknown;
        let failed = false;
        try {
          result = await next(call);
        } catch (error) {
          result = error;
          failed = true;
        }
        if (!failed && !isRetryableResult(settings, call, result)) {
          ok = true;
          return result;
        }
        const again = this.nextDelay(call, failed, result, retries + 1, delayMs, startedAt);
        if (again === undefined) {
          if (failed) throw result;
          return result;
        }
        delayMs = again;
        if (!failed) discard(result);
        retries++;
        this.totalRetries++;
        this.emitRetried(call, failed ? result : undefined, delayMs);
        if (delayMs > 0) await sleep(delayMs, call, this.clock);
        if (call.abortKind !== undefined) throw call.abortReason;
      }
    } finally {
      this.running--;
      if (!ok) retries === 0 ? this.failedWithoutRetry++ : this.failedWithRetry++;
      else if (retries > 0) this.successfulWithRetry++;
    }
  }

  reset(): void {
    this.totalCalls = this.running;
    this.totalRetries = this.successfulWithRetry = this.failedWithoutRetry = this.failedWithRetry = 0;
    this.budgetExhausted = 0;
    if (typeof this.settings.budget === 'object' && !(this.settings.budget instanceof RetryBudget))
      this.budget?.reset();
  }

  /**
   * Changes options while it runs; calls under way go on by the old ones.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: RetryOptions): void {
    const merged = { ...this.options, ...options };
    this.settings = retrySettings(merged, `retry "${this.name}"`);
    this.options = merged;
    if (options.budget !== undefined) this.budget = this.createBudget();
  }

  stats(): RetryStats {
    const { successfulWithRetry, failedWithoutRetry, failedWithRetry } = this;
    return {
      name: this.name,
      totalCalls: this.totalCalls,
      totalRetries: this.totalRetries,
      successfulWithoutRetry:
        this.totalCalls - this.running - successfulWithRetry - failedWithoutRetry - failedWithRetry,
      successfulWithRetry,
      failedWithoutRetry,
      failedWithRetry,
      budgetExhausted: this.budgetExhausted,
      budget: this.budget?.stats(),
    };
  }

  describe(): string {
    const { settings } = this;
    const growth = typeof settings.backoff === 'function' ? 'custom' : settings.backoff;
    const budget = this.budget === undefined ? 'no budget' : `budget ${this.budget.describe()}`;
    const delays = `${growth} from ${formatDuration(settings.baseDelayMs)} to ${formatDuration(settings.maxDelayMs)}`;
    return `up to ${settings.maxRetries} retries, ${delays}, ${budget}`;
  }

  /** How long to wait before the next attempt, or `undefined` where there shall be none. */
  private nextDelay(
    call: Call,
    failed: boolean,
    result: unknown,
    retry: number,
    previousMs: number,
    startedAt: number,
  ): number | undefined {
    const { settings } = this;
    if (call.abortKind !== undefined || call.emitted || retry > settings.maxRetries) return undefined;
    if (failed && (isRefused(result) || !isRetryable(settings, call, result))) return undefined;
    const delayMs = this.delayFor(result, retry, previousMs);
    if (delayMs === undefined || !this.fits(call, delayMs, startedAt)) return undefined;
    if (this.budget === undefined || this.budget.tryTake()) return delayMs;
    this.budgetExhausted++;
    if (settings.onExhausted === 'throw') throw this.exhausted(failed ? result : undefined);
    if (failed && typeof result === 'object' && result !== null) REFUSED.add(result);
    return undefined;
  }

  private delayFor(result: unknown, retry: number, previousMs: number): number | undefined {
    const { settings, random } = this;
    const asked = settings.respectRetryAfter ? retryAfterMsOf(result, this.clock.wallTime()) : undefined;
    if (asked !== undefined) {
      if (asked > settings.maxDelayMs) return undefined;
      return Math.min(settings.maxDelayMs, asked + addedJitter(settings, settings.baseDelayMs, random));
    }
    const base = statusOf(result) === 429 ? settings.rateLimitedDelayMs : settings.baseDelayMs;
    return backoffDelay(settings, retry, base, previousMs, result, random);
  }

  /** Whether the call still has time for this delay; one that cannot fit is not slept. */
  private fits(call: Call, delayMs: number, startedAt: number): boolean {
    const { maxElapsedMs } = this.settings;
    if (call.deadline === Number.POSITIVE_INFINITY && maxElapsedMs === undefined) return true;
    const then = this.clock.now() + delayMs;
    return then < call.deadline && (maxElapsedMs === undefined || then - startedAt < maxElapsedMs);
  }

  private exhausted(cause: unknown): RetryBudgetExhaustedError {
    const name = this.budget?.name ?? this.name;
    return new RetryBudgetExhaustedError(`Retry budget "${name}" has no retry left.`, {
      policy: name,
      cause,
    });
  }

  private createBudget(): RetryBudget | undefined {
    const { budget } = this.settings;
    if (budget === false) return undefined;
    if (budget instanceof RetryBudget) return budget;
    if (typeof budget === 'object') return new RetryBudget(this.name, budget, this.environment);
    const shared = this.environment?.budgets?.(budget);
    if (shared === undefined)
      throw new Error(`Retry "${this.name}" names the budget "${budget}", which nobody provides.`);
    return shared;
  }

  private emitRetried(call: Call, error: unknown, delayMs: number): void {
    const events = this.environment?.events;
    if (events?.active !== true) return;
    const details = { attempt: call.attempt, delayMs, error };
    events.emit({ kind: this.kind, policy: this.name, type: 'retried', at: this.clock.now(), details });
  }
}

function isRefused(error: unknown): boolean {
  return typeof error === 'object' && error !== null && REFUSED.has(error);
}

/** Waits, keeping the process alive; ends at once with the call's own reason when the call is aborted. */
function sleep(delayMs: number, call: Call, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    const awake: AbortListener = {
      onAbort() {
        cancel();
        reject(call.abortReason as Error);
      },
    };
    const cancel = clock.delay(delayMs, () => {
      call.onAbortRemove(awake);
      resolve();
    });
    if (call.cancellable) call.onAbortAdd(awake);
  });
}
