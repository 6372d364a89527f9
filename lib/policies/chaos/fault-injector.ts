import { recomposePipelines } from '../../core/composition.js';
import type { Clock } from '../../core/clock.js';
import { announce, clockOf } from '../../core/environment.js';
import { ChaosInjectedError, type OptionProblem } from '../../core/errors.js';
import { refuseProblems } from '../../core/option-table.js';
import type { CircuitBreakerPolicy } from '../circuit-breaker/index.js';
import { DEFAULT_RADIUS, radiusProblems, type WantedReach } from './blast-radius.js';
import { chaosProblems } from './chaos.options.js';
import { ChaosPolicy } from './chaos.policy.js';
import { TargetMatcher, holdsAny, unknownTarget, type Joinable } from './fault-target.js';
import { ForcedCircuits } from './forced-circuits.js';
import {
  LiveFault,
  chaosOf,
  matchersOf,
  rateOf,
  reachOf,
  type ActiveFault,
  type FaultEnd,
} from './live-fault.js';
import { faultProblems, type FaultOptions } from './live-fault.options.js';
import type { ChaosEnvironment } from './permission.js';

/** The numbers of live faults. @publicApi */
export interface LiveFaultStats {
  readonly activeFaults: number;
  /** Since the start: faults, and calls that they hit. */
  readonly totalFaults: number;
  readonly totalInjected: number;
}

/**
 * Brings faults into pipelines that are in use, and takes them out again. A pipeline that no fault is for does not know
 * of any of this.
 */
export class FaultInjector {
  private readonly clock: Clock;
  private readonly pipelines = new Set<Joinable>();
  private readonly faults = new Map<string, LiveFault>();
  private readonly circuits: ForcedCircuits;
  private started = 0;
  private closed = false;
  /** By faults that have ended. */
  private injectedBefore = 0;

  /** @param breakers - All circuit breakers of the application, those outside pipelines too. */
  constructor(
    private readonly environment: ChaosEnvironment = {},
    private readonly breakers: () => Iterable<CircuitBreakerPolicy> = () => [],
  ) {
    this.clock = clockOf(environment);
    this.circuits = new ForcedCircuits(environment.events);
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

  /** How much several faults would hit together. */
  hitBy(faults: readonly FaultOptions[]): Pick<WantedReach, 'pipelines' | 'circuits'> {
    const pipelines = new Set(faults.flatMap((fault) => this.pipelinesOf(matchersOf(fault))));
    const circuits = new Set(faults.flatMap((fault) => this.circuitsOf(fault, matchersOf(fault))));
    const alone = [...circuits].filter((circuit) => ![...pipelines].some((one) => holdsAny(one, [circuit])));
    return { pipelines: pipelines.size, circuits: alone.length };
  }

  /** Everything that is wrong with a fault, here and now. */
  problems(options: FaultOptions, where: string): OptionProblem[] {
    const problems = faultProblems(options, where);
    if (problems.length > 0) return problems;
    if (this.refusal !== undefined) return [{ where, option: 'enabled', message: this.refusal }];
    const pipelines = this.pipelinesOf(matchersOf(options));
    const unknown = matchersOf(options).filter(
      (matcher) =>
        !pipelines.some((pipeline) => matcher.matches(pipeline)) &&
        this.circuitsOf(options, [matcher]).length === 0,
    );
    const { blastRadius = DEFAULT_RADIUS, approvedBy } = options;
    return [
      ...chaosProblems(chaosOf(options), where, this.environment),
      ...unknown.map((matcher) => ({ where, option: 'target', message: this.nothingAt(matcher) })),
      ...radiusProblems(blastRadius, approvedBy, { ...reachOf(options), ...this.hitBy([options]) }, where),
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
      const covered = this.pipelinesOf(fault.matchers).filter((pipeline) => holdsAny(pipeline, circuits));
      fault.holds(circuits, covered.length + this.hitBy([options]).circuits);
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

  /** Ends all faults, and lets none begin any more. */
  close(): void {
    this.closed = true;
    this.clear();
  }

  /** Why nothing can begin any more; `undefined` where it can. */
  get refusal(): string | undefined {
    return this.closed ? 'The application shuts down: no chaos begins any more.' : undefined;
  }

  /** What to say of the names that no pipeline answers to. */
  unknownPipelines(names: readonly string[]): readonly string[] {
    return names
      .map((pipeline) => new TargetMatcher({ pipeline }))
      .filter((matcher) => !this.targets.some((name) => matcher.meansPipeline(name)))
      .map(({ target }) => unknownTarget(target, this.targets));
  }

  /** The numbers of all faults, ended ones included. */
  stats(): LiveFaultStats {
    let totalInjected = this.injectedBefore;
    for (const fault of this.faults.values()) totalInjected += fault.totalInjected;
    return { activeFaults: this.faults.size, totalFaults: this.started, totalInjected };
  }

  /** The faults that are active, oldest first. */
  active(): readonly ActiveFault[] {
    return [...this.faults.values()];
  }

  private ended(fault: LiveFault, how: FaultEnd): void {
    this.faults.delete(fault.id);
    this.injectedBefore += fault.totalInjected;
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

  private pipelinesOf(matchers: readonly TargetMatcher[]): readonly Joinable[] {
    return [...this.pipelines].filter((pipeline) => matchers.some((matcher) => matcher.matches(pipeline)));
  }

  /** A tripped circuit that hits every call is the breaker itself, forced open. */
  private circuitsOf(options: FaultOptions, matchers: readonly TargetMatcher[]): CircuitBreakerPolicy[] {
    const { fault, latency, firstCalls, every = 1 } = options;
    if (fault !== 'circuit-open' || latency !== undefined || firstCalls !== undefined || every !== 1)
      return [];
    if (rateOf(options) !== 100) return [];
    return [...this.breakers()].filter((breaker) => matchers.some((matcher) => matcher.meansPolicy(breaker)));
  }

  /** Why a target hits nothing. */
  private nothingAt(matcher: TargetMatcher): string {
    const alone = [...this.breakers()].find((breaker) => matcher.meansPolicy(breaker));
    if (alone === undefined) return unknownTarget(matcher.target, this.names());
    return `Circuit breaker ${JSON.stringify(alone.name)} stands in no pipeline: only "circuit-open" at every call reaches it.`;
  }

  private names(): string[] {
    const names = new Set<string>(this.targets);
    for (const { policies } of this.pipelines) for (const { name } of policies) names.add(name);
    for (const { name } of this.breakers()) names.add(name);
    return [...names];
  }
}
