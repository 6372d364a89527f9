import type { Clock, RandomSource } from '../../core/clock.js';
import { formatDuration, type Duration } from '../../core/duration.js';
import { clockOf, randomOf } from '../../core/environment.js';
import { InvalidOptionsError, type OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { TimerEntry } from '../../core/timer-entry.js';
import { BLAST_RADII, DEFAULT_RADIUS } from './blast-radius.js';
import { CHAOS_FAULTS, pick, type ChaosFault } from './fault.js';
import type { FaultInjector } from './fault-injector.js';
import type { ActiveFault } from './live-fault.js';
import { TargetMatcher } from './fault-target.js';
import { refusalOfChaos, type ChaosEnvironment } from './permission.js';

/** Options of the chaos monkey. @publicApi */
export interface ChaosMonkeyOptions {
  /** Whether it comes at all. Default false. */
  readonly enabled?: boolean;
  /** How likely it starts a fault at each of its turns: 0 to 100. Default 1. */
  readonly probabilityPercent?: number;
  /** How often its turn comes. Default 10 s. */
  readonly interval?: Duration;
  /** The shortest fault. Default 10 s. */
  readonly minDuration?: Duration;
  /** The longest: at most the 30 min of a `moderate` blast radius. Default 60 s. */
  readonly maxDuration?: Duration;
  /** Calls that a fault of its hits. Default 100. */
  readonly ratePercent?: number;
  /** Faults of its own at the same time, at most. Default 1. */
  readonly maxActive?: number;
  /** What it picks from: names of pipelines, in which `*` stands for anything. Default: all. */
  readonly targets?: readonly string[];
  /** What it injects. Default: everything but `wrong-result`. */
  readonly faults?: readonly ChaosFault[];
}

/** The numbers of the chaos monkey. @publicApi */
export interface ChaosMonkeyStats {
  readonly enabled: boolean;
  /** How often its turn came. */
  readonly totalTurns: number;
  readonly totalFaults: number;
  /** Faults of its own that are active. */
  readonly activeFaults: number;
}

interface Resolved {
  readonly enabled: boolean;
  readonly probabilityPercent: number;
  readonly interval: number;
  readonly minDuration: number;
  readonly maxDuration: number;
  readonly ratePercent: number;
  readonly maxActive: number;
  readonly targets: readonly string[];
  readonly faults: readonly ChaosFault[];
}

/** The options of the chaos monkey, for validation and documentation. */
export const monkeyTable = defineOptions<ChaosMonkeyOptions, Resolved>(
  { name: 'enabled', kind: 'boolean', default: false, sentence: 'Whether it comes at all.' },
  {
    name: 'probabilityPercent',
    kind: 'percent',
    default: 1,
    sentence: 'How likely it starts a fault at each of its turns.',
  },
  { name: 'interval', kind: 'duration', default: '10s', sentence: 'How often its turn comes.' },
  { name: 'minDuration', kind: 'duration', default: '10s', sentence: 'The shortest fault.' },
  { name: 'maxDuration', kind: 'duration', default: '60s', sentence: 'The longest; at most 30 min.' },
  {
    name: 'ratePercent',
    kind: 'percent',
    above: 0,
    default: 100,
    sentence: 'Calls that a fault of its hits.',
  },
  {
    name: 'maxActive',
    kind: 'integer',
    min: 1,
    default: 1,
    sentence: 'Faults of its own at the same time, at most.',
  },
  {
    name: 'targets',
    kind: 'list',
    each: { kind: 'string' },
    default: ['*'],
    sentence: 'What it picks from: names of pipelines, in which `*` stands for anything.',
  },
  {
    name: 'faults',
    kind: 'list',
    each: { kind: 'one-of', values: CHAOS_FAULTS },
    default: CHAOS_FAULTS.filter((fault) => fault !== 'wrong-result'),
    defaultText: 'everything but `wrong-result`',
    sentence: 'What it injects.',
  },
);

/** Everything that is wrong with the options of the chaos monkey, and where it is to run. */
export function monkeyProblems(
  options: ChaosMonkeyOptions,
  where: string,
  environment?: ChaosEnvironment,
): OptionProblem[] {
  const problems = checkOptions(monkeyTable, options, where);
  if (problems.length > 0) return problems;
  const { minDuration, maxDuration, faults, enabled } = resolveOptions(monkeyTable, options);
  if (minDuration > maxDuration) {
    const message = `"minDuration" of ${formatDuration(minDuration)} is above "maxDuration" of ${formatDuration(maxDuration)}.`;
    problems.push({ where, option: 'minDuration', message });
  }
  // Each of its faults hits one pipeline, and any share of its calls: both are within that radius.
  const { durationMs } = BLAST_RADII[DEFAULT_RADIUS];
  if (maxDuration > durationMs) {
    const message = `"maxDuration" must be at most ${formatDuration(durationMs)}, as its faults have a blast radius of "${DEFAULT_RADIUS}", got ${formatDuration(maxDuration)}.`;
    problems.push({ where, option: 'maxDuration', message });
  }
  if (faults.length === 0) {
    problems.push({ where, option: 'faults', message: '"faults" must name at least one.' });
  }
  const refusal = enabled ? refusalOfChaos(environment) : undefined;
  if (refusal !== undefined) problems.push({ where, option: 'enabled', message: refusal });
  return problems;
}

/**
 * Starts, now and then, a random fault at a random pipeline for a random time. Off until it is enabled. After Netflix's
 * Chaos Monkey.
 *
 * @publicApi
 */
export class ChaosMonkey extends TimerEntry {
  private readonly clock: Clock;
  private readonly random: RandomSource;
  private options: ChaosMonkeyOptions;
  private settings: Resolved;
  private readonly faults = new Set<ActiveFault>();
  private totalTurns = 0;
  private totalFaults = 0;
  private on = false;

  constructor(
    private readonly injector: FaultInjector,
    options: ChaosMonkeyOptions = {},
    private readonly environment?: ChaosEnvironment,
  ) {
    super();
    refuseProblems(monkeyProblems(options, 'chaos monkey', environment));
    this.options = options;
    this.settings = resolveOptions(monkeyTable, options);
    this.clock = clockOf(environment);
    this.random = randomOf(environment);
  }

  get enabled(): boolean {
    return this.on;
  }

  /** Begins if the options say so. What is loaded later can be a target too: one that there is not is a warning here. */
  begin(): void {
    if (!this.settings.enabled) return;
    for (const message of this.unknownTargets(this.options))
      process.emitWarning(`chaos monkey: ${message}`, 'ResilienceWarning');
    this.comeFromNowOn(this.options);
  }

  /**
   * Lets it come from now on, with options that are added to those that it has.
   *
   * @throws {@link InvalidOptionsError}, also where chaos must not run here, where a target is nothing that there is, and
   *   when the application shuts down.
   */
  enable(options: ChaosMonkeyOptions = {}): void {
    const where = 'chaos monkey';
    const merged = { ...this.options, ...options, enabled: true };
    const { refusal } = this.injector;
    if (refusal !== undefined) refuseProblems([{ where, option: 'enabled', message: refusal }]);
    refuseProblems(monkeyProblems(merged, where, this.environment));
    refuseProblems(this.unknownTargets(merged).map((message) => ({ where, option: 'targets', message })));
    this.comeFromNowOn(merged);
  }

  private comeFromNowOn(merged: ChaosMonkeyOptions): void {
    this.options = merged;
    this.settings = resolveOptions(monkeyTable, merged);
    this.on = true;
    this.armNext();
  }

  /** Sends it away; its faults end. */
  disable(): void {
    this.on = false;
    this.clock.disarm(this);
    for (const fault of this.faults) fault.stop();
    this.faults.clear();
  }

  stats(): ChaosMonkeyStats {
    this.forgetEnded();
    const { on: enabled, totalTurns, totalFaults } = this;
    return { enabled, totalTurns, totalFaults, activeFaults: this.faults.size };
  }

  onDue(): void {
    this.armNext();
    this.totalTurns++;
    this.forgetEnded();
    const { settings, random } = this;
    if (random() * 100 >= settings.probabilityPercent || this.faults.size >= settings.maxActive) return;
    const matchers = settings.targets.map((target) => new TargetMatcher(target));
    const targets = this.injector.targets.filter((name) =>
      matchers.some((matcher) => matcher.meansPipeline(name)),
    );
    if (targets.length === 0) return;
    const { minDuration, maxDuration, ratePercent } = settings;
    this.totalFaults++;
    try {
      this.faults.add(
        this.injector.start({
          name: `monkey-${this.totalFaults}`,
          target: { pipeline: pick(targets, random) },
          fault: pick(settings.faults, random),
          duration: minDuration + (maxDuration - minDuration) * random(),
          ratePercent,
        }),
      );
    } catch (error) {
      // The environment has changed since it was enabled.
      if (!(error instanceof InvalidOptionsError)) throw error;
      this.totalFaults--;
      process.emitWarning(`The chaos monkey goes: ${error.message}`, 'ResilienceWarning');
      this.disable();
    }
  }

  /** Everything is always something, also before there is anything. */
  private unknownTargets({ targets = [] }: ChaosMonkeyOptions): readonly string[] {
    return this.injector.unknownPipelines(targets.filter((target) => target !== '*'));
  }

  private armNext(): void {
    this.clock.arm(this, this.clock.now() + this.settings.interval);
  }

  private forgetEnded(): void {
    for (const fault of this.faults) if (fault.endedBy !== undefined) this.faults.delete(fault);
  }
}
