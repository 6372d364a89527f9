import type { Call, CallInfo } from '../../core/call.js';
import { formatDuration, type Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { SlidingWindowAlgorithm, type LimitAlgorithm } from './algorithm.js';
import { pacer, tokenBucket } from './limiter.js';
import type { SharedLimitSettings } from './shared-limit.js';

/**
 * What a request-keyed limit sees: Nest's `ExecutionContext`, of which nothing is assumed here.
 *
 * @publicApi
 */
export type RequestKey<Context = never> = { of(context: Context): string | undefined }['of'];

/** Options of a rate limit. @publicApi */
export interface RateLimitOptions {
  /** Default `token-bucket`, or `sliding-window` where `limit` is given. */
  readonly algorithm?: 'token-bucket' | 'sliding-window' | 'leaky-bucket';
  /** Of a bucket: what it holds. Default 1,000. */
  readonly capacity?: number;
  /** Of a token bucket: what comes back per second; 0 leaves the burst, once. Default 100. */
  readonly refillPerSecond?: number;
  /** Of a sliding window: units in any interval of `window`. */
  readonly limit?: number;
  /** Default 60 s. */
  readonly window?: Duration;
  /** Of a leaky bucket: what leaves per second. Default 100. */
  readonly leakPerSecond?: number;
  /** Of a leaky bucket: admit while it has room, or let calls wait and leave evenly spaced. Default `meter`. */
  readonly mode?: 'meter' | 'wait';
  /** Units that a call takes. Default 1. */
  readonly cost?: number | ((call: CallInfo) => number);
  /** A state of its own for each key of a call. */
  readonly key?: (call: CallInfo) => string | undefined;
  /** A state of its own for each key of a request; applied once per request by a guard, outside everything. */
  readonly by?: RequestKey;
  /** With `by`: requests that are not limited. */
  readonly skip?: { of(context: never): boolean }['of'];
  /** How long a call may wait for its turn. Default 0; of a waiting leaky bucket as long as the bucket takes. */
  readonly maxWait?: Duration;
  /** Keys kept. Default 10,000. */
  readonly maxKeys?: number;
  /**
   * Of a token bucket: whether all instances of the application draw from one, through `forRoot({ sharedState })`.
   * Without a shared store it is this instance's own. Default false.
   */
  readonly shared?: boolean | SharedRateLimitOptions;
}

/** How instances share a limit. @publicApi */
export interface SharedRateLimitOptions {
  /**
   * `exact` asks the store for each call; `leased` borrows units for some 20 ms ahead, of which those that are not used
   * within 250 ms are lost. Default `exact`.
   */
  readonly mode?: 'exact' | 'leased';
  /**
   * What holds while the store is lost: this instance's share of the rate, everything passes, or nothing. Default
   * `local-share`.
   */
  readonly onStoreLoss?: 'local-share' | 'open' | 'closed';
}

/** The options as the limiter uses them. */
export interface RateLimitSettings {
  readonly algorithm: 'token-bucket' | 'sliding-window' | 'leaky-bucket';
  readonly createAlgorithm: () => LimitAlgorithm<unknown>;
  /** States under settings of the same shape mean the same. */
  readonly stateShape: string;
  /** In words. */
  readonly rate: string;
  readonly windowMs: number;
  readonly cost: number | ((call: Call) => number);
  readonly key: ((call: Call) => string | undefined) | undefined;
  readonly by: RequestKey | undefined;
  readonly skip: { of(context: never): boolean }['of'] | undefined;
  readonly maxWaitMs: number;
  /** Calls that may wait at once. */
  readonly maxWaiting: number;
  readonly maxKeys: number;
  readonly shared: SharedLimitSettings | undefined;
}

interface Resolved extends Omit<RateLimitOptions, 'window' | 'maxWait' | 'shared'> {
  readonly shared: boolean | Required<SharedRateLimitOptions>;
  readonly capacity: number;
  readonly refillPerSecond: number;
  readonly window: number;
  readonly leakPerSecond: number;
  readonly mode: 'meter' | 'wait';
  readonly cost: number | ((call: CallInfo) => number);
  readonly maxWait?: number;
  readonly maxKeys: number;
}

const sharedTable = defineOptions<SharedRateLimitOptions, Required<SharedRateLimitOptions>>(
  {
    name: 'mode',
    kind: 'one-of',
    values: ['exact', 'leased'],
    default: 'exact',
    sentence: 'Whether the store is asked for each call, or lends units for some 20 ms ahead.',
  },
  {
    name: 'onStoreLoss',
    kind: 'one-of',
    values: ['local-share', 'open', 'closed'],
    default: 'local-share',
    sentence: "What holds while the store is lost: this instance's share, everything passes, or nothing.",
  },
);

/** The options of a rate limit, for validation and documentation. */
export const rateLimitTable = defineOptions<RateLimitOptions, Resolved>(
  {
    name: 'algorithm',
    kind: 'one-of',
    values: ['token-bucket', 'sliding-window', 'leaky-bucket'],
    optional: true,
    defaultText: "`'token-bucket'`; `'sliding-window'` where `limit` is given",
    sentence: 'How calls are counted.',
  },
  { name: 'capacity', kind: 'integer', min: 1, default: 1_000, sentence: 'Of a bucket: what it holds.' },
  {
    name: 'refillPerSecond',
    kind: 'number',
    min: 0,
    default: 100,
    sentence: 'Of a token bucket: what comes back per second; 0 leaves the burst, once.',
  },
  {
    name: 'limit',
    kind: 'integer',
    min: 1,
    optional: true,
    sentence: 'Of a sliding window: units in any interval of `window`.',
  },
  { name: 'window', kind: 'duration', default: '60s', sentence: 'Of a sliding window: its length.' },
  {
    name: 'leakPerSecond',
    kind: 'number',
    min: 0,
    default: 100,
    sentence: 'Of a leaky bucket: what leaves per second.',
  },
  {
    name: 'mode',
    kind: 'one-of',
    values: ['meter', 'wait'],
    default: 'meter',
    sentence: 'Of a leaky bucket: admit while it has room, or let calls wait and leave evenly spaced.',
  },
  {
    name: 'cost',
    kind: 'number',
    above: 0,
    or: [{ kind: 'function' }],
    default: 1,
    sentence: 'Units that a call takes; as a function, of the call.',
  },
  { name: 'key', kind: 'function', optional: true, sentence: 'A state of its own for each key of a call.' },
  {
    name: 'by',
    kind: 'function',
    optional: true,
    sentence: 'A state of its own for each key of a request; applied once per request, outside everything.',
  },
  { name: 'skip', kind: 'function', optional: true, sentence: 'With `by`: requests that are not limited.' },
  {
    name: 'maxWait',
    kind: 'duration',
    min: 0,
    optional: true,
    defaultText: '0; of a waiting leaky bucket as long as the bucket takes',
    sentence: 'How long a call may wait for its turn.',
  },
  { name: 'maxKeys', kind: 'integer', min: 1, default: 10_000, sentence: 'Keys kept.' },
  {
    name: 'shared',
    kind: 'boolean',
    or: [{ kind: 'object', fields: sharedTable }],
    default: false,
    sentence: 'Of a token bucket: whether all instances draw from one.',
  },
);

/** Everything that is wrong with the options, alone and among each other. */
export function rateLimitProblems(options: RateLimitOptions, where: string): OptionProblem[] {
  const problems = checkOptions(rateLimitTable, options, where);
  if (problems.length > 0) return problems;
  const add = (option: string, message: string) => problems.push({ where, option, message });
  const algorithm = algorithmOf(options);
  if (algorithm === 'sliding-window' && options.limit === undefined) {
    add('limit', '"limit" is missing; a sliding window needs it.');
  }
  for (const [option, owner] of Object.entries(OWNERS)) {
    if (options[option as keyof RateLimitOptions] !== undefined && !owner.includes(algorithm)) {
      add(
        option,
        `"${option}" means nothing to the algorithm "${algorithm}"; it belongs to "${owner.join('", "')}".`,
      );
    }
  }
  const limit = algorithm === 'sliding-window' ? options.limit : (options.capacity ?? 1_000);
  if (typeof options.cost === 'number' && limit !== undefined && options.cost > limit) {
    add('cost', `"cost" of ${options.cost} is above the limit of ${limit}; no call could ever pass.`);
  }
  if (options.by !== undefined && options.key !== undefined) {
    add('by', '"by" and "key" exclude each other: a limit is keyed by the request or by the call.');
  }
  if (options.shared !== undefined && options.shared !== false) {
    if (algorithm !== 'token-bucket')
      add('shared', `"shared" is for a token bucket, not for the algorithm "${algorithm}".`);
    if (options.refillPerSecond === 0) add('shared', '"shared" needs a "refillPerSecond" above 0.');
  }
  if (options.skip !== undefined && options.by === undefined) {
    add('skip', '"skip" needs "by": only request-keyed limits see the request.');
  }
  return problems;
}

/** Which algorithms an option belongs to. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  capacity: ['token-bucket', 'leaky-bucket'],
  refillPerSecond: ['token-bucket'],
  limit: ['sliding-window'],
  window: ['sliding-window'],
  leakPerSecond: ['leaky-bucket'],
  mode: ['leaky-bucket'],
};

/** @throws {@link InvalidOptionsError} */
export function rateLimitSettings(options: RateLimitOptions, where: string): RateLimitSettings {
  refuseProblems(rateLimitProblems(options, where));
  const given = resolveOptions(rateLimitTable, options);
  const form = formOf(algorithmOf(options), given);
  return {
    ...form,
    algorithm: algorithmOf(options),
    cost: given.cost,
    key: given.key,
    by: given.by,
    skip: given.skip,
    maxKeys: given.maxKeys,
    shared: sharedOf(given),
  };
}

function sharedOf({ shared, capacity, refillPerSecond, maxKeys }: Resolved): SharedLimitSettings | undefined {
  if (shared === false) return undefined;
  const how = shared === true ? resolveOptions(sharedTable, {}) : shared;
  return { ...how, capacity, perSecond: refillPerSecond, maxKeys };
}

type Form = Pick<
  RateLimitSettings,
  'createAlgorithm' | 'stateShape' | 'rate' | 'windowMs' | 'maxWaitMs' | 'maxWaiting'
>;

function formOf(algorithm: RateLimitSettings['algorithm'], given: Resolved): Form {
  const { capacity, window, maxWait } = given;
  if (algorithm === 'sliding-window') {
    const limit = given.limit as number;
    return {
      createAlgorithm: () => new SlidingWindowAlgorithm(limit, window),
      stateShape: `window ${window}`,
      rate: `${limit} in ${formatDuration(window)}`,
      windowMs: window,
      maxWaitMs: maxWait ?? 0,
      maxWaiting: Number.POSITIVE_INFINITY,
    };
  }
  const perSecond = algorithm === 'token-bucket' ? given.refillPerSecond : given.leakPerSecond;
  const paced = algorithm === 'leaky-bucket' && given.mode === 'wait' && maxWait !== 0;
  return {
    createAlgorithm: () => (paced ? pacer(capacity, perSecond) : tokenBucket(capacity, perSecond)),
    stateShape: paced ? `paced ${perSecond}` : `bucket ${perSecond === 0}`,
    rate: `${capacity}, ${perSecond}/s`,
    windowMs: (capacity / perSecond) * 1000,
    maxWaitMs: maxWait ?? (paced ? Number.POSITIVE_INFINITY : 0),
    maxWaiting: paced ? capacity : Number.POSITIVE_INFINITY,
  };
}

function algorithmOf(options: RateLimitOptions): RateLimitSettings['algorithm'] {
  return options.algorithm ?? (options.limit === undefined ? 'token-bucket' : 'sliding-window');
}
