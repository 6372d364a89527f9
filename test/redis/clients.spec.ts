import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5';
import { createClient, createCluster } from 'redis';
import { createClient as createClient5, createCluster as createCluster5 } from 'redis-5';
import { driverOf } from '../../lib/shared-state/redis/drivers.js';
import { redisState, type IoredisLike, type NodeRedisLike } from '../../lib/shared-state/redis/index.js';
import { canOwnRedis, startOwnRedis, type RedisServer } from './server.js';

interface NodeRedisClient extends NodeRedisLike {
  on(event: 'error', listener: () => void): unknown;
  connect(): Promise<unknown>;
  destroy(): unknown;
}

interface Connected {
  readonly client: IoredisLike | NodeRedisLike;
  readonly end: () => unknown;
}

type Connect = (port: number) => Promise<Connected>;

const ioredis = (client: IoredisLike & { disconnect(): void }): Connected => ({
  client,
  end: () => client.disconnect(),
});

const nodeRedis = async (client: NodeRedisClient): Promise<Connected> => {
  client.on('error', () => undefined);
  await client.connect();
  return { client, end: () => client.destroy() };
};

const url = (port: number) => `redis://127.0.0.1:${port}`;
const at = (port: number) => [{ host: '127.0.0.1', port }];
const roots = (port: number) => [{ url: url(port) }];

const alone: Record<string, Connect> = {
  'ioredis 6': async (port) => ioredis(new Redis(port)),
  'ioredis 5': async (port) => ioredis(new Redis5(port)),
  'redis 6, RESP2': (port) => nodeRedis(createClient({ url: url(port), RESP: 2 })),
  'redis 6, RESP3': (port) => nodeRedis(createClient({ url: url(port), RESP: 3 })),
  'redis 5, RESP2': (port) => nodeRedis(createClient5({ url: url(port), RESP: 2 })),
  'redis 5, RESP3': (port) => nodeRedis(createClient5({ url: url(port), RESP: 3 })),
};

const clustered: Record<string, Connect> = {
  'ioredis 6': async (port) => ioredis(new Cluster(at(port))),
  'ioredis 5': async (port) => ioredis(new Cluster5(at(port))),
  'redis 6, RESP2': (port) => nodeRedis(createCluster({ rootNodes: roots(port), RESP: 2 })),
  'redis 6, RESP3': (port) => nodeRedis(createCluster({ rootNodes: roots(port), RESP: 3 })),
  'redis 5, RESP2': (port) => nodeRedis(createCluster5({ rootNodes: roots(port), RESP: 2 })),
  'redis 5, RESP3': (port) => nodeRedis(createCluster5({ rootNodes: roots(port), RESP: 3 })),
};

const HOUR_US = 3_600_000_000;

(canOwnRedis ? describe : describe.skip).each([
  ['one server', alone, []],
  ['a cluster', clustered, ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']],
] as const)('shared state in %s', (_where, clients, options) => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await startOwnRedis(options);
    if (clients !== clustered) return;
    const admin = new Redis(server.url);
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    while (!String(await admin.call('CLUSTER', 'INFO')).includes('cluster_state:ok'));
    admin.disconnect();
  });
  afterAll(() => server.stop());

  it.each(Object.keys(clients))('SS-09 keeps its contract through %s', async (name) => {
    const { client, end } = await (clients[name] as Connect)(server.port);
    const state = redisState(client, { app: name.replaceAll(/\W/g, '-'), timeout: '5s' });
    const key = (subject: string) => ({ kind: 'test', policy: 'orders', subject });
    const request = { emissionUs: HOUR_US, toleranceUs: 3 * HOUR_US, want: 2, min: 1 };
    expect(await state.take(key('limit'), request)).toMatchObject({ granted: 2, remaining: 1 });
    expect(await state.take(key('limit'), request)).toMatchObject({ granted: 1, remaining: 0 });
    const denied = await state.take(key('limit'), request);
    expect(denied).toMatchObject({ granted: 0, retryAfterMs: expect.any(Number) });
    expect(denied.retryAfterMs).toBeGreaterThan(0);
    const turn = ['a', 'b', 'c'].map((subject) => state.take(key(subject), request));
    expect(await Promise.all(turn)).toMatchObject(turn.map(() => ({ granted: 2, remaining: 1 })));

    const borrow = { limit: 3, want: 5, leaseMs: 60_000 };
    expect(await state.permits.acquire(key('permits'), borrow)).toEqual({ granted: 3, held: 3 });
    expect(await state.permits.renew(key('permits'), 60_000, 2)).toBe(2);

    const nodeOf = driverOf(client).nodeOf?.('resilience:{test}:v1');
    expect(nodeOf).toBe(clients === clustered ? `127.0.0.1:${server.port}` : undefined);

    const begun = await state.once.begin(key('once'), 'print', 60_000);
    expect(begun.kind).toBe('run');
    expect(await state.once.begin(key('once'), 'print', 60_000)).toMatchObject({ kind: 'busy' });
    const outcome = '+{"note":"10 € |\\n"}';
    expect(await state.once.complete(key('once'), (begun as { fence: number }).fence, outcome, 60_000)).toBe(
      true,
    );
    expect(await state.once.begin(key('once'), 'print', 60_000)).toEqual({ kind: 'replay', outcome });

    await state.cache.put(key('cache'), outcome, 60_000);
    expect(await state.cache.get(key('cache'))).toMatchObject({ value: outcome });
    expect(await state.cache.get(key('nothing'))).toBeUndefined();
    expect(await state.presence.beat(60_000)).toBe(1);
    await state.close();
    await end();
  });
});
