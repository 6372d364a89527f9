import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { circuitViolations } from './histories/circuit.js';
import { eventsOf, monotonicMs } from './histories/history.js';
import { canOwnRedis } from './server.js';
import { WorkerFleet, type Worker } from './workers/fleet.js';
import { CIRCUIT } from './workers/rules.js';
import { Scene, type SceneOptions } from './workers/scene.js';

/** No call of the store fails because the machine is slow. */
const patient: SceneOptions = { timeoutMs: 5_000 };

(canOwnRedis ? describe : describe.skip)('a circuit of four processes', () => {
  const fleet = new WorkerFleet();
  let scene: Scene;
  let workers: readonly [Worker, Worker, Worker, Worker];

  const open = async (options?: SceneOptions) => {
    scene = await Scene.open(fleet, options);
    workers = scene.workers as unknown as typeof workers;
  };

  beforeAll(() => fleet.start(4));
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
  /** Until each has opened; it may be half-open by now. */
  const untilAllHaveOpened = (since: number) =>
    scene.until(async () => {
      const opened = eventsOf(scene.history(), 'circuit-changed').filter(({ to }) => to === 'open');
      return new Set(opened.filter(({ at }) => at > since).map(({ worker }) => worker)).size === 4;
    });
  const violations = () =>
    circuitViolations(scene.history(), {
      probes: CIRCUIT.halfOpenMaxCalls,
      everywhereMs: 1_000,
      workers: workers.map(({ name }) => name),
    });

  it('SS-05 one bad process opens it for itself alone', async () => {
    await open(patient);
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
    await open(patient);
    await join('quorum');
    await Promise.all([trip(workers[0]), trip(workers[1])]);
    await untilAllHaveOpened(scene.begunAt);
    await untilAll('half-open');
    // How many of them run beside each other is what the history tells.
    await Promise.all(workers.flatMap((worker) => [1, 2, 3].map(() => worker.tell('callInside', true, 60))));
    await scene.until(async () => {
      await Promise.all(workers.map((worker) => worker.tell('callInside', true, 5)));
      return (await states()).every((each) => each === 'closed');
    });
    expect(eventsOf(scene.history(), 'probed').length).toBeGreaterThanOrEqual(CIRCUIT.successThreshold);
    expect(violations()).toEqual([]);
  });

  it('SS-05 SS-09 with scope any, a server that was emptied and one that was stopped', async () => {
    await open();
    await join('any');
    await trip(workers[2]);
    await untilAllHaveOpened(scene.begunAt);
    await scene.withAdmin((admin) => admin.flushall());
    await untilAll('half-open');
    const halfOpenAt = monotonicMs();
    for (const worker of workers) await worker.tell('callInside', false, 0);
    await untilAllHaveOpened(halfOpenAt);
    scene.server.process?.kill('SIGSTOP');
    await scene.untilAllLost();
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
