import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { resolvePath } from './registry.js';
import { startSample, temporaryFolder, until, type Sample } from './sample.js';

describe('the embedded database on disk', () => {
  const folder = temporaryFolder('sample');
  const environment = { DATA_DIR: folder.path };
  let sample: Sample | undefined;

  afterEach(() => sample?.kill());
  afterAll(() => folder.remove());

  const routeOf = (service: string) => ({
    tenant: 'acme',
    service,
    env: 'prod',
    version: 'v1',
    url: `https://${service}.example`,
  });

  it('has everything after a restart, and keeps an idempotency key', async () => {
    const headers = { 'idempotency-key': 'before-the-restart' };
    sample = await startSample(environment);
    const first = await sample.post('/api/v1/routes', routeOf('restarted'), headers);
    await until(
      () => (sample as Sample).get('/api/v1/audit/recent'),
      ({ body }) => body.count === 1,
    );
    expect(await sample.stop()).toBe(0);

    sample = await startSample(environment);

    const again = await sample.post('/api/v1/routes', routeOf('restarted'), headers);
    expect(again).toMatchObject({ status: 201, body: { id: first.body.id } });
    expect((await sample.get('/api/v1/audit/recent')).body.count).toBe(1);
    expect((await sample.get(resolvePath(routeOf('restarted')))).status).toBe(400);
  }, 300_000);

  it('loses no acknowledged write to a kill in the middle of writes', async () => {
    const acknowledged: string[] = [];
    sample = await startSample(environment);
    let written = 0;
    const write = async () => {
      for (;;) {
        const service = `killed-${written++}`;
        const answer = await (sample as Sample)
          .post('/api/v1/routes', routeOf(service))
          .catch(() => undefined);
        if (answer === undefined) return;
        if (answer.status === 201) acknowledged.push(service);
      }
    };
    const writers = Array.from({ length: 5 }, write);
    while (acknowledged.length < 100) await delay(5);
    await sample.kill();
    await Promise.all(writers);

    sample = await startSample(environment);

    const lost: string[] = [];
    for (const service of acknowledged) {
      const { url, ...key } = routeOf(service);
      const { body } = await sample.get(resolvePath(key));
      if (body.url !== url) lost.push(service);
    }
    expect(lost).toEqual([]);
    // Each has its audit entry as well: those that were still on their way arrive now.
    const withoutEntry = (entries: { service: string }[]) => {
      const audited = new Set(entries.map(({ service }) => service));
      return acknowledged.filter((service) => !audited.has(service));
    };
    const audit = await until(
      () => (sample as Sample).get('/api/v1/audit/action?action=created&limit=1000'),
      ({ body }) => withoutEntry(body.entries).length === 0,
    );
    expect(withoutEntry(audit.body.entries)).toEqual([]);
  }, 300_000);

  it('refuses a second process on its folder, and says what to do', async () => {
    sample = await startSample(environment);

    await expect(startSample(environment)).rejects.toThrow(/belong to the running process \d+.*DATA_DIR=/s);
  }, 300_000);
});
