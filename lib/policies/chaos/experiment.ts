import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { announce, clockOf } from '../../core/environment.js';
import { refuseProblems } from '../../core/option-table.js';
import { DEFAULT_RADIUS } from './blast-radius.js';
import {
  experimentProblems,
  experimentSettings,
  type ExperimentOptions,
  type ExperimentSettings,
} from './experiment.options.js';
import {
  EXPERIMENT_TRANSITIONS,
  type ExperimentPhase,
  type ExperimentReport,
  type ExperimentState,
  type Observation,
} from './experiment-report.js';
import type { FaultInjector } from './fault-injector.js';
import type { ActiveFault } from './live-fault.js';
import { crossing, nameOfMetric, readMetric } from './metric.js';
import { Pause } from './pause.js';
import type { ChaosEnvironment } from './permission.js';
import { sample, shareOf, type Steady } from './steady-state.js';

/** What experiments work with. */
export interface ExperimentParts {
  readonly injector: FaultInjector;
  /** The numbers of all policies, into which metrics are paths. */
  readonly stats: () => object;
  readonly environment?: ChaosEnvironment | undefined;
}

/** Ends an experiment before its time. */
class Abortion extends Error {}

/**
 * Finds out whether a system stays steady under faults: looks at the steady state, injects, goes on looking, takes the
 * faults back and looks once more. Whatever ends it, its faults end with it. After Basiri et al., *Chaos Engineering*
 * (IEEE Software, 2016).
 *
 * @publicApi
 */
export class Experiment {
  readonly name: string;
  private readonly clock: Clock;
  private readonly settings: ExperimentSettings;
  private readonly pause: Pause;
  private current: ExperimentState = 'scheduled';
  private ended: Promise<ExperimentReport> | undefined;
  private reason: string | undefined;
  private startedAt = Number.NaN;
  private startedWallTime = Number.NaN;
  private endedWallTime = Number.NaN;
  private durationMs: number | undefined;
  private faults: ActiveFault[] = [];
  private readonly observations: Observation[] = [];
  /** What was seen of each steady state within its window, as shares. */
  private readonly seen = new Map<Steady, { readonly at: number; readonly share: number }[]>();
  /** Steady states of which something was seen once there were faults. */
  private readonly judged = new Set<Steady>();

  /**
   * @param onChange - Told of each new state, and when it begins to wait for its time.
   * @throws {@link InvalidOptionsError} naming all that is wrong with it, its faults and its metrics.
   */
  constructor(
    private readonly options: ExperimentOptions,
    private readonly parts: ExperimentParts,
    private readonly onChange: (experiment: Experiment) => void = () => undefined,
  ) {
    const where = `experiment "${String(options.name)}"`;
    refuseProblems(experimentProblems(options, where, parts.injector, parts.stats));
    this.name = options.name;
    this.settings = experimentSettings(options);
    this.clock = clockOf(parts.environment);
    this.pause = new Pause(this.clock);
  }

  get state(): ExperimentState {
    return this.current;
  }

  /** Whether it was told to run, or has ended without. */
  get hasBegun(): boolean {
    return this.ended !== undefined || this.current !== 'scheduled';
  }

  /** Carries it out, once; whoever asks again gets the same report. Never rejects. */
  run(): Promise<ExperimentReport> {
    return (this.ended ??= this.carryOut());
  }

  /** Ends it, and its faults at once; false where it had ended already. */
  abort(reason = 'It was aborted by hand.'): boolean {
    if (EXPERIMENT_TRANSITIONS[this.current].length === 0) return false;
    this.pause.stop(new Abortion(reason));
    this.rollBack();
    // Not under way: nobody is there to hear of it.
    if (this.ended === undefined) this.enter('aborted', reason);
    return true;
  }

  report(): ExperimentReport {
    const { options, current: state } = this;
    return {
      name: this.name,
      hypothesis: options.hypothesis,
      state,
      reason: this.reason,
      validated: state === 'completed' ? this.held() : undefined,
      blastRadius: options.blastRadius ?? DEFAULT_RADIUS,
      approvedBy: options.approvedBy,
      scheduledFor: options.at?.toISOString(),
      startedAt: isoTime(this.startedWallTime),
      endedAt: isoTime(this.endedWallTime),
      durationMs: this.durationMs,
      faults: this.faults.map(({ name, fault, targets, ratePercent, totalCalls, totalInjected }) => ({
        name,
        fault,
        targets,
        ratePercent,
        totalCalls,
        totalInjected,
      })),
      observations: [...this.observations],
    };
  }

  /** Whether all held; where one never had a number, nobody can tell. */
  private held(): boolean | undefined {
    if (!this.observations.every(({ phase, ok }) => phase === 'before' || ok)) return false;
    return this.judged.size === this.settings.steadyState.length ? true : undefined;
  }

  private async carryOut(): Promise<ExperimentReport> {
    if (this.current !== 'scheduled') return this.report();
    try {
      if (this.options.at !== undefined) {
        this.onChange(this);
        await this.pause.sleepUntil(this.options.at);
      }
      this.startedAt = this.clock.now();
      this.startedWallTime = this.clock.wallTime();
      this.enter('running');
      await this.experiment();
      this.enter('completed');
    } catch (error) {
      this.rollBack();
      const reason = error instanceof Error ? error.message : String(error);
      this.enter(error instanceof Abortion ? 'aborted' : 'failed', reason);
    }
    return this.report();
  }

  private async experiment(): Promise<void> {
    const { settings } = this;
    if (!(await this.look('before'))) {
      throw new Abortion('The steady state did not hold before anything was injected.');
    }
    this.pause.check();
    this.inject();
    const endsAt = this.clock.now() + settings.durationMs;
    for (let leftMs = settings.durationMs; leftMs > 0; leftMs = endsAt - this.clock.now()) {
      await this.pause.sleep(Math.min(settings.checkIntervalMs, leftMs));
      await this.watch();
      await this.look('during');
    }
    this.rollBack();
    await this.pause.sleep(settings.settleMs);
    this.seen.clear();
    await this.look('after');
  }

  private inject(): void {
    // One by one, so that what has begun is taken back where another cannot begin.
    for (const fault of this.settings.faults) this.faults.push(this.parts.injector.start(fault));
  }

  private rollBack(): void {
    for (const fault of this.faults) this.parts.injector.stop(fault.id, 'rolled-back');
  }

  /** Looks whether anything has gone too far. */
  private async watch(): Promise<void> {
    const cleared = this.faults.find(({ endedBy }) => endedBy === 'stopped');
    if (cleared !== undefined) throw new Abortion(`Its fault "${cleared.name}" was stopped by hand.`);
    for (const rule of this.settings.abortWhen) {
      const name = nameOfMetric(rule.metric);
      const value = await this.ask('during', name, () => readMetric(rule.metric, this.parts.stats));
      const crossed = crossing(rule, value);
      this.note('during', name, crossed === undefined, value, crossed);
      if (crossed !== undefined) throw new Abortion(`${crossed}.`);
    }
  }

  /** Looks at every steady state; whether all hold. */
  private async look(phase: ExperimentPhase): Promise<boolean> {
    let allHold = true;
    for (const state of this.settings.steadyState) {
      const value = await this.ask(phase, state.name, () => sample(state, this.parts.stats));
      const share = shareOf(state, value);
      if (share !== undefined && phase !== 'before') this.judged.add(state);
      const mean = share === undefined ? 1 : this.remember(state, share);
      const ok = mean >= state.tolerance;
      allHold &&= ok;
      const message =
        value === undefined
          ? 'There is no number yet.'
          : ok
            ? undefined
            : `It held in ${percent(mean)} of the looks of the last ${formatDuration(state.windowMs)}, and must in ${percent(state.tolerance)}.`;
      this.note(phase, state.name, ok, value, message);
    }
    return allHold;
  }

  /** Asks the user's code: what it throws is noted, and ends the experiment. */
  private async ask<T>(phase: ExperimentPhase, name: string, run: () => T | Promise<T>): Promise<T> {
    const { checkTimeoutMs } = this.settings;
    const late = () => new Error(`it did not answer within ${formatDuration(checkTimeoutMs)}`);
    try {
      return await this.pause.bounded(checkTimeoutMs, late, run);
    } catch (error) {
      if (error instanceof Abortion) throw error;
      const message = `"${name}" could not be looked at: ${error instanceof Error ? error.message : String(error)}.`;
      this.note(phase, name, false, undefined, message);
      throw new Abortion(message);
    }
  }

  /** The mean share within the window, with this look. */
  private remember(state: Steady, share: number): number {
    const now = this.clock.now();
    const shares = (this.seen.get(state) ?? []).filter(({ at }) => now - at < state.windowMs);
    shares.push({ at: now, share });
    this.seen.set(state, shares);
    return shares.reduce((sum, look) => sum + look.share, 0) / shares.length;
  }

  private note(
    phase: ExperimentPhase,
    name: string,
    ok: boolean,
    value: number | boolean | undefined,
    message: string | undefined,
  ): void {
    this.observations.push({
      phase,
      at: new Date(this.clock.wallTime()).toISOString(),
      elapsedMs: this.clock.now() - this.startedAt,
      name,
      ok,
      ...(value !== undefined && { value }),
      ...(message !== undefined && { message }),
    });
  }

  private enter(state: ExperimentState, reason?: string): void {
    const from = this.current;
    if (!EXPERIMENT_TRANSITIONS[from].includes(state)) {
      throw new Error(`An experiment cannot go from ${from} to ${state}.`);
    }
    this.current = state;
    this.reason = reason;
    if (EXPERIMENT_TRANSITIONS[state].length === 0) {
      this.endedWallTime = this.clock.wallTime();
      if (!Number.isNaN(this.startedAt)) this.durationMs = this.clock.now() - this.startedAt;
    }
    announce(this.parts.environment, { kind: 'chaos', name: this.name }, 'experiment', () => ({
      state,
      ...(reason !== undefined && { reason }),
    }));
    this.onChange(this);
  }
}

function percent(share: number): string {
  return `${Math.round(share * 1_000) / 10} %`;
}

function isoTime(wallTime: number): string | undefined {
  return Number.isNaN(wallTime) ? undefined : new Date(wallTime).toISOString();
}
