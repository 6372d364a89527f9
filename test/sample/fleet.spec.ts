import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { canRunRedis, startRedis, type RedisServer } from '../redis/server.js';
import { canRunPostgres, startPostgres, type PostgresServer } from './postgres-server.js';
import { resolvePath } from './registry.js';
import { startSample, until, type Sample } from './sample.js';

const BURST = 100;
const PER_SECOND = 10;

(canRunPostgres && canRunRedis ? describe : describe.skip)(
  'two instances on one PostgreSQL and one Redis',
  () => {
    let postgres: PostgresServer;
    let redis: RedisServer;
    let one: Sample;
    let other: Sample;

    beforeAll(async () => {
      [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
      const environment = { DATABASE_URL: postgres.url, REDIS_URL: redis.url };
      [one, other] = await Promise.all([startSample(environment), startSample(environment)]);
    }, 240_000);

    afterAll(async () => {
      await Promise.all([one.kill(), other.kill()]);
      await Promise.all([postgres.remove(), redis.stop()]);
    });

    const key = { tenant: 'hooli', service: 'search', env: 'prod', version: 'v1' };
    const url = 'https://search.hooli.example';

    it('start on an empty database at the same time', async () => {
      const seeded = { tenant: 'acme', service: 'checkout', env: 'prod', version: 'v1' };

      expect((await one.get(resolvePath(seeded))).status).toBe(200);
      expect((await other.get(resolvePath(seeded))).status).toBe(200);
    });

    it('forget together what was known not to be there', async () => {
      expect((await other.get(resolvePath(key))).status).toBe(404);

      await one.post('/api/v1/routes', { ...key, url });

      expect((await other.get(resolvePath(key))).body).toEqual({ ...key, url });
    });

    it('register a route once for one idempotency key', async () => {
      const route = { ...key, version: 'v2', url };
      const headers = { 'idempotency-key': 'one-of-many' };

      const answers = await Promise.all(
        [one, other, one, other].map((sample) => sample.post('/api/v1/routes', route, headers)),
      );

      // Who came while the other instance was at it is asked to come again; nobody gets another route.
      const registered = answers.filter(({ status }) => status === 201);
      expect(registered.length).toBeGreaterThan(0);
      expect(answers.every(({ status }) => status === 201 || status === 409)).toBe(true);
      expect(new Set(registered.map(({ body }) => body.id)).size).toBe(1);
      const history = await until(
        () => one.get(`/api/v1/audit/route?${new URLSearchParams({ ...key, version: 'v2' }).toString()}`),
        ({ body }) => body.count > 0,
      );
      expect(history.body.count).toBe(1);
    });

    it('have one rate limit', async () => {
      const startedAt = performance.now();
      const statuses: number[] = [];
      const ask = async (sample: Sample) => {
        for (let i = 0; i < 20; i++)
          statuses.push((await sample.post('/api/resilience/protected-endpoint')).status);
      };
      await Promise.all([one, other].flatMap((sample) => Array.from({ length: 5 }, () => ask(sample))));
      const seconds = (performance.now() - startedAt) / 1_000;

      const passed = statuses.filter((status) => status === 200).length;
      expect(passed).toBeGreaterThanOrEqual(BURST);
      expect(passed).toBeLessThanOrEqual(BURST + Math.ceil(PER_SECOND * seconds));
    });

    it('open the circuit of the database together', async () => {
      const state = async (sample: Sample) =>
        (await sample.operate('GET', '/resilience/circuitBreakers/database')).body.stats.state;
      await postgres.kill();
      await one.operate('DELETE', '/operations/cache');
      const opened = await until(
        async () => {
          await Promise.all([one, other].map((sample) => sample.get(resolvePath(key))));
          return [await state(one), await state(other)];
        },
        (states) => states.every((each) => each === 'open'),
      );

      expect(opened).toEqual(['open', 'open']);
    }, 240_000);
  },
);
