import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { CircuitReport, CircuitView, SharedState, StateKey } from '../../lib/core/shared-state.js';
import { MemoryState, MemoryWorld } from '../../lib/shared-state/memory-state.js';
import { driverOf, type StoreDriver } from '../../lib/shared-state/redis/drivers.js';
import { redisState } from '../../lib/shared-state/redis/index.js';
import * as scripts from '../../lib/shared-state/redis/scripts.js';
import { ManualClock } from '../../lib/testing/index.js';
import { canRunRedis, startRedis, type RedisServer } from './server.js';

const HOUR_MS = 3_600_000;
const HOUR_US = 3_600_000_000;
const FOREVER = Number.MAX_SAFE_INTEGER;
const KEY: StateKey = { kind: 'circuitBreaker', policy: 'orders', subject: '' };

const describeWithRedis = canRunRedis ? describe : describe.skip;

describeWithRedis('circuits of all instances on a real server', () => {
  let server: RedisServer;
  let client: Redis;
  let driver: StoreDriver;
  let app: string;

  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.url);
    driver = driverOf(client);
  });

  afterAll(async () => {
    client?.disconnect();
    await server?.stop();
  });

  beforeEach(() => {
    app = `test-${randomUUID()}`;
  });

  it('SS-05 the same operations get the same answers as from memory, which says what is meant', async () => {
    const rule = fc.record({
      scope: fc.constantFrom('quorum' as const, 'quorum' as const, 'any' as const),
      size: fc.integer({ min: 1, max: 5 }),
      successThreshold: fc.integer({ min: 1, max: 3 }),
      limit: fc.integer({ min: 1, max: 4 }),
      results: fc.constantFrom(0, 3, 4),
      failureRatePercent: fc.constantFrom(undefined, 50),
      slowCallRatePercent: fc.constantFrom(undefined, 60),
      minimumCalls: fc.integer({ min: 0, max: 9 }),
      openMs: fc.constantFrom(0, 0, 0, HOUR_MS),
    });
    type Rule = typeof rule extends fc.Arbitrary<infer T> ? T : never;
    /** What each instance knows, of one store. */
    interface Side {
      readonly states: readonly SharedState[];
      readonly versions: number[];
      readonly probes: { readonly probe: string; readonly by: number; readonly version: number }[];
    }
    type Step = (side: Side, rule: Rule) => Promise<CircuitView>;
    const at = (side: Side, i: number) => (side.states[i] as SharedState).circuit;
    const instance = fc.integer({ min: 0, max: 3 });
    const seen = fc.record({
      calls: fc.integer({ min: 0, max: 6 }),
      failures: fc.integer({ min: 0, max: 3 }),
      vote: fc.boolean(),
      close: fc.integer({ min: 0, max: 19 }).map((one) => one === 0),
      ttlMs: fc.constant(HOUR_MS),
    });
    const often = (one: number) => (one === 0 ? undefined : { failed: one % 3 === 0, slow: one % 5 === 0 });
    const outcome = fc.integer({ min: 0, max: 15 }).map(often);
    const step: fc.Arbitrary<[string, Step]> = fc.oneof(
      fc.tuple(instance, seen).map(([i, given]): [string, Step] => [
        `${i} says ${JSON.stringify(given)}`,
        async (side, by) => {
          const view = await at(side, i).sync(KEY, { ...by, ...given, version: side.versions[i] ?? 0 });
          side.versions[i] = view.version;
          return view;
        },
      ]),
      instance.map((i): [string, Step] => [
        `${i} asks for a probe`,
        async (side, { limit, results }) => {
          const version = side.versions[i] ?? 0;
          const probe = `${i}:${side.probes.length}`;
          const request = { version, probe, limit, results, ttlMs: HOUR_MS };
          const view = await at(side, i).probe(KEY, request);
          if (view.granted) side.probes.unshift({ probe, by: i, version });
          return view;
        },
      ]),
      fc.tuple(fc.integer({ min: 0, max: 3 }), outcome).map(([which, ended]): [string, Step] => [
        `probe ${which} ends ${JSON.stringify(ended)}`,
        async (side, by) => {
          const { probe, by: i, version } = side.probes[which] ?? { probe: 'none', by: 0, version: 1 };
          const view = await at(side, i).settle(KEY, { ...by, outcome: ended, version, probe });
          side.versions[i] = view.version;
          return view;
        },
      ]),
    );

    await fc.assert(
      fc.asyncProperty(rule, fc.array(step, { minLength: 20, maxLength: 80 }), async (by, steps) => {
        app = `test-${randomUUID()}`;
        const world = new MemoryWorld(new ManualClock());
        const instances = [0, 1, 2, 3];
        const memory: Side = {
          states: instances.map((i) => new MemoryState(world, String(i))),
          versions: [],
          probes: [],
        };
        const redis: Side = {
          states: instances.map(() => redisState(client, { app, timeout: '5s' })),
          versions: [],
          probes: [],
        };
        let last = 0;
        for (const [title, run] of steps) {
          const view = await run(redis, by);
          expect(view.version).toBeGreaterThanOrEqual(last);
          last = view.version;
          expect([title, readable(view)]).toEqual([title, readable(await run(memory, by))]);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('SS-06 SS-09 a circuit’s scripts: late they change nothing, twice they are done once, and what they keep expires', async () => {
    const key = `resilience:{${app}:scripts}:v1`;
    const run = (script: (typeof scripts)['SYNC'], ...args: (string | number)[]) =>
      driver.run(script, key, [FOREVER, 'operation', ...args]);
    const report = (version: number | string, vote: 0 | 1) =>
      [version, 'me', 10, 5, vote, 0, HOUR_US, 'any', 3, '', 0, 0] as const;
    expect((await driver.run(scripts.SYNC, key, [1, 'operation', ...report(0, 1)]))[1]).toBe('late');
    expect(await client.exists(key)).toBe(0);

    const version = String((await run(scripts.SYNC, ...report(0, 1)))[2]);
    expect(await client.hlen(key)).toBe(2);
    const opened = await run(scripts.SYNC, ...report(version, 1));
    expect(opened.slice(3, 6)).toEqual(['1', expect.any(String), '1']);
    const again = await run(scripts.SYNC, ...report(version, 1));
    expect([again[2], again[5]]).toEqual([opened[2], '1']);

    const now = String(opened[2]);
    const ask = () => run(scripts.PROBE, now, 'probe', 1, 0, HOUR_US);
    expect([(await ask())[7], (await ask())[7]]).toEqual(['1', '1']);
    expect((await run(scripts.PROBE, now, 'other', 1, 0, HOUR_US))[7]).toBe('0');
    const settle = () => run(scripts.SETTLE, now, 'me', 'probe', '00', 2, 0, '', '', 'any', 3, 0);
    await settle();
    await settle();
    expect(await client.hget(key, 'g')).toBe('1');
    expect(await client.pttl(key)).toBeGreaterThan(60_000);
    for (const [script, args] of [
      [scripts.PROBE, [now, 'late', 9, 0, HOUR_US]],
      [scripts.SETTLE, [now, 'me', 'probe', '00', 1, 0, '', '', 'any', 3, 0]],
    ] as const) {
      expect((await driver.run(script, key, [1, 'operation', ...args]))[1]).toBe('late');
    }
    expect(await client.hget(key, 'p:late')).toBeNull();
  });

  it('SS-05 a probe that is not ended frees its permit, and a vote that is not repeated counts no more', async () => {
    const [one, two] = [
      redisState(client, { app, timeout: '5s' }),
      redisState(client, { app, timeout: '5s' }),
    ];
    const report: CircuitReport = {
      version: 0,
      calls: 0,
      failures: 0,
      vote: true,
      close: false,
      ttlMs: 20,
      scope: 'quorum',
      size: 2,
      failureRatePercent: undefined,
      minimumCalls: 0,
      openMs: 0,
    };
    const { version } = await one.circuit.sync(KEY, report);
    await one.circuit.sync(KEY, { ...report, version });
    const probed = () =>
      two.circuit.probe(KEY, { version, probe: randomUUID(), limit: 1, results: 0, ttlMs: 20 });
    // The vote of the first ends before that of the second begins.
    const now = async () => {
      const [seconds, us] = await client.time();
      return Number(seconds) * 1_000 + Number(us) / 1_000;
    };
    const until = (await now()) + 25;
    while ((await now()) <= until);
    const lasting = { ...report, version, ttlMs: HOUR_MS };
    expect(await two.circuit.sync(KEY, lasting)).toMatchObject({ open: false });
    expect(await one.circuit.sync(KEY, lasting)).toMatchObject({ open: true });
    const { version: opened } = await two.circuit.sync(KEY, { ...report, version, vote: false });
    expect((await probed()).granted).toBe(false);
    const ask = () =>
      two.circuit.probe(KEY, { version: opened, probe: randomUUID(), limit: 1, results: 0, ttlMs: 20 });
    expect((await ask()).granted).toBe(true);
    while (!(await ask()).granted);
  });
});

function readable(view: CircuitView & { readonly granted?: boolean }) {
  const { open, openings, granted } = view;
  return { open, openings, granted, half: view.leftMs <= 0, closed: view.closedForMs !== undefined };
}
