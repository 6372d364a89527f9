import type { Clock } from '../../core/clock.js';
import { formatDuration, type Duration } from '../../core/duration.js';
import { clockOf } from '../../core/environment.js';
import type { OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { suggest } from '../../core/suggest.js';
import { Experiment, type ExperimentParts, type ExperimentReport } from './experiment.js';
import { dateMistake, experimentProblems, type ExperimentOptions } from './experiment.options.js';
import { Pause } from './pause.js';

/** What a game day does next: an experiment by its name, a pause, or something for people to read. @publicApi */
export type RunbookStep =
  { readonly experiment: string } | { readonly pause: Duration } | { readonly note: string };

/** Options of a game day. @publicApi */
export interface GameDayOptions {
  readonly name: string;
  /** What is played, in words. */
  readonly scenario: string;
  readonly experiments: readonly ExperimentOptions[];
  /** In which order. Default: the experiments as they are given. */
  readonly runbook?: readonly RunbookStep[];
  /** When it begins. Default: as soon as it is run. */
  readonly at?: Date;
  /** How many hours it takes at most; then what runs is aborted, and the rest is left out. Default 4. */
  readonly hours?: number;
  readonly participants?: readonly string[];
  /** Whether it goes on after an experiment that was aborted, or failed. Default false. */
  readonly continueAfterAbort?: boolean;
}

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

interface Resolved {
  readonly hours: number;
  readonly continueAfterAbort: boolean;
}

const stepTables = [
  defineOptions<{ experiment: string }>({ name: 'experiment', kind: 'string', sentence: 'Runs it.' }),
  defineOptions<{ pause: Duration }>({ name: 'pause', kind: 'duration', sentence: 'Waits.' }),
  defineOptions<{ note: string }>({ name: 'note', kind: 'string', sentence: 'Something to read.' }),
] as const;

/** The options of a game day, for validation and documentation. */
export const gameDayTable = defineOptions<GameDayOptions, Resolved>(
  { name: 'name', kind: 'string', sentence: 'Names it.' },
  { name: 'scenario', kind: 'string', sentence: 'What is played, in words.' },
  { name: 'experiments', kind: 'list', each: { kind: 'object' }, sentence: 'What it consists of.' },
  {
    name: 'runbook',
    kind: 'list',
    each: { kind: 'object' },
    optional: true,
    defaultText: 'the experiments as they are given',
    sentence: 'In which order: `{ experiment }`, `{ pause }` and `{ note }`.',
    check: runbookMistake,
  },
  {
    name: 'at',
    kind: 'any',
    optional: true,
    defaultText: 'as soon as it is run',
    sentence: 'When it begins: a `Date`.',
    check: dateMistake,
  },
  { name: 'hours', kind: 'number', above: 0, default: 4, sentence: 'How many hours it takes at most.' },
  { name: 'participants', kind: 'list', each: { kind: 'string' }, default: [], sentence: 'Who takes part.' },
  {
    name: 'continueAfterAbort',
    kind: 'boolean',
    default: false,
    sentence: 'Whether it goes on after an experiment that was aborted, or failed.',
  },
);

function runbookMistake(value: unknown): string | undefined {
  const steps = value as readonly object[];
  const wrong = steps.findIndex((step) =>
    stepTables.every((table) => checkOptions(table, step, '').length > 0),
  );
  if (wrong < 0) return undefined;
  return `"runbook[${wrong}]" must be { experiment: name }, { pause: duration } or { note: text }.`;
}

/** Everything that is wrong with a game day, its experiments included. */
export function gameDayProblems(
  options: GameDayOptions,
  where: string,
  parts: ExperimentParts,
): OptionProblem[] {
  const problems = checkOptions(gameDayTable, options, where);
  if (problems.length > 0) return problems;
  const names = options.experiments.map(({ name }) => name);
  options.experiments.forEach((experiment, index) => {
    const place = `${where} experiment "${String(experiment.name)}"`;
    problems.push(...experimentProblems(experiment, place, parts.injector, parts.stats));
    if (names.indexOf(experiment.name) === index) return;
    const message = `Two experiments are called ${JSON.stringify(experiment.name)}; the runbook could not tell them apart.`;
    problems.push({ where, option: `experiments[${index}].name`, message });
  });
  for (const [index, step] of (options.runbook ?? []).entries()) {
    if (!('experiment' in step)) continue;
    const { experiment } = step;
    const earlier = options.runbook
      ?.slice(0, index)
      .some((one) => 'experiment' in one && one.experiment === experiment);
    const meant = suggest(experiment, names);
    const message = !names.includes(experiment)
      ? `The runbook names ${JSON.stringify(experiment)}, which is none of its experiments.${meant === undefined ? '' : ` Did you mean "${meant}"?`}`
      : earlier === true
        ? `The runbook runs ${JSON.stringify(experiment)} twice; an experiment runs once.`
        : undefined;
    if (message !== undefined) problems.push({ where, option: `runbook[${index}]`, message });
  }
  return problems;
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
  private readonly settings: Resolved;
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
      if (this.options.at !== undefined) await this.pause.sleepUntil(this.options.at);
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
