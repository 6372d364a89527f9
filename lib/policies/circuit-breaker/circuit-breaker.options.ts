import type { Call, CallInfo } from '../../core/call.js';
import { formatDuration, parseDuration, type Duration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';
import { compileOptional as compiled, type CompiledMatcher, type Matcher } from '../../core/matcher.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import type { CircuitScope } from '../../core/shared-state.js';
import type { CircuitState } from './circuit-state.js';

/** Options of a circuit breaker. @publicApi */
export interface CircuitBreakerOptions {
  /** Failures that open it: consecutive ones without `window`, else those inside it. Default 5, none beside a rate. */
  readonly failureThreshold?: number;
  /** Failures per 100 calls of the window that open it. Without a window: of the last 100 calls. */
  readonly failureRatePercent?: number;
  /** Slow calls per 100 calls of the window that open it. */
  readonly slowCallRatePercent?: number;
  /** A call that takes longer is slow. Default 60 s. */
  readonly slowCallDuration?: Duration;
  /** What it looks at: the last `calls`, or those of the last `duration`. Default: consecutive calls. */
  readonly window?: { readonly calls: number } | { readonly duration: Duration };
  /** Calls that the window must hold before it may open. Default 100 for rates (at most the window), else none. */
  readonly minimumCalls?: number;
  /** How long it stays open; as a function, of the count of consecutive openings (1, 2, …). Default 60 s. */
  readonly openDuration?: Duration | ((openings: number) => Duration);
  /** Successful probes that close it. Default 3. */
  readonly successThreshold?: number;
  /** Probes that may run at the same time while half-open. Default 3. */
  readonly halfOpenMaxCalls?: number;
  /** A probe that takes longer re-opens it. Default: the open duration. */
  readonly halfOpenMaxDuration?: Duration;
  /** The only errors that count as failures. Default: all but answers such as 404. */
  readonly recordErrors?: Matcher;
  /** Errors that count as nothing. */
  readonly ignoreErrors?: Matcher;
  /** Results that count as failures. */
  readonly recordResult?: Matcher;
  /** What errors outside `recordErrors` count as. Default `success`. */
  readonly unmatchedErrors?: 'success' | 'ignore';
  /** Default `closed`. */
  readonly initialState?: CircuitState;
  /** One circuit per key, e.g. per tenant. */
  readonly key?: (call: CallInfo) => string | undefined;
  /** Circuits kept with `key`. Default 1,000. */
  readonly maxKeys?: number;
  /**
   * Whether instances of the application open and close it together, through `forRoot({ sharedState })`. Without a shared
   * store it is this instance's own. `true` means `{ scope: 'quorum' }`. Default false.
   */
  readonly shared?: boolean | SharedCircuitOptions;
}

/** How instances share a circuit. @publicApi */
export interface SharedCircuitOptions {
  /**
   * Whose word opens it for all: `quorum`, that of a third of the instances and at least two, or the failure rate of all
   * together; `any`, that of each. Default `quorum`.
   */
  readonly scope?: CircuitScope;
}

/** The options as the circuits use them. */
export interface CircuitSettings {
  readonly failureThreshold: number | undefined;
  readonly failureRatePercent: number | undefined;
  readonly slowCallRatePercent: number | undefined;
  readonly slowCallDurationMs: number;
  readonly window:
    | { readonly calls: number; readonly durationMs: undefined }
    | { readonly calls: undefined; readonly durationMs: number }
    | undefined;
  /** 0 where no minimum holds. */
  readonly minimumCalls: number;
  openDuration(openings: number): number;
  halfOpenMaxDurationMs(openings: number): number;
  readonly successThreshold: number;
  readonly halfOpenMaxCalls: number;
  /** Half-open decides by rate over a fixed number of probes. */
  readonly rateMode: boolean;
  /** In rate mode: how many probes decide. */
  readonly probeLimit: number;
  readonly recordErrors: CompiledMatcher | undefined;
  readonly ignoreErrors: CompiledMatcher | undefined;
  readonly recordResult: CompiledMatcher | undefined;
  readonly unmatchedErrors: 'success' | 'ignore';
  readonly initialState: Exclude<CircuitState, 'half-open'>;
  readonly key: ((call: Call) => string | undefined) | undefined;
  readonly maxKeys: number;
  /** Whose word opens it for all instances; `undefined` where it is this instance's own. */
  readonly shared: CircuitScope | undefined;
  /** Whether it needs to know when calls begin and end. */
  readonly timed: boolean;
}

const DEFAULT_THRESHOLD = 5;
const DEFAULT_MINIMUM_CALLS = 100;
const DEFAULT_OPEN_MS = 60_000;

interface Resolved extends Omit<CircuitBreakerOptions, 'window' | 'openDuration' | 'shared'> {
  readonly shared: boolean | Required<SharedCircuitOptions>;
  readonly slowCallDuration: number;
  readonly window?: { readonly calls?: number; readonly duration?: number };
  readonly openDuration: number | OpenDurationFunction;
  readonly successThreshold: number;
  readonly halfOpenMaxCalls: number;
  readonly halfOpenMaxDuration?: number;
  readonly unmatchedErrors: 'success' | 'ignore';
  readonly initialState: Exclude<CircuitState, 'half-open'>;
  readonly maxKeys: number;
}

const callWindow = defineOptions<{ calls: number }>({
  name: 'calls',
  kind: 'integer',
  min: 1,
  max: 10_000_000,
  sentence: 'How many calls the window holds.',
});

const timeWindow = defineOptions<{ duration: Duration }>({
  name: 'duration',
  kind: 'duration',
  sentence: 'How far back the window reaches.',
});

const SCOPES = ['quorum', 'any'] as const;

const sharedTable = defineOptions<SharedCircuitOptions, Required<SharedCircuitOptions>>({
  name: 'scope',
  kind: 'one-of',
  values: SCOPES,
  default: 'quorum',
  sentence: 'Whose word opens it for all: that of several instances, or of any.',
});

/** The options of a circuit breaker, for validation and documentation. */
export const circuitBreakerTable = defineOptions<CircuitBreakerOptions, Resolved>(
  {
    name: 'failureThreshold',
    kind: 'integer',
    min: 1,
    optional: true,
    defaultText: '5; none beside a rate',
    sentence: 'Failures that open it: consecutive ones without `window`, else those inside it.',
  },
  {
    name: 'failureRatePercent',
    kind: 'percent',
    above: 0,
    optional: true,
    sentence: 'Failures per 100 calls of the window that open it. Without a window: of the last 100 calls.',
  },
  {
    name: 'slowCallRatePercent',
    kind: 'percent',
    above: 0,
    optional: true,
    sentence: 'Slow calls per 100 calls of the window that open it.',
  },
  {
    name: 'slowCallDuration',
    kind: 'duration',
    default: '60s',
    sentence: 'A call that takes longer is slow.',
  },
  {
    name: 'window',
    kind: 'object',
    fields: callWindow,
    or: [{ kind: 'object', fields: timeWindow }],
    optional: true,
    sentence: 'What it looks at: the last `calls`, or those of the last `duration`.',
  },
  {
    name: 'minimumCalls',
    kind: 'integer',
    min: 1,
    optional: true,
    defaultText: '100 for rates (at most the window), else none',
    sentence: 'Calls that the window must hold before it may open.',
  },
  {
    name: 'openDuration',
    kind: 'duration',
    or: [{ kind: 'function' }],
    default: DEFAULT_OPEN_MS,
    defaultText: "`'60s'`",
    sentence: 'How long it stays open; as a function, of the count of consecutive openings.',
    check: (value) =>
      typeof value !== 'function' || openMsOf(value as OpenDurationFunction, 1) !== undefined
        ? undefined
        : '"openDuration" must return a duration above 0; it does not for the first opening.',
  },
  {
    name: 'successThreshold',
    kind: 'integer',
    min: 1,
    default: 3,
    sentence: 'Successful probes that close it.',
  },
  {
    name: 'halfOpenMaxCalls',
    kind: 'integer',
    min: 1,
    default: 3,
    sentence: 'Probes that may run at the same time while half-open.',
  },
  {
    name: 'halfOpenMaxDuration',
    kind: 'duration',
    optional: true,
    defaultText: 'the open duration',
    sentence: 'A probe that takes longer re-opens it.',
  },
  {
    name: 'recordErrors',
    kind: 'matcher',
    optional: true,
    defaultText: 'all but 4xx answers other than 408, 425, 429',
    sentence: 'The only errors that count as failures.',
  },
  { name: 'ignoreErrors', kind: 'matcher', optional: true, sentence: 'Errors that count as nothing.' },
  { name: 'recordResult', kind: 'matcher', optional: true, sentence: 'Results that count as failures.' },
  {
    name: 'unmatchedErrors',
    kind: 'one-of',
    values: ['success', 'ignore'],
    default: 'success',
    sentence: 'What errors outside `recordErrors` count as.',
  },
  {
    name: 'initialState',
    kind: 'one-of',
    values: ['closed', 'open', 'forced-open', 'disabled', 'meter-only'],
    default: 'closed',
    sentence: 'The state that it starts in.',
  },
  { name: 'key', kind: 'function', optional: true, sentence: 'One circuit per key, e.g. per tenant.' },
  { name: 'maxKeys', kind: 'integer', min: 1, default: 1_000, sentence: 'Circuits kept with `key`.' },
  {
    name: 'shared',
    kind: 'boolean',
    or: [{ kind: 'object', fields: sharedTable }],
    default: false,
    sentence: 'Whether all instances open and close it together.',
  },
);

/** Everything that is wrong with the options, alone and among each other. */
export function circuitBreakerProblems(options: CircuitBreakerOptions, where: string): OptionProblem[] {
  const problems = checkOptions(circuitBreakerTable, options, where);
  if (problems.length > 0) return problems;
  const calls = options.window && 'calls' in options.window ? options.window.calls : undefined;
  const window =
    calls ?? (options.window === undefined && hasRate(options) ? DEFAULT_MINIMUM_CALLS : undefined);
  if (window !== undefined && options.minimumCalls !== undefined && options.minimumCalls > window) {
    problems.push({
      where,
      option: 'minimumCalls',
      message: `"minimumCalls" of ${options.minimumCalls} can never be reached in a window of ${window} calls.`,
    });
  }
  if (calls !== undefined && options.failureThreshold !== undefined && options.failureThreshold > calls) {
    problems.push({
      where,
      option: 'failureThreshold',
      message: `"failureThreshold" of ${options.failureThreshold} can never be reached in a window of ${calls} calls.`,
    });
  }
  return problems;
}

/** @throws {@link InvalidOptionsError} */
export function circuitBreakerSettings(options: CircuitBreakerOptions, where: string): CircuitSettings {
  refuseProblems(circuitBreakerProblems(options, where));
  const given = resolveOptions(circuitBreakerTable, options);
  const rateMode = hasRate(options);
  const window = windowOf(given, rateMode);
  const minimumCalls =
    given.minimumCalls ??
    (rateMode ? Math.min(DEFAULT_MINIMUM_CALLS, window?.calls ?? DEFAULT_MINIMUM_CALLS) : 0);
  const openDuration = openDurationOf(given.openDuration, where);
  const { halfOpenMaxDuration } = given;
  return {
    failureThreshold: given.failureThreshold ?? (rateMode ? undefined : DEFAULT_THRESHOLD),
    failureRatePercent: given.failureRatePercent,
    slowCallRatePercent: given.slowCallRatePercent,
    slowCallDurationMs: given.slowCallDuration,
    window,
    minimumCalls,
    openDuration,
    halfOpenMaxDurationMs: halfOpenMaxDuration === undefined ? openDuration : () => halfOpenMaxDuration,
    successThreshold: given.successThreshold,
    halfOpenMaxCalls: given.halfOpenMaxCalls,
    rateMode,
    probeLimit: Math.min(minimumCalls, given.halfOpenMaxCalls),
    recordErrors: compiled(given.recordErrors),
    ignoreErrors: compiled(given.ignoreErrors),
    recordResult: compiled(given.recordResult),
    unmatchedErrors: given.unmatchedErrors,
    initialState: given.initialState,
    key: given.key,
    maxKeys: given.maxKeys,
    shared: given.shared === false ? undefined : given.shared === true ? 'quorum' : given.shared.scope,
    timed: given.slowCallRatePercent !== undefined || window?.durationMs !== undefined,
  };
}

function hasRate(options: CircuitBreakerOptions): boolean {
  return options.failureRatePercent !== undefined || options.slowCallRatePercent !== undefined;
}

function windowOf({ window }: Resolved, rateMode: boolean): CircuitSettings['window'] {
  if (window?.calls !== undefined) return { calls: window.calls, durationMs: undefined };
  if (window?.duration !== undefined) return { calls: undefined, durationMs: window.duration };
  return rateMode ? { calls: DEFAULT_MINIMUM_CALLS, durationMs: undefined } : undefined;
}

type OpenDurationFunction = (openings: number) => Duration;

/** A function's answer is never in the way of a call: where it is no duration, the default holds. */
function openDurationOf(given: number | OpenDurationFunction, where: string): (openings: number) => number {
  if (typeof given === 'number') return () => given;
  let warned = false;
  return (openings) => {
    const openMs = openMsOf(given, openings);
    if (openMs !== undefined) return openMs;
    if (!warned) {
      warned = true;
      process.emitWarning(
        `${where}: "openDuration" must return a duration above 0; it did not for opening ${openings}. The default of ${formatDuration(DEFAULT_OPEN_MS)} is used instead.`,
        'ResilienceWarning',
      );
    }
    return DEFAULT_OPEN_MS;
  };
}

/** What the function says, in milliseconds; `undefined` where that is no duration above 0, or it throws. */
function openMsOf(given: OpenDurationFunction, openings: number): number | undefined {
  try {
    const openMs = parseDuration(given(openings));
    return openMs !== undefined && openMs > 0 ? openMs : undefined;
  } catch {
    return undefined;
  }
}
