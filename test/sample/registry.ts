import { expect, it } from '@jest/globals';
import { until, type Sample } from './sample.js';

const query = (key: object) => new URLSearchParams(key as Record<string, string>).toString();
export const resolvePath = (key: object) => `/api/v1/routes/resolve?${query(key)}`;

/** What the registry promises over HTTP, whatever database is below it. */
export function theRegistryWorks(sample: () => Sample): void {
  const seeded = { tenant: 'acme', service: 'checkout', env: 'prod', version: 'v1' };

  it('has routes from the start', async () => {
    const { status, headers, body } = await sample().get(resolvePath(seeded));

    expect(status).toBe(200);
    expect(body).toEqual({ ...seeded, url: 'https://checkout.acme.example/v1' });
    expect(headers.get('x-degraded-mode')).toBeNull();
  });

  it('registers a route, switches it off and on, and keeps what happened', async () => {
    const key = { tenant: 'initech', service: 'reports', env: 'prod', version: 'v1' };
    const correlated = (id: string) => ({ 'x-correlation-id': id });

    expect((await sample().get(resolvePath(key))).status).toBe(404);
    const created = await sample().post(
      '/api/v1/routes',
      { ...key, url: 'https://reports.initech.example' },
      correlated('request-1'),
    );
    expect(created).toMatchObject({ status: 201, body: { ...key, active: true } });
    expect(created.headers.get('x-correlation-id')).toBe('request-1');
    // What was known not to be there is forgotten with the change.
    expect((await sample().get(resolvePath(key))).body.url).toBe('https://reports.initech.example');

    expect(await sample().post('/api/v1/routes/deactivate', key, correlated('request-2'))).toMatchObject({
      status: 200,
      body: { active: false },
    });
    expect((await sample().get(resolvePath(key))).status).toBe(404);
    expect((await sample().post('/api/v1/routes/activate', key, correlated('request-3'))).status).toBe(200);
    expect((await sample().get(resolvePath(key))).status).toBe(200);

    const history = await until(
      () => sample().get(`/api/v1/audit/route?${query(key)}`),
      ({ body }) => body.count === 3,
    );
    expect(history.body.entries).toMatchObject([
      { action: 'activated', correlationId: 'request-3' },
      { action: 'deactivated', correlationId: 'request-2' },
      { action: 'created', correlationId: 'request-1', details: { url: 'https://reports.initech.example' } },
    ]);
  });

  it('registers a route once for one idempotency key, and refuses another route under it', async () => {
    const route = {
      tenant: 'umbrella',
      service: 'lab',
      env: 'prod',
      version: 'v1',
      url: 'https://lab.example',
    };
    const headers = { 'idempotency-key': 'only-once' };

    const answers = await Promise.all(
      Array.from({ length: 5 }, () => sample().post('/api/v1/routes', route, headers)),
    );

    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect((await sample().post('/api/v1/routes', { ...route, version: 'v2' }, headers)).status).toBe(422);
    const taken = await sample().post('/api/v1/routes', route);
    expect(taken.status).toBe(409);
    expect(taken.body.message).toContain('umbrella/lab/prod/v1');
  });

  it('answers audit questions by kind and time', async () => {
    const recent = await until(
      () => sample().get('/api/v1/audit/recent?limit=2'),
      ({ body }) => body.count === 2,
    );
    expect(recent.body.entries[0].at >= recent.body.entries[1].at).toBe(true);
    const ofAction = await sample().get('/api/v1/audit/action?action=deactivated&days=1');
    expect(ofAction.body.entries.map((entry: { action: string }) => entry.action)).toEqual(
      Array.from({ length: ofAction.body.count }, () => 'deactivated'),
    );
    const { at } = recent.body.entries[1];
    const between = await sample().get(`/api/v1/audit/time-range?${query({ start: '2020-01-01', end: at })}`);
    expect(between.body.entries.every((entry: { at: string }) => entry.at < at)).toBe(true);
  });

  it('does not take a missing route for a failure of the database', async () => {
    for (let i = 0; i < 15; i++)
      expect((await sample().get(resolvePath({ ...seeded, version: `none-${i}` }))).status).toBe(404);

    const { body } = await sample().operate('GET', '/resilience/circuitBreakers/database');
    expect(body.stats).toMatchObject({ state: 'closed', failureCount: 0 });
  });
}
