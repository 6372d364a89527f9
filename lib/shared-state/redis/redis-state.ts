import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { Clock, RandomSource } from '../../core/clock.js';
import { parseDuration, US_PER_MS, type Duration } from '../../core/duration.js';
import { describeValue } from '../../core/option-form.js';
import { propertyOf } from '../../core/property.js';
import type {
  CircuitView,
  SharedCache,
  SharedCircuits,
  SharedOnce,
  SharedOnceBegin,
  SharedPermits,
  SharedPresence,
  SharedState,
  StateKey,
  StoreHealth,
  TakeAnswer,
  TakeRequest,
} from '../../core/shared-state.js';
import { systemClock } from '../../core/system-clock.js';
import { StoreGuard, StoreLateError, StoreUnavailableError } from '../store-guard.js';
import {
  driverOf,
  type IoredisLike,
  type NodeRedisLike,
  type ScriptArgument,
  type ScriptReply,
  type StoreDriver,
} from './drivers.js';
import type { Script } from './script.js';
import {
  ACQUIRE,
  BEAT,
  BEGIN,
  CHECK,
  CLOCK,
  COMPLETE,
  FAIL,
  GET,
  LEAVE,
  PRESENT,
  PROBE,
  PUT,
  RELEASE,
  RENEW,
  SETTLE,
  SYNC,
  TAKE,
} from './scripts.js';
import { ServerClocks, type ServerClock } from './server-clock.js';
import { TakesTogether } from './takes-together.js';

/** Options of {@link redisState}. @publicApi */
export interface RedisStateOptions {
  /** The application's name: instances of the same name share state. */
  readonly app: string;
  /** What a call of the store may take before a policy decides from memory. Default 50 ms. */
  readonly timeout?: Duration;
  /** Called when the store is lost, and when it is back. */
  readonly onChange?: (degraded: boolean, error: unknown) => void;
  /** Default: the system's monotonic clock. */
  readonly clock?: Clock;
  /** Default: `Math.random`. */
  readonly random?: RandomSource;
}

const OLDEST_VERSION = 7;
/** In base64: 132 bits. */
const HASH_LENGTH = 22;
/** Ten years. */
const LONGEST_MS = 10 * 365 * 86_400_000;
const HALF_CHARACTER = /\p{Surrogate}/u;
/** Of each policy. */
const NAMES_KEPT = 1_000;
const NO_SUBJECT = { kind: 'fleet', policy: 'presence', subject: '' } as const;
const CHECKED = { kind: 'fleet', policy: 'check', subject: '' } as const;

/**
 * State that instances share through Redis (7 or newer) or Valkey (8 or newer), standalone or cluster. The client is
 * yours: it is never configured and never closed.
 *
 * @throws TypeError where the client is none of `ioredis` or `redis`, or the name cannot be one.
 *
 * @example
 * ResilienceModule.forRoot({ sharedState: redisState(new Redis(process.env.REDIS_URL), { app: 'shop' }) })
 *
 * @publicApi
 */
export function redisState(client: IoredisLike | NodeRedisLike, options: RedisStateOptions): RedisState {
  return new RedisState(driverOf(client), options);
}

/** See {@link redisState}. @publicApi */
export class RedisState implements SharedState {
  readonly permits: SharedPermits;
  readonly once: SharedOnce;
  readonly circuit: SharedCircuits;
  readonly cache: SharedCache;
  readonly presence: SharedPresence;
  /** Which instance this is. */
  readonly owner = randomUUID();
  private isTaken = false;
  private readonly clock: Clock;
  private readonly timeoutMs: number;
  private readonly serverClocks: ServerClocks;
  private readonly guard: StoreGuard;
  private readonly takes: TakesTogether;
  /** Names operations; short, as it goes with each of them. */
  private readonly operationPrefix = `${randomBytes(9).toString('base64url')}:`;
  private operations = 0;
  /** Names of keys by kind and policy, then by subject: a hash is a tenth of what a call costs. */
  private readonly names = new Map<string, Map<string, string>>();

  constructor(
    private readonly driver: StoreDriver,
    private readonly options: RedisStateOptions,
  ) {
    const { app, timeout = 50 } = options;
    if (typeof app !== 'string' || !/^[\w.-]{1,64}$/.test(app)) {
      throw new TypeError(
        `redisState: "app" must be a name of 1 to 64 letters, digits, ".", "-" and "_", got ${describeValue(app)}.`,
      );
    }
    const timeoutMs = parseDuration(timeout);
    if (timeoutMs === undefined || timeoutMs === 0) {
      throw new TypeError(`redisState: "timeout" must be a duration above 0, got ${describeValue(timeout)}.`);
    }
    this.timeoutMs = timeoutMs;
    this.clock = options.clock ?? systemClock;
    this.serverClocks = new ServerClocks(driver.nodeOf, this.clock);
    this.guard = new StoreGuard(
      { timeoutMs, probe: () => this.ask(CHECK, this.nameOf(CHECKED)) },
      this.clock,
      options.random ?? Math.random,
    );
    if (options.onChange !== undefined) this.guard.onChange(options.onChange);
    this.takes = new TakesTogether(this.guard, (names, args, remainingMs) =>
      this.guard.run(remainingMs, (giveUpAt) => this.takeAll(names, args, giveUpAt)),
    );
    this.permits = this.createPermits();
    this.once = this.createOnce();
    this.circuit = this.createCircuits();
    this.cache = this.createCache();
    this.presence = {
      beat: async (ttlMs) => Number((await this.call(PRESENT, NO_SUBJECT, [this.owner, us(ttlMs)]))[2]),
      leave: async () => void (await this.call(LEAVE, NO_SUBJECT, [this.owner])),
    };
  }

  /** Whether the store is lost at the moment. */
  get degraded(): boolean {
    return this.guard.lost;
  }

  get health(): StoreHealth {
    return this.guard;
  }

  take(key: StateKey, request: TakeRequest, remainingMs?: number): Promise<TakeAnswer> {
    return this.takes.take(this.nameOf(key), request, remainingMs);
  }

  join(): RedisState {
    if (this.isTaken) return new RedisState(this.driver, this.options);
    this.isTaken = true;
    return this;
  }

  async close(): Promise<void> {
    try {
      await this.presence.leave();
    } catch {
      // It expires by itself.
    }
    this.guard.close();
  }

  private createPermits(): SharedPermits {
    const { owner } = this;
    return {
      acquire: async (key, { limit, want, leaseMs }) => {
        const [, , granted, held] = await this.call(ACQUIRE, key, [owner, limit, want, us(leaseMs)]);
        return { granted: Number(granted), held: Number(held) };
      },
      renew: async (key, leaseMs, count = Number.MAX_SAFE_INTEGER) =>
        Number((await this.call(RENEW, key, [owner, us(leaseMs), count]))[2]),
      release: async (key, count) => void (await this.call(RELEASE, key, [owner, count])),
    };
  }

  private createOnce(): SharedOnce {
    return {
      begin: (key, fingerprint, leaseMs, remainingMs) =>
        this.begin(key, [wellFormed(fingerprint), us(leaseMs)], remainingMs),
      complete: async (key, fence, outcome, ttlMs) =>
        (await this.call(COMPLETE, key, [fence, outcome, us(ttlMs)]))[1] === 'ok',
      fail: async (key, fence) => void (await this.call(FAIL, key, [fence])),
      beat: async (key, fence, leaseMs) => (await this.call(BEAT, key, [fence, us(leaseMs)]))[1] === 'ok',
    };
  }

  /** What is begun after all, when nobody waits for the answer any more, is let go of: nobody will run it. */
  private async begin(
    key: StateKey,
    args: readonly ScriptArgument[],
    remainingMs: number | undefined,
  ): Promise<SharedOnceBegin> {
    const name = this.nameOf(key);
    let answer: Promise<ScriptReply> | undefined;
    try {
      return readBegin(
        await this.guard.run(
          remainingMs,
          (giveUpAt) => (answer = this.perform(BEGIN, [name], args, giveUpAt)),
        ),
      );
    } catch (error) {
      const letGo = async (reply: ScriptReply) => {
        const begun = readBegin(reply);
        if (begun.kind !== 'run') return;
        await this.perform(FAIL, [name], [begun.fence], this.clock.now() + this.timeoutMs);
      };
      // Else it expires by itself.
      answer?.then(letGo).catch(() => undefined);
      throw error;
    }
  }

  private createCircuits(): SharedCircuits {
    const { owner } = this;
    return {
      sync: async (key, report) => {
        const { version, calls, failures, vote, close, ttlMs, scope, size } = report;
        const rate = report.failureRatePercent ?? '';
        const own = [owner, calls, failures, flag(vote), flag(close), us(ttlMs)];
        const rule = [scope, size, rate, report.minimumCalls, us(report.openMs)];
        return readView(await this.call(SYNC, key, [version, ...own, ...rule]));
      },
      probe: async (key, { version, probe, limit, results, ttlMs }, remainingMs) => {
        const reply = await this.call(PROBE, key, [version, probe, limit, results, us(ttlMs)], remainingMs);
        return { ...readView(reply), granted: reply[7] === '1' };
      },
      settle: async (key, result) => {
        const { version, probe, outcome, successThreshold, results, scope, size, openMs } = result;
        const ended = outcome === undefined ? '-' : `${flag(outcome.failed)}${flag(outcome.slow)}`;
        const rates = [result.failureRatePercent ?? '', result.slowCallRatePercent ?? ''];
        const rule = [successThreshold, results, ...rates, scope, size, us(openMs)];
        return readView(await this.call(SETTLE, key, [version, owner, probe, ended, ...rule]));
      },
    };
  }

  private createCache(): SharedCache {
    return {
      get: async (key) => {
        const [, what, ageUs, value] = await this.call(GET, key, []);
        return what === 'ok' ? { ageMs: Number(ageUs) / US_PER_MS, value: String(value) } : undefined;
      },
      put: async (key, value, ttlMs) => void (await this.call(PUT, key, [value, us(ttlMs)])),
    };
  }

  private call(
    script: Script,
    key: StateKey,
    args: readonly ScriptArgument[],
    remainingMs?: number,
  ): Promise<ScriptReply> {
    return this.guard.run(remainingMs, (giveUpAt) =>
      this.perform(script, [this.nameOf(key)], args, giveUpAt),
    );
  }

  /** `undefined` where a cluster keeps them on several nodes: it has refused, and is as well as ever. */
  private async takeAll(
    names: readonly string[],
    args: readonly ScriptArgument[],
    giveUpAt: number,
  ): Promise<ScriptReply | undefined> {
    try {
      return await this.perform(TAKE, names, args, giveUpAt);
    } catch (error) {
      if (names.length > 1 && String(propertyOf(error, 'message')).startsWith('CROSSSLOT')) return undefined;
      throw error;
    }
  }

  private async perform(
    script: Script,
    names: readonly string[],
    args: readonly ScriptArgument[],
    giveUpAt: number,
  ): Promise<ScriptReply> {
    const [name] = names as [string];
    let server = this.serverClocks.of(name);
    if (!server.isKnown) {
      server = await this.ask(CLOCK, name);
      if (this.isOver(giveUpAt)) throw new StoreUnavailableError('Nobody waits for the answer any more.');
    }
    const operation = `${this.operationPrefix}${++this.operations}`;
    for (let isRepeated = false; ; isRepeated = true) {
      const sentAt = this.clock.now();
      const reply = await this.driver.run(script, names, [server.at(giveUpAt), operation, ...args]);
      server = this.note(name, reply, sentAt);
      if (reply[1] !== 'late') return reply;
      // It is in time here, so that clock was not the one that was known: another server has the key now, or it was set.
      if (isRepeated || this.isOver(giveUpAt)) {
        throw new StoreLateError('The shared store got the request too late.');
      }
    }
  }

  /** Whether nobody waits for what is to be given up then, or the store is not to be asked. */
  private isOver(giveUpAt: number): boolean {
    return this.guard.lost || this.clock.now() >= giveUpAt;
  }

  private note(name: string, [serverUs]: ScriptReply, sentAt: number): ServerClock {
    // Only now: the client may have been told of another node on the way.
    const server = this.serverClocks.of(name);
    server.note(Number(serverUs), sentAt, this.clock.now());
    return server;
  }

  /** Something that is never too late, and tells whether this is a server that will do. */
  private async ask(script: Script, name: string): Promise<ServerClock> {
    const sentAt = this.clock.now();
    const reply = await this.run(script, name);
    const version = reply[2];
    if (!(Number.parseInt(String(version)) >= OLDEST_VERSION)) {
      const found = version === '' || version === undefined ? 'an older one' : String(version);
      throw new Error(
        `The shared store must be Redis ${OLDEST_VERSION} or newer, or Valkey; it is ${found}.`,
      );
    }
    return this.note(name, reply, sentAt);
  }

  private async run(script: Script, name: string): Promise<ScriptReply> {
    try {
      return await this.driver.run(script, name, [Number.MAX_SAFE_INTEGER, '']);
    } catch (cause) {
      const message = String(propertyOf(cause, 'message'));
      if (!/unknown command/i.test(message)) throw cause;
      throw new Error(`The shared store cannot run scripts: ${message}`, { cause });
    }
  }

  private nameOf({ kind, policy, subject }: StateKey): string {
    const group = `${kind}:${policy}`;
    let names = this.names.get(group);
    if (names === undefined) this.names.set(group, (names = new Map()));
    let name = names.get(subject);
    if (name === undefined) {
      const hash = createHash('sha256').update(wellFormed(subject)).digest('base64url').slice(0, HASH_LENGTH);
      // The braces make a cluster keep all of one identity on one node.
      name = `resilience:{${this.options.app}:${kind}:${encodeURIComponent(policy)}:${hash}}:v1`;
      if (names.size >= NAMES_KEPT) names.clear();
      names.set(subject, name);
    }
    return name;
  }
}

function readBegin(reply: ScriptReply): SharedOnceBegin {
  const [, kind, value] = reply;
  switch (kind) {
    case 'run':
      return { kind, fence: Number(value) };
    case 'replay':
      return { kind, outcome: String(value) };
    case 'busy':
      return { kind, leftMs: Math.max(0, Number(value)) };
    case 'mismatch':
      return { kind };
    default:
      throw new Error(
        `The shared store answers ${describeValue(kind)}, which is no text: its client must not map types.`,
      );
  }
}

function readView([, , version, open, leftUs, openings, closedForUs]: ScriptReply): CircuitView {
  return {
    version: Number(version),
    open: open === '1',
    leftMs: Number(leftUs) / US_PER_MS,
    openings: Number(openings),
    closedForMs: closedForUs === '' ? undefined : Number(closedForUs) / US_PER_MS,
  };
}

function flag(value: boolean): '0' | '1' {
  return value ? '1' : '0';
}

/** Scripts count in whole microseconds, which beyond some years are no numbers that a store can keep. */
function us(ms: number): number {
  return Math.round(Math.min(ms, LONGEST_MS) * US_PER_MS);
}

/** Halves of a character would all become the same one on their way. */
function wellFormed(text: string): string {
  return HALF_CHARACTER.test(text) ? JSON.stringify(text) : text;
}
