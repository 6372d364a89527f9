import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { clockOf } from '../../core/environment.js';
import { refuseProblems, resolveOptions } from '../../core/option-table.js';
import type { ExperimentOptions } from './experiment.options.js';
import type { ExperimentReport } from './experiment-report.js';
import { Experiment, type ExperimentParts } from './experiment.js';
import {
  gameDayProblems,
  gameDayTable,
  stepTables,
  type GameDayOptions,
  type GameDaySettings,
  type RunbookStep,
} from './game-day.options.js';
import { Pause } from './pause.js';

/** - `scheduled`, `running`: as of experiments; - `completed`: its runbook was done; - `aborted`: it ended before. @publicApi */
export type GameDayState = 'scheduled' | 'running' | 'completed' | 'aborted';

/** What a game day was, and what came of it; can be written as JSON. @publicApi */
export interface GameDayReport {
  readonly name: string;
  readonly scenario: string;
  readonly state: GameDayState;
  readonly reason: string | undefined;
  readonly participants: readonly string[];
  readonly hours: number;
  /** ISO time stamps. */
  readonly scheduledFor: string | undefined;
  readonly startedAt: string | undefined;
  readonly endedAt: string | undefined;
  readonly durationMs: number | undefined;
  readonly runbook: readonly { readonly step: string; readonly done: boolean }[];
  /** Of all experiments, those that were not begun included. */
  readonly experiments: readonly ExperimentReport[];
  /** Experiments whose hypothesis held. */
  readonly validated: number;
}

/** Ends a game day before its runbook is done. */
class GameOver extends Error {}

/**
 * Several experiments, one after the other, by a runbook, with one report. Whatever ends it, its faults end with it.
 *
 * @publicApi
 */
export class GameDay {
  readonly name: string;
  private readonly clock: Clock;
  private readonly pause: Pause;
  private readonly settings: GameDaySettings;
  private readonly runbook: readonly RunbookStep[];
  private readonly experiments: readonly Experiment[];
  private current: GameDayState = 'scheduled';
  private ended: Promise<GameDayReport> | undefined;
  private reason: string | undefined;
  private done = 0;
  private running: Experiment | undefined;
  private startedAt = Number.NaN;
  private startedWallTime = Number.NaN;
  private endedWallTime = Number.NaN;
  private durationMs: number | undefined;

  /**
   * @param create - Makes an experiment that is known to whoever keeps a list of them.
   * @throws {@link InvalidOptionsError} naming all that is wrong with it and with its experiments.
   */
  constructor(
    private readonly options: GameDayOptions,
    parts: ExperimentParts,
    create: (options: ExperimentOptions) => Experiment = (experiment) => new Experiment(experiment, parts),
    private readonly onChange: (gameDay: GameDay) => void = () => undefined,
  ) {
    refuseProblems(gameDayProblems(options, `game day "${String(options.name)}"`, parts));
    this.name = options.name;
    this.settings = resolveOptions(gameDayTable, options);
    this.clock = clockOf(parts.environment);
    this.pause = new Pause(this.clock);
    this.experiments = options.experiments.map(create);
    this.runbook = options.runbook ?? options.experiments.map(({ name }) => ({ experiment: name }));
  }

  get state(): GameDayState {
    return this.current;
  }

  /** Whether it was told to run, or has ended without. */
  get hasBegun(): boolean {
    return this.ended !== undefined || this.current !== 'scheduled';
  }

  /** Plays it, once; whoever asks again gets the same report. Never rejects. */
  run(): Promise<GameDayReport> {
    return (this.ended ??= this.play());
  }

  /** Ends it, with the experiment that runs; false where it had ended already. */
  abort(reason = 'It was aborted by hand.'): boolean {
    if (this.current === 'completed' || this.current === 'aborted') return false;
    this.pause.stop(new GameOver(reason));
    this.running?.abort(reason);
    if (this.ended === undefined) this.end('aborted', reason);
    return true;
  }

  report(): GameDayReport {
    const { options } = this;
    const experiments = this.experiments.map((experiment) => experiment.report());
    return {
      name: this.name,
      scenario: options.scenario,
      state: this.current,
      reason: this.reason,
      participants: options.participants ?? [],
      hours: this.settings.hours,
      scheduledFor: options.at?.toISOString(),
      startedAt: isoTime(this.startedWallTime),
      endedAt: isoTime(this.endedWallTime),
      durationMs: this.durationMs,
      runbook: this.runbook.map((step, index) => ({ step: textOf(step), done: index < this.done })),
      experiments,
      validated: experiments.filter(({ validated }) => validated === true).length,
    };
  }

  private async play(): Promise<GameDayReport> {
    if (this.current !== 'scheduled') return this.report();
    let cancel: (() => void) | undefined;
    try {
      if (this.options.at !== undefined) {
        this.onChange(this);
        await this.pause.sleepUntil(this.options.at);
      }
      this.current = 'running';
      this.startedAt = this.clock.now();
      this.startedWallTime = this.clock.wallTime();
      this.onChange(this);
      const { hours } = this.settings;
      cancel = this.clock.delay(hours * 3_600_000, () =>
        this.abort(`Its ${formatDuration(hours * 3_600_000)} are over.`),
      );
      for (const step of this.runbook) {
        await this.take(step);
        this.done++;
      }
      this.end('completed');
    } catch (error) {
      this.end('aborted', error instanceof Error ? error.message : String(error));
    } finally {
      cancel?.();
    }
    return this.report();
  }

  private async take(step: RunbookStep): Promise<void> {
    this.pause.check();
    if ('note' in step) return;
    if ('pause' in step) {
      await this.pause.sleep(resolveOptions(stepTables[1], step).pause as number);
      return;
    }
    const experiment = this.experiments.find(({ name }) => name === step.experiment) as Experiment;
    this.running = experiment;
    const { state, reason } = await experiment.run();
    this.running = undefined;
    this.pause.check();
    if (state === 'completed' || this.settings.continueAfterAbort) return;
    throw new GameOver(`The experiment "${experiment.name}" was ${state}: ${reason}`);
  }

  /** What was not begun never will be. */
  private end(state: 'completed' | 'aborted', reason?: string): void {
    this.current = state;
    this.reason = reason;
    this.endedWallTime = this.clock.wallTime();
    if (!Number.isNaN(this.startedAt)) this.durationMs = this.clock.now() - this.startedAt;
    for (const experiment of this.experiments) experiment.abort('The game day ended before its turn.');
    this.onChange(this);
  }
}

function textOf(step: RunbookStep): string {
  if ('note' in step) return step.note;
  return 'pause' in step ? `pause of ${step.pause}` : `experiment "${step.experiment}"`;
}

function isoTime(wallTime: number): string | undefined {
  return Number.isNaN(wallTime) ? undefined : new Date(wallTime).toISOString();
}
