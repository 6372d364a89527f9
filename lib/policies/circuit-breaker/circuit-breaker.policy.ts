import type { Call, CallInfo, CallOptions, Next } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import {
  announce,
  buildRejection,
  clockOf,
  randomOf,
  type PolicyEnvironment,
} from '../../core/environment.js';
import { CircuitOpenError, TimeoutExceededError, isRejection } from '../../core/errors.js';
import { recomposePipelines } from '../../core/composition.js';
import { attemptFrame } from '../../core/attempt-frame.js';
import { execute } from '../../core/execute.js';
import type { PermitWait } from '../../core/permit-wait.js';
import type { Guard, Policy } from '../../core/policy.js';
import { subjectOf } from '../../core/shared-state.js';
import { classify } from './classification.js';
import { Circuit, type Admission, type CircuitObserver, type SharedCircuitStats } from './circuit.js';
import type { CircuitState } from './circuit-state.js';
import {
  circuitBreakerSettings,
  type CircuitBreakerOptions,
  type CircuitSettings,
} from './circuit-breaker.options.js';
import { KeyedCircuits, type KeyedCircuitStats } from './keyed-circuits.js';
import { SharedCircuit } from './shared-circuit.js';
import { FAILED, SLOW } from './sliding-window.js';

/** The numbers of a circuit breaker. Percentages are `undefined` below the minimum of calls, and `null` in JSON. @publicApi */
export interface CircuitBreakerStats {
  readonly name: string;
  readonly state: CircuitState;
  /** Calls that were let in and have ended, since the start. */
  readonly totalCalls: number;
  readonly totalSuccesses: number;
  readonly totalFailures: number;
  readonly totalIgnored: number;
  readonly totalSlow: number;
  readonly totalRejected: number;
  /** Within the window. */
  readonly calls: number;
  readonly failureCount: number;
  readonly successCount: number;
  readonly failureRatePercent: number | undefined;
  readonly slowCallRatePercent: number | undefined;
  /** Consecutive openings. */
  readonly openings: number;
  readonly retryAfterMs: number | undefined;
  /** ISO time stamps; `undefined` where it has not happened yet. */
  readonly lastFailureTime: string | undefined;
  readonly lastOpenTime: string | undefined;
  readonly lastStateChange: string | undefined;
  /** Why it is in this state, and who put it there where somebody did. */
  readonly reason: string | undefined;
  readonly config: {
    readonly failureThreshold: number | undefined;
    readonly minimumCalls: number;
    readonly windowMs: number | undefined;
    readonly windowCalls: number | undefined;
    readonly openDurationMs: number;
    readonly successThreshold: number;
  };
  /** Where instances share it. */
  readonly shared?: SharedCircuitStats;
  /** With `key`. */
  readonly keys?: KeyedCircuitStats;
}

/**
 * Stops calling what keeps failing. Counts outcomes in a window; past a threshold it opens and refuses calls with
 * {@link CircuitOpenError}; after the open duration it lets a few probes through and closes or re-opens by how they end.
 *
 * After Nygard, *Release It!*, and Resilience4j's count- and time-based windows.
 *
 * @example
 * const breaker = new CircuitBreakerPolicy('payments', { failureRatePercent: 50, window: { calls: 20 }, minimumCalls: 10 });
 * const receipt = await breaker.execute(() => gateway.charge(order));
 *
 * @publicApi
 */
export class CircuitBreakerPolicy implements Policy, Guard<Admission>, CircuitObserver {
  readonly kind = 'circuitBreaker';
  readonly policy = this;
  private readonly clock: Clock;
  private readonly circuit: Circuit;
  /** Once there is a `key`. */
  private keyed: KeyedCircuits | undefined;
  /** This instance shares nothing any more. */
  private hasLeft = false;
  /** What an operator decided for all keys, those to come included. */
  private manualState: 'closed' | 'forced-open' | 'disabled' | 'meter-only' | undefined;
  /** The frame of `execute`. */
  private alone: Next | undefined;
  private settings: CircuitSettings;
  private totalSuccesses = 0;
  private totalFailures = 0;
  private totalIgnored = 0;
  private totalSlow = 0;
  private totalRejected = 0;
  private lastFailureAt = Number.NaN;
  private lastOpenAt = Number.NaN;
  private lastChangeAt = Number.NaN;
  private reason: string | undefined;
  /** The cause of what it refuses while it is forced open. */
  private cause: unknown;

  /**
   * @param name - Names it in errors, events and stats.
   * @throws {@link InvalidOptionsError} naming every option that cannot be.
   */
  constructor(
    readonly name: string,
    private options: CircuitBreakerOptions = {},
    private readonly environment?: PolicyEnvironment,
  ) {
    this.settings = circuitBreakerSettings(options, `circuit breaker "${name}"`);
    this.clock = clockOf(environment);
    this.circuit = this.createCircuit(undefined, this.settings.initialState);
    this.declareNumbers();
    environment?.fleet?.onLeave?.(async () => this.stopSharing());
    if (this.settings.key !== undefined) this.keyed = this.createKeyed();
  }

  /** What the next call would find, worked out from the clock. Of a keyed breaker: its shared, unkeyed circuit. */
  get state(): CircuitState {
    return this.circuit.state;
  }

  get needsTime(): 'never' | 'start and end' {
    return this.settings.timed ? 'start and end' : 'never';
  }

  /** @internal What it is set to do, for who looks at an application as a whole. */
  get configuration(): CircuitSettings {
    return this.settings;
  }

  /**
   * Runs `fn` under this breaker alone.
   *
   * @throws {@link CircuitOpenError} without running `fn` while open; else what `fn` throws.
   */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    this.alone ??= attemptFrame({ guards: [this], clock: this.clock });
    return execute(this.alone, fn, options, this.clock);
  }

  /**
   * Refuses everything until told otherwise.
   *
   * @param reason - Kept for the stats: why, and who. An error is the cause of all refusals as well.
   */
  forceOpen(reason: string | Error = 'forced open'): void {
    const given = typeof reason === 'string' ? reason : reason.message;
    this.cause = typeof reason === 'string' ? undefined : reason;
    this.setAll('forced-open', given);
  }

  /** Lets everything pass until told otherwise. Its window stays empty; the totals go on. */
  disable(reason = 'disabled'): void {
    this.setAll('disabled', reason);
  }

  /** Lets everything pass, and only reports when a threshold is crossed. */
  meterOnly(reason = 'meter only'): void {
    this.setAll('meter-only', reason);
  }

  /** Closes it now, with an empty window. */
  close(reason = 'closed by hand'): void {
    this.setAll('closed', reason);
  }

  /** Back to its initial state, with empty windows and totals at 0; what was decided by hand ends. */
  reset(): void {
    announce(this.environment, this, 'cleared');
    this.keyed?.forEach((circuit) => circuit.guide?.closeForAll());
    this.keyed?.clear();
    this.manualState = undefined;
    this.circuit.set(this.settings.initialState, 'reset');
    this.circuit.guide?.closeForAll();
    this.totalSuccesses = this.totalFailures = this.totalIgnored = this.totalSlow = this.totalRejected = 0;
    this.lastFailureAt = this.lastOpenAt = Number.NaN;
  }

  /**
   * Changes options while it runs; state and, where the window stays the same, its contents are kept.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: CircuitBreakerOptions): void {
    const merged = { ...this.options, ...options };
    this.settings = circuitBreakerSettings(merged, `circuit breaker "${this.name}"`);
    this.options = merged;
    this.alone = undefined;
    recomposePipelines();
    const configure = (circuit: Circuit) => {
      circuit.configure(this.settings);
      this.share(circuit);
    };
    configure(this.circuit);
    this.declareNumbers();
    this.keyed?.configure(this.settings.maxKeys, configure);
    if (this.settings.key !== undefined) this.keyed ??= this.createKeyed();
  }

  isCalm(call: Call): boolean {
    const { state, guide } = this.circuitOf(call);
    if (state === 'disabled' || state === 'meter-only') return true;
    return state === 'closed' && (guide === undefined || guide.admittedPercent === 100);
  }

  peek(call: Call): CircuitOpenError | undefined {
    const circuit = this.circuitOf(call);
    return circuit.refuses() ? this.refusal(circuit) : undefined;
  }

  enter(call: Call): Admission | PermitWait<Admission> {
    const circuit = this.circuitOf(call);
    if (circuit.refuses()) throw this.refusal(circuit);
    return circuit.guide === undefined ? circuit.admit() : circuit.guide.enter(call);
  }

  /** With `recordErrors` what is refused further in may count as well; so does a timeout that ended the wait there. */
  cancel(admission: Admission, call: Call, error: unknown): void {
    let counts = false;
    try {
      const isOurs = isRejection(error) || error instanceof TimeoutExceededError;
      counts = isOurs && classify(this.settings, call, false, error) === 'failure';
    } finally {
      if (!counts) this.release(admission);
    }
    if (counts) this.settle(admission, call, false, error, Number.NaN, Number.NaN);
  }

  get hearsRefusals(): boolean {
    return this.settings.recordErrors !== undefined;
  }

  settle(
    admission: Admission,
    call: Call,
    ok: boolean,
    result: unknown,
    startedAt: number,
    endedAt: number,
  ): void {
    let kind;
    try {
      kind = classify(this.settings, call, ok, result);
    } catch (error) {
      this.totalIgnored++;
      this.release(admission);
      throw error;
    }
    if (kind === 'ignored') {
      this.totalIgnored++;
      this.release(admission);
      return;
    }
    let flags = 0;
    if (kind === 'success') this.totalSuccesses++;
    else {
      this.totalFailures++;
      this.lastFailureAt = this.clock.wallTime();
      flags = FAILED;
    }
    // Read only where it is asked for: two clock readings are a third of an uncontended call.
    if (
      this.settings.slowCallRatePercent !== undefined &&
      endedAt - startedAt > this.settings.slowCallDurationMs
    ) {
      this.totalSlow++;
      flags |= SLOW;
    }
    // Without a time window nothing needs to know when. NaN where it was not timed yet when the call began.
    const at = this.settings.timed && Number.isNaN(endedAt) ? this.clock.now() : endedAt;
    const { circuit } = admission;
    circuit.record(admission, flags, at);
    circuit.guide?.settled(admission, flags);
    this.keyed?.returned(circuit);
  }

  changed(circuit: Circuit, from: CircuitState, to: CircuitState, reason: string): void {
    this.lastChangeAt = this.clock.wallTime();
    this.reason = reason;
    if (to === 'open') this.lastOpenAt = this.lastChangeAt;
    if (from !== to) this.emit('state-changed', circuit, { from, to, reason });
  }

  crossed(circuit: Circuit, reason: string): void {
    this.emit('threshold-crossed', circuit, { reason });
  }

  stats(): CircuitBreakerStats {
    const { circuit, settings, clock } = this;
    const state = circuit.state;
    const calls = circuit.calls;
    return withNullsInJson({
      name: this.name,
      state,
      totalCalls: this.totalSuccesses + this.totalFailures + this.totalIgnored,
      totalSuccesses: this.totalSuccesses,
      totalFailures: this.totalFailures,
      totalIgnored: this.totalIgnored,
      totalSlow: this.totalSlow,
      totalRejected: this.totalRejected,
      calls,
      failureCount: circuit.failures,
      successCount: calls - circuit.failures,
      failureRatePercent: circuit.failureRatePercent,
      slowCallRatePercent: circuit.slowCallRatePercent,
      openings: circuit.openings,
      retryAfterMs: state === 'open' ? circuit.retryAfterMs(clock.now()) : undefined,
      lastFailureTime: isoTime(this.lastFailureAt),
      lastOpenTime: isoTime(this.lastOpenAt),
      lastStateChange: isoTime(this.lastChangeAt),
      reason: this.reason,
      config: {
        failureThreshold: settings.failureThreshold,
        minimumCalls: settings.minimumCalls,
        windowMs: settings.window?.durationMs,
        windowCalls: settings.window?.calls,
        openDurationMs: settings.openDuration(1),
        successThreshold: settings.successThreshold,
      },
      ...(circuit.guide && { shared: circuit.guide.stats() }),
      ...(this.keyed && { keys: this.keyed.stats() }),
    });
  }

  describe(): string {
    const { settings } = this;
    const rules = [
      settings.failureThreshold !== undefined &&
        `${settings.failureThreshold} ${settings.window ? 'failures' : 'consecutive failures'}`,
      settings.failureRatePercent !== undefined && `failure rate ${settings.failureRatePercent} %`,
      settings.slowCallRatePercent !== undefined &&
        `slow-call rate ${settings.slowCallRatePercent} % over ${formatDuration(settings.slowCallDurationMs)}`,
    ].filter(Boolean);
    const window = settings.window?.calls
      ? ` in ${settings.window.calls} calls`
      : settings.window?.durationMs
        ? ` in ${formatDuration(settings.window.durationMs)}`
        : '';
    return `opens at ${rules.join(' or ')}${window}, for ${formatDuration(settings.openDuration(1))}`;
  }

  private createKeyed(): KeyedCircuits {
    return new KeyedCircuits(
      this.settings.maxKeys,
      (key, isOverflow) => this.createCircuit(key, this.manualState, isOverflow),
      () => this.warnOfOverflow(),
      () => this.clock.now(),
    );
  }

  private createCircuit(
    key: string | undefined,
    state: Exclude<CircuitState, 'half-open'> | undefined,
    isOverflow = false,
  ): Circuit {
    const circuit = new Circuit(this.settings, this.clock, this, key, state, isOverflow);
    this.share(circuit);
    return circuit;
  }

  /** Brings a circuit together with those of other instances, where the options say so, and apart where they do not. */
  private share(circuit: Circuit): void {
    if (circuit.isOverflow) return;
    const { settings, environment } = this;
    if (circuit.guide?.stats().scope === settings.shared) return;
    circuit.guide?.stop();
    const fleet = environment?.fleet;
    if (settings.shared === undefined || fleet === undefined || this.hasLeft) return;
    const key = { kind: this.kind, policy: this.name, subject: subjectOf(circuit.key) };
    new SharedCircuit(circuit, settings.shared, fleet, key, this.clock, randomOf(environment), {
      settings: () => this.settings,
      refusal: (refused) => this.refusal(refused),
    });
  }

  /** Instances tell each other what they go by. */
  private declareNumbers(): void {
    if (this.settings.shared !== undefined)
      this.environment?.fleet?.declare?.(this.kind, this.name, this.describe());
  }

  private stopSharing(): void {
    this.hasLeft = true;
    this.circuit.guide?.stop();
    this.keyed?.forEach(({ guide }) => guide?.stop());
  }

  private circuitOf(call: Call): Circuit {
    const { key } = this.settings;
    if (key === undefined || this.keyed === undefined) return this.circuit;
    const name = call.options.key ?? key(call) ?? undefined;
    return name === undefined ? this.circuit : this.keyed.of(name);
  }

  private release(admission: Admission): void {
    admission.circuit.release(admission);
    admission.circuit.guide?.settled(admission, undefined);
    this.keyed?.returned(admission.circuit);
  }

  private setAll(state: 'closed' | 'forced-open' | 'disabled' | 'meter-only', reason: string): void {
    this.manualState = state;
    const set = (circuit: Circuit) => {
      circuit.set(state, reason);
      if (state === 'closed') circuit.guide?.closeForAll();
    };
    set(this.circuit);
    this.keyed?.forEach(set);
  }

  private refusal(circuit: Circuit): CircuitOpenError {
    this.totalRejected++;
    const retryAfterMs =
      circuit.state === 'closed' ? circuit.guide?.retryAfterMs() : circuit.retryAfterMs(this.clock.now());
    const build = () =>
      new CircuitOpenError(refusalMessage(this.name, circuit, retryAfterMs), {
        policy: this.name,
        retryAfterMs,
        cause: circuit.state === 'forced-open' ? this.cause : undefined,
      });
    const error = buildRejection(this.environment, build);
    this.emit('rejected', circuit, { error });
    return error;
  }

  private warnOfOverflow(): void {
    process.emitWarning(
      `Circuit breaker "${this.name}" has ${this.settings.maxKeys} keys, none of them idle; new keys share one circuit. Raise "maxKeys".`,
      'ResilienceWarning',
    );
  }

  private emit(type: string, circuit: Circuit, details: Readonly<Record<string, unknown>>): void {
    const { key } = circuit;
    announce(this.environment, this, type, () => (key === undefined ? details : { ...details, key }));
  }
}

function refusalMessage(name: string, circuit: Circuit, retryAfterMs: number | undefined): string {
  const key = circuit.key === undefined ? '' : ` (key "${circuit.key}")`;
  if (circuit.state === 'closed' && circuit.guide !== undefined) {
    return `Circuit breaker "${name}"${key} closes again and lets ${circuit.guide.admittedPercent} % of calls pass.`;
  }
  if (retryAfterMs !== undefined) {
    return `Circuit breaker "${name}"${key} is open; it lets a probe in after ${formatDuration(Math.ceil(retryAfterMs))}.`;
  }
  return circuit.state === 'forced-open'
    ? `Circuit breaker "${name}"${key} was forced open.`
    : `Circuit breaker "${name}"${key} is half-open and its probes are out.`;
}

/** A rate that is not known has its place in JSON all the same. */
function withNullsInJson(stats: CircuitBreakerStats): CircuitBreakerStats {
  const toJSON = () => ({
    ...stats,
    failureRatePercent: stats.failureRatePercent ?? null,
    slowCallRatePercent: stats.slowCallRatePercent ?? null,
  });
  return Object.defineProperty(stats, 'toJSON', { value: toJSON });
}

function isoTime(wallTime: number): string | undefined {
  return Number.isNaN(wallTime) ? undefined : new Date(wallTime).toISOString();
}
