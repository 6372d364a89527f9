import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { SystemClock } from '../../../lib/core/system-clock.js';
import type { Clock } from '../../../lib/core/clock.js';
import type { PolicyEnvironment } from '../../../lib/core/environment.js';
import { EventHub } from '../../../lib/core/events.js';
import type { CircuitScope, SharedState } from '../../../lib/core/shared-state.js';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/circuit-breaker.policy.js';
import { IdempotencyPolicy } from '../../../lib/policies/idempotency/idempotency.policy.js';
import { RateLimitPolicy } from '../../../lib/policies/rate-limit/rate-limit.policy.js';
import { driverOf } from '../../../lib/shared-state/redis/drivers.js';
import { RedisState } from '../../../lib/shared-state/redis/redis-state.js';
import { monotonicMs } from '../histories/history.js';
import { recordedDriver, recordedState, type Recorder } from './recorder.js';
import { CIRCUIT, EXACT, INSTANCES, LEASED, LEASE_MS, PERMITS, TIMEOUT_MS } from './rules.js';

export interface InstanceOptions {
  readonly port: number;
  readonly app: string;
  readonly client: 'ioredis' | 'redis';
  /** How far this process's clock is from the right time. */
  readonly clockOffsetMs?: number | undefined;
  /** Default {@link TIMEOUT_MS}. */
  readonly timeoutMs?: number | undefined;
  /** Default {@link LEASE_MS}. */
  readonly leaseMs?: number | undefined;
}

/** One instance of an application that shares its state: what a worker process runs. */
export class Instance {
  private readonly limits: { readonly exact: RateLimitPolicy; readonly leased: RateLimitPolicy };
  private readonly orders: IdempotencyPolicy;
  private readonly redis: RedisState;
  /** What it believes to hold, and until when. */
  private held = { count: 0, until: 0 };
  /** Questions that the store has left unanswered, and the one that is being asked. */
  private losses = 0;
  private asking: { lost: boolean } | undefined;
  private circuit: CircuitBreakerPolicy | undefined;
  private ownRuns = new Set<string>();

  private readonly environment: PolicyEnvironment;
  private readonly leaseMs: number;

  private constructor(
    client: Parameters<typeof driverOf>[0],
    private readonly disconnect: () => void,
    private readonly recorder: Recorder,
    { app, clockOffsetMs = 0, timeoutMs = TIMEOUT_MS, leaseMs = LEASE_MS }: InstanceOptions,
  ) {
    this.leaseMs = leaseMs;
    const clock = new OffsetClock(clockOffsetMs);
    this.redis = new RedisState(recordedDriver(driverOf(client), recorder), {
      app,
      timeout: timeoutMs,
      clock,
      onChange: (degraded) => recorder.record({ kind: degraded ? 'degraded' : 'recovered' }),
    });
    const state: SharedState = recordedState(this.redis, recorder, () => {
      const { asking } = this;
      return () => {
        this.losses++;
        if (asking !== undefined) asking.lost = true;
      };
    });
    const environment: { clock: Clock; fleet: { state: SharedState; size: number } } = {
      clock,
      fleet: { state, size: INSTANCES },
    };
    this.environment = environment;
    this.limits = {
      exact: new RateLimitPolicy('exact', { ...EXACT, shared: true }, environment),
      leased: new RateLimitPolicy('leased', { ...LEASED, shared: { mode: 'leased' } }, environment),
    };
    this.orders = new IdempotencyPolicy('orders', { shared: true, lease: leaseMs, ttl: '1m' }, environment);
  }

  static async open(options: InstanceOptions, recorder: Recorder): Promise<Instance> {
    const url = `redis://127.0.0.1:${options.port}`;
    if (options.client === 'ioredis') {
      // Its own sockets come back fast enough for a test of two seconds.
      const client = new Redis(url, { retryStrategy: () => 100, maxRetriesPerRequest: null });
      client.on('error', () => undefined);
      return new Instance(client, () => client.disconnect(), recorder, options);
    }
    const client = createClient({ url, socket: { reconnectStrategy: () => 100 } });
    client.on('error', () => undefined);
    await client.connect();
    return new Instance(client, () => client.destroy(), recorder, options);
  }

  async take(limit: 'exact' | 'leased'): Promise<void> {
    const asked = monotonicMs();
    const before = this.losses;
    const asking = { lost: false };
    this.asking = asking;
    const deciding = this.limits[limit].acquire();
    // An exact limit asks at the end of the turn, for all who have come by then.
    process.nextTick(() => {
      this.asking = undefined;
    });
    const { allowed } = await deciding;
    // A refill is one question for all that wait for it.
    const local = limit === 'exact' ? asking.lost : this.losses > before;
    this.recorder.record({ kind: 'decision', key: limit, asked, allowed, local });
  }

  async acquire(want: number, leaseMs = this.leaseMs): Promise<number> {
    const asked = monotonicMs();
    try {
      const { granted } = await this.redis.permits.acquire(PERMITS.key, {
        limit: PERMITS.limit,
        want,
        leaseMs,
      });
      if (granted > 0) this.believe(this.holding() + granted, asked + leaseMs);
      this.noteHeld('acquire', asked, true);
      return granted;
    } catch {
      this.noteHeld('acquire', asked, false);
      return 0;
    }
  }

  async renew(leaseMs = this.leaseMs): Promise<number> {
    const asked = monotonicMs();
    const count = this.holding();
    try {
      const kept = await this.redis.permits.renew(PERMITS.key, leaseMs, count);
      this.believe(kept, asked + leaseMs);
      this.noteHeld('renew', asked, true);
      return kept;
    } catch {
      this.noteHeld('renew', asked, false);
      return this.holding();
    }
  }

  async release(count: number): Promise<void> {
    const asked = monotonicMs();
    this.believe(Math.max(0, this.holding() - count), this.held.until);
    this.noteHeld('release', asked, true);
    try {
      await this.redis.permits.release(PERMITS.key, count);
    } catch {
      // They are free when the lease has ended, or with the next renewal.
      this.noteHeld('release', asked, false);
    }
  }

  holding(): number {
    return this.held.until > monotonicMs() ? this.held.count : 0;
  }

  /** Runs an order, or gets what was made of it. */
  async order(key: string, fingerprint: string, run: () => Promise<unknown>): Promise<string> {
    const asked = monotonicMs();
    const call = `${asked}`;
    const settled = await this.orders
      .execute(
        () => {
          this.ownRuns.add(call);
          this.recorder.record({ kind: 'ran', key, fingerprint });
          return run();
        },
        { idempotencyKey: key, args: [fingerprint] },
      )
      .then(
        (value) => ({ ok: true, answer: JSON.stringify(value) }),
        (error: unknown) => ({ ok: false, answer: (error as Error).name }),
      );
    const own = this.ownRuns.delete(call);
    this.recorder.record({ kind: 'answered', key, asked, fingerprint, own, ...settled });
    return settled.answer;
  }

  /** From now on it shares a circuit. */
  joinCircuit(scope: CircuitScope): void {
    const events = new EventHub();
    events.listen(({ type, details }) => {
      if (type !== 'state-changed') return;
      const { to, reason } = details as { to: string; reason: string };
      this.recorder.record({ kind: 'circuit-changed', to, reason });
    });
    this.circuit = new CircuitBreakerPolicy(
      'payments',
      { ...CIRCUIT, shared: { scope } },
      { ...this.environment, events },
    );
  }

  /** One call inside the circuit; what became of it. */
  async callInside(ok: boolean, ms: number): Promise<string> {
    const { circuit } = this;
    const run = async () => {
      const asked = monotonicMs();
      const isProbe = circuit?.state === 'half-open';
      await delay(ms);
      if (isProbe) this.recorder.record({ kind: 'probed', key: 'payments', asked, ok });
      if (!ok) throw new Error('down');
      return 'fine';
    };
    return (await circuit?.execute(run).catch((error: unknown) => (error as Error).name)) ?? 'no circuit';
  }

  get circuitState(): string {
    return this.circuit?.state ?? 'no circuit';
  }

  get degraded(): boolean {
    return this.redis.degraded;
  }

  async close(): Promise<void> {
    await this.redis.close();
    this.disconnect();
  }

  private believe(count: number, until: number): void {
    this.held = { count, until };
  }

  private noteHeld(operation: 'acquire' | 'renew' | 'release', asked: number, ok: boolean): void {
    this.recorder.record({
      kind: 'held',
      key: PERMITS.key.policy,
      operation,
      asked,
      ok,
      ...this.held,
      count: this.holding(),
    });
  }
}

/** A clock that is wrong by so much, both ways of asking it. */
class OffsetClock extends SystemClock {
  constructor(private readonly offsetMs: number) {
    super({
      // Far from zero, so that it stays positive.
      now: () => performance.now() + ORIGIN_MS + offsetMs,
      setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
      clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
    });
  }

  override wallTime(): number {
    return super.wallTime() + this.offsetMs;
  }
}

const ORIGIN_MS = 1_000_000;
