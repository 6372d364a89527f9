import type { Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions } from '../../core/option-table.js';
import { suggest } from '../../core/suggest.js';
import type { ExperimentParts } from './experiment.js';
import { dateMistake, experimentProblems, type ExperimentOptions } from './experiment.options.js';

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

/** The options as the game day uses them. */
export interface GameDaySettings {
  readonly hours: number;
  readonly continueAfterAbort: boolean;
}

export const stepTables = [
  defineOptions<{ experiment: string }>({ name: 'experiment', kind: 'string', sentence: 'Runs it.' }),
  defineOptions<{ pause: Duration }>({ name: 'pause', kind: 'duration', sentence: 'Waits.' }),
  defineOptions<{ note: string }>({ name: 'note', kind: 'string', sentence: 'Something to read.' }),
] as const;

/** The options of a game day, for validation and documentation. */
export const gameDayTable = defineOptions<GameDayOptions, GameDaySettings>(
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
