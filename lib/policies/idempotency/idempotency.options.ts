import type { Call, CallInfo } from '../../core/call.js';
import type { Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { compileOptional as compiled, type CompiledMatcher, type Matcher } from '../../core/matcher.js';
import { describeValue } from '../../core/option-form.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { propertyOf } from '../../core/property.js';
import type { OutcomeCodec } from './shared-once.js';

/** Options of idempotency. @publicApi */
export interface IdempotencyOptions {
  /** What tells a repeated call from a new one; wins over nothing but the call's own `idempotencyKey`. */
  readonly key?: (call: CallInfo) => string | undefined;
  /** How long an outcome is kept and replayed. Default 1 h. */
  readonly ttl?: Duration;
  /** What must be equal for two calls of one key; kept as a hash where it is long. Default: a hash of the arguments. */
  readonly fingerprint?: (call: CallInfo) => string;
  /** Errors that are kept and replayed like results. Default: none. */
  readonly storeErrors?: Matcher;
  /** How long a run may go on without a sign of life before another may take its place. Default 30 s. */
  readonly lease?: Duration;
  /** How long a second call waits for the first to finish. Default 0: it is refused at once. */
  readonly wait?: Duration;
  /** What a call without a key gets. Default `reject`. */
  readonly onMissingKey?: 'reject' | 'pass';
  /** Finished outcomes kept in memory. Default 10,000. */
  readonly maxRecords?: number;
  /**
   * Whether outcomes are kept for all instances of the application, through `forRoot({ sharedState })`, as JSON unless a
   * codec is given. While that store is lost calls are refused. Without a shared store outcomes are this instance's own.
   * Default false.
   */
  readonly shared?: boolean | SharedIdempotencyOptions;
}

/** How instances share outcomes. @publicApi */
export interface SharedIdempotencyOptions {
  /** Default: JSON, of at most 64 KiB. */
  readonly codec?: OutcomeCodec;
}

/** The options as the policy uses them. */
export interface IdempotencySettings {
  readonly key: ((call: Call) => string | undefined) | undefined;
  readonly ttlMs: number;
  readonly fingerprint: ((call: Call) => string) | undefined;
  readonly storeErrors: CompiledMatcher | undefined;
  readonly leaseMs: number;
  readonly waitMs: number;
  readonly onMissingKey: 'reject' | 'pass';
  readonly maxRecords: number;
  readonly shared: boolean | SharedIdempotencyOptions;
}

interface Resolved extends Omit<IdempotencyOptions, 'ttl' | 'lease' | 'wait'> {
  readonly shared: boolean | SharedIdempotencyOptions;
  readonly ttl: number;
  readonly lease: number;
  readonly wait: number;
  readonly onMissingKey: 'reject' | 'pass';
  readonly maxRecords: number;
}

const sharedTable = defineOptions<SharedIdempotencyOptions, SharedIdempotencyOptions>({
  name: 'codec',
  kind: 'any',
  optional: true,
  defaultText: 'JSON',
  sentence: 'Turns results into text and back: `encode(value)` and `decode(text)`.',
  check: (value) =>
    typeof propertyOf(value, 'encode') === 'function' && typeof propertyOf(value, 'decode') === 'function'
      ? undefined
      : `"shared.codec" must have the functions "encode" and "decode", got ${describeValue(value)}.`,
});

/** The options of idempotency, for validation and documentation. */
export const idempotencyTable = defineOptions<IdempotencyOptions, Resolved>(
  {
    name: 'key',
    kind: 'function',
    optional: true,
    defaultText: "the call's own `idempotencyKey`",
    sentence: 'What tells a repeated call from a new one.',
  },
  { name: 'ttl', kind: 'duration', default: '1h', sentence: 'How long an outcome is kept and replayed.' },
  {
    name: 'fingerprint',
    kind: 'function',
    optional: true,
    defaultText: 'a hash of the arguments',
    sentence: 'What must be equal for two calls of one key.',
  },
  {
    name: 'storeErrors',
    kind: 'matcher',
    optional: true,
    sentence: 'Errors that are kept and replayed like results.',
  },
  {
    name: 'lease',
    kind: 'duration',
    default: '30s',
    sentence: 'How long a run may go on without a sign of life before another may take its place.',
  },
  {
    name: 'wait',
    kind: 'duration',
    min: 0,
    default: 0,
    sentence: 'How long a second call waits for the first to finish; 0 refuses it at once.',
  },
  {
    name: 'onMissingKey',
    kind: 'one-of',
    values: ['reject', 'pass'],
    default: 'reject',
    sentence: 'What a call without a key gets.',
  },
  {
    name: 'maxRecords',
    kind: 'integer',
    min: 1,
    default: 10_000,
    sentence: 'Finished outcomes kept in memory; the oldest go first.',
  },
  {
    name: 'shared',
    kind: 'boolean',
    or: [{ kind: 'object', fields: sharedTable }],
    default: false,
    sentence: 'Whether outcomes are kept for all instances.',
  },
);

/** Everything that is wrong with the options. */
export function idempotencyProblems(options: IdempotencyOptions, where: string): OptionProblem[] {
  return checkOptions(idempotencyTable, options, where);
}

/** @throws {@link InvalidOptionsError} */
export function idempotencySettings(options: IdempotencyOptions, where: string): IdempotencySettings {
  refuseProblems(idempotencyProblems(options, where));
  const given = resolveOptions(idempotencyTable, options);
  return {
    key: given.key,
    ttlMs: given.ttl,
    fingerprint: given.fingerprint,
    storeErrors: compiled(given.storeErrors),
    leaseMs: given.lease,
    waitMs: given.wait,
    onMissingKey: given.onMissingKey,
    maxRecords: given.maxRecords,
    shared: given.shared,
  };
}
