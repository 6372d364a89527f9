import type { Call, CallInfo, CallOptions, Next } from '../../core/call.js';
import { causes, retryAfterMsOf } from '../../core/classify.js';
import type { Clock, RandomSource } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { announce, clockOf, randomOf } from '../../core/environment.js';
import { RateLimitExceededError, RetryBudgetExhaustedError } from '../../core/errors.js';
import { attemptFrame } from '../../core/attempt-frame.js';
import { execute } from '../../core/execute.js';
import { sharedState } from '../../core/identity.js';
import type { Policy, Repeater, Repetition } from '../../core/policy.js';
import { addedJitter, backoffDelay } from './backoff.js';
import { discard } from './discard.js';
import { firstStatus, isRetryable, isRetryableResult } from './retry-classification.js';
import {
  RetryBudget,
  budgetOf,
  updatedBudget,
  type RetryBudgetStats,
  type RetryEnvironment,
} from './retry-budget.js';
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

/**
 * Errors whose retry some budget refused, and as which refusal of all. Retries further out leave such an error alone, so
 * that layers do not multiply: theirs are calls that began before it was refused. A call that began later may well retry
 * the same object, since a method can throw one error object again and again.
 */
const REFUSALS = sharedState('budget-refusals', () => ({ count: 0, byError: new WeakMap<object, number>() }));

/**
 * Tries again what may succeed the next time: up to `maxRetries` more attempts, with a delay that grows and is jittered,
 * within a budget that keeps retries a small share of all calls. The caller sees the last error of the method itself, a
 * refusal of another policy only where it never ran.
 *
 * @example
 * const retry = new RetryPolicy('inventory', { maxRetries: 3, baseDelay: '100ms' });
 * const stock = await retry.execute(({ signal }) => fetch(url, { signal }));
 *
 * @publicApi
 */
export class RetryPolicy implements Policy, Repeater {
  readonly kind = 'retry';
  readonly policy = this;
  private readonly clock: Clock;
  private readonly random: RandomSource;
  /** The frame of `execute`. */
  private alone: Next | undefined;
  private settings: RetrySettings;
  /** What bounds its retries; hedges of the same method share it. */
  budget: RetryBudget | undefined;
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
    this.budget = budgetOf(this.name, this.settings.budget, this.environment);
  }

  /** @internal What it is set to do, for who looks at an application as a whole. */
  get configuration(): RetrySettings {
    return this.settings;
  }

  /**
   * Runs `fn`, again where that is worth it.
   *
   * @throws the last error of `fn`; {@link RetryBudgetExhaustedError} only where `onExhausted` asks for it; the
   * signal's reason where the caller gave up.
   */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    this.alone ??= attemptFrame({ guards: [], clock: this.clock, repeater: this });
    return execute(this.alone, fn, options, this.clock);
  }

  begin(_call: Call, now: number): number {
    const { budget } = this;
    if (budget !== undefined) {
      budget.deposit(now);
      if (this.settings.onExhausted === 'fail-fast' && budget.exhausted) {
        this.budgetExhausted++;
        this.tellExhausted(undefined);
        throw this.exhausted(undefined);
      }
    }
    this.totalCalls++;
    this.running++;
    return REFUSALS.count;
  }

  refusesResult(call: Call, result: unknown): boolean {
    return isRetryableResult(this.settings, call, result);
  }

  delayAfter(
    call: Call,
    repetition: Repetition,
    ok: boolean,
    result: unknown,
    last: unknown,
  ): number | undefined {
    const { settings } = this;
    const retry = repetition.retries + 1;
    if (call.abortKind !== undefined || call.emitted || retry > settings.maxRetries) return undefined;
    if (!ok && (isRefusedSince(repetition.mark, result) || !isRetryable(settings, call, result)))
      return undefined;
    const delayMs = this.delayFor(result, retry, repetition.delayMs);
    if (delayMs === undefined || !this.fits(call, delayMs, repetition)) return undefined;
    if (this.budget === undefined || this.budget.tryTake()) {
      announce(this.environment, this, 'retried', () => ({
        attempt: retry,
        delayMs,
        error: ok ? undefined : result,
      }));
      // Whose body is gone cannot be shown any more.
      if (ok && !discard(result)) repetition.outcome = { ok, result };
      return delayMs;
    }
    this.budgetExhausted++;
    this.tellExhausted(ok ? undefined : last);
    if (settings.onExhausted === 'throw') throw this.exhausted(ok ? undefined : last);
    if (!ok && typeof last === 'object' && last !== null) REFUSALS.byError.set(last, ++REFUSALS.count);
    return undefined;
  }

  mayStart(call: Call, repetition: Repetition, ok: boolean): boolean {
    // Timers can be late. A result that was let go of cannot be answered any more: then it is tried again.
    if (!ok && repetition.delayMs > 0 && !this.fits(call, 0, repetition)) return false;
    this.totalRetries++;
    return true;
  }

  end(retries: number, ok: boolean): void {
    this.running--;
    if (ok) this.successfulWithRetry += retries > 0 ? 1 : 0;
    else if (retries > 0) this.failedWithRetry++;
    else this.failedWithoutRetry++;
  }

  reset(): void {
    announce(this.environment, this, 'cleared');
    this.totalCalls = this.running;
    this.totalRetries = this.successfulWithRetry = this.failedWithoutRetry = this.failedWithRetry = 0;
    this.budgetExhausted = 0;
    if (typeof this.settings.budget === 'object' && !(this.settings.budget instanceof RetryBudget))
      this.budget?.reset();
  }

  /**
   * Changes options while it runs; calls under way go by the new ones from their next decision on.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: RetryOptions): void {
    const merged = { ...this.options, ...options };
    const settings = retrySettings(merged, `retry "${this.name}"`);
    const budget =
      options.budget === undefined
        ? this.budget
        : updatedBudget(this.name, this.budget, this.settings.budget, settings.budget, this.environment);
    this.options = merged;
    this.settings = settings;
    this.budget = budget;
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
    return `up to ${settings.maxRetries} ${settings.maxRetries === 1 ? 'retry' : 'retries'}, ${delays}, ${budget}`;
  }

  /** How long to wait before the next attempt; `undefined` where the other side wants it later than we would. */
  private delayFor(result: unknown, retry: number, previousMs: number): number | undefined {
    const { settings, random } = this;
    const limited = result instanceof RateLimitExceededError;
    const asked =
      limited || settings.respectRetryAfter ? retryAfterMsOf(result, this.clock.wallTime()) : undefined;
    // A limit of ours knows when: no time given means never.
    if (limited && asked === undefined) return undefined;
    if (asked !== undefined) {
      if (asked > settings.maxDelayMs) return undefined;
      return Math.min(settings.maxDelayMs, asked + addedJitter(settings, settings.baseDelayMs, random));
    }
    const base = firstStatus(result) === 429 ? settings.rateLimitedDelayMs : settings.baseDelayMs;
    return backoffDelay(settings, retry, base, previousMs, result, random);
  }

  /** Whether the call still has time for this delay; one that cannot fit is not slept. */
  private fits(call: Call, delayMs: number, { begunAt }: Repetition): boolean {
    const { maxElapsedMs } = this.settings;
    if (call.deadline === undefined && maxElapsedMs === undefined) return true;
    const then = this.clock.now() + delayMs;
    if (call.deadline !== undefined && then >= call.deadline) return false;
    return maxElapsedMs === undefined || then - begunAt < maxElapsedMs;
  }

  private tellExhausted(error: unknown): void {
    announce(this.environment, this, 'budget-exhausted', () => ({ error }));
  }

  private exhausted(cause: unknown): RetryBudgetExhaustedError {
    const name = this.budget?.name ?? this.name;
    return new RetryBudgetExhaustedError(`Retry budget "${name}" has no retry left.`, {
      policy: name,
      cause,
    });
  }
}

/** Also where somebody has wrapped the error since. */
function isRefusedSince(mark: number, error: unknown): boolean {
  if (REFUSALS.count === mark) return false;
  return causes(error).some((link) => (REFUSALS.byError.get(link as object) ?? 0) > mark);
}
