import { inspect } from 'node:util';
import { Call, type Next } from '../../core/call.js';
import { retryAfterMsOf } from '../../core/classify.js';
import type { Clock } from '../../core/clock.js';
import { announce, clockOf, type PolicyEnvironment } from '../../core/environment.js';
import { FallbackExhaustedError, InvalidOptionsError } from '../../core/errors.js';
import { refuseProblems } from '../../core/option-table.js';
import { matchDistance, type Matcher, type MatcherPart } from '../../core/matcher.js';
import type { Driver, Policy } from '../../core/policy.js';
import { CacheLevel, type CacheOptions } from './cache-level.js';
import { withError } from './method-handler.js';
import { SharedAnswers } from './shared-answers.js';
import {
  FALLBACK_LEVELS,
  FallbackLevel,
  cacheProblems,
  fallbackProblems,
  type FallbackHandler,
  type FallbackOptions,
} from './fallback.options.js';

/** An answer, and which level gave it. @publicApi */
export interface FallbackAnswer<T = unknown> {
  readonly value: T;
  readonly level: FallbackLevel;
  /** Whether any but the primary answered. */
  readonly degraded: boolean;
}

/** The numbers of one level. @publicApi */
export interface FallbackLevelStats {
  readonly answered: number;
  readonly failed: number;
  /** How long it took on average, in milliseconds, when it answered or failed. */
  readonly meanMs: number;
  /** Its last error, as text. */
  readonly lastError: string | undefined;
}

/** The numbers of a fallback chain. @publicApi */
export interface FallbackStats {
  readonly name: string;
  readonly totalCalls: number;
  readonly degradedCalls: number;
  readonly exhaustedCalls: number;
  readonly levels: Readonly<Partial<Record<FallbackLevel, FallbackLevelStats>>>;
}

/** What may answer at a level, and for which errors. */
interface Candidate {
  readonly handler: FallbackHandler;
  readonly on: readonly MatcherPart[] | undefined;
}

interface Level {
  readonly level: FallbackLevel;
  readonly candidates: Candidate[];
  /** At a cache level without a handler: the answers that it keeps, and the errors that it answers for. */
  cache: CacheLevel | undefined;
  cacheOn: readonly MatcherPart[] | undefined;
  answered: number;
  failed: number;
  totalMs: number;
  lastError: unknown;
}

/**
 * Levels that answer one after the other until one succeeds: primary, replica, distributed cache, local cache, backup
 * service, default. As a policy of a method the primary is the method itself.
 *
 * @example
 * const chain = new FallbackChain('rates')
 *   .register(FallbackLevel.PRIMARY, () => api.rates())
 *   .register(FallbackLevel.DEFAULT, () => [])
 * const { value, level, degraded } = await chain.execute();
 *
 * @publicApi
 */
export class FallbackChain implements Policy, Driver {
  readonly kind = 'fallback';
  readonly policy = this;
  /** @internal Whether answers are to be kept for all instances. */
  sharesAnswers = false;
  private readonly byLevel = new Map<FallbackLevel, Level>();
  private ordered: Level[] = [];
  /** As a policy: the method itself. */
  private readonly method = emptyLevel(FallbackLevel.PRIMARY);
  private totalCalls = 0;
  private degradedCalls = 0;
  private exhaustedCalls = 0;
  private readonly clock: Clock;

  /**
   * @param options - What answers; more can be added by {@link register} and {@link cache}. Functions, not method
   * names: a chain by itself belongs to no class.
   * @throws {@link InvalidOptionsError} naming every option that cannot be.
   */
  constructor(
    readonly name = 'fallback',
    options: FallbackOptions = {},
    private readonly environment?: PolicyEnvironment,
  ) {
    this.clock = clockOf(environment);
    const given = Object.values(options).some((value) => value !== undefined);
    if (given) refuseProblems(fallbackProblems(options, `fallback "${name}"`));
    this.add(options);
  }

  /** @internal Whether some cache level tells questions apart by all of the arguments. */
  get hashesArguments(): boolean {
    return this.ordered.some(({ cache }) => cache?.hashesArguments === true);
  }

  /** @internal Adds what checked options say. */
  add({ use, levels, on }: FallbackOptions): this {
    if (use !== undefined) this.register(FallbackLevel.DEFAULT, this.handlerOf(use), on);
    for (const { level, use: step, ...cache } of levels ?? []) {
      if (step !== undefined) this.register(level, this.handlerOf(step), on);
      else this.cache(level as FallbackLevel.LOCAL_CACHE, cache, on);
    }
    return this;
  }

  /**
   * Adds what answers at a level: a function of the call's arguments and, after them, the error of the level before.
   * Where a level has several handlers, the one whose `on` is nearest to the primary's error answers.
   *
   * @param on - The errors of the primary that it answers for, whatever levels in between fail with; default all.
   */
  register(level: FallbackLevel, handler: FallbackHandler, on?: Matcher): this {
    this.levelOf(level).candidates.push({ handler, on: partsOf(on) });
    return this;
  }

  /**
   * Adds a level that keeps the answers of the primary and the replica, and gives them when those fail: while they are
   * good, and for `staleTtl` more. Bounded; a store that fails is passed over.
   *
   * @param on - The errors of the primary that it answers for; default all.
   * @throws {@link InvalidOptionsError} naming every option that cannot be, such as a distributed cache without a `store`.
   *
   * @example
   * chain.cache(FallbackLevel.LOCAL_CACHE, { ttl: '5m', staleTtl: '1h' });
   */
  cache(
    level: FallbackLevel.LOCAL_CACHE | FallbackLevel.DISTRIBUTED_CACHE,
    options: CacheOptions = {},
    on?: Matcher,
  ): this {
    refuseProblems(cacheProblems(level, options, `fallback "${this.name}"`));
    const fleet = this.environment?.fleet;
    const isShared = options.shared === true;
    const shared = isShared && fleet ? new SharedAnswers(this.name, fleet) : undefined;
    this.sharesAnswers ||= isShared;
    const entry = this.levelOf(level);
    entry.cache = new CacheLevel(options, this.clock, shared);
    entry.cacheOn = partsOf(on);
    return this;
  }

  /**
   * Tries the levels in order. `null` and `undefined` are answers like any other.
   *
   * @throws {@link FallbackExhaustedError} with the error of each level, where all failed; the error itself where no other
   * level was meant for it.
   */
  execute<T = unknown>(...args: unknown[]): Promise<FallbackAnswer<T>> {
    this.totalCalls++;
    return this.climb(new Call(noMethod, undefined, args), []) as Promise<FallbackAnswer<T>>;
  }

  /** As a policy: the rest of the pipeline is the primary. A caller's abort is not answered for. */
  async run(call: Call, next: Next): Promise<unknown> {
    this.totalCalls++;
    const primary = this.byLevel.get(FallbackLevel.PRIMARY) ?? this.method;
    const startedAt = this.clock.now();
    let value: unknown;
    // Not `tryLevel`: nearly all calls end here, and need neither a closure nor a second promise.
    try {
      value = await next(call);
    } catch (error) {
      primary.failed++;
      primary.totalMs += this.clock.now() - startedAt;
      primary.lastError = error;
      // Nobody listens to the answer of a call that is over.
      if (call.emitted || call.abortKind !== undefined) throw error;
      return (await this.climb(call, [error], primary)).value;
    }
    primary.answered++;
    primary.totalMs += this.clock.now() - startedAt;
    this.fillCaches(FallbackLevel.PRIMARY, call.args, value);
    return value;
  }

  /** Asks level after level, but not the one that stands for the method where that has failed already. */
  private async climb(call: Call, errors: unknown[], method?: Level): Promise<FallbackAnswer> {
    let missed = false;
    for (const level of this.ordered) {
      if (level === method) continue;
      const failing = errors.length > 0;
      if (level.cache !== undefined) {
        if (failing && !isMeant(level.cacheOn, errors[0], call)) continue;
        const kept = await this.tryCache(level, level.cache, call.args, failing);
        if (call.abortKind !== undefined) throw call.abortReason;
        if (kept !== undefined) return this.answer(call, kept.value, level.level);
        missed ||= failing;
        continue;
      }
      const handler = failing ? pick(level, errors[0], call) : level.candidates[0]?.handler;
      if (handler === undefined) continue;
      const given = failing ? withError(handler, call, errors.at(-1)) : call.args;
      const attempt = await this.tryLevel(level, () =>
        call.runInside(() => handler.apply(call.self, [...given])),
      );
      if (attempt.ok) {
        this.fillCaches(level.level, call.args, attempt.value);
        return this.answer(call, attempt.value, level.level);
      }
      if (call.emitted) throw attempt.value;
      if (call.abortKind !== undefined) throw call.abortReason;
      errors.push(attempt.value);
    }
    // Nobody was responsible for this error: it stays what it is. Around a method a miss changes nothing about that.
    if (errors.length === 1 && (method !== undefined || !missed)) throw errors[0];
    this.exhaustedCalls++;
    throw this.exhausted(errors);
  }

  reset(): void {
    announce(this.environment, this, 'cleared');
    this.totalCalls = this.degradedCalls = this.exhaustedCalls = 0;
    for (const level of [this.method, ...this.ordered]) {
      level.answered = level.failed = level.totalMs = 0;
      level.lastError = undefined;
      level.cache?.clear();
    }
  }

  stats(): FallbackStats {
    const levels: Partial<Record<FallbackLevel, FallbackLevelStats>> = {};
    const known = this.byLevel.has(FallbackLevel.PRIMARY) ? this.ordered : [this.method, ...this.ordered];
    for (const { level, answered, failed, totalMs, cache, lastError = cache?.lastError } of known) {
      const runs = answered + failed;
      levels[level] = {
        answered,
        failed,
        meanMs: runs === 0 ? 0 : totalMs / runs,
        lastError: lastError === undefined ? undefined : textOf(lastError),
      };
    }
    return {
      name: this.name,
      totalCalls: this.totalCalls,
      degradedCalls: this.degradedCalls,
      exhaustedCalls: this.exhaustedCalls,
      levels,
    };
  }

  describe(): string {
    return this.ordered.map(({ level }) => level).join(' → ');
  }

  private handlerOf(use: FallbackHandler | string): FallbackHandler {
    if (typeof use === 'function') return use;
    const message = `"use" is the name of a method, ${JSON.stringify(use)}: a chain by itself has no class; give a function.`;
    throw new InvalidOptionsError([{ where: `fallback "${this.name}"`, option: 'use', message }]);
  }

  private levelOf(level: FallbackLevel): Level {
    let entry = this.byLevel.get(level);
    if (entry === undefined) {
      entry = emptyLevel(level);
      this.byLevel.set(level, entry);
      this.ordered = FALLBACK_LEVELS.flatMap((each) => this.byLevel.get(each) ?? []);
    }
    return entry;
  }

  /** What is real, and not itself a substitute, is worth keeping. */
  private fillCaches(from: FallbackLevel, args: readonly unknown[], value: unknown): void {
    if (from !== FallbackLevel.PRIMARY && from !== FallbackLevel.REPLICA) return;
    for (const { cache } of this.ordered) cache?.write(args, value);
  }

  /** A miss is no failure of the chain, so it leaves no error behind. */
  private async tryCache(
    level: Level,
    cache: CacheLevel,
    args: readonly unknown[],
    failing: boolean,
  ): Promise<{ readonly value: unknown } | undefined> {
    const { clock } = this;
    const startedAt = clock.now();
    const kept = await cache.read(args, failing);
    if (kept === undefined) level.failed++;
    else level.answered++;
    level.totalMs += clock.now() - startedAt;
    return kept;
  }

  private async tryLevel(level: Level, run: () => unknown): Promise<{ ok: boolean; value: unknown }> {
    const { clock } = this;
    const startedAt = clock.now();
    let ok = true;
    let value: unknown;
    try {
      value = await run();
      level.answered++;
    } catch (error) {
      ok = false;
      value = error;
      level.failed++;
      level.lastError = error;
    }
    level.totalMs += clock.now() - startedAt;
    return { ok, value };
  }

  private answer(call: Call, value: unknown, level: FallbackLevel): FallbackAnswer {
    const degraded = level !== FallbackLevel.PRIMARY;
    if (degraded) {
      call.root.fallbackLevel = level;
      this.degradedCalls++;
      announce(this.environment, this, 'degraded', () => ({ level }));
    }
    return { value, level, degraded };
  }

  private exhausted(errors: readonly unknown[]): FallbackExhaustedError {
    announce(this.environment, this, 'exhausted', () => ({ error: errors[0] }));
    const message = `All ${errors.length} levels of fallback "${this.name}" failed.`;
    const retryAfterMs = retryAfterMsOf(errors[0], this.clock.wallTime());
    return new FallbackExhaustedError(message, errors, {
      policy: this.name,
      cause: errors[0],
      ...(Number.isFinite(retryAfterMs) && { retryAfterMs }),
    });
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? String(error) : inspect(error);
}

function emptyLevel(level: FallbackLevel): Level {
  return {
    level,
    candidates: [],
    cache: undefined,
    cacheOn: undefined,
    answered: 0,
    failed: 0,
    totalMs: 0,
    lastError: undefined,
  };
}

/** What a chain by itself stands around. */
function noMethod(): void {}

/** The handler of a level that is nearest to the primary's error. */
function pick(level: Level, error: unknown, call: Call): FallbackHandler | undefined {
  let best: Candidate | undefined;
  let nearest = Number.POSITIVE_INFINITY;
  for (const candidate of level.candidates) {
    for (const distance of distances(candidate.on, error, call)) {
      if (distance >= nearest) continue;
      best = candidate;
      nearest = distance;
    }
  }
  return best?.handler;
}

const ANY_ERROR = Number.MAX_SAFE_INTEGER;

function distances(on: readonly MatcherPart[] | undefined, error: unknown, call: Call): number[] {
  if (on === undefined) return [ANY_ERROR];
  return on.flatMap((part) => matchDistance(part, error, call) ?? []);
}

function isMeant(on: readonly MatcherPart[] | undefined, error: unknown, call: Call): boolean {
  return distances(on, error, call).length > 0;
}

function partsOf(on: Matcher | undefined): readonly MatcherPart[] | undefined {
  if (on === undefined) return undefined;
  return Array.isArray(on) ? (on as readonly MatcherPart[]) : [on as MatcherPart];
}
