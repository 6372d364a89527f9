import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { redisState } from '../../../lib/shared-state/redis/index.js';
import { FaultProxy } from '../fault-proxy.js';
import { admittedViolations } from '../histories/admitted.js';
import { monotonicMs, watchStalls, type HistoryEvent } from '../histories/history.js';
import { keyViolations } from '../histories/keys.js';
import { lostStoreViolations, recoveryViolations } from '../histories/lost-store.js';
import { onceViolations } from '../histories/once.js';
import { permitViolations } from '../histories/permits.js';
import { staleViolations } from '../histories/stale.js';
import { startOwnRedis, type RedisServer } from '../server.js';
import type { Worker, WorkerFleet } from './fleet.js';
import { EXACT, INSTANCES, LEASED, LEASE_MS, PERMITS, TIMEOUT_MS, UNIT_LEASE_MS } from './rules.js';

/** Waits end as soon as it is so. */
const LONGEST_WAIT_MS = 60_000;

export interface SceneOptions {
  /** How far the clock of each worker is off. */
  readonly clockOffsetsMs?: readonly number[] | undefined;
  /** What a call of the store may take: long, where no call is to fail however slow the machine is. */
  readonly timeoutMs?: number;
  /** For how long permits and runs are lent: long, where something is to happen before their end. */
  readonly leaseMs?: number;
}

/** Four worker processes, a server, and a proxy between them; and what the test did to them. */
export class Scene {
  readonly app = `test-${randomUUID()}`;
  private readonly fates: HistoryEvent[] = [];
  readonly begunAt = monotonicMs();
  private readonly endWatch = watchStalls((stall) =>
    this.fates.push({ kind: 'stalled', worker: 'the test', ...stall }),
  );

  private constructor(
    readonly workers: Worker[],
    readonly proxy: FaultProxy,
    public server: RedisServer,
    private readonly fleet: WorkerFleet,
    private readonly options: SceneOptions,
  ) {}

  static async open(fleet: WorkerFleet, options: SceneOptions = {}): Promise<Scene> {
    const server = await startOwnRedis();
    const proxy = await FaultProxy.start(server.port);
    const alive = fleet.workers.filter((worker) => worker.isAlive);
    const workers = [...alive, ...(await fleet.start(INSTANCES - alive.length))];
    const scene = new Scene(workers, proxy, server, fleet, options);
    for (const [i, worker] of workers.entries()) await scene.openWorker(worker, i);
    return scene;
  }

  /** A client of the server itself, past the proxy. */
  async withAdmin<T>(use: (admin: Redis) => Promise<T>, port = this.server.port): Promise<T> {
    const admin = new Redis(port, '127.0.0.1');
    try {
      return await use(admin);
    } finally {
      admin.disconnect();
    }
  }

  openWorker(worker: Worker, i: number): Promise<void> {
    return worker.tell('open', {
      port: this.proxy.port,
      app: this.app,
      // Both clients, as a fleet that is being moved from one to the other.
      client: i % 2 === 0 ? 'ioredis' : 'redis',
      clockOffsetMs: this.options.clockOffsetsMs?.[i],
      timeoutMs: this.options.timeoutMs,
      leaseMs: this.options.leaseMs,
    });
  }

  async startLoad(): Promise<void> {
    await Promise.all(this.workers.map((worker, i) => worker.tell('startLoad', i + 1)));
    await delay(400);
  }

  /** Ends the load when every worker has had answers of the store again for a while. */
  async endLoad(): Promise<void> {
    await this.untilAllSee();
    await delay(300);
    await Promise.all(this.alive().map((worker) => worker.tell('stopLoad')));
  }

  /** Until no worker takes the store for lost. */
  async untilAllSee(): Promise<void> {
    await this.until(async () => !(await this.views()).includes(true));
  }

  async untilAllLost(): Promise<void> {
    await this.until(async () => !(await this.views()).includes(false));
  }

  /** A test that has failed must end. */
  async until(condition: () => Promise<boolean>): Promise<void> {
    for (const begun = performance.now(); !(await condition()); await delay(20)) {
      if (performance.now() - begun > LONGEST_WAIT_MS) throw new Error(`It is not so: ${String(condition)}`);
    }
  }

  /** Does something to the store, and notes what that means. */
  async fate(kind: 'forgot' | 'out' | 'back', strike: () => unknown): Promise<void> {
    const asked = monotonicMs();
    await strike();
    this.fates.push({ kind, worker: 'the test', asked, at: monotonicMs() });
  }

  /** Kills the server's process, and starts another in its place that knows nothing. */
  async restartServer(): Promise<void> {
    const { process: child, port } = this.server;
    const exited = once(child as NonNullable<typeof child>, 'exit');
    child?.kill('SIGKILL');
    await exited;
    await this.server.stop();
    this.server = await startOwnRedis([], port);
  }

  /** What the store says is held, until it is nothing. */
  async watchPermitsGo(): Promise<void> {
    await this.until(async () => (await this.sampleHeld()) === 0);
  }

  sampleHeld(): Promise<number> {
    return this.withAdmin(async (admin) => {
      const state = redisState(admin, { app: this.app, timeout: '5s' });
      const asked = monotonicMs();
      const { held } = await state.permits.acquire(PERMITS.key, { limit: 1, want: 0, leaseMs: LEASE_MS });
      const { policy: key } = PERMITS.key;
      this.fates.push({ kind: 'server-held', worker: 'the test', key, asked, at: monotonicMs(), held });
      return held;
    });
  }

  history(): HistoryEvent[] {
    const recorded = this.fleet.history().filter(({ at }) => at >= this.begunAt);
    return [...recorded, ...this.fates].sort((a, b) => a.at - b.at);
  }

  /** What all checkers say, by invariant. */
  async violations(): Promise<Record<string, string[]>> {
    const history = this.history();
    const { timeoutMs = TIMEOUT_MS, leaseMs: lentMs = LEASE_MS } = this.options;
    const rules = (limit: typeof EXACT, key: string, leaseMs: number) => ({
      key,
      perSecond: limit.refillPerSecond,
      burst: limit.capacity,
      leaseMs,
      instances: INSTANCES,
    });
    const permits = { key: PERMITS.key.policy, limit: PERMITS.limit, leaseMs: lentMs, timeoutMs };
    return {
      'SS-01': [
        ...admittedViolations(history, rules(EXACT, 'exact', 0)),
        ...admittedViolations(history, rules(LEASED, 'leased', UNIT_LEASE_MS)),
      ],
      'SS-02': permitViolations(history, permits),
      'SS-03': onceViolations(history),
      'SS-04': staleViolations(history),
      'SS-06': lostStoreViolations(history, { timeoutMs }),
      'SS-07': recoveryViolations(history, { timeoutMs }),
      'SS-08': keyViolations(await this.keys()),
    };
  }

  async close(): Promise<void> {
    this.endWatch();
    await Promise.all(this.alive().map((worker) => worker.tell('close')));
    await this.proxy.stop();
    await this.server.stop();
  }

  private alive(): Worker[] {
    return this.workers.filter((worker) => worker.isAlive);
  }

  private views(): Promise<boolean[]> {
    return Promise.all(this.alive().map((worker) => worker.tell('degraded')));
  }

  private keys() {
    return this.withAdmin(async (admin) => {
      const names = await admin.keys('*');
      const left = await Promise.all(names.map((name) => admin.pttl(name)));
      // -2: it expired meanwhile.
      return names
        .map((name, i) => ({ name, leftMs: left[i] as number }))
        .filter(({ leftMs }) => leftMs !== -2);
    });
  }
}
