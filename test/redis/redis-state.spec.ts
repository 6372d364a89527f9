import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Cluster, Redis } from 'ioredis';
import { createClient } from 'redis';
import type { CircuitReport, SharedState, StateKey } from '../../lib/core/shared-state.js';
import { MemoryState, MemoryWorld } from '../../lib/shared-state/memory-state.js';
import { driverOf, type StoreDriver } from '../../lib/shared-state/redis/drivers.js';
import { RedisState, redisState } from '../../lib/shared-state/redis/index.js';
import * as scripts from '../../lib/shared-state/redis/scripts.js';
import { StoreLateError } from '../../lib/shared-state/store-guard.js';
import { ManualClock } from '../../lib/testing/index.js';
import { canOwnRedis, canRunRedis, startOwnRedis, startRedis, type RedisServer } from './server.js';

const HOUR_MS = 3_600_000;
const HOUR_US = 3_600_000_000;
const FOREVER = Number.MAX_SAFE_INTEGER;
const NOBODY: StateKey = { kind: 'test', policy: 'orders', subject: '' };

/** A client, and what it takes to end it. */
interface Connected {
  readonly client: Parameters<typeof redisState>[0];
  readonly end: () => unknown;
}

const clients: Record<string, (server: RedisServer) => Promise<Connected>> = {
  ioredis: async ({ url }) => {
    const client = new Redis(url);
    return { client, end: () => client.disconnect() };
  },
  redis: ({ url }) => nodeRedis(url, 2),
  'redis with RESP3': ({ url }) => nodeRedis(url, 3),
};

async function nodeRedis(url: string, RESP: 2 | 3): Promise<Connected> {
  const client = createClient({ url, RESP });
  client.on('error', () => undefined);
  await client.connect();
  return { client: client as never, end: () => client.destroy() };
}

/** Makes a server a cluster of its own. */
async function formCluster(admin: Redis): Promise<void> {
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  while (!String(await admin.call('CLUSTER', 'INFO')).includes('cluster_state:ok'));
}

const describeWithRedis = canRunRedis ? describe : describe.skip;

describeWithRedis.each(Object.keys(clients))('shared state on a real server through %s', (name) => {
  let server: RedisServer;
  let admin: Redis;
  let connected: Connected;
  let driver: StoreDriver;
  let app: string;

  beforeAll(async () => {
    server = await startRedis();
    admin = new Redis(server.url);
    connected = await (clients[name] as (typeof clients)[string])(server);
    driver = driverOf(connected.client);
  });

  afterAll(async () => {
    connected?.end();
    admin?.disconnect();
    await server?.stop();
  });

  beforeEach(() => {
    app = `test-${randomUUID()}`;
  });

  const keyOf = (subject = ''): StateKey => ({ kind: 'rateLimit', policy: 'orders', subject });
  const state = (): RedisState => redisState(connected.client, { app, timeout: '5s' });
  const keysOf = (which: string) => admin.keys(`resilience:{${which}:*`);

  it('SS-01 the same operations get the same answers as from memory, which says what is meant', async () => {
    const request = fc.record({
      subject: fc.constantFrom('a', 'b', 'c'),
      emissionUs: fc.constantFrom(HOUR_US, 2 * HOUR_US, HOUR_US / 7, HOUR_US / 11),
      toleranceUs: fc.constantFrom(8 * HOUR_US, HOUR_US),
      want: fc.integer({ min: 1, max: 10 }),
      min: fc.integer({ min: 1, max: 3 }),
    });
    const requests = fc.array(request, { minLength: 1, maxLength: 5 });
    const instance = fc.integer({ min: 0, max: 2 });
    const count = fc.integer({ min: 1, max: 4 });
    const print = fc.constantFrom('same', 'other');
    type Step = (on: readonly SharedState[], fences: (number | undefined)[]) => Promise<unknown>;
    const at = (on: readonly SharedState[], i: number) => on[i] as SharedState;
    const step: fc.Arbitrary<[string, Step]> = fc.oneof(
      // In one turn, so that they are asked together.
      fc.tuple(instance, requests).map(([i, given]): [string, Step] => [
        `take ${JSON.stringify(given)}`,
        (on) =>
          Promise.all(
            given.map(async ({ subject, min, ...rest }) => {
              const asked = { ...rest, min: Math.min(min, rest.want) };
              const { granted, remaining } = await at(on, i).take(keyOf(subject), asked);
              return { granted, remaining };
            }),
          ),
      ]),
      fc
        .tuple(instance, count)
        .map(([i, want]): [string, Step] => [
          `${i} acquires ${want}`,
          (on) => at(on, i).permits.acquire(keyOf('permits'), { limit: 5, want, leaseMs: HOUR_MS }),
        ]),
      fc
        .tuple(instance, count)
        .map(([i, back]): [string, Step] => [
          `${i} releases ${back}`,
          (on) => at(on, i).permits.release(keyOf('permits'), back),
        ]),
      instance.map((i): [string, Step] => [
        `${i} renews`,
        (on) => at(on, i).permits.renew(keyOf('permits'), HOUR_MS),
      ]),
      fc.tuple(instance, print).map(([i, fingerprint]): [string, Step] => [
        `${i} begins ${fingerprint}`,
        async (on, fences) => {
          const begun = await at(on, i).once.begin(keyOf('once'), fingerprint, HOUR_MS);
          if (begun.kind === 'run') fences[i] = begun.fence;
          return begun.kind === 'replay' ? begun : begun.kind;
        },
      ]),
      instance.map((i): [string, Step] => [
        `${i} completes`,
        (on, fences) => at(on, i).once.complete(keyOf('once'), fences[i] ?? -1, `done by ${i}|\n`, HOUR_MS),
      ]),
      instance.map((i): [string, Step] => [
        `${i} fails`,
        (on, fences) => at(on, i).once.fail(keyOf('once'), fences[i] ?? -1),
      ]),
      instance.map((i): [string, Step] => [
        `${i} beats`,
        (on, fences) => at(on, i).once.beat(keyOf('once'), fences[i] ?? -1, HOUR_MS),
      ]),
      fc
        .tuple(instance, fc.string())
        .map(([i, value]): [string, Step] => [
          `${i} puts`,
          (on) => at(on, i).cache.put(keyOf('cache'), value, HOUR_MS),
        ]),
      instance.map((i): [string, Step] => [
        `${i} gets`,
        async (on) => (await at(on, i).cache.get(keyOf('cache')))?.value,
      ]),
      instance.map((i): [string, Step] => [`${i} is here`, (on) => at(on, i).presence.beat(HOUR_MS)]),
      instance.map((i): [string, Step] => [`${i} leaves`, (on) => at(on, i).presence.leave()]),
    );

    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        app = `test-${randomUUID()}`;
        const world = new MemoryWorld(new ManualClock());
        const memory = [0, 1, 2].map((i) => new MemoryState(world, String(i)));
        const redis = [state(), state(), state()];
        const fences: [(number | undefined)[], (number | undefined)[]] = [[], []];
        for (const [title, run] of steps) {
          expect([title, await run(redis, fences[1])]).toEqual([title, await run(memory, fences[0])]);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('SS-01 what one turn takes is asked for 32 keys at a time', async () => {
    const asked: number[] = [];
    const counting: StoreDriver = {
      run(script, keys, args) {
        if (script === scripts.TAKE) {
          asked.push([keys].flat().length);
          requests.push((args.length - 2) / 4);
        }
        return driver.run(script, keys, args);
      },
    };
    const requests: number[] = [];
    const shared = new RedisState(counting, { app, timeout: '5s' });
    const subjects = Array.from({ length: 40 }, (_, i) => `user ${i}`);

    const request = { emissionUs: HOUR_US, toleranceUs: 100 * HOUR_US, min: 1 };
    const takeAll = (wantOf = (i: number) => i + 1) =>
      Promise.all(subjects.map((subject, i) => shared.take(keyOf(subject), { ...request, want: wantOf(i) })));

    expect((await takeAll()).map(({ granted }) => granted)).toEqual(subjects.map((_, i) => i + 1));
    expect((await takeAll()).map(({ remaining }) => remaining)).toEqual(
      subjects.map((_, i) => Math.max(0, 98 - 2 * i)),
    );
    // What all ask alike is said once.
    expect((await takeAll(() => 1)).map(({ granted }) => granted)).toEqual(
      subjects.map((_, i) => Math.min(1, Math.max(0, 98 - 2 * i))),
    );
    expect(asked).toEqual([32, 8, 32, 8, 32, 8]);
    expect(requests).toEqual([32, 8, 32, 8, 1, 1]);
    expect(shared.health.calls).toBe(6);
    await shared.close();
  });

  it('SS-06 who is in a hurry asks alone, and nobody is given up with it', async () => {
    const asked: string[] = [];
    const silent: StoreDriver = {
      run(script, keys, args) {
        if (script !== scripts.TAKE) return driver.run(script, keys, args);
        asked.push([keys].flat().length === 1 ? 'alone' : 'together');
        return [keys].flat().length === 1 ? new Promise(() => undefined) : driver.run(script, keys, args);
      },
    };
    const clock = new ManualClock();
    const shared = new RedisState(silent, { app, timeout: '5s', clock });
    const request = { emissionUs: HOUR_US, toleranceUs: 8 * HOUR_US, want: 1, min: 1 };

    const patient = [shared.take(keyOf('a'), request), shared.take(keyOf('b'), request, 20_000)];
    const hurried = shared.take(keyOf('c'), request, 40).catch((error: unknown) => error);

    expect(await Promise.all(patient)).toMatchObject([{ granted: 1 }, { granted: 1 }]);
    await clock.advance(10);
    expect(await hurried).toMatchObject({ message: expect.stringContaining('within 10 ms') });
    expect(asked.sort()).toEqual(['alone', 'together']);
    await shared.close();
  });

  it('SS-08 every key expires, and no key shows what it is about', async () => {
    const shared = state();
    await shared.take(keyOf('alice@example.org'), { emissionUs: 1e6, toleranceUs: 1e7, want: 1, min: 1 });
    await shared.permits.acquire(
      { ...keyOf('alice'), kind: 'bulkhead' },
      { limit: 5, want: 2, leaseMs: 60_000 },
    );
    const once = { ...keyOf('alice'), kind: 'idempotency' };
    const begun = await shared.once.begin(once, 'print', 60_000);
    await shared.cache.put({ ...keyOf('alice'), kind: 'cache' }, 'value', 60_000);
    await shared.presence.beat(60_000);

    const running = await keysOf(app);
    expect(running).toHaveLength(5);
    for (const key of running) {
      expect(key).toMatch(/^resilience:\{test-[\w-]+:\w+:\w+:[\w-]{22}\}:v1$/);
      expect(await admin.pttl(key)).toBeGreaterThan(0);
    }
    expect(begun).toMatchObject({ kind: 'run' });
    await shared.once.complete(once, (begun as { fence: number }).fence, 'done', 9_000_000);
    for (const key of await keysOf(app)) expect(await admin.pttl(key)).toBeGreaterThan(0);
  });

  it('SS-08 what is to be kept for ever is kept for some years, and loses nobody the store', async () => {
    const forever = Number.MAX_VALUE;
    const shared = state();
    const { once, cache, permits, circuit, presence } = shared;
    const { fence } = (await once.begin(keyOf('leased'), '', forever)) as { fence: number };
    expect(await once.complete(keyOf('leased'), fence, 'done', forever)).toBe(true);
    await cache.put(keyOf('cached'), 'value', forever);
    await permits.acquire(keyOf('lent'), { limit: 1, want: 1, leaseMs: forever });
    await shared.take(keyOf('taken'), { emissionUs: 1e22, toleranceUs: 1e24, want: 1, min: 1 });
    await presence.beat(forever);
    const report: CircuitReport = {
      version: 0,
      calls: 0,
      failures: 0,
      vote: false,
      close: false,
      ttlMs: forever,
      scope: 'any',
      size: 1,
      failureRatePercent: undefined,
      minimumCalls: 1,
      openMs: forever,
    };
    const { version } = await circuit.sync(keyOf('open'), report);
    const opened = await circuit.sync(keyOf('open'), { ...report, version, vote: true });
    expect(opened).toMatchObject({ open: true, openings: 1 });

    const keys = await keysOf(app);
    expect(keys).toHaveLength(6);
    for (const key of keys) expect(await admin.pttl(key)).toBeGreaterThan(HOUR_MS);
    expect(await circuit.sync(keyOf('open'), { ...report, version: opened.version })).toMatchObject({
      open: true,
    });
  });

  it('SS-08 halves of characters tell keys and questions apart, as all else does', async () => {
    const { once } = state();
    const kinds = [];
    for (const half of ['\ud800', '\ud801'])
      kinds.push((await once.begin(keyOf(`a${half}`), '', HOUR_MS)).kind);
    kinds.push((await once.begin(keyOf('same'), 'a\ud800', HOUR_MS)).kind);
    kinds.push((await once.begin(keyOf('same'), 'a\ud801', HOUR_MS)).kind);
    expect(kinds).toEqual(['run', 'run', 'run', 'mismatch']);
  });

  it('SS-06 what comes too late changes nothing, and says so', async () => {
    const key = `resilience:{${app}:late}:v1`;
    const late = async (script: (typeof scripts)['TAKE'], args: (string | number)[]) =>
      (await driver.run(script, key, [1, 'op', ...args]))[1];
    expect(await late(scripts.TAKE, [1e6, 1e7, 1, 1])).toBe('late');
    expect(await late(scripts.ACQUIRE, ['me', 5, 1, 1e6])).toBe('late');
    expect(await late(scripts.BEGIN, ['print', 1e6])).toBe('late');
    expect(await late(scripts.PUT, ['value', 1e6])).toBe('late');
    expect(await late(scripts.PRESENT, ['me', 1e6])).toBe('late');
    expect(await admin.exists(key)).toBe(0);
  });

  it('SS-06 what comes too late leaves what is there as it is', async () => {
    const key = (what: string) => `resilience:{${app}:${what}}:v1`;
    const run = (
      script: (typeof scripts)['TAKE'],
      what: string,
      deadline: number,
      args: (string | number)[],
    ) => driver.run(script, key(what), [deadline, `${what} ${deadline}`, ...args]);
    await run(scripts.ACQUIRE, 'permits', FOREVER, ['me', 5, 2, HOUR_US]);
    const fence = Number((await run(scripts.BEGIN, 'once', FOREVER, ['print', HOUR_US]))[2]);
    await run(scripts.PRESENT, 'here', FOREVER, ['me', HOUR_US]);
    const dump = async () => {
      const left = (what: string) => admin.pexpiretime(key(what));
      return {
        permits: [await admin.hgetall(key('permits')), await left('permits')],
        once: [await admin.hgetall(key('once')), await left('once')],
        here: [await admin.zrange(key('here'), '0', '-1', 'WITHSCORES'), await left('here')],
      };
    };
    const before = await dump();
    const late: [(typeof scripts)['TAKE'], string, (string | number)[]][] = [
      [scripts.RENEW, 'permits', ['me', 2 * HOUR_US, 1]],
      [scripts.RELEASE, 'permits', ['me', 1]],
      [scripts.BEAT, 'once', [fence, 2 * HOUR_US]],
      [scripts.COMPLETE, 'once', [fence, 'done', 2 * HOUR_US]],
      [scripts.FAIL, 'once', [fence]],
      [scripts.LEAVE, 'here', ['me']],
    ];
    for (const [script, what, args] of late) expect((await run(script, what, 1, args))[1]).toBe('late');
    expect(await dump()).toEqual(before);
  });

  it('SS-06 an operation that is sent twice is done once, and answered the same', async () => {
    const key = (what: string) => `resilience:{${app}:${what}}:v1`;
    const twice = async (script: (typeof scripts)['TAKE'], what: string, args: (string | number)[]) => {
      const replies = [];
      for (let i = 0; i < 2; i++)
        replies.push(String((await driver.run(script, key(what), [FOREVER, 'op', ...args]))[2]));
      return replies;
    };
    expect(await twice(scripts.TAKE, 'take', [HOUR_US, 8 * HOUR_US, 3, 1])).toEqual(['3', '3']);
    expect(
      (await driver.run(scripts.TAKE, key('take'), [FOREVER, 'next', HOUR_US, 8 * HOUR_US, 9, 1]))[2],
    ).toBe(5);
    const several = ['take', 'take 2'].map(key);
    const both = [FOREVER, 'both', HOUR_US, 9 * HOUR_US, 1, 1, HOUR_US, 9 * HOUR_US, 4, 1];
    for (let i = 0; i < 2; i++) {
      const reply = await driver.run(scripts.TAKE, several, both);
      expect([reply[2], reply[5], reply[7]]).toEqual([1, 4, 5]);
    }
    expect(await twice(scripts.ACQUIRE, 'permits', ['me', 5, 2, HOUR_US])).toEqual(['2', '2']);
    expect(
      (await driver.run(scripts.ACQUIRE, key('permits'), [FOREVER, 'next', 'me', 5, 9, HOUR_US]))[2],
    ).toBe('3');
    await driver.run(scripts.RELEASE, key('permits'), [FOREVER, 'back', 'me', 1]);
    await driver.run(scripts.RELEASE, key('permits'), [FOREVER, 'back', 'me', 1]);
    const renewed = [FOREVER, 'again', 'me', HOUR_US, 4];
    expect((await driver.run(scripts.RENEW, key('permits'), renewed))[2]).toBe('4');
    const [first, second] = await twice(scripts.BEGIN, 'once', ['print', HOUR_US]);
    expect(first).toBe(second);
    expect((await driver.run(scripts.BEGIN, key('once'), [FOREVER, 'other', 'print', HOUR_US]))[1]).toBe(
      'busy',
    );
  });

  it('SS-04 who lost the lease changes nothing', async () => {
    const shared = state();
    const once = { ...keyOf(), kind: 'idempotency' };
    const [first] = [await shared.once.begin(once, 'print', HOUR_MS)];
    const stale = (first as { fence: number }).fence;
    await admin.del(...(await keysOf(app)));
    expect(await shared.once.complete(once, stale, 'stale', HOUR_MS)).toBe(false);
    const second = await shared.once.begin(once, 'print', HOUR_MS);
    expect(second.kind).toBe('run');
    expect(await shared.once.complete(once, stale, 'stale', HOUR_MS)).toBe(false);
    expect(await shared.once.beat(once, stale, HOUR_MS)).toBe(false);
    await shared.once.fail(once, stale);
    const fence = (second as { fence: number }).fence;
    expect(await shared.once.complete(once, fence, 'right', HOUR_MS)).toBe(true);
    expect(await shared.once.begin(once, 'print', HOUR_MS)).toEqual({ kind: 'replay', outcome: 'right' });
    expect(await shared.once.begin(once, 'other', HOUR_MS)).toEqual({ kind: 'mismatch' });
  });

  it('SS-02 permits whose lease has ended are free again', async () => {
    const [first, second] = [state(), state()];
    const key = { ...keyOf(), kind: 'bulkhead' };
    expect(await first.permits.acquire(key, { limit: 3, want: 3, leaseMs: 40 })).toEqual({
      granted: 3,
      held: 3,
    });
    const other = () => second.permits.acquire(key, { limit: 3, want: 2, leaseMs: HOUR_MS });
    let answer = await other();
    while (answer.granted === 0) answer = await other();
    expect(answer).toEqual({ granted: 2, held: 2 });
    expect(await first.permits.renew(key, 40)).toBe(0);
    await first.permits.release(key, 3);
    expect(await second.permits.renew(key, HOUR_MS)).toBe(2);
    expect(await second.permits.renew(key, HOUR_MS, 1)).toBe(1);
    expect((await first.permits.acquire(key, { limit: 4, want: 4, leaseMs: HOUR_MS })).granted).toBe(3);
  });

  it('SS-09 a server that forgot the scripts, or everything, is asked all the same', async () => {
    const shared = state();
    const take = () =>
      shared.take(keyOf(), { emissionUs: HOUR_US, toleranceUs: 5 * HOUR_US, want: 1, min: 1 });
    await take();
    await admin.script('FLUSH');
    expect(await take()).toMatchObject({ granted: 1, remaining: 3 });
    await admin.del(...(await keysOf(app)));
    expect(await take()).toMatchObject({ granted: 1, remaining: 4 });
  });
});

(canOwnRedis ? describe : describe.skip)('a server that stops answering', () => {
  const request = { emissionUs: HOUR_US, toleranceUs: 5 * HOUR_US, want: 1, min: 1 };
  const key = { kind: 'rateLimit', policy: 'orders', subject: '' };

  it('SS-06 SS-07 is given up in time, asked no more, changes nothing late, and is noticed when it is back', async () => {
    const server = await startRedis();
    const client = new Redis(server.url);
    const changes: boolean[] = [];
    let back = () => {};
    const returned = new Promise<void>((resolve) => (back = resolve));
    const shared = redisState(client, {
      app: 'shop',
      // Long enough for a busy machine while the server runs.
      timeout: '2s',
      onChange: (degraded) => {
        changes.push(degraded);
        if (!degraded) back();
      },
    });
    expect(await shared.take(key, request)).toMatchObject({ granted: 1, remaining: 4 });

    server.process?.kill('SIGSTOP');
    for (let i = 0; i < 2; i++) {
      await expect(shared.take(key, request)).rejects.toThrow('did not answer within 2000 ms');
    }
    expect(shared.degraded).toBe(true);
    await expect(shared.take(key, request)).rejects.toThrow('is not asked at the moment');

    server.process?.kill('SIGCONT');
    await returned;
    expect(changes).toEqual([true, false]);
    // Both were given up: only the first and this one are taken.
    expect(await shared.take(key, request)).toMatchObject({ granted: 1, remaining: 3 });
    await shared.close();
    client.disconnect();
    await server.stop();
  });

  it('SS-09 a cluster keeps all of one identity together', async () => {
    const server = await startRedis(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']);
    const admin = new Redis(server.url);
    await formCluster(admin);
    const cluster = new Cluster([{ host: '127.0.0.1', port: server.port }]);
    const shared = redisState(cluster, { app: 'shop', timeout: '5s' });
    for (const subject of ['a', 'b', 'c']) {
      expect(await shared.take({ ...key, subject }, request)).toMatchObject({ granted: 1 });
      expect(await shared.once.begin({ ...key, subject, kind: 'idempotency' }, 'p', 1_000)).toMatchObject({
        kind: 'run',
      });
    }
    // The first turn finds out that the keys are on several nodes; no store is lost by that.
    for (const remaining of [3, 2]) {
      const turn = ['a', 'b', 'c'].map((subject) => shared.take({ ...key, subject }, request));
      expect(await Promise.all(turn)).toEqual(
        turn.map(() => expect.objectContaining({ granted: 1, remaining })),
      );
    }
    expect(shared.health.failures).toBe(0);
    const { calls } = shared.health;
    await Promise.all(['a', 'b'].map((subject) => shared.take({ ...key, subject }, request)));
    expect(shared.health.calls - calls).toBe(2);
    cluster.disconnect();
    admin.disconnect();
    await server.stop();
  });
});

(canOwnRedis ? describe : describe.skip)('a store that is not what it should be', () => {
  const request = { emissionUs: HOUR_US, toleranceUs: 5 * HOUR_US, want: 1, min: 1 };
  const key = { kind: 'rateLimit', policy: 'orders', subject: 'alice' };

  /** What is said of a store when it is lost for the first time, and how often it was found since. */
  async function verdict(client: Connected['client']): Promise<unknown> {
    let lost: unknown;
    const shared = redisState(client, { app: 'shop', timeout: '5s', onChange: (_, error) => (lost = error) });
    for (let i = 0; i < 3; i++) await shared.take(key, request).catch(() => undefined);
    expect(shared.degraded).toBe(true);
    await shared.close();
    return lost;
  }

  it('is lost, and says so, where it runs no scripts', async () => {
    const server = await startOwnRedis(['--rename-command', 'EVALSHA', '']);
    const client = new Redis(server.url);
    expect(await verdict(client)).toMatchObject({
      message: expect.stringMatching(/^The shared store cannot run scripts: ERR unknown command 'evalsha'/i),
    });
    client.disconnect();
    await server.stop();
  });

  it.each([
    ['', 'an older one'],
    ['6.2.14', '6.2.14'],
  ])('is lost, and says so, where it is too old: %j', async (version, found) => {
    const client = { evalsha: async () => ['5000000', 'ok', version], eval: async () => [] };
    expect(await verdict(client)).toMatchObject({
      message: `The shared store must be Redis 7 or newer, or Valkey; it is ${found}.`,
    });
  });

  it.each(['shop:', '{shop}:'])(
    'is used all the same through a client with the prefix %j',
    async (prefix) => {
      const server = await startOwnRedis(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']);
      const admin = new Redis(server.url);
      await formCluster(admin);
      const cluster = new Cluster([{ host: '127.0.0.1', port: server.port }], { keyPrefix: prefix });
      const shared = redisState(cluster, { app: 'shop', timeout: '5s' });
      expect(await shared.take(key, request)).toMatchObject({ granted: 1, remaining: 4 });
      expect(await shared.take(key, request)).toMatchObject({ granted: 1, remaining: 3 });
      expect(await admin.keys(`${prefix}resilience:{shop:rateLimit:orders:*`)).toHaveLength(1);
      cluster.disconnect();
      admin.disconnect();
      await server.stop();
    },
  );
});

describe('redisState', () => {
  it.each([
    [{}, { app: 'shop' }, 'it takes a client of "ioredis" or "redis" (standalone or cluster), got'],
    [undefined, { app: 'shop' }, 'got undefined'],
    [
      { evalsha() {} },
      { app: '{shop}' },
      '"app" must be a name of 1 to 64 letters, digits, ".", "-" and "_", got "{shop}".',
    ],
    [{ evalSha() {} }, { app: 'shop', timeout: 0 }, '"timeout" must be a duration above 0, got 0.'],
  ])('refuses %j with %j', (client, options, message) => {
    expect(() => redisState(client as never, options)).toThrow(message);
  });

  it('SS-06 an operation that the server calls late is as good as a timeout', async () => {
    // The clock is asked for without a deadline.
    const evalsha = async (...[, , , deadline]: (string | number)[]) =>
      deadline === FOREVER ? ['5000000', 'ok', '7.4.0'] : ['5000000', 'late'];
    const client = { evalsha, eval: async () => [] };
    const shared = redisState(client, { app: 'shop', clock: new ManualClock() });
    await expect(shared.presence.beat(1_000)).rejects.toThrow(StoreLateError);
    await expect(shared.presence.beat(1_000)).rejects.toThrow(StoreLateError);
    expect(shared.degraded).toBe(true);
    shared.close().catch(() => undefined);
  });

  it.each<[string, (shared: SharedState, remainingMs?: number) => Promise<unknown>]>([
    ['a beginning', ({ once }, left) => once.begin(NOBODY, '', 1_000, left)],
    [
      'a probe',
      ({ circuit }, left) =>
        circuit.probe(NOBODY, { version: 1, probe: 'p', limit: 1, results: 0, ttlMs: 1_000 }, left),
    ],
  ])('SS-06 %s may take a quarter of what its call has left', async (_what, ask) => {
    const clock = new ManualClock();
    let isHanging = false;
    const evalsha = () => (isHanging ? new Promise(() => undefined) : Promise.resolve(['0', 'ok', '7.4.0']));
    const shared = redisState({ evalsha, eval: async () => [] }, { app: 'shop', clock });
    await shared.presence.beat(1_000);
    isHanging = true;
    const tookMs: number[] = [];
    for (const left of [100, undefined]) {
      const begunAt = clock.now();
      void ask(shared, left).catch(() => tookMs.push(clock.now() - begunAt));
      await clock.advance(60);
    }
    expect(tookMs).toEqual([25, 50]);
  });
});
