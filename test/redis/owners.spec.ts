import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { temporaryFolder } from '../sample/sample.js';
import { eventsOf } from './histories/history.js';
import { canOwnRedis } from './server.js';
import { WorkerFleet, type Worker } from './workers/fleet.js';
import { PERMITS } from './workers/rules.js';
import { Scene, type SceneOptions } from './workers/scene.js';

/** No call of the store fails, and no lease ends, because the machine is slow. */
const patient: SceneOptions = { timeoutMs: 3_000, leaseMs: 4_000 };

(canOwnRedis ? describe : describe.skip)('what a process holds', () => {
  const fleet = new WorkerFleet();
  let scene: Scene;
  let workers: readonly [Worker, Worker, ...Worker[]];

  const open = async (options?: SceneOptions) => {
    scene = await Scene.open(fleet, options);
    workers = scene.workers as unknown as typeof workers;
  };

  beforeAll(() => fleet.start(4));
  afterEach(() => scene.close());
  afterAll(() => fleet.end());

  /** The order, again and again until it was made or replayed. */
  async function insist(worker: Worker, key: string): Promise<string> {
    let answer = '';
    await scene.until(async () => (answer = await worker.tell('order', key, 'same', 0)).startsWith('"'));
    return answer;
  }

  const hasBegun = (worker: Worker) =>
    scene.until(async () => eventsOf(worker.history(), 'ran').some(({ at }) => at > scene.begunAt));

  async function expectNoViolations(): Promise<void> {
    const found = Object.entries(await scene.violations()).filter(([, each]) => each.length > 0);
    expect(found).toEqual([]);
  }

  it('SS-02 SS-06 is nothing where the store was stopped when it asked', async () => {
    await open();
    await scene.fate('out', () => scene.server.process?.kill('SIGSTOP'));
    for (const worker of workers) {
      expect(await worker.tell('acquire', 2)).toBe(0);
      expect(await worker.tell('acquire', 1)).toBe(0);
      expect(await worker.tell('order', 'one', 'same', 0)).toBe('IdempotencyUnavailableError');
    }
    await scene.fate('back', () => scene.server.process?.kill('SIGCONT'));
    await scene.untilAllSee();
    // Each connection has been read to its end: what was sent meanwhile has been refused.
    expect(await scene.sampleHeld()).toBe(0);
    expect(await insist(workers[1], 'one')).toBe(`"one by ${workers[1].name}"`);
    await expectNoViolations();
  });

  it('SS-02 is free a lease after it was killed', async () => {
    await open(patient);
    expect(await workers[0].tell('acquire', 5)).toBe(5);
    await workers[0].kill();
    expect(await workers[1].tell('acquire', 8)).toBe(PERMITS.limit - 5);
    await workers[1].tell('release', PERMITS.limit);
    await scene.watchPermitsGo();
    expect(await workers[1].tell('acquire', 8)).toBe(PERMITS.limit);
    await expectNoViolations();
  });

  it('SS-03 is run by another when it was killed at it', async () => {
    await open(patient);
    workers[0].tell('order', 'one', 'same', 60_000).catch(() => undefined);
    await hasBegun(workers[0]);
    await workers[0].kill();
    expect(await workers[1].tell('order', 'one', 'same', 0)).toBe('IdempotencyConflictError');
    const answer = await insist(workers[1], 'one');
    expect(answer).toBe(`"one by ${workers[1].name}"`);
    expect(await insist(workers[2] as Worker, 'one')).toBe(answer);
    await expectNoViolations();
  });

  it('SS-04 is lost when its event loop was stalled for longer than a lease, and nothing of it is kept', async () => {
    await open(patient);
    const folder = temporaryFolder('stall');
    const end = join(folder.path, 'end');
    expect(await workers[0].tell('acquire', 5)).toBe(5);
    const first = workers[0].tell('stalledOrder', 'one', 'same', end);
    await hasBegun(workers[0]);
    const second = await insist(workers[1], 'one');
    expect(second).toBe(`"one by ${workers[1].name}"`);
    await scene.until(
      async () => (await workers[1].tell('acquire', PERMITS.limit, 60_000)) === PERMITS.limit,
    );
    writeFileSync(end, '');
    // Its caller gets what it did; all others, what the one did who had the key.
    expect(await first).toBe(`"one by ${workers[0].name}"`);
    expect(await insist(workers[2] as Worker, 'one')).toBe(second);
    expect(await workers[0].tell('renew')).toBe(0);
    await workers[0].tell('release', 5);
    expect(await scene.sampleHeld()).toBe(PERMITS.limit);
    await expectNoViolations();
    folder.remove();
  });
});
