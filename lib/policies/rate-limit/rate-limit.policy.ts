import type { Call, CallInfo, CallOptions, Next } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { announce, buildRejection, clockOf, type PolicyEnvironment } from '../../core/environment.js';
import { RateLimitExceededError, type RateLimitDecision } from '../../core/errors.js';
import { attemptFrame } from '../../core/attempt-frame.js';
import { execute } from '../../core/execute.js';
import type { PermitWait } from '../../core/permit-wait.js';
import type { Guard, Policy } from '../../core/policy.js';
import type { LimitAlgorithm } from './algorithm.js';
import { KeyedStates } from './keyed-states.js';
import { costError, decisionOf } from './limiter.js';
import { rateLimitSettings, type RateLimitOptions, type RateLimitSettings } from './rate-limit.options.js';
import { SharedLimit, type SharedDecisions } from './shared-limit.js';
import { SharedLine } from './shared-line.js';
import { TurnLine } from './turn-line.js';

/** The key of a limit that has none. */
const ALL = '';

/** The numbers of a rate limiter. @publicApi */
export interface RateLimitStats {
  readonly name: string;
  readonly algorithm: string;
  readonly limit: number;
  /** Of the unkeyed limit: whole units left now. */
  readonly remaining: number;
  readonly totalAllowed: number;
  readonly totalRejected: number;
  /** Calls that wait for their turn now. */
  readonly waiting: number;
  /** Keys that are kept at the moment. */
  readonly keys: number;
  /** Of a shared limit: decisions that the store made, that were made from what it had lent, and without it. */
  readonly shared?: Readonly<SharedDecisions>;
}

/** What was taken, for whom and when, so that it can be given back. */
interface Taken {
  readonly place: string;
  readonly cost: number;
  readonly at: number;
  readonly epoch: number;
}

/**
 * Lets calls pass at a rate: a token bucket (the default), a sliding window or a leaky bucket, for all calls together or
 * per key. A call beyond it is refused with {@link RateLimitExceededError}, or waits for its turn for up to `maxWait`.
 *
 * @example
 * const limit = new RateLimitPolicy('search', { capacity: 100, refillPerSecond: 10 });
 * const hits = await limit.execute(() => search(query), { key: tenant });
 *
 * @publicApi
 */
export class RateLimitPolicy implements Policy, Guard<Taken> {
  readonly kind = 'rateLimit';
  readonly policy = this;
  readonly needsTime = 'start';
  private readonly clock: Clock;
  /** The frame of `execute`. */
  private alone: Next | undefined;
  private settings: RateLimitSettings;
  private algorithm: LimitAlgorithm<unknown>;
  private states: KeyedStates<unknown>;
  /** Where all instances draw from one. */
  private shared: SharedLimit | undefined;
  /** Ends where what was taken is forgotten. */
  private epoch = 0;
  private readonly lines = new Map<string, TurnLine<Taken>>();
  /** By key, of a shared limit. */
  private readonly sharedLines = new Map<string, SharedLine<Taken>>();
  private totalAllowed = 0;
  private totalRejected = 0;
  /** Of a shared limit. */
  private readonly decisions: SharedDecisions = { store: 0, lease: 0, alone: 0 };
  private overflowed = false;

  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(
    readonly name: string,
    private options: RateLimitOptions = {},
    private readonly environment?: PolicyEnvironment,
  ) {
    this.settings = rateLimitSettings(options, `rate limit "${name}"`);
    this.clock = clockOf(environment);
    this.algorithm = this.settings.createAlgorithm();
    this.states = this.createStates();
    this.shared = this.createShared();
  }

  /** Units at most at one moment, or in one window. */
  get limit(): number {
    return this.algorithm.limit;
  }

  /** How requests are told apart, where it limits requests and not calls. */
  get requestKey(): Pick<RateLimitSettings, 'by' | 'skip'> | undefined {
    return this.settings.by === undefined ? undefined : this.settings;
  }

  /** Whether each key of a call has a state of its own. */
  get isKeyed(): boolean {
    return this.settings.key !== undefined;
  }

  /** The window, or how long the whole burst takes to come back; `Infinity` at a rate of 0. In milliseconds. */
  get windowMs(): number {
    return this.settings.windowMs;
  }

  /** @internal What it is set to do, for who looks at an application as a whole. */
  get configuration(): RateLimitSettings {
    return this.settings;
  }

  /**
   * Runs `fn` within the rate. A `key` of the call has a state of its own, also where the options know none; in a pipeline
   * it says so only to those policies whose options do.
   *
   * @throws {@link RateLimitExceededError} without running `fn`, with `retryAfterMs` and the whole decision.
   */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    this.alone ??= attemptFrame({ guards: [this.createOwnGuard()], clock: this.clock });
    return execute(this.alone, fn, options, this.clock);
  }

  /**
   * Takes `cost` units of `key` now or says when to come back. Never waits.
   *
   * @throws RangeError where `cost` is not above 0 or above the limit, so that it could never be served.
   */
  decide(key: string = ALL, cost = 1): RateLimitDecision {
    this.checkCost(cost);
    if (this.shared !== undefined) {
      throw new TypeError(`Rate limit "${this.name}" is shared: ask it with "await acquire()".`);
    }
    const now = this.clock.now();
    const { states, algorithm } = this;
    // Each look into a large map costs as much as the arithmetic: a known key is its own place.
    let state = states.get(key);
    const place = state === undefined ? states.placeOf(key, now) : key;
    if (place !== key) state = states.get(place);
    const line = this.lines.size === 0 ? undefined : this.lines.get(place);
    const next = line === undefined ? algorithm.take(state, cost, now) : undefined;
    if (next === undefined) {
      this.totalRejected++;
      return decisionOf(algorithm, state, false, cost, now, line?.cost);
    }
    states.set(place, next);
    this.totalAllowed++;
    return decisionOf(algorithm, next, true, cost, now);
  }

  /** What `key` has left, without taking anything. */
  look(key: string = ALL): RateLimitDecision {
    if (this.shared !== undefined) return this.shared.look(key);
    const now = this.clock.now();
    const state = this.states.look(key);
    return decisionOf(this.algorithm, state, this.algorithm.waitMs(state, 1, now) === 0, 1, now);
  }

  /**
   * As {@link decide}, of a shared limit too: asks the store where that is needed. Never waits for a turn.
   *
   * @throws RangeError as there.
   */
  async acquire(key: string = ALL, cost = 1): Promise<RateLimitDecision> {
    const { shared } = this;
    if (shared === undefined) return this.decide(key, cost);
    this.checkCost(cost);
    const decision =
      this.sharedLines.get(key)?.look(cost) ??
      shared.decideNow(key, cost, this.clock.now()) ??
      (await shared.decide(key, cost, undefined));
    if (decision.allowed) this.totalAllowed++;
    else this.totalRejected++;
    return decision;
  }

  /** @param named - Whether a key of the call is meant for this limit, also where its options know none. */
  enter(
    call: Call,
    now: number,
    named = (this.settings.key ?? this.settings.by) !== undefined,
  ): Taken | PermitWait<Taken> {
    const key = (named ? call.options.key : undefined) ?? this.settings.key?.(call) ?? ALL;
    const cost = this.costOf(call);
    this.checkCost(cost);
    if (this.shared !== undefined || this.sharedLines.size > 0) {
      const line = this.sharedLines.get(key);
      if (this.shared !== undefined || line !== undefined)
        return this.enterShared(line, call, key, cost, now);
    }
    const place = this.states.placeOf(key, now);
    if (!this.lines.has(place) && this.take(place, cost, now)) {
      return this.noteTaken(place, cost, now);
    }
    return this.join(call, place, cost, now);
  }

  /** How many units a call takes. */
  costOf(call: Call): number {
    const { cost } = this.settings;
    return call.options.cost ?? (typeof cost === 'function' ? cost(call) : cost);
  }

  cancel(taken: Taken): void {
    // A reset has forgotten what was taken before it.
    if (taken.epoch !== this.epoch) return;
    this.totalAllowed--;
    if (this.shared !== undefined) {
      this.shared.giveBack(taken.place, taken.cost, taken.at);
      return;
    }
    const state = this.states.get(taken.place);
    if (state === undefined) return;
    this.states.set(taken.place, this.algorithm.refund(state, taken.cost, taken.at, this.clock.now()));
    this.states.forgetFullness();
    this.lines.get(taken.place)?.serve();
  }

  settle(): void {}

  reset(): void {
    announce(this.environment, this, 'cleared');
    this.states.clear();
    this.shared?.clear();
    this.epoch++;
    this.totalAllowed = this.totalRejected = 0;
    this.decisions.store = this.decisions.lease = this.decisions.alone = 0;
    this.renewLines();
  }

  /**
   * Changes options while it runs. Where the algorithm and its window stay the same, what was used stays used.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update(options: RateLimitOptions): void {
    const merged = { ...this.options, ...options };
    const settings = rateLimitSettings(merged, `rate limit "${this.name}"`);
    const previous = this.settings;
    this.options = merged;
    this.settings = settings;
    this.algorithm = settings.createAlgorithm();
    const before = this.states;
    const wasShared = this.shared !== undefined;
    this.states = this.createStates();
    this.shared = this.createShared();
    const staysHere = wasShared === (this.shared !== undefined);
    if (staysHere && previous.stateShape === settings.stateShape) this.states.adopt(before, this.clock.now());
    else this.epoch++;
    this.renewLines();
  }

  stats(): RateLimitStats {
    let waiting = 0;
    for (const line of this.lines.values()) waiting += line.size;
    for (const line of this.sharedLines.values()) waiting += line.waiting;
    return {
      name: this.name,
      algorithm: this.settings.algorithm,
      limit: this.algorithm.limit,
      remaining: this.algorithm.remaining(this.states.get(ALL), this.clock.now()),
      totalAllowed: this.totalAllowed,
      totalRejected: this.totalRejected,
      waiting,
      keys: this.shared?.keys ?? this.states.size,
      ...(this.shared && { shared: { ...this.decisions } }),
    };
  }

  describe(): string {
    const { settings } = this;
    const wait = settings.maxWaitMs === 0 ? '' : `, waits up to ${formatDuration(settings.maxWaitMs)}`;
    return `${settings.algorithm}: ${settings.rate}${settings.key || settings.by ? ' per key' : ''}${wait}`;
  }

  /** The refusal that a decision means. */
  refusal(decision: RateLimitDecision): RateLimitExceededError {
    const { retryAfterMs } = decision;
    const when = Number.isFinite(retryAfterMs)
      ? `; try again in ${formatDuration(Math.ceil(retryAfterMs))}`
      : '';
    const details = { policy: this.name, ...(Number.isFinite(retryAfterMs) && { retryAfterMs }) };
    const message = `Rate limit "${this.name}" is used up${when}.`;
    const error = buildRejection(
      this.environment,
      () => new RateLimitExceededError(message, details, decision),
    );
    announce(this.environment, this, 'rejected', () => ({ error }));
    return error;
  }

  private createOwnGuard(): Guard<Taken> {
    return {
      policy: this,
      needsTime: this.needsTime,
      enter: (call, now) => this.enter(call, now, true),
      cancel: (taken) => this.cancel(taken),
      settle: () => this.settle(),
    };
  }

  private enterShared(
    line: SharedLine<Taken> | undefined,
    call: Call,
    key: string,
    cost: number,
    now: number,
  ): Taken | PermitWait<Taken> {
    const decision = line?.look(cost) ?? this.shared?.decideNow(key, cost, now);
    if (decision?.allowed === true) return this.noteTaken(key, cost, now);
    const { maxWaitMs } = this.settings;
    if (decision !== undefined && decision.retryAfterMs > maxWaitMs) {
      this.totalRejected++;
      throw this.refusal(decision);
    }
    return (line ?? this.openSharedLine(key)).join(call, cost, maxWaitMs);
  }

  private openSharedLine(key: string): SharedLine<Taken> {
    const line = new SharedLine<Taken>(this.clock, {
      decide: (cost, remainingMs) => this.decideInLine(key, cost, remainingMs),
      permit: (cost, at) => this.noteTaken(key, cost, at),
      refusal: (refused) => {
        this.totalRejected++;
        return this.refusal(refused);
      },
      unused: (cost) => this.shared?.giveBack(key, cost, this.clock.now()),
      spanMs: (units) => (units * 1_000) / (this.settings.shared?.perSecond ?? Number.POSITIVE_INFINITY),
      emptied: () => this.sharedLines.delete(key),
    });
    this.sharedLines.set(key, line);
    return line;
  }

  /** By the options of now, which may be others than when the call came. */
  private decideInLine(
    key: string,
    cost: number,
    remainingMs: number | undefined,
  ): RateLimitDecision | Promise<RateLimitDecision> {
    const { shared, algorithm } = this;
    const now = this.clock.now();
    if (cost > algorithm.limit) {
      const never = Number.POSITIVE_INFINITY;
      return { allowed: false, remaining: 0, limit: algorithm.limit, retryAfterMs: never, resetMs: never };
    }
    if (shared !== undefined)
      return shared.decideNow(key, cost, now) ?? shared.decide(key, cost, remainingMs);
    const place = this.states.placeOf(key, now);
    const allowed = this.take(place, cost, now);
    return decisionOf(algorithm, this.states.get(place), allowed, cost, now);
  }

  private noteTaken(place: string, cost: number, at: number): Taken {
    this.totalAllowed++;
    return { place, cost, at, epoch: this.epoch };
  }

  private renewLines(): void {
    for (const line of this.lines.values()) line.serve();
    for (const line of this.sharedLines.values()) line.renew();
  }

  private createShared(): SharedLimit | undefined {
    const { shared } = this.settings;
    const fleet = this.environment?.fleet;
    if (shared === undefined || fleet === undefined) return undefined;
    fleet.declare?.(this.kind, this.name, this.settings.rate);
    return new SharedLimit(this.name, shared, fleet, this.clock, this.decisions);
  }

  private take(place: string, cost: number, now: number): boolean {
    const next = this.algorithm.take(this.states.get(place), cost, now);
    if (next === undefined) return false;
    this.states.set(place, next);
    return true;
  }

  /** Waits in line, if the turn can come in time; else refuses at once. */
  private join(call: Call, place: string, cost: number, now: number): PermitWait<Taken> {
    const { settings, algorithm } = this;
    const line = this.lines.get(place);
    const state = this.states.get(place);
    const waitMs = algorithm.waitMs(state, cost, now, line?.cost);
    const full = line !== undefined && line.size >= settings.maxWaiting;
    if (full || waitMs > settings.maxWaitMs || waitMs === Number.POSITIVE_INFINITY) {
      this.totalRejected++;
      throw this.refusal(decisionOf(algorithm, state, false, cost, now, line?.cost));
    }
    return (line ?? this.openLine(place)).join(call, cost);
  }

  private openLine(place: string): TurnLine<Taken> {
    const line = new TurnLine<Taken>(
      this.clock,
      (cost, now) => this.take(place, cost, now),
      (cost, now) => this.waitMs(place, cost, now),
      (cost, at) => {
        return this.noteTaken(place, cost, at);
      },
      (cost, now) => {
        this.totalRejected++;
        const decision = decisionOf(this.algorithm, this.states.get(place), false, cost, now);
        return this.refusal({ ...decision, retryAfterMs: Number.POSITIVE_INFINITY });
      },
      () => this.lines.delete(place),
    );
    this.lines.set(place, line);
    return line;
  }

  /** Also `Infinity` where the limit has been lowered below the cost since the call came. */
  private waitMs(place: string, cost: number, now: number): number {
    if (cost > this.algorithm.limit) return Number.POSITIVE_INFINITY;
    return this.algorithm.waitMs(this.states.get(place), cost, now);
  }

  private createStates(): KeyedStates<unknown> {
    return new KeyedStates(this.algorithm, this.settings.maxKeys, () => {
      if (this.overflowed) return;
      this.overflowed = true;
      process.emitWarning(
        `Rate limit "${this.name}" has ${this.settings.maxKeys} keys in use; new keys share one state. Raise "maxKeys".`,
        'ResilienceWarning',
      );
    });
  }

  private checkCost(cost: number): void {
    const { limit } = this.algorithm;
    if (!(cost > 0 && cost <= limit)) throw costError(cost, limit, `Rate limit "${this.name}"`);
  }
}
