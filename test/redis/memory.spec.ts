import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { redisState, type RedisState } from '../../lib/shared-state/redis/index.js';
import { canOwnRedis, startOwnRedis, type RedisServer } from './server.js';

const SUBJECTS = { limit: 100_000, idempotency: 20_000 };
const AT_ONCE = 500;
const HOUR_US = 3_600_000_000;

/** What docs/scaling.md says that a subject takes at most, in bytes. */
const DOCUMENTED = { limit: 200, idempotency: 300 };

(canOwnRedis ? describe : describe.skip)('what many subjects take in the store', () => {
  let server: RedisServer;
  let client: Redis;
  let state: RedisState;

  beforeAll(async () => {
    server = await startOwnRedis();
    client = new Redis(server.url);
    state = redisState(client, { app: 'shop', timeout: '10s' });
  });
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  it.each<[keyof typeof DOCUMENTED, (subject: string) => Promise<unknown>]>([
    [
      'limit',
      (subject) =>
        state.take(
          { kind: 'rateLimit', policy: 'orders', subject },
          { emissionUs: HOUR_US, toleranceUs: 9 * HOUR_US, want: 1, min: 1 },
        ),
    ],
    [
      'idempotency',
      async (subject) => {
        const key = { kind: 'idempotency', policy: 'orders', subject };
        const begun = await state.once.begin(key, 'x'.repeat(22), HOUR_US);
        if (begun.kind === 'run') await state.once.complete(key, begun.fence, '+{"id":12345}', HOUR_US);
      },
    ],
  ])(
    'SS-08 is what is documented: %s',
    async (kind, touch) => {
      const subjects = SUBJECTS[kind];
      const before = await usedMemory();
      for (let i = 0; i < subjects; i += AT_ONCE) {
        await Promise.all(Array.from({ length: AT_ONCE }, (_, j) => touch(`${kind} ${i + j}`)));
      }
      const each = ((await usedMemory()) - before) / subjects;
      if (process.env['SHOW']) process.stderr.write(`${kind} ${each}\n`);
      expect(await client.dbsize()).toBeGreaterThanOrEqual(subjects);
      expect(each).toBeLessThanOrEqual(DOCUMENTED[kind]);
    },
    300_000,
  );

  async function usedMemory(): Promise<number> {
    return Number(/used_memory_dataset:(\d+)/.exec(await client.info('memory'))?.[1]);
  }
});
