import { Priority, type Call, type CallInfo } from '../../core/call.js';
import type { Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';

export const PRIORITIES: readonly Priority[] = [
  Priority.CRITICAL,
  Priority.HIGH,
  Priority.NORMAL,
  Priority.LOW,
  Priority.BACKGROUND,
];

/** Whether it is one of {@link PRIORITIES}; a function, or a caller in JavaScript, can say anything. */
export function isPriority(value: unknown): value is Priority {
  return (
    Number.isInteger(value) &&
    (value as number) >= Priority.CRITICAL &&
    (value as number) <= Priority.BACKGROUND
  );
}

/** Options of a bulkhead. @publicApi */
export interface BulkheadOptions {
  /** Calls that may run at once; 0 admits nothing. Default 100. */
  readonly maxConcurrent?: number;
  /** Calls that may wait. Default 200. */
  readonly maxQueue?: number;
  /** How long a call may wait. Default 30 s. */
  readonly maxWait?: Duration;
  /** Who goes first among those that wait. Default `Priority.NORMAL`. */
  readonly priority?: Priority | ((call: CallInfo) => Priority);
  /** Refuses a priority while the bulkhead is used by more than so many percent. Default: none is refused. */
  readonly shedAbovePercent?: Readonly<Partial<Record<'HIGH' | 'NORMAL' | 'LOW' | 'BACKGROUND', number>>>;
  /** A waiting call counts as one priority higher for each such time that it has waited. Default: never. */
  readonly aging?: Duration;
  /** Slots of its own for each key. */
  readonly key?: (call: CallInfo) => string | undefined;
  /**
   * Whether `maxConcurrent` is the limit of all instances of the application together, through
   * `forRoot({ sharedState })`. Without a shared store it is this instance's own. Default false.
   */
  readonly shared?: boolean | SharedBulkheadOptions;
}

/** How instances share a bulkhead. @publicApi */
export interface SharedBulkheadOptions {
  /** For how long permits are borrowed, and what an instance that has died keeps them for. At least 1 s. Default 5 s. */
  readonly lease?: Duration;
}

/** The options as the bulkhead uses them. */
export interface BulkheadSettings {
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  readonly maxWaitMs: number;
  /** Whether the user said how long. */
  readonly waitGiven: boolean;
  readonly priority: Priority | ((call: Call) => Priority);
  /** By priority: the utilisation above which it is refused. */
  readonly shedding: Readonly<Partial<Record<Priority, number>>> | undefined;
  readonly agingMs: number | undefined;
  readonly key: ((call: Call) => string | undefined) | undefined;
  /** For how long permits of a shared limit are borrowed. */
  readonly leaseMs: number | undefined;
}

interface Resolved extends Omit<BulkheadOptions, 'maxWait' | 'aging' | 'shared'> {
  readonly shared: boolean | { readonly lease: number };
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  readonly maxWait: number;
  readonly priority: Priority | ((call: CallInfo) => Priority);
  readonly aging?: number;
}

const sharedTable = defineOptions<SharedBulkheadOptions, { readonly lease: number }>({
  name: 'lease',
  kind: 'duration',
  min: 1_000,
  default: '5s',
  sentence: 'For how long permits are borrowed.',
});

/** The options of a bulkhead, for validation and documentation. */
export const bulkheadTable = defineOptions<BulkheadOptions, Resolved>(
  {
    name: 'maxConcurrent',
    kind: 'integer',
    min: 0,
    default: 100,
    sentence: 'Calls that may run at once; 0 admits nothing.',
  },
  { name: 'maxQueue', kind: 'integer', min: 0, default: 200, sentence: 'Calls that may wait.' },
  { name: 'maxWait', kind: 'duration', default: '30s', sentence: 'How long a call may wait.' },
  {
    name: 'priority',
    kind: 'one-of',
    values: PRIORITIES,
    or: [{ kind: 'function' }],
    default: Priority.NORMAL,
    defaultText: '`Priority.NORMAL`',
    sentence: 'Who goes first among those that wait; as a function, of the call.',
  },
  {
    name: 'shedAbovePercent',
    kind: 'record',
    values: ['HIGH', 'NORMAL', 'LOW', 'BACKGROUND'],
    each: { kind: 'percent' },
    optional: true,
    sentence: 'Refuses a priority while (running + queued) / (slots + places) is above so many percent.',
  },
  {
    name: 'aging',
    kind: 'duration',
    optional: true,
    sentence: 'A waiting call counts as one priority higher for each such time that it has waited.',
  },
  { name: 'key', kind: 'function', optional: true, sentence: 'Slots of its own for each key.' },
  {
    name: 'shared',
    kind: 'boolean',
    or: [{ kind: 'object', fields: sharedTable }],
    default: false,
    sentence: 'Whether `maxConcurrent` is the limit of all instances together.',
  },
);

/** Everything that is wrong with the options. */
export function bulkheadProblems(options: BulkheadOptions, where: string): OptionProblem[] {
  return checkOptions(bulkheadTable, options, where);
}

/** @throws {@link InvalidOptionsError} */
export function bulkheadSettings(options: BulkheadOptions, where: string): BulkheadSettings {
  refuseProblems(bulkheadProblems(options, where));
  const given = resolveOptions(bulkheadTable, options);
  return {
    maxConcurrent: given.maxConcurrent,
    maxQueue: given.maxQueue,
    maxWaitMs: given.maxWait,
    waitGiven: options.maxWait !== undefined,
    priority: given.priority,
    shedding:
      given.shedAbovePercent &&
      Object.fromEntries(
        Object.entries(given.shedAbovePercent).map(([name, percent]) => [Priority[name as 'LOW'], percent]),
      ),
    agingMs: given.aging,
    key: given.key,
    leaseMs: leaseMsOf(given.shared),
  };
}

function leaseMsOf(shared: Resolved['shared']): number | undefined {
  if (shared === false) return undefined;
  return shared === true ? resolveOptions(sharedTable, {}).lease : shared.lease;
}
