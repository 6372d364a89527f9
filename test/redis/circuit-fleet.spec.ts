import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { circuitViolations } from './histories/circuit.js';
import { eventsOf } from './histories/history.js';
import { canOwnRedis } from './server.js';
import { WorkerFleet, type Worker } from './workers/fleet.js';
import { CIRCUIT } from './workers/rules.js';
import { Scene } from './workers/scene.js';

(canOwnRedis ? describe : describe.skip)('a circuit of four processes', () => {
  const fleet = new WorkerFleet();
  let scene: Scene;
  let workers: readonly [Worker, Worker, Worker, Worker];

  beforeAll(() => fleet.start(4));
  beforeEach(async () => {
    scene = await Scene.open(fleet);
    workers = scene.workers as unknown as typeof workers;
  });
  afterEach(() => scene.close());
  afterAll(() => fleet.end());

  const join = async (scope: 'quorum' | 'any') => {
    await Promise.all(workers.map((worker) => worker.tell('joinCircuit', scope)));
    // Each has spoken at least once.
    await scene.until(
      async () => new Set(eventsOf(scene.history(), 'circuit-seen').map(({ worker }) => worker)).size === 4,
    );
  };
  const states = () => Promise.all(workers.map((worker) => worker.tell('circuitState')));
  const trip = async (worker: Worker) => {
    for (let i = 0; i < CIRCUIT.failureThreshold; i++) await worker.tell('callInside', false, 0);
  };
  const untilAll = (state: string) =>
    scene.until(async () => (await states()).every((each) => each === state));
  const violations = () =>
    circuitViolations(scene.history(), {
      probes: CIRCUIT.halfOpenMaxCalls,
      everywhereMs: 1_000,
      workers: workers.map(({ name }) => name),
    });

  it('SS-05 one bad process opens it for itself alone', async () => {
    await join('quorum');
    for (let i = 0; i < 3; i++) {
      await trip(workers[0]);
      await scene.until(async () => (await workers[0].tell('circuitState')) === 'half-open');
    }
    const changes = eventsOf(scene.history(), 'circuit-changed');
    expect(new Set(changes.map(({ worker }) => worker))).toEqual(new Set([workers[0].name]));
    expect(violations()).toEqual([]);
  });

  it('SS-05 two of four open it everywhere; all share its probes, and close it together', async () => {
    await join('quorum');
    await Promise.all([trip(workers[0]), trip(workers[1])]);
    await untilAll('open');
    await untilAll('half-open');
    const calls = workers.flatMap((worker) => [1, 2, 3].map(() => worker.tell('callInside', true, 60)));
    const ended = await Promise.all(calls);
    expect(ended.filter((one) => one === 'fine').length).toBeLessThanOrEqual(CIRCUIT.halfOpenMaxCalls);
    await scene.until(async () => {
      await Promise.all(workers.map((worker) => worker.tell('callInside', true, 5)));
      return (await states()).every((each) => each === 'closed');
    });
    expect(eventsOf(scene.history(), 'probed').length).toBeGreaterThanOrEqual(CIRCUIT.successThreshold);
    expect(violations()).toEqual([]);
  });

  it('SS-05 SS-09 with scope any, a server that was emptied and one that was stopped', async () => {
    await join('any');
    await trip(workers[2]);
    await untilAll('open');
    await scene.withAdmin((admin) => admin.flushall());
    await untilAll('half-open');
    for (const worker of workers) await worker.tell('callInside', false, 0);
    await untilAll('open');
    scene.server.process?.kill('SIGSTOP');
    await untilAll('half-open');
    // Alone: each by its own probes.
    for (const worker of workers)
      for (let i = 0; i < CIRCUIT.successThreshold; i++) await worker.tell('callInside', true, 0);
    expect(await states()).toEqual(['closed', 'closed', 'closed', 'closed']);
    scene.server.process?.kill('SIGCONT');
    await scene.untilAllSee();
    await scene.until(async () => {
      await Promise.all(workers.map((worker) => worker.tell('callInside', true, 5)));
      return (await states()).every((each) => each === 'closed');
    });
    const unhandled = eventsOf(scene.history(), 'unhandled');
    expect(unhandled).toEqual([]);
  });
});
