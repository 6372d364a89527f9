import type { AsyncResource } from 'node:async_hooks';
import { captureContext, runInContext } from '../../core/async-context.js';
import { CallTimer } from '../../core/bounded-call.js';
import { type Call, type CallInfo, type CallOptions, type Next } from '../../core/call.js';
import { attemptFrame } from '../../core/attempt-frame.js';
import { recomposePipelines } from '../../core/composition.js';
import type { Clock } from '../../core/clock.js';
import { formatDuration, type Duration } from '../../core/duration.js';
import { announce, buildRejection, clockOf, type PolicyEnvironment } from '../../core/environment.js';
import { TimeoutExceededError } from '../../core/errors.js';
import { execute } from '../../core/execute.js';

import type { Guard, Policy } from '../../core/policy.js';
import { AdaptiveTimeout, type AdaptiveTimeoutStats } from './adaptive-timeout.js';
import { HttpTimeouts, clientPhaseOf, type TimeoutPhase } from './http-timeouts.js';
import { timeoutSettings, type TimeoutOptions, type TimeoutSettings } from './timeout.options.js';

/** The numbers of a timeout. @publicApi */
export interface TimeoutStats {
  readonly name: string;
  /** What the next attempt may take, in milliseconds; `undefined` where attempts are not bounded. */
  readonly currentTimeoutMs: number | undefined;
  readonly totalTimeoutMs: number | undefined;
  readonly adaptiveEnabled: boolean;
  /** Attempts that were bounded, and how they ended; of a timeout that bounds no attempts, whole calls. */
  readonly totalAttempts: number;
  readonly successfulAttempts: number;
  readonly failedAttempts: number;
  readonly timedOutAttempts: number;
  /** Whole calls that ran out of time. */
  readonly timedOutCalls: number;
  /** Attempts by what ran out: an HTTP client's time to connect or to read, or the attempt's own. */
  readonly timedOutByPhase: Readonly<Record<TimeoutPhase, number>>;
  /** With `adaptive`: what it follows. */
  readonly adaptive: AdaptiveTimeoutStats | undefined;
}

/**
 * Bounds how long one attempt, and all attempts together, may take. When the time is over the caller gets
 * {@link TimeoutExceededError} and the call's signal aborts with it; a method that ignores the signal goes on unheard.
 *
 * @example
 * const timeout = new TimeoutPolicy('search', '2s');
 * const hits = await timeout.execute(({ signal }) => fetch(url, { signal }));
 *
 * @publicApi
 */
export class TimeoutPolicy implements Policy {
  readonly kind = 'timeout';
  /** Bounds one attempt. */
  attempt: Guard<CallTimer | undefined>;
  /** Bounds all attempts of a call. */
  readonly total: Guard<CallTimer | undefined>;
  private readonly clock: Clock;
  private options: TimeoutOptions;
  private settings: TimeoutSettings;
  private adaptive: AdaptiveTimeout | undefined;
  private totalAttempts = 0;
  private successfulAttempts = 0;
  private failedAttempts = 0;
  private timedOutAttempts = 0;
  private timedOutCalls = 0;
  private phases = { connect: 0, read: 0, request: 0 };
  /** The frames of `execute`. */
  private alone: Next;

  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(
    readonly name: string,
    options: TimeoutOptions | Duration = {},
    private readonly environment?: PolicyEnvironment,
  ) {
    this.options = asOptions(options);
    this.settings = timeoutSettings(this.options, `timeout "${name}"`);
    this.clock = clockOf(environment);
    this.adaptive = this.createAdaptive();
    this.attempt = this.createAttemptGuard();
    this.total = this.createTotalGuard();
    this.alone = this.composeAlone();
  }

  /** Whether single attempts are bounded. */
  get boundsAttempts(): boolean {
    return this.settings.durationMs !== undefined;
  }

  /** What all attempts may take together, in milliseconds. */
  get totalMs(): number | undefined {
    return this.settings.totalMs;
  }

  /** Configures HTTP clients with `connect`, `read` and `request`. */
  get http(): HttpTimeouts {
    return new HttpTimeouts(this.name, this.settings.http, this.clock);
  }

  /** @internal What it is set to do, for who looks at an application as a whole. */
  get configuration(): TimeoutSettings {
    return this.settings;
  }

  /**
   * Runs `fn` within the time.
   *
   * @throws {@link TimeoutExceededError} when it is over.
   */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    return execute(this.alone, fn, options, this.clock);
  }

  reset(): void {
    announce(this.environment, this, 'cleared');
    // Those that run count from now on, so that what they end as has been begun.
    this.totalAttempts -= this.successfulAttempts + this.failedAttempts + this.timedOutAttempts;
    this.successfulAttempts = this.failedAttempts = this.timedOutAttempts = this.timedOutCalls = 0;
    this.phases = { connect: 0, read: 0, request: 0 };
    this.adaptive?.reset();
  }

  /**
   * Changes options while it runs; attempts under way keep the time they were given.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: TimeoutOptions): void {
    const merged = { ...this.options, ...options };
    this.settings = timeoutSettings(merged, `timeout "${this.name}"`);
    this.options = merged;
    const { adaptive, durationMs } = this.settings;
    if (adaptive === undefined || this.adaptive === undefined) this.adaptive = this.createAdaptive();
    else this.adaptive.configure({ duration: durationMs as number, ...adaptive });
    this.attempt = this.createAttemptGuard();
    this.alone = this.composeAlone();
    recomposePipelines();
  }

  stats(): TimeoutStats {
    const { settings, adaptive } = this;
    return {
      name: this.name,
      currentTimeoutMs: adaptive?.stats().currentMs ?? settings.durationMs,
      totalTimeoutMs: settings.totalMs,
      adaptiveEnabled: adaptive !== undefined,
      totalAttempts: this.totalAttempts,
      successfulAttempts: this.successfulAttempts,
      failedAttempts: this.failedAttempts,
      timedOutAttempts: this.timedOutAttempts,
      timedOutCalls: this.timedOutCalls,
      timedOutByPhase: { ...this.phases, request: this.phases.request + this.timedOutAttempts },
      adaptive: adaptive?.stats(),
    };
  }

  describe(): string {
    const { settings } = this;
    const attempt =
      settings.adaptive !== undefined
        ? `P${settings.adaptive.percentile} × ${settings.adaptive.multiplier}, at most ${formatDuration(settings.adaptive.max)}`
        : settings.durationMs !== undefined && formatDuration(settings.durationMs);
    const total = settings.totalMs !== undefined && `${formatDuration(settings.totalMs)} in total`;
    return [attempt, total].filter(Boolean).join(', ');
  }

  private composeAlone(): Next {
    const { clock } = this;
    if (this.settings.totalMs === undefined) return attemptFrame({ guards: [this.attempt], clock });
    const next = attemptFrame({ guards: [this.attempt], clock, enclosed: true });
    return attemptFrame({ guards: [this.total], next, clock });
  }

  private createAttemptGuard(): Guard<CallTimer | undefined> {
    // An attempt that began before it was adaptive ends without a look at the clock.
    const timed = this.settings.adaptive !== undefined;
    return {
      policy: this,
      needsTime: timed ? 'start and end' : 'start',
      endsAttempts: true,
      enter: (call, now) => {
        const limitMs = this.adaptive?.current(now) ?? this.settings.durationMs;
        if (limitMs === undefined) return undefined;
        this.totalAttempts++;
        const timer = this.arm(call, now, limitMs, 'attempt');
        call.boundAttempt(timer);
        return timer;
      },
      cancel: (timer) => {
        if (timer === undefined) return;
        timer.settle();
        if (timer.fired) this.timedOutAttempts++;
        else this.totalAttempts--;
      },
      settle: (timer, _call, ok, result, startedAt, endedAt) => {
        if (timer === undefined) return;
        timer.settle();
        if (timer.fired) this.timedOutAttempts++;
        else if (ok) this.successfulAttempts++;
        else {
          this.failedAttempts++;
          this.notePhase(result);
        }
        if (timed && (ok || timer.fired)) this.adaptive?.record(endedAt - startedAt);
      },
    };
  }

  private createTotalGuard(): Guard<CallTimer | undefined> {
    return {
      policy: this,
      needsTime: 'start',
      endsAttempts: true,
      boundsCall: true,
      enter: (call, now) => {
        const { totalMs } = this.settings;
        if (totalMs === undefined) return undefined;
        if (!this.boundsAttempts) this.totalAttempts++;
        call.bound(now + totalMs);
        return this.arm(call, now, totalMs, 'total');
      },
      cancel: (timer) => {
        if (timer === undefined) return;
        timer.settle();
        if (timer.fired) this.noteTotal();
        else if (!this.boundsAttempts) this.totalAttempts--;
      },
      settle: (timer, _call, ok) => {
        if (timer === undefined) return;
        timer.settle();
        if (timer.fired && !ok) this.noteTotal();
        else if (this.boundsAttempts) return;
        else if (ok) this.successfulAttempts++;
        else this.failedAttempts++;
      },
    };
  }

  /** A whole call ran out of time; where attempts have no time of their own, that was an attempt's. */
  private noteTotal(): void {
    this.timedOutCalls++;
    if (!this.boundsAttempts) this.timedOutAttempts++;
  }

  /** An attempt failed before its time was over: perhaps because its HTTP client ran out of one of its own. */
  private notePhase(error: unknown): void {
    const phase = clientPhaseOf(error, this.name);
    if (phase === undefined) return;
    this.phases[phase]++;
    const limitMs = this.settings.http[`${phase}Ms`];
    announce(this.environment, this, 'timed-out', () => ({ scope: phase, limitMs, error }));
  }

  private arm(call: Call, now: number, limitMs: number, scope: 'attempt' | 'total'): CallTimer {
    call.cancellable = true;
    const watched = this.environment?.events?.witnessed === true;
    const context = watched ? captureContext() : undefined;
    const timer = new TimeoutTimer(call, this.clock, this, limitMs, scope, context);
    this.clock.arm(timer, now + limitMs);
    return timer;
  }

  /** @internal The error of a timer that ran out, or nothing where a first value was enough. */
  expired(call: Call, limitMs: number, scope: 'attempt' | 'total'): TimeoutExceededError | undefined {
    if (this.settings.untilFirst && call.emitted) return undefined;
    const what = scope === 'total' ? 'The whole call' : 'The attempt';
    const message = `${what} took longer than the ${formatDuration(limitMs)} of timeout "${this.name}".`;
    const error = buildRejection(
      this.environment,
      () => new TimeoutExceededError(message, { policy: this.name }, scope, limitMs),
    );
    announce(this.environment, this, 'timed-out', () => ({ scope, limitMs, error }));
    return error;
  }

  private createAdaptive(): AdaptiveTimeout | undefined {
    const { adaptive, durationMs } = this.settings;
    return adaptive && new AdaptiveTimeout({ duration: durationMs as number, ...adaptive }, this.environment);
  }
}

class TimeoutTimer extends CallTimer {
  constructor(
    call: Call,
    clock: Clock,
    private readonly owner: TimeoutPolicy,
    private readonly limitMs: number,
    private readonly scope: 'attempt' | 'total',
    private readonly context: AsyncResource | undefined,
  ) {
    super(call, clock);
  }

  /** Where somebody watches, also what follows from the time-out belongs to the caller. */
  override onDue(): void {
    runInContext(this.context, () => super.onDue());
  }

  protected override reason(): TimeoutExceededError | undefined {
    return this.owner.expired(this.call, this.limitMs, this.scope);
  }
}

function asOptions(options: TimeoutOptions | Duration): TimeoutOptions {
  return typeof options === 'object' ? options : { duration: options };
}
