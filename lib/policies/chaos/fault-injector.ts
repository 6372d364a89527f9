import { recomposePipelines } from '../../core/composition.js';
import type { Clock } from '../../core/clock.js';
import { parseDuration } from '../../core/duration.js';
import { announce, clockOf } from '../../core/environment.js';
import { ChaosInjectedError, type OptionProblem } from '../../core/errors.js';
import { refuseProblems } from '../../core/option-table.js';
import { TimerEntry } from '../../core/timer-entry.js';
import type { CircuitBreakerPolicy } from '../circuit-breaker/index.js';
import { BLAST_RADII, DEFAULT_RADIUS, radiusProblems, type BlastLimits } from './blast-radius.js';
import { chaosProblems, type ChaosOptions } from './chaos.options.js';
import { ChaosPolicy } from './chaos.policy.js';
import type { ChaosFault } from './fault.js';
import { TargetMatcher, unknownTarget, type FaultTarget, type Joinable } from './fault-target.js';
import { ForcedCircuits } from './forced-circuits.js';
import { faultProblems, type FaultOptions } from './live-fault.options.js';
import type { ChaosEnvironment } from './permission.js';

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

/**
 * Brings faults into pipelines that are in use, and takes them out again. A pipeline that no fault is for does not know
 * of any of this.
 */
export class FaultInjector {
  private readonly clock: Clock;
  private readonly pipelines = new Set<Joinable>();
  private readonly faults = new Map<string, LiveFault>();
  private readonly circuits = new ForcedCircuits();
  private started = 0;

  /** @param breakers - All circuit breakers of the application, those outside pipelines too. */
  constructor(
    private readonly environment: ChaosEnvironment = {},
    private readonly breakers: () => Iterable<CircuitBreakerPolicy> = () => [],
  ) {
    this.clock = clockOf(environment);
  }

  /** Makes a pipeline known; answers with what it asks for its guests. */
  join(pipeline: Joinable): () => readonly ChaosPolicy[] {
    this.pipelines.add(pipeline);
    return () => [...this.faults.values()].flatMap((fault) => (fault.hits(pipeline) ? [fault.policy] : []));
  }

  /** The pipelines that faults can be for, by name. */
  get targets(): readonly string[] {
    return [...new Set([...this.pipelines].map(({ name }) => name))];
  }

  /** The pipelines that a fault would hit. */
  pipelinesOf(options: FaultOptions): readonly Joinable[] {
    const matchers = matchersOf(options);
    return [...this.pipelines].filter((pipeline) => matchers.some((matcher) => matcher.matches(pipeline)));
  }

  /** Everything that is wrong with a fault, here and now. */
  problems(options: FaultOptions, where: string): OptionProblem[] {
    const problems = faultProblems(options, where);
    if (problems.length > 0) return problems;
    const pipelines = this.pipelinesOf(options);
    const unknown = matchersOf(options).filter(
      (matcher) =>
        !pipelines.some((pipeline) => matcher.matches(pipeline)) &&
        this.circuitsOf(options, [matcher]).length === 0,
    );
    const { blastRadius = DEFAULT_RADIUS, approvedBy } = options;
    return [
      ...chaosProblems(chaosOf(options), where, this.environment),
      ...unknown.map(({ target }) => ({
        where,
        option: 'target',
        message: unknownTarget(target, this.names()),
      })),
      ...radiusProblems(blastRadius, approvedBy, { ...reachOf(options), targets: pipelines.length }, where),
    ];
  }

  /**
   * Starts a fault.
   *
   * @throws {@link InvalidOptionsError} naming all that is wrong with it, also that chaos must not run here.
   */
  start(options: FaultOptions): ActiveFault {
    const id = `fault-${this.started + 1}`;
    const { name = id } = options;
    refuseProblems(this.problems(options, `fault "${name}"`));
    this.started++;
    const policy = new ChaosPolicy(name, chaosOf(options), this.environment);
    const fault = new LiveFault(id, policy, options, this.clock, (how) => this.ended(fault, how));
    const circuits = this.circuitsOf(options, fault.matchers);
    if (circuits.length > 0) {
      const message = `The circuit was forced open by chaos "${name}".`;
      this.circuits.force(fault, circuits, new ChaosInjectedError(message, { policy: name }));
      fault.holds(circuits);
    }
    this.faults.set(id, fault);
    for (const pipeline of this.pipelines) fault.hits(pipeline);
    this.clock.arm(fault, this.clock.now() + fault.durationMs);
    recomposePipelines();
    announce(this.environment, policy, 'started', () => ({ fault: fault.fault, targets: fault.targets }));
    return fault;
  }

  /** Ends a fault; false where none of that id is active. */
  stop(id: string, how: FaultEnd = 'stopped'): boolean {
    return this.faults.get(id)?.end(how) ?? false;
  }

  /** Ends all faults; how many there were. */
  clear(): number {
    const faults = [...this.faults.values()];
    for (const fault of faults) fault.stop();
    return faults.length;
  }

  /** The faults that are active, oldest first. */
  active(): readonly ActiveFault[] {
    return [...this.faults.values()];
  }

  private ended(fault: LiveFault, how: FaultEnd): void {
    this.faults.delete(fault.id);
    this.clock.disarm(fault);
    this.circuits.release(fault);
    fault.policy.stop();
    recomposePipelines();
    announce(this.environment, fault.policy, 'ended', () => ({
      fault: fault.fault,
      by: how,
      totalInjected: fault.totalInjected,
    }));
  }

  /** A tripped circuit that hits every call is the breaker itself, forced open. */
  private circuitsOf(options: FaultOptions, matchers: readonly TargetMatcher[]): CircuitBreakerPolicy[] {
    const { fault, latency, firstCalls, every = 1 } = options;
    if (fault !== 'circuit-open' || latency !== undefined || firstCalls !== undefined || every !== 1)
      return [];
    if (rateOf(options) !== 100) return [];
    return [...this.breakers()].filter((breaker) => matchers.some((matcher) => matcher.meansPolicy(breaker)));
  }

  private names(): string[] {
    const names = new Set<string>(this.targets);
    for (const { policies } of this.pipelines) for (const { name } of policies) names.add(name);
    for (const { name } of this.breakers()) names.add(name);
    return [...names];
  }
}

class LiveFault extends TimerEntry implements ActiveFault {
  readonly matchers: readonly TargetMatcher[];
  readonly durationMs: number;
  readonly startedAt: string;
  endedBy: FaultEnd | undefined;
  /** The circuits that it forced open, where it did so in place of joining pipelines. */
  private circuits: readonly CircuitBreakerPolicy[] = [];
  /** How many calls these have refused: before, and in the end. */
  private refusedBefore = 0;
  private refusedAtEnd: number | undefined;
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

  private get refused(): number {
    return (this.refusedAtEnd ?? refusalsOf(this.circuits)) - this.refusedBefore;
  }

  /** It does its work through circuits, and joins no pipeline. */
  holds(circuits: readonly CircuitBreakerPolicy[]): void {
    this.circuits = circuits;
    this.refusedBefore = refusalsOf(circuits);
  }

  /** Whether it is for a pipeline. One that was made after its start joins while the blast radius has room for it. */
  hits(pipeline: Joinable): boolean {
    if (this.joined.has(pipeline)) return true;
    if (this.circuits.length > 0 || this.joined.size >= this.maxTargets) return false;
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
    this.refusedAtEnd = refusalsOf(this.circuits);
    this.onEnd(how);
    return true;
  }

  onDue(): void {
    this.end('time');
  }
}

function refusalsOf(circuits: readonly CircuitBreakerPolicy[]): number {
  return circuits.reduce((sum, circuit) => sum + circuit.stats().totalRejected, 0);
}

function matchersOf({ target }: FaultOptions): readonly TargetMatcher[] {
  return [target].flat().map((one: FaultTarget) => new TargetMatcher(one));
}

function chaosOf(options: FaultOptions): ChaosOptions {
  const { target, name, blastRadius, approvedBy, ...chaos } = options;
  return { ...chaos, ratePercent: rateOf(options), duration: durationOf(options), enabled: true };
}

/** Without a rate: as many calls as the radius allows. */
function rateOf({ ratePercent, blastRadius = DEFAULT_RADIUS }: FaultOptions): number {
  return ratePercent ?? BLAST_RADII[blastRadius].ratePercent;
}

function durationOf({ duration = '60s' }: FaultOptions): number {
  return parseDuration(duration) as number;
}

/** What share of calls, for how long. */
function reachOf(options: FaultOptions): Omit<BlastLimits, 'targets'> {
  return { ratePercent: rateOf(options) / (options.every ?? 1), durationMs: durationOf(options) };
}
