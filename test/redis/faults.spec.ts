import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventsOf } from './histories/history.js';
import { canOwnRedis, startOwnRedis } from './server.js';
import { WorkerFleet } from './workers/fleet.js';
import { Scene, type SceneOptions } from './workers/scene.js';

interface Fault {
  readonly what: string;
  /** Whether every instance loses the store by it, none does, or some may. */
  readonly lost: 'by all' | 'by none' | 'by some';
  readonly options?: SceneOptions;
  strike(scene: Scene): Promise<void>;
}

/** Long enough for every instance that has noticed to probe in vain. */
const OUTAGE_MS = 1_200;

const faults: Fault[] = [
  { what: 'nothing happens', lost: 'by some', strike: () => delay(600) },
  {
    what: 'the server is stopped, and goes on',
    lost: 'by all',
    async strike(scene) {
      await scene.fate('out', () => scene.server.process?.kill('SIGSTOP'));
      await scene.untilAllLost();
      await delay(OUTAGE_MS);
      await scene.fate('back', () => scene.server.process?.kill('SIGCONT'));
    },
  },
  {
    what: 'the server is killed, and another starts in its place',
    lost: 'by some',
    strike: (scene) => scene.fate('forgot', () => scene.restartServer()),
  },
  {
    what: 'the network is slow, within what is allowed',
    lost: 'by some',
    async strike(scene) {
      scene.proxy.latencyMs = 10;
      await delay(800);
      scene.proxy.latencyMs = 0;
    },
  },
  {
    what: 'the network is too slow',
    lost: 'by all',
    async strike(scene) {
      scene.proxy.latencyMs = 300;
      await scene.untilAllLost();
      await delay(300);
      scene.proxy.latencyMs = 0;
    },
  },
  {
    what: 'the network is a black hole',
    lost: 'by all',
    async strike(scene) {
      await scene.fate('out', () => scene.proxy.turn('black-hole'));
      await scene.untilAllLost();
      await delay(OUTAGE_MS);
      await scene.fate('back', () => scene.proxy.turn('clear'));
    },
  },
  {
    what: 'connections are reset',
    lost: 'by some',
    async strike(scene) {
      for (let i = 0; i < 3; i++) {
        scene.proxy.reset();
        await delay(200);
      }
    },
  },
  {
    what: 'connections are closed by half',
    lost: 'by some',
    async strike(scene) {
      scene.proxy.halfClose();
      await delay(400);
    },
  },
  {
    what: 'the server forgets its scripts',
    lost: 'by some',
    async strike(scene) {
      for (let i = 0; i < 3; i++) {
        await scene.withAdmin((admin) => admin.script('FLUSH'));
        await delay(100);
      }
    },
  },
  {
    what: 'the server forgets everything',
    lost: 'by some',
    async strike(scene) {
      for (let i = 0; i < 2; i++) {
        await scene.fate('forgot', () => scene.withAdmin((admin) => admin.flushall()));
        await delay(300);
      }
    },
  },
  {
    what: 'the server becomes a replica, which is for reading only, and a primary again',
    lost: 'by all',
    async strike(scene) {
      const primary = await startOwnRedis();
      await scene.fate('out', () => scene.withAdmin((admin) => admin.replicaof('127.0.0.1', primary.port)));
      await scene.untilAllLost();
      await delay(OUTAGE_MS);
      // It has what its primary has: nothing.
      await scene.fate('forgot', () => scene.withAdmin((admin) => admin.replicaof('NO', 'ONE')));
      await scene.fate('back', () => undefined);
      await primary.stop();
    },
  },
  {
    what: 'the server has no memory left, and evicts nothing',
    lost: 'by all',
    async strike(scene) {
      await scene.fate('out', () => scene.withAdmin((admin) => admin.config('SET', 'maxmemory', '1mb')));
      await scene.untilAllLost();
      await delay(OUTAGE_MS);
      await scene.fate('back', () => scene.withAdmin((admin) => admin.config('SET', 'maxmemory', '0')));
    },
  },
  {
    what: 'the primary is killed, and its replica promoted',
    lost: 'by some',
    async strike(scene) {
      const replica = await startOwnRedis(['--replicaof', `127.0.0.1 ${scene.server.port}`]);
      await scene.withAdmin(async (admin) => {
        while (!(await admin.info('replication')).includes('master_link_status:up')) await delay(20);
      }, replica.port);
      await delay(300);
      // What the replica had not heard yet is forgotten.
      await scene.fate('forgot', async () => {
        await scene.server.stop();
        await scene.withAdmin((admin) => admin.replicaof('NO', 'ONE'), replica.port);
        scene.proxy.aim(replica.port);
        scene.proxy.reset();
        scene.server = replica;
      });
    },
  },
  {
    what: "the instances' clocks are a minute off",
    lost: 'by some',
    options: { clockOffsetsMs: [60_000, -60_000, 0, -60_000] },
    strike: () => delay(600),
  },
  {
    what: 'the event loop of an instance is stalled for longer than a lease',
    lost: 'by some',
    async strike(scene) {
      await scene.workers[0]?.tell('stall', 800);
    },
  },
  {
    what: 'an instance is killed',
    lost: 'by some',
    async strike(scene) {
      await scene.workers[0]?.kill();
      await delay(300);
    },
  },
];

(canOwnRedis ? describe : describe.skip)('four processes and their store', () => {
  const fleet = new WorkerFleet();
  let scene: Scene;
  beforeAll(() => fleet.start(4));
  afterEach(() => scene.close());
  afterAll(() => fleet.end());

  it.each(faults)('SS-09 keep what is promised when $what', async ({ lost, options, strike }) => {
    scene = await Scene.open(fleet, options);
    await scene.startLoad();
    await strike(scene);
    await scene.endLoad();
    await scene.watchPermitsGo();

    const violations = await scene.violations();
    expect(Object.entries(violations).filter(([, found]) => found.length > 0)).toEqual([]);
    const history = scene.history();
    const losers = new Set(eventsOf(history, 'degraded').map(({ worker }) => worker));
    if (lost === 'by all') expect([...losers].sort()).toEqual(scene.workers.map(({ name }) => name).sort());
    if (lost === 'by none') expect([...losers]).toEqual([]);
  });
});
