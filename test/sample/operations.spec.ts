import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { resolvePath } from './registry.js';
import { startSample, until, type Sample } from './sample.js';

describe.each(['express', 'fastify'])('the operations of the sample on %s', (platform) => {
  let sample: Sample;

  beforeAll(async () => {
    sample = await startSample({ HTTP_ADAPTER: platform, REPLICA_URL: 'embedded' });
  }, 240_000);

  afterAll(() => sample.kill());

  it('answers health questions, with what it stands on by name', async () => {
    for (const path of ['/health', '/health/live', '/health/ready', '/health/deep'])
      expect(
        await until(
          () => sample.get(path),
          ({ status }) => status === 200,
        ),
      ).toMatchObject({ status: 200 });
    const ready = await sample.get('/health/ready');
    expect(ready.body.details).toMatchObject({
      database: { critical: true },
      cache: { critical: false },
      mongodb: { critical: false },
      draining: { inFlightRequests: 0, message: expect.any(String) },
    });
  });

  it('has its numbers for Prometheus', async () => {
    const { body } = await sample.get('/metrics');

    expect(body).toContain('resilience_circuitbreaker_state{name="database",state="closed"} 1');
    expect(body).toContain('resilience_bulkhead_max_concurrent{name="write_operations"} 5');
  });

  it.each([
    ['GET', '/resilience'],
    ['GET', '/resilience-dashboard'],
    ['POST', '/resilience/chaos/faults'],
    ['POST', '/operations/database/stop'],
    ['DELETE', '/operations/cache'],
    ['POST', '/operations/experiments/cache-outage'],
    ['POST', '/operations/game-days'],
  ])('lets nobody without the token at %s %s', async (method, path) => {
    const without = await fetch(sample.url + path, { method });
    const wrong = await fetch(sample.url + path, { method, headers: { authorization: 'Bearer guessed' } });

    expect([without.status, wrong.status]).toEqual([401, 401]);
    expect(without.headers.get('www-authenticate')).toContain('Basic');
  });

  it('shows its dashboard to operators', async () => {
    const { status, body } = await sample.operate('GET', '/resilience-dashboard');

    expect(status).toBe(200);
    expect(body).toContain('Traffic Manager');
  });

  it('describes every route, and its page needs nothing from elsewhere', async () => {
    const { body: document } = await sample.get('/docs-json');
    for (const path of [
      '/api/v1/routes/resolve',
      '/api/v1/routes',
      '/api/v1/routes/activate',
      '/api/v1/routes/deactivate',
      '/api/v1/audit/time-range',
      '/api/resilience/protected-endpoint',
      '/api/resilience/stats/{type}/{name}',
      '/resilience/{kind}/{name}',
      '/operations/experiments/{name}',
      '/operations/game-days',
    ])
      expect(document.paths).toHaveProperty([path]);
    const create = document.components.schemas.NewRouteDto;
    expect(create.required).toEqual(['tenant', 'service', 'env', 'version', 'url']);

    const page = (await sample.get('/docs')).body as string;
    const files = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file as string);
    expect(files.length).toBeGreaterThan(3);
    for (const file of files) {
      const url = new URL(file, `${sample.url}/docs`);
      expect(url.origin).toBe(sample.url);
      expect((await fetch(url)).status).toBe(200);
    }
  });

  it('starts and ends faults', async () => {
    const started = await sample.operate('POST', '/resilience/chaos/faults', {
      target: 'RouteLookupService.find',
      latency: '300ms',
      duration: '1m',
    });
    const startedAt = performance.now();
    await sample.get(resolvePath({ tenant: 'a', service: 'slow', env: 'e', version: 'v' }));
    const tookMs = performance.now() - startedAt;

    expect(started.status).toBe(201);
    expect(tookMs).toBeGreaterThanOrEqual(290);
    expect(await sample.operate('DELETE', `/resilience/chaos/faults/${started.body.id}`)).toMatchObject({
      status: 200,
    });
  });

  it('runs experiments, and refuses those that it does not have', async () => {
    await sample.get(resolvePath({ tenant: 'acme', service: 'checkout', env: 'prod', version: 'v1' }));

    const report = await sample.operate('POST', '/operations/experiments/cache-outage');

    expect(report.body).toMatchObject({ state: 'completed', validated: true });
    const unknown = await sample.operate('POST', '/operations/experiments/end-of-the-world');
    expect(unknown.status).toBe(404);
    expect(unknown.body.message).toContain('cache-outage');
  });

  it('plays a game day, keeps its report, and refuses a wrong body by its field', async () => {
    // Open after the experiment above.
    await sample.operate('POST', '/resilience/circuitBreakers/redis/reset');
    // Known to the cache from now on.
    await sample.operate('DELETE', '/operations/cache');
    await sample.get(resolvePath({ tenant: 'acme', service: 'checkout', env: 'prod', version: 'v1' }));

    const { body: report } = await sample.operate('POST', '/operations/game-days', {
      participants: ['alice', 'bob'],
    });

    expect(report).toMatchObject({
      name: 'outages',
      state: 'completed',
      participants: ['alice', 'bob'],
      experiments: [
        { name: 'database-outage', state: 'completed' },
        { name: 'cache-outage', state: 'completed' },
      ],
      validated: 2,
    });
    expect(report.runbook.map(({ done }: { done: boolean }) => done)).toEqual(Array(6).fill(true));
    expect((await sample.operate('GET', '/operations/game-days')).body).toEqual([report]);
    const wrong = await sample.operate('POST', '/operations/game-days', { participants: 'alice' });
    expect(wrong.status).toBe(400);
    expect(wrong.body.message.join()).toContain('participants');
  });

  it('answers from the replica while the database is away, and names it', async () => {
    const key = { tenant: 'globex', service: 'billing', env: 'prod', version: 'v1' };
    await sample.operate('POST', '/operations/database/stop');

    const answer = await sample.get(resolvePath(key));

    expect(answer.body).toEqual({ ...key, url: 'https://billing.globex.example/v1', source: 'replica' });
    expect(answer.headers.get('x-degraded-level')).toBe('replica');
    await sample.operate('POST', '/operations/database/start');
  });

  it('shows a replica that keeps up', async () => {
    await sample.operate('POST', '/resilience/circuitBreakers/database/close');
    const route = { tenant: 'acme', service: 'followed', env: 'prod', version: 'v1' };
    await sample.post('/api/v1/routes', { ...route, url: 'https://followed.example' });
    await sample.operate('POST', '/resilience/circuitBreakers/database/force-open');

    const answer = await until(
      () => sample.get(resolvePath(route)),
      ({ body }) => body.source === 'replica',
    );

    expect(answer.body).toMatchObject({ url: 'https://followed.example', source: 'replica' });
    await sample.operate('POST', '/resilience/circuitBreakers/database/close');
  });

  it('refuses new work while it drains, and ends with 0', async () => {
    expect(await sample.stop()).toBe(0);
    expect(sample.printed()).not.toMatch(/ERROR|outbox: TimeoutExceeded/);
  });
});
