import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import type { SharedState, StateKey } from '../../lib/core/shared-state.js';
import { redisState } from '../../lib/shared-state/redis/index.js';
import { canOwnRedis, startRedis, type RedisServer } from './server.js';

/** The rules that the documentation gives to a server's user. */
const RULES = (/ACL SETUSER resilience ([^`]+)```/.exec(readFileSync('docs/scaling.md', 'utf8'))?.[1] ?? '')
  .trim()
  .split(/\s+/);

const key = (kind: string): StateKey => ({ kind, policy: 'orders', subject: 'alice' });

/** Everything that policies ask a store for. */
async function useAll(state: SharedState): Promise<void> {
  await state.presence.beat(5_000);
  await state.take(key('rateLimit'), { emissionUs: 1_000, toleranceUs: 10_000, want: 1, min: 1 });
  await state.permits.acquire(key('bulkhead'), { limit: 2, want: 1, leaseMs: 5_000 });
  await state.permits.renew(key('bulkhead'), 5_000);
  await state.permits.release(key('bulkhead'), 1);
  for (const end of ['complete', 'fail'] as const) {
    const begun = await state.once.begin(key(`idempotency-${end}`), 'print', 5_000);
    const { fence } = begun as { fence: number };
    await state.once.beat(key(`idempotency-${end}`), fence, 5_000);
    if (end === 'fail') await state.once.fail(key(`idempotency-${end}`), fence);
    else await state.once.complete(key(`idempotency-${end}`), fence, 'done', 5_000);
  }
  await state.cache.put(key('fallback'), 'value', 5_000);
  await state.cache.get(key('fallback'));
  const report = {
    version: 0,
    calls: 1,
    failures: 1,
    vote: true,
    close: false,
    ttlMs: 5_000,
    scope: 'any' as const,
    size: 1,
    failureRatePercent: undefined,
    minimumCalls: 0,
    openMs: 0,
  };
  const { version } = await state.circuit.sync(key('circuitBreaker'), report);
  const open = await state.circuit.sync(key('circuitBreaker'), { ...report, version });
  const probe = { version: open.version, probe: 'p', results: 0 };
  expect(
    (await state.circuit.probe(key('circuitBreaker'), { ...probe, limit: 1, ttlMs: 5_000 })).granted,
  ).toBe(true);
  await state.circuit.settle(key('circuitBreaker'), {
    ...probe,
    outcome: { failed: true, slow: false },
    successThreshold: 1,
    failureRatePercent: undefined,
    slowCallRatePercent: undefined,
    scope: 'any',
    size: 1,
    openMs: 0,
  });
  await state.close();
}

const describeWithServer = canOwnRedis ? describe : describe.skip;

describeWithServer('a user of the server with the rights that the documentation names', () => {
  let server: RedisServer;
  let admin: Redis;

  beforeAll(async () => {
    server = await startRedis();
    admin = new Redis(server.url);
    await admin.call('ACL', 'SETUSER', 'resilience', ...RULES);
  });

  afterAll(async () => {
    admin?.disconnect();
    await server?.stop();
  });

  it('SS-09 can do all that policies ask for, through ioredis', async () => {
    const client = new Redis({ port: server.port, username: 'resilience', password: 'password' });
    await useAll(redisState(client, { app: 'first', timeout: '5s' }));
    client.disconnect();
  });

  it('SS-09 can do all that policies ask for, through redis', async () => {
    const url = `redis://resilience:password@127.0.0.1:${server.port}`;
    const client = await createClient({ url }).connect();
    await useAll(redisState(client, { app: 'second', timeout: '5s' }));
    client.destroy();
  });

  it('SS-08 can do nothing else, and sees no other key', async () => {
    const client = new Redis({ port: server.port, username: 'resilience', password: 'password' });
    await expect(client.keys('*')).rejects.toThrow('NOPERM');
    await expect(client.flushall()).rejects.toThrow('NOPERM');
    await expect(client.get('other:key')).rejects.toThrow('NOPERM');
    client.disconnect();
    const log = (await admin.call('ACL', 'LOG')) as unknown[][];
    const refused = log.map((entry) => entry[entry.indexOf('object') + 1]);
    expect(new Set(refused.filter((one) => one !== 'client|setinfo'))).toEqual(
      new Set(['keys', 'flushall', 'other:key']),
    );
  });
});
