import type { Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions } from '../../core/option-table.js';
import { BLAST_RADII, type BlastRadius } from './blast-radius.js';
import { chaosTable, type ChaosOptions } from './chaos.options.js';
import { TARGET_KINDS, type FaultTarget } from './fault-target.js';

/** A fault for a running application. @publicApi */
export interface FaultOptions extends Omit<ChaosOptions, 'enabled' | 'allowInProduction' | 'duration'> {
  /** What it hits. */
  readonly target: FaultTarget | readonly FaultTarget[];
  /** Names it in errors, events and stats. Default `fault-1` and so on. */
  readonly name?: string;
  /** Default 60 s. */
  readonly duration?: Duration;
  /** What it may hit at most. Default `moderate`. Without a `ratePercent`, calls are hit as often as it allows. */
  readonly blastRadius?: BlastRadius;
  /** Who answers for a blast radius of `extensive`. */
  readonly approvedBy?: string;
}

interface TargetFields {
  readonly kind: string;
  readonly name: string;
}

const targetTable = defineOptions<TargetFields>(
  { name: 'kind', kind: 'one-of', values: TARGET_KINDS, sentence: 'The kind of the policy.' },
  { name: 'name', kind: 'string', sentence: 'Its name, in which `*` stands for anything.' },
);

const pipelineTable = defineOptions<{ readonly pipeline: string }>({
  name: 'pipeline',
  kind: 'string',
  sentence: 'The name of a pipeline, in which `*` stands for anything.',
});

const faultTable = defineOptions<FaultOptions>(
  {
    name: 'target',
    kind: 'string',
    or: [
      { kind: 'object', fields: targetTable },
      { kind: 'object', fields: pipelineTable },
      { kind: 'list' },
    ],
    sentence:
      'What it hits: `Class.method`, the name of a policy, `{ kind, name }`, `{ pipeline }`, or a list of these.',
    check: targetMistake,
  },
  { name: 'name', kind: 'string', optional: true, defaultText: '`fault-1` …', sentence: 'Names it.' },
  ...chaosTable.rows.filter(isOfFault),
  { name: 'duration', kind: 'duration', default: '60s', sentence: 'How long it lasts.' },
  ...radiusRows(),
);

function isOfFault(row: { readonly name: string }): row is (typeof chaosTable.rows)[number] & {
  readonly name: Extract<keyof FaultOptions, string>;
} {
  return !['enabled', 'allowInProduction', 'duration'].includes(row.name);
}

/** The options by which anything that injects says how far it may go. */
export function radiusRows() {
  return [
    {
      name: 'blastRadius' as const,
      kind: 'one-of' as const,
      values: Object.keys(BLAST_RADII),
      default: 'moderate',
      sentence: 'What it may hit at most.',
    },
    {
      name: 'approvedBy' as const,
      kind: 'string' as const,
      optional: true,
      sentence: 'Who answers for a blast radius of `extensive`.',
    },
  ];
}

/** What is wrong with the form of a fault; whether it may run, and what it hits, is the injector's business. */
export function faultProblems(options: FaultOptions, where: string): OptionProblem[] {
  return checkOptions(faultTable, options, where);
}

function targetMistake(value: unknown): string | undefined {
  if (!Array.isArray(value)) return undefined;
  const fits = (item: unknown) =>
    (typeof item === 'string' && item !== '') ||
    (typeof item === 'object' &&
      [targetTable, pipelineTable].some((table) => checkOptions(table, item, '').length === 0));
  if (value.length > 0 && value.every(fits)) return undefined;
  return '"target" must be a list of names, of { kind, name } or of { pipeline }, and not empty.';
}
