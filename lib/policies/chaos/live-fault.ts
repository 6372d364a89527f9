import type { Clock } from '../../core/clock.js';
import { parseDuration } from '../../core/duration.js';
import { TimerEntry } from '../../core/timer-entry.js';
import type { CircuitBreakerPolicy } from '../circuit-breaker/index.js';
import { BLAST_RADII, DEFAULT_RADIUS, type WantedReach } from './blast-radius.js';
import type { ChaosOptions } from './chaos.options.js';
import type { ChaosPolicy } from './chaos.policy.js';
import type { ChaosFault } from './fault.js';
import { TargetMatcher, holdsAny, type FaultTarget, type Joinable } from './fault-target.js';
import type { CircuitHolder } from './forced-circuits.js';
import type { FaultOptions } from './live-fault.options.js';

/** How a fault ended: its time was over, somebody stopped it, or the experiment that had started it took it back. */
export type FaultEnd = 'time' | 'stopped' | 'rolled-back';

/** A fault that is, or was, in a running application. @publicApi */
export interface ActiveFault {
  readonly id: string;
  readonly name: string;
  readonly fault: ChaosFault;
  /** The pipelines that it has joined, and the circuit breakers that it forced open. */
  readonly targets: readonly string[];
  readonly ratePercent: number;
  /** ISO time stamp. */
  readonly startedAt: string;
  /** 0 once it has ended. */
  readonly remainingMs: number;
  /** How it ended; `undefined` while it is active. */
  readonly endedBy: FaultEnd | undefined;
  /** Calls that came to its pipelines, and calls that it hit. */
  readonly totalCalls: number;
  readonly totalInjected: number;
  /** Ends it; calls that it keeps go on into the method. False where it had ended already. */
  stop(): boolean;
}

/** A fault, from its start to its end. */
export class LiveFault extends TimerEntry implements ActiveFault, CircuitHolder {
  readonly matchers: readonly TargetMatcher[];
  readonly durationMs: number;
  readonly startedAt: string;
  endedBy: FaultEnd | undefined;
  /** The circuits that it forced open, and as how many targets they count. */
  private circuits: readonly CircuitBreakerPolicy[] = [];
  private held = 0;
  /** Calls that these have refused because of it. */
  private refused = 0;
  private readonly joined = new Set<Joinable>();
  private readonly maxTargets: number;

  constructor(
    readonly id: string,
    readonly policy: ChaosPolicy,
    options: FaultOptions,
    private readonly clock: Clock,
    private readonly onEnd: (how: FaultEnd) => void,
  ) {
    super();
    this.matchers = matchersOf(options);
    this.durationMs = durationOf(options);
    this.startedAt = new Date(clock.wallTime()).toISOString();
    this.maxTargets = BLAST_RADII[options.blastRadius ?? DEFAULT_RADIUS].targets;
  }

  get name(): string {
    return this.policy.name;
  }

  get fault(): ChaosFault {
    return this.policy.stats().fault as ChaosFault;
  }

  get ratePercent(): number {
    return this.policy.stats().ratePercent;
  }

  get targets(): readonly string[] {
    const names = [...this.joined, ...this.circuits].map(({ name }) => name);
    return [...new Set(names)];
  }

  get remainingMs(): number {
    return this.endedBy === undefined ? Math.max(0, this.dueAt - this.clock.now()) : 0;
  }

  get totalCalls(): number {
    return this.policy.stats().totalCalls + this.refused;
  }

  get totalInjected(): number {
    return this.policy.stats().totalInjected + this.refused;
  }

  /** Pipelines that these circuits stand in are hit by them. */
  holds(circuits: readonly CircuitBreakerPolicy[], targets: number): void {
    this.circuits = circuits;
    this.held = targets;
  }

  onRefused(): void {
    this.refused++;
  }

  /** Whether it joins a pipeline. One that was made after its start joins while the blast radius has room for it. */
  hits(pipeline: Joinable): boolean {
    if (this.joined.has(pipeline)) return true;
    if (this.joined.size + this.held >= this.maxTargets || holdsAny(pipeline, this.circuits)) return false;
    if (!this.matchers.some((matcher) => matcher.matches(pipeline))) return false;
    this.joined.add(pipeline);
    return true;
  }

  stop(): boolean {
    return this.end('stopped');
  }

  end(how: FaultEnd): boolean {
    if (this.endedBy !== undefined) return false;
    this.endedBy = how;
    this.onEnd(how);
    return true;
  }

  onDue(): void {
    this.end('time');
  }
}

export function matchersOf({ target }: FaultOptions): readonly TargetMatcher[] {
  return [target].flat().map((one: FaultTarget) => new TargetMatcher(one));
}

export function chaosOf(options: FaultOptions): ChaosOptions {
  const { target, name, blastRadius, approvedBy, ...chaos } = options;
  return { ...chaos, ratePercent: rateOf(options), duration: durationOf(options), enabled: true };
}

/** Without a rate: as many calls as the radius allows. */
export function rateOf({ ratePercent, blastRadius = DEFAULT_RADIUS }: FaultOptions): number {
  return ratePercent ?? BLAST_RADII[blastRadius].ratePercent;
}

function durationOf({ duration = '60s' }: FaultOptions): number {
  return parseDuration(duration) as number;
}

/** What share of calls, for how long. */
export function reachOf(options: FaultOptions): Pick<WantedReach, 'ratePercent' | 'durationMs'> {
  return { ratePercent: rateOf(options) / (options.every ?? 1), durationMs: durationOf(options) };
}
