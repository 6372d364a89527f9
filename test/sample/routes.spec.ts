import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { resolvePath, theRegistryWorks } from './registry.js';
import { startSample, until, type Sample } from './sample.js';

describe('the registry on the embedded database', () => {
  let sample: Sample;

  beforeAll(async () => {
    sample = await startSample();
  }, 240_000);

  afterAll(() => sample.kill());

  theRegistryWorks(() => sample);

  const route = { tenant: 'acme', service: 'a', env: 'prod', version: 'v1', url: 'https://a.example' };
  const wrong: readonly (readonly [string, object | string, string])[] = [
    ['no tenant', { ...route, tenant: undefined }, 'tenant'],
    ['a service that is a number', { ...route, service: 7 }, 'service'],
    ['an empty env', { ...route, env: '' }, 'env'],
    ['a version with a slash', { ...route, version: 'v1/2' }, 'version'],
    ['a url that is none', { ...route, url: 'nowhere' }, 'url'],
    ['a url of another kind', { ...route, url: 'ftp://a.example' }, 'url'],
    ['a field that nobody knows', { ...route, color: 'red' }, 'color'],
    ['a list', [route], 'tenant'],
    ['no JSON', '{"tenant":', 'JSON'],
  ];

  it.each(wrong)('refuses a route with %s, and names it', async (_, body, name) => {
    const answer = await sample.post('/api/v1/routes', body);

    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body.message)).toContain(name);
  });

  it.each([
    ['/api/v1/routes/resolve?tenant=acme&service=a&env=prod', 'version'],
    ['/api/v1/audit/recent?limit=0', 'limit'],
    ['/api/v1/audit/recent?limit=1001', 'limit'],
    ['/api/v1/audit/recent?limit=ten', 'limit'],
    ['/api/v1/audit/recent?days=366', 'days'],
    ['/api/v1/audit/action?action=deleted', 'action'],
    ['/api/v1/audit/action', 'action'],
    ['/api/v1/audit/route?tenant=acme', 'service'],
    ['/api/v1/audit/time-range?start=yesterday&end=2026-01-01', 'start'],
    ['/api/v1/audit/time-range?start=2026-01-02&end=2026-01-01', 'start must be before end'],
    ['/api/v1/audit/time-range?start=2026-01-01', 'end'],
  ])('refuses %s, and names what is wrong', async (path, name) => {
    const answer = await sample.get(path);

    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body.message)).toContain(name);
  });

  it('answers 404 where a route to switch is not there', async () => {
    const key = { tenant: 'acme', service: 'nobody', env: 'prod', version: 'v1' };

    expect((await sample.post('/api/v1/routes/activate', key)).status).toBe(404);
    expect((await sample.post('/api/v1/routes/deactivate', key)).status).toBe(404);
  });

  it('has the circuits, budgets and bulkheads by name and number', async () => {
    const { body } = await sample.get('/health/resilience');

    expect(body.circuitBreakers).toMatchObject({ database: {}, redis: {}, mongodb: {} });
    expect(body.bulkheads).toMatchObject({
      read_operations: { maxConcurrent: 20 },
      write_operations: { maxConcurrent: 5 },
      audit_operations: { maxConcurrent: 10 },
    });
    expect(body.retryBudgets).toMatchObject({
      database: { maxRetries: 100, windowMs: 60_000 },
      redis: { maxRetries: 200, windowMs: 60_000 },
    });
  });

  describe('while the database is away', () => {
    const known = { tenant: 'acme', service: 'search', env: 'prod', version: 'v1' };

    beforeAll(async () => {
      await sample.get(resolvePath(known));
      await sample.operate('POST', '/operations/database/stop');
    });

    afterAll(async () => {
      await sample.operate('POST', '/operations/database/start');
      await sample.operate('POST', '/resilience/circuitBreakers/database/close');
    });

    it('opens the circuit, then answers from the cache and says so', async () => {
      for (let i = 0; i < 10; i++)
        expect((await sample.get(resolvePath({ ...known, version: `x${i}` }))).status).toBe(503);

      const { status, headers, body } = await sample.get(resolvePath(known));

      expect(status).toBe(200);
      expect(body).toEqual({ ...known, url: 'https://search.acme.example/v1', source: 'cache_fallback' });
      expect(headers.get('x-degraded-mode')).toBe('true');
      const breaker = await sample.operate('GET', '/resilience/circuitBreakers/database');
      expect(breaker.body.stats.state).toBe('open');
    });

    it('answers 503 to writes, and to reads that the cache does not know', async () => {
      expect((await sample.post('/api/v1/routes', { ...route, service: 'late' })).status).toBe(503);
      expect((await sample.get(resolvePath({ ...known, tenant: 'globex' }))).status).toBe(503);
    });

    it('turns unready, and stays alive', async () => {
      const ready = await until(
        () => sample.get('/health/ready'),
        ({ status }) => status === 503,
      );

      expect(ready.body.error).toHaveProperty('database');
      expect(await sample.get('/health/live')).toMatchObject({ status: 200 });
    });
  });

  it('has all it knew when the database is back', async () => {
    const { status, body } = await sample.get(
      resolvePath({ tenant: 'globex', service: 'billing', env: 'staging', version: 'v2' }),
    );

    // In memory it began anew; on disk, see durability.spec.ts.
    expect(status).toBe(200);
    expect(body.source).toBeUndefined();
  });
});
