import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startSample, type Sample } from './sample.js';

describe('the demo API', () => {
  let sample: Sample;

  beforeAll(async () => {
    sample = await startSample();
  }, 240_000);

  afterAll(() => sample.kill());

  afterEach(async () => {
    await fault('primary', 0);
    await fault('replica', 0);
    await fault('backup', 0);
    await sample.operate('POST', '/resilience/rateLimiters/demo_api/reset');
    await sample.post('/api/resilience/reset/circuit_breaker/demo_api');
    await sample.post('/api/resilience/reset/circuit_breaker/simple_api');
  });

  const fault = (region: string, failurePercent: number) =>
    fetch(`${sample.url}/upstream/${region}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ failurePercent }),
    });
  const protectedCall = () => sample.post('/api/resilience/protected-endpoint');

  it('answers from the primary', async () => {
    expect(await protectedCall()).toMatchObject({
      status: 200,
      body: { result: 'primary', data: { sku: 'demo' }, degraded: false },
    });
  });

  it('goes down its levels as they fail, and says so', async () => {
    await protectedCall();
    await fault('primary', 100);
    const fromReplica = await protectedCall();
    await fault('replica', 100);
    const fromCache = await protectedCall();
    await sample.operate('DELETE', '/operations/cache');
    const byDefault = await protectedCall();

    expect(fromReplica.body).toMatchObject({ result: 'replica', degraded: true });
    expect(fromReplica.headers.get('x-degraded-mode')).toBe('true');
    expect(fromReplica.headers.get('x-degraded-level')).toBe('replica');
    expect(fromCache.body).toMatchObject({ result: 'distributed_cache', data: { sku: 'demo' } });
    expect(byDefault.body).toEqual({ result: 'default', data: [], degraded: true });
  });

  it('refuses what is beyond 100 at once with 429', async () => {
    // More than come back in a quarter of a minute.
    const answers = await Promise.all(Array.from({ length: 250 }, protectedCall));

    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(100);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.body).toEqual({ error: 'Rate limit exceeded', retry_after: 60 });
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('answers 503 while its circuit is open', async () => {
    await sample.operate('POST', '/resilience/circuitBreakers/demo_api/force-open');

    const { status, body } = await protectedCall();

    expect(status).toBe(503);
    expect(body).toEqual({ error: 'Service unavailable', details: expect.stringContaining('demo_api') });
  });

  it('protects a plain call', async () => {
    expect(await sample.get('/api/resilience/simple-protected')).toMatchObject({
      status: 200,
      body: { message: expect.any(String), status: 'success' },
    });
  });

  it('asks everything it stands on for its health', async () => {
    expect(await sample.get('/api/resilience/health')).toMatchObject({
      status: 200,
      body: {
        status: 'healthy',
        check_type: 'deep',
        latency_ms: expect.any(Number),
        details: { database: 'ok', cache: 'ok', api: 'ok' },
      },
    });
    await fault('primary', 100);
    expect(await sample.get('/api/resilience/health')).toMatchObject({
      status: 503,
      body: {
        status: 'unhealthy',
        check_type: 'deep',
        error: expect.any(String),
        latency_ms: expect.any(Number),
      },
    });
  });

  it('has the numbers of everything, and of one policy', async () => {
    const { body } = await sample.get('/api/resilience/stats');
    expect(Object.keys(body)).toEqual([
      'timestamp',
      'circuit_breakers',
      'retry_managers',
      'bulkheads',
      'adaptive_timeouts',
    ]);
    expect(body.bulkheads.demo_api).toMatchObject({ maxConcurrent: 100, maxQueue: 200 });
    for (const type of ['circuit_breaker', 'retry_manager', 'bulkhead'])
      expect(await sample.get(`/api/resilience/stats/${type}/demo_api`)).toMatchObject({
        status: 200,
        body: { name: 'demo_api' },
      });
    for (const path of ['bulkhead/nobody', 'rate_limiter/demo_api', 'toString/demo_api'])
      expect(await sample.get(`/api/resilience/stats/${path}`)).toMatchObject({
        status: 404,
        body: { error: 'Component not found' },
      });
  });

  it('truly resets', async () => {
    await fault('primary', 100);
    for (let i = 0; i < 5; i++) await sample.get('/api/resilience/simple-protected');
    const path = '/api/resilience/stats/circuit_breaker/simple_api';
    expect((await sample.get(path)).body.state).toBe('open');

    const reset = await sample.post('/api/resilience/reset/circuit_breaker/simple_api');

    expect(reset).toMatchObject({ status: 200, body: { message: "Circuit breaker 'simple_api' reset" } });
    expect((await sample.get(path)).body.state).toBe('closed');
    expect(await sample.post('/api/resilience/reset/retry_manager/demo_api')).toMatchObject({
      status: 200,
      body: { message: "Retry manager 'demo_api' reset" },
    });
    for (const path of ['bulkhead/demo_api', 'circuit_breaker/nobody'])
      expect((await sample.post(`/api/resilience/reset/${path}`)).status).toBe(404);
  });

  it('has a chain of all six levels', async () => {
    const levels: string[] = [];
    const ask = async () => levels.push((await sample.get('/quotes/tea')).body.level);
    await ask();
    await fault('primary', 100);
    await ask();
    await fault('replica', 100);
    await ask();
    await sample.operate('DELETE', '/operations/cache');
    const { headers } = await sample.get('/quotes/tea');
    levels.push(headers.get('x-degraded-level') as string);
    await sample.operate('POST', '/resilience/fallbacks/quotes/reset');
    await ask();
    await fault('backup', 100);
    await sample.operate('DELETE', '/operations/cache');
    await ask();

    expect(levels).toEqual([
      'primary',
      'replica',
      'distributed_cache',
      'local_cache',
      'backup_service',
      'default',
    ]);
  });

  it('refuses faults that cannot be, and names them', async () => {
    const answer = await fetch(`${sample.url}/upstream/replica`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ failurePercent: 101, latencyMs: -1, color: 'red' }),
    });

    expect(answer.status).toBe(400);
    const { message } = (await answer.json()) as { message: string[] };
    for (const name of ['failurePercent', 'latencyMs', 'color']) expect(message.join(' ')).toContain(name);
    expect((await sample.get('/upstream/nowhere')).status).toBe(404);
  });
});
