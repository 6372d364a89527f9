import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { canRunPostgres, startPostgres, type PostgresServer } from './postgres-server.js';
import { resolvePath, theRegistryWorks } from './registry.js';
import { startSample, until, type Sample } from './sample.js';

const PROMISED_MS = 10_000;

(canRunPostgres ? describe : describe.skip)('the registry on a PostgreSQL server with a replica', () => {
  let primary: PostgresServer;
  let replica: PostgresServer;
  let sample: Sample;

  beforeAll(async () => {
    primary = await startPostgres();
    replica = await primary.replica();
    sample = await startSample({ DATABASE_URL: primary.url, REPLICA_URL: replica.url });
  }, 240_000);

  afterAll(async () => {
    await sample.kill();
    await replica.remove();
    await primary.remove();
  });

  theRegistryWorks(() => sample);

  it('keeps what a second instance finds', async () => {
    const second = await startSample({ DATABASE_URL: primary.url });
    const key = { tenant: 'initech', service: 'reports', env: 'prod', version: 'v1' };

    expect((await second.get(resolvePath(key))).body.url).toBe('https://reports.initech.example');
    expect(await second.stop()).toBe(0);
  }, 240_000);

  it('answers from the replica within ten seconds of the death of its primary, and from the primary when it is back', async () => {
    const key = { tenant: 'globex', service: 'billing', env: 'prod', version: 'v1' };
    const known = await sample.get(resolvePath(key));
    expect(known.body.source).toBeUndefined();
    await sample.operate('DELETE', '/operations/cache');

    const diedAt = performance.now();
    await primary.kill();
    const answer = await until(
      () => sample.get(resolvePath(key)),
      ({ status }) => status === 200,
      PROMISED_MS,
    );
    const tookMs = performance.now() - diedAt;

    expect(answer.body).toEqual({ ...known.body, source: 'replica' });
    expect(tookMs).toBeLessThan(PROMISED_MS);
    expect(
      (await sample.post('/api/v1/routes', { ...key, version: 'v9', url: 'https://late.example' })).status,
    ).toBe(503);

    await primary.start();
    await sample.operate('POST', '/resilience/circuitBreakers/database/close');
    const back = await until(
      () => sample.get(resolvePath(key)),
      ({ status, body }) => status === 200 && body.source === undefined,
    );
    expect(back).toMatchObject({ status: 200, body: known.body });
    expect(back.body.source).toBeUndefined();
  }, 240_000);

  it('does not start without its database, and says which one', async () => {
    const nowhere = 'postgres://sample@127.0.0.1:9/postgres';

    await expect(startSample({ DATABASE_URL: nowhere })).rejects.toThrow(
      /PostgreSQL at 127\.0\.0\.1:9 cannot be used/,
    );
  }, 240_000);
});
