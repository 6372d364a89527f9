import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { PermitWait } from '../../core/permit-wait.js';
import type { CircuitScope } from '../../core/shared-state.js';
import {
  CallsWindow,
  ConsecutiveWindow,
  FAILED,
  SLOW,
  TimeWindow,
  type OutcomeWindow,
} from './sliding-window.js';
import type { CircuitSettings } from './circuit-breaker.options.js';
import type { CircuitState } from './circuit-state.js';

const MANUAL = ['forced-open', 'disabled', 'meter-only', 'closed', 'open'] as const;

/** The state machine: where each state may go. What is not here throws. */
export const CIRCUIT_TRANSITIONS: Readonly<Record<CircuitState, readonly CircuitState[]>> = {
  closed: MANUAL,
  open: [...MANUAL, 'half-open'],
  'half-open': MANUAL,
  'forced-open': MANUAL,
  disabled: MANUAL,
  'meter-only': MANUAL,
};

/**
 * A permit: what a call was let in under. It belongs to one generation of the circuit, which a transition ends; what
 * comes back under an older one is stale and decides nothing.
 */
export class Admission {
  /** Of a half-open probe: when it was let in. */
  startedAt = 0;
  /** Of a probe of all instances: its name, and the version it belongs to. */
  fleetProbe: { readonly probe: string; readonly version: number } | undefined = undefined;

  constructor(
    readonly circuit: Circuit,
    readonly probe: boolean,
  ) {}
}

/** A circuit that instances share, as one of them sees it. @publicApi */
export interface SharedCircuitStats {
  readonly scope: CircuitScope;
  /** Whether all instances have opened it, and not this one alone. */
  readonly openForAll: boolean;
  /** How many of 100 calls pass; less than all for some seconds after it has closed for all. */
  readonly admittedPercent: number;
}

/** Decides over a circuit together with other instances. */
export interface CircuitGuide {
  readonly admittedPercent: number;
  /** When more calls pass than do now. */
  retryAfterMs(): number;
  /** A call is here, which the circuit itself would let in. */
  enter(call: Call): Admission | PermitWait<Admission>;
  /** A permit has come back. `flags` is `undefined` where the call counted as nothing. */
  settled(admission: Admission, flags: number | undefined): void;
  changed(to: CircuitState): void;
  /** An operator closed this circuit: all of them close. */
  closeForAll(): void;
  stats(): SharedCircuitStats;
  /** Says nothing more; its circuit goes on alone. */
  stop(): void;
}

/** Told of what happens in a circuit. */
export interface CircuitObserver {
  changed(circuit: Circuit, from: CircuitState, to: CircuitState, reason: string): void;
  crossed(circuit: Circuit, reason: string): void;
}

/**
 * One circuit: its state, its window, its probes. It needs no timer: what time has done to it is worked out when
 * somebody asks. State is read and changed without an await in between, so that no call sees the machine move under it.
 */
export class Circuit {
  /** How often it has opened in a row; 0 after it closed. */
  openings = 0;
  guide: CircuitGuide | undefined = undefined;
  /** Whether it is half-open, and others decide how that ends: probes are let in and counted, and no more. */
  isGuidedHalfOpen = false;
  private current: CircuitState = 'closed';
  /** Calls that were let in and have not come back. */
  private running = 0;
  private window: OutcomeWindow;
  /** The permit of everything but probes; replaced by each transition, which makes older permits stale. */
  private generation = new Admission(this, false);
  private openUntil = 0;
  /** Half-open: the probes that are out, oldest first. */
  private probes: Set<Admission> | undefined;
  private probeResults = { recorded: 0, failures: 0, slow: 0 };
  /** Meter-only: whether a threshold is crossed at the moment. */
  private above = false;

  constructor(
    private settings: CircuitSettings,
    private readonly clock: Clock,
    private readonly observer: CircuitObserver,
    /** Which key it stands for, where there are several. */
    readonly key: string | undefined,
    initialState: Exclude<CircuitState, 'half-open'> = settings.initialState,
    /** Whether it stands for several keys, which are others on each instance. */
    readonly isOverflow: boolean,
  ) {
    this.window = createWindow(settings);
    if (initialState !== 'closed') this.set(initialState, 'initial state');
  }

  /** The state as of now, worked out without changing anything. */
  get state(): CircuitState {
    const { current } = this;
    if (current !== 'open' && current !== 'half-open') return current;
    const now = this.clock.now();
    return now < this.opensUntil(now) ? 'open' : 'half-open';
  }

  /**
   * From when on nothing would be lost with it: closed, no call inside, neither failures nor slow calls counted.
   * `Infinity` where more than time is needed for that.
   */
  get idleAt(): number {
    return this.current === 'closed' && this.running === 0 ? this.window.cleanAt() : Number.POSITIVE_INFINITY;
  }

  get calls(): number {
    this.window.advance(this.clock.now());
    return this.window.calls;
  }

  get failures(): number {
    this.window.advance(this.clock.now());
    return this.window.failures;
  }

  /** Failures per 100 calls of the window; `undefined` below the minimum of calls. */
  get failureRatePercent(): number | undefined {
    return this.rate(this.failures);
  }

  /** Slow calls per 100 calls of the window; `undefined` below the minimum of calls. */
  get slowCallRatePercent(): number | undefined {
    this.window.advance(this.clock.now());
    return this.rate(this.window.slow);
  }

  /** Milliseconds until an open circuit lets a probe in; `undefined` where nobody knows. */
  retryAfterMs(now: number): number | undefined {
    const until = this.opensUntil(now);
    return this.current === 'open' || until > now ? Math.max(0, until - now) : undefined;
  }

  /** Whether a call would be refused now. Does what the clock has made due. */
  refuses(): boolean {
    switch (this.current) {
      case 'closed':
      case 'disabled':
      case 'meter-only':
        return false;
      case 'forced-open':
        return true;
      case 'open':
      case 'half-open':
        this.catchUp(this.clock.now());
        return this.current === 'open' || !this.hasProbePermit();
    }
  }

  /** Lets a call in that `refuses()` has just said it would not refuse. */
  admit(): Admission {
    this.running++;
    if (this.current !== 'half-open') return this.generation;
    const probe = new Admission(this, true);
    probe.startedAt = this.clock.now();
    (this.probes ??= new Set()).add(probe);
    return probe;
  }

  /** A call's permit comes back with nothing to count. */
  release(admission: Admission): void {
    this.running--;
    if (!admission.probe) return;
    this.catchUp(this.clock.now());
    this.probes?.delete(admission);
  }

  /** A call's permit comes back with what it was. Stale and doubled permits change nothing. */
  record(admission: Admission, flags: number, now: number): void {
    this.running--;
    if (admission.probe) {
      this.catchUp(this.clock.now());
      if (this.probes?.delete(admission) === true) this.recordProbe(flags);
      return;
    }
    if (admission !== this.generation) return;
    if (this.current === 'closed') {
      this.window.record(flags, now);
      // A plain success can only matter where it may complete a minimum.
      if (flags === 0 && this.settings.minimumCalls === 0) return;
      const reason = this.exceeded();
      if (reason !== undefined) this.open(this.clock.now(), reason);
    } else if (this.current === 'meter-only') {
      this.window.record(flags, now);
      const reason = this.exceeded();
      if (reason !== undefined && !this.above) this.observer.crossed(this, reason);
      this.above = reason !== undefined;
    }
  }

  /** An operator's decision; cancels whatever was pending. */
  set(state: 'closed' | 'open' | 'forced-open' | 'disabled' | 'meter-only', reason: string): void {
    if (state === 'open') this.open(this.clock.now(), reason);
    else this.transition(state, reason);
  }

  /** Opens until `until` because others say so, who also decide how its half-open ends. */
  openGuided(until: number, openings: number, reason: string): void {
    this.openings = openings;
    this.openUntil = until;
    this.transition('open', reason);
  }

  /** From now on it decides by itself how its half-open ends, with the probes that it has seen. */
  goAlone(): void {
    this.isGuidedHalfOpen = false;
    if (this.current === 'half-open') this.decideProbes();
  }

  /** The others decide how its half-open ends, where it is that. */
  followAgain(): void {
    this.isGuidedHalfOpen = this.current === 'half-open';
  }

  /** Takes new settings over; what the window holds stays where the window is the same. */
  configure(settings: CircuitSettings): void {
    const previous = this.settings;
    this.settings = settings;
    if (!sameWindow(previous, settings)) this.window = createWindow(settings);
    // What has been seen of its probes may be enough now, and no further one be let in.
    if (this.current === 'half-open' && !this.isGuidedHalfOpen) this.decideProbes();
  }

  private recordProbe(flags: number): void {
    const { probeResults } = this;
    probeResults.recorded++;
    if ((flags & FAILED) !== 0) probeResults.failures++;
    if ((flags & SLOW) !== 0) probeResults.slow++;
    if (!this.isGuidedHalfOpen) this.decideProbes();
  }

  private decideProbes(): void {
    const now = this.clock.now();
    const { settings, probeResults } = this;
    if (!settings.rateMode) {
      if (probeResults.failures > 0) this.open(now, 'a half-open probe failed');
      else if (probeResults.recorded >= settings.successThreshold)
        this.transition('closed', 'probes succeeded');
      return;
    }
    if (probeResults.recorded < settings.probeLimit) return;
    const percent = 100 / probeResults.recorded;
    const failed =
      reaches(probeResults.failures * percent, settings.failureRatePercent) ||
      (settings.failureRatePercent === undefined && probeResults.failures > 0);
    if (failed) this.open(now, 'half-open probes failed');
    else if (reaches(probeResults.slow * percent, settings.slowCallRatePercent))
      this.open(now, 'half-open probes were slow');
    else this.transition('closed', 'probes succeeded');
  }

  /** In rate mode permits and results together are bounded; otherwise only what runs at the same time is. */
  private hasProbePermit(): boolean {
    const out = this.probes?.size ?? 0;
    const { settings } = this;
    if (out >= settings.halfOpenMaxCalls) return false;
    return (
      !settings.rateMode || this.isGuidedHalfOpen || out + this.probeResults.recorded < settings.probeLimit
    );
  }

  /** Which rule the window breaks, in words. */
  private exceeded(): string | undefined {
    const { settings, window } = this;
    if (window.calls < settings.minimumCalls) return undefined;
    if (settings.failureThreshold !== undefined && window.failures >= settings.failureThreshold) {
      return `${window.failures} failures`;
    }
    const percent = 100 / window.calls;
    if (reaches(window.failures * percent, settings.failureRatePercent)) {
      return `failure rate ${(window.failures * percent).toFixed(1)} %`;
    }
    if (reaches(window.slow * percent, settings.slowCallRatePercent)) {
      return `slow-call rate ${(window.slow * percent).toFixed(1)} %`;
    }
    return undefined;
  }

  private rate(count: number): number | undefined {
    if (this.settings.window === undefined) return undefined;
    const { calls } = this.window;
    return calls === 0 || calls < this.settings.minimumCalls ? undefined : (count * 100) / calls;
  }

  /** Open → half-open when the wait is over; half-open → open when a probe never came back. */
  private catchUp(now: number): void {
    for (;;) {
      if (this.current === 'open' && now >= this.openUntil) {
        this.transition('half-open', 'the open duration is over');
      }
      if (this.current !== 'half-open') return;
      const reopensAt = this.hungProbeAt();
      if (now < reopensAt) return;
      this.open(reopensAt, 'a half-open probe did not settle in time');
    }
  }

  /** Until when it is open, as `catchUp` would find; in the past where it is not. */
  private opensUntil(now: number): number {
    if (this.current === 'open') return this.openUntil;
    const reopensAt = this.hungProbeAt();
    return now < reopensAt
      ? Number.NEGATIVE_INFINITY
      : reopensAt + this.settings.openDuration(this.openings + 1);
  }

  private hungProbeAt(): number {
    const oldest = this.probes?.values().next().value;
    if (oldest === undefined) return Number.POSITIVE_INFINITY;
    return oldest.startedAt + this.settings.halfOpenMaxDurationMs(this.openings);
  }

  private open(at: number, reason: string): void {
    this.openings++;
    this.openUntil = at + this.settings.openDuration(this.openings);
    this.transition('open', reason);
  }

  private transition(to: CircuitState, reason: string): void {
    const from = this.current;
    if (!CIRCUIT_TRANSITIONS[from].includes(to))
      throw new Error(`A circuit cannot go from ${from} to ${to}.`);
    this.current = to;
    this.generation = new Admission(this, false);
    this.probes = undefined;
    this.above = false;
    this.probeResults = { recorded: 0, failures: 0, slow: 0 };
    if (to === 'closed') this.openings = 0;
    this.window.clear();
    this.isGuidedHalfOpen = false;
    this.guide?.changed(to);
    this.observer.changed(this, from, to, reason);
  }
}

function reaches(ratePercent: number, threshold: number | undefined): boolean {
  // A rate that equals its threshold counts; the margin takes up the division's rounding.
  return threshold !== undefined && ratePercent >= threshold - 1e-9;
}

function createWindow({ window }: CircuitSettings): OutcomeWindow {
  if (window === undefined) return new ConsecutiveWindow();
  return window.calls === undefined ? new TimeWindow(window.durationMs) : new CallsWindow(window.calls);
}

function sameWindow(a: CircuitSettings, b: CircuitSettings): boolean {
  return a.window?.calls === b.window?.calls && a.window?.durationMs === b.window?.durationMs;
}
