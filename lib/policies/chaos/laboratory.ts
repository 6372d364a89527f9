import { Ring } from '../../core/ring.js';
import { Experiment, type ExperimentParts } from './experiment.js';
import type { ExperimentReport, ExperimentState } from './experiment-report.js';
import type { ExperimentOptions } from './experiment.options.js';
import { GameDay, type GameDayReport } from './game-day.js';
import type { GameDayOptions } from './game-day.options.js';

/** So many that have ended are kept, and so many that nobody has run yet. */
const KEPT = 100;

/** The numbers of experiments. @publicApi */
export interface ExperimentStats {
  readonly totalExperiments: number;
  readonly experimentsByState: Readonly<Record<ExperimentState, number>>;
  /** Completed ones whose hypothesis held. */
  readonly validated: number;
  /** Of the completed ones; `undefined` where there are none. */
  readonly validationRatePercent: number | undefined;
  readonly scheduledGameDays: number;
}

/**
 * All experiments and game days: those under way, the last 100 of each that have ended, and the last 100 that are prepared.
 * One that was forgotten before it was run is known again when it is.
 */
export class Laboratory {
  private readonly open = new Set<Experiment>();
  private readonly ended = new Ring<ExperimentReport>(KEPT);
  private readonly openDays = new Set<GameDay>();
  private readonly endedDays = new Ring<GameDayReport>(KEPT);
  private readonly endings = { completed: 0, failed: 0, aborted: 0 };
  private validated = 0;

  constructor(private readonly parts: ExperimentParts) {}

  /** @throws {@link InvalidOptionsError} */
  experiment(options: ExperimentOptions): Experiment {
    const experiment = new Experiment(options, this.parts, (changed) => this.changed(changed));
    remember(this.open, experiment);
    return experiment;
  }

  /** @throws {@link InvalidOptionsError} */
  gameDay(options: GameDayOptions): GameDay {
    const gameDay = new GameDay(
      options,
      this.parts,
      (experiment) => this.experiment(experiment),
      (changed) => this.dayChanged(changed),
    );
    remember(this.openDays, gameDay);
    return gameDay;
  }

  /** What came of those that have ended, oldest first, then how those stand that have not. */
  experiments(): readonly ExperimentReport[] {
    return [...this.ended, ...[...this.open].map((experiment) => experiment.report())];
  }

  /** The same of game days. */
  gameDays(): readonly GameDayReport[] {
    return [...this.endedDays, ...[...this.openDays].map((gameDay) => gameDay.report())];
  }

  /** Ends all that have not ended. */
  close(reason: string): void {
    for (const gameDay of this.openDays) gameDay.abort(reason);
    for (const experiment of this.open) experiment.abort(reason);
  }

  stats(): ExperimentStats {
    const { endings, validated } = this;
    const open = [...this.open];
    const running = open.filter(({ state }) => state === 'running').length;
    return {
      totalExperiments: open.length + endings.completed + endings.failed + endings.aborted,
      experimentsByState: { scheduled: open.length - running, running, ...endings },
      validated,
      validationRatePercent: endings.completed === 0 ? undefined : (validated * 100) / endings.completed,
      scheduledGameDays: [...this.openDays].filter(({ state }) => state === 'scheduled').length,
    };
  }

  private changed(experiment: Experiment): void {
    const { state } = experiment;
    if (state === 'scheduled' || state === 'running') {
      this.open.add(experiment);
      return;
    }
    this.open.delete(experiment);
    const report = experiment.report();
    this.endings[state]++;
    if (report.validated === true) this.validated++;
    this.ended.push(report);
  }

  private dayChanged(gameDay: GameDay): void {
    if (gameDay.state === 'scheduled' || gameDay.state === 'running') {
      this.openDays.add(gameDay);
      return;
    }
    this.openDays.delete(gameDay);
    this.endedDays.push(gameDay.report());
  }
}

/** Adds one to those that are open, and forgets the oldest that nobody has run. */
function remember<T extends { readonly hasBegun: boolean }>(open: Set<T>, added: T): void {
  open.add(added);
  const prepared = [...open].filter(({ hasBegun }) => !hasBegun);
  if (prepared.length > KEPT) open.delete(prepared[0] as T);
}
