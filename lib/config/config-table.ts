import { defineOptions, type OptionRow, type OptionTable } from '../core/option-table.js';
import { retryBudgetTable } from '../policies/retry/retry-budget.options.js';
import { NAMED_KINDS, POLICY_KINDS } from '../module/policy-kinds.js';
import { moduleTable } from '../module/resilience.options.js';

/** The name under which a kind's defaults stand. */
export const DEFAULT_NAME = 'default';
/** What a policy takes everything from that it does not say itself. */
export const BASE_OPTION = 'baseConfig';

const BASE_ROW: OptionRow = {
  name: BASE_OPTION,
  kind: 'string',
  optional: true,
  sentence: 'The policy of this kind whose options hold where this one says nothing.',
};

/** What only a program can say. */
const NOT_IN_FILES = new Set(['defaults', 'sharedState', 'clock', 'random', 'order']);

/** A program may give a budget itself; a file says what it shall be. */
function inFiles(row: OptionRow): OptionRow {
  return row.name === 'budget' ? { ...row, fields: retryBudgetTable } : row;
}

const kinds: readonly OptionRow[] = NAMED_KINDS.map((kind) => {
  const { plural, title, table } = POLICY_KINDS[kind];
  return {
    name: plural,
    kind: 'record',
    each: { kind: 'object', fields: { rows: [BASE_ROW, ...table.rows.map(inFiles)] } },
    optional: true,
    sentence: `Each ${title} by its name; under \`${DEFAULT_NAME}\` what holds for all of them.`,
  };
});

const order: OptionRow = {
  name: 'order',
  kind: 'list',
  each: { kind: 'string' },
  optional: true,
  sentence: 'Where each kind runs, outermost first; kinds that it does not name stay where they are.',
};

const known = new Set(kinds.map(({ name }) => name));
const others = moduleTable.rows.filter(({ name }) => !known.has(name) && !NOT_IN_FILES.has(name));

/** What a file or the environment can say: the module's options, without what only a program can give. */
export const configTable: OptionTable = defineOptions<Record<string, unknown>>(...kinds, ...others, order);
