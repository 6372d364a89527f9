import 'reflect-metadata';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { HealthIndicatorService } from '@nestjs/terminus';
import {
  Probe,
  ResilienceHealthModule,
  ResilienceModule,
  diskCheck,
  eventLoopCheck,
  heapCheck,
  httpCheck,
  portCheck,
  redisCheck,
  sqlCheck,
  terminusCheck,
  type ProbeCheck,
} from '../../lib/index.js';
import { LoopDelay } from '../../lib/health/loop-delay.js';
import { ManualClock } from '../../lib/testing/index.js';

const server = createServer((request, response) => {
  if (request.url === '/hangs') return;
  response.statusCode = request.url === '/fine' ? 204 : 500;
  response.end();
});
let port: number;

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const ask = (check: ProbeCheck) => new Probe({ kind: 'deep', graceFailures: 1 }).check(check);

describe('ready-made checks', () => {
  it('HL-05 the event loop, the heap and the disk are looked at, and fail beyond their limits', async () => {
    expect(await ask(eventLoopCheck('1h'))).toMatchObject({
      healthy: true,
      details: { eventLoopDelayMs: expect.any(Number) },
    });
    expect(await ask(heapCheck(100))).toMatchObject({
      healthy: true,
      details: { heapPercent: expect.any(Number) },
    });
    expect((await ask(heapCheck(0))).error).toMatch(/% of the heap are in use\.$/);
    expect(await ask(diskCheck('.', 0))).toMatchObject({
      healthy: true,
      details: { freePercent: expect.any(Number) },
    });
    expect((await ask(diskCheck('.', 100))).error).toMatch(/% of the disk at \. are free\.$/);
    expect((await ask(diskCheck('./nowhere', 0))).error).toMatch(/ENOENT/);
  });

  it('HL-05 the event loop is measured from the first check to the end of the application', async () => {
    const stopped = jest.spyOn(LoopDelay.prototype, 'stop');
    const clock = new ManualClock();
    const check = eventLoopCheck('1h');
    const module = await Test.createTestingModule({
      imports: [
        ResilienceModule.forRoot({ clock }),
        ResilienceHealthModule.register({ probes: [{ kind: 'liveness', name: 'loop', check }] }),
      ],
    }).compile();
    const app = module.createNestApplication();
    await app.init();
    await clock.advance(0);
    expect(stopped).not.toHaveBeenCalled();

    await app.close();

    // That of the liveness endpoint, and that of the check.
    expect(new Set(stopped.mock.contexts).size).toBe(2);
    check.stop();
    expect(stopped).toHaveBeenCalledTimes(2);
    stopped.mockRestore();
  });

  it('HL-05 a port and a URL are asked over the network, and a hanging one is let go at its timeout', async () => {
    expect(await ask(portCheck(port))).toMatchObject({ healthy: true, details: { host: '127.0.0.1', port } });
    const url = `http://127.0.0.1:${port}`;
    expect(await ask(httpCheck(`${url}/fine`))).toMatchObject({
      healthy: true,
      details: { httpStatus: 204 },
    });
    expect((await ask(httpCheck(`${url}/broken`))).error).toBe(`${url} answered 500.`);
    expect((await ask(httpCheck(`${url}/broken`, { expectStatus: 500 }))).healthy).toBe(true);

    const clock = new ManualClock();
    const asked = once(server, 'request');
    const probe = new Probe({ kind: 'deep', timeout: '2s' }, { clock });
    const hanging = probe.check(httpCheck(`${url}/hangs`));
    const [, response] = (await asked) as [unknown, NodeJS.EventEmitter];
    const closed = once(response, 'close');
    await clock.advance(2_000);
    expect((await hanging).error).toBe('No answer within 2 s.');
    await closed;
  });

  it('HL-05 nobody listens on a closed port', async () => {
    const closing = createServer();
    closing.listen(0, '127.0.0.1');
    await once(closing, 'listening');
    const { port: closedPort } = closing.address() as AddressInfo;
    closing.close();
    await once(closing, 'close');
    expect((await ask(portCheck(closedPort))).error).toMatch(/ECONNREFUSED/);
    expect((await ask(httpCheck(`http://127.0.0.1:${closedPort}`))).healthy).toBe(false);
  });

  it('HL-05 SQL is asked with SELECT 1, Redis with PING', async () => {
    const lines: string[] = [];
    const query = async (sql: string) => lines.push(sql);
    expect(await ask(sqlCheck({ query }))).toMatchObject({
      healthy: true,
      details: { queryMs: expect.any(Number) },
    });
    expect((await ask(sqlCheck(query, 'SELECT 2'))).healthy).toBe(true);
    expect(lines).toEqual(['SELECT 1', 'SELECT 2']);
    const down = { query: () => Promise.reject(new Error('connection refused')) };
    expect((await ask(sqlCheck(down))).error).toBe('connection refused');

    expect((await ask(redisCheck({ ping: async () => 'PONG' }))).healthy).toBe(true);
    expect((await ask(redisCheck({ ping: async () => 'LOADING' }))).error).toBe(
      'PING was answered with "LOADING".',
    );
  });

  it('HL-05 an indicator of Terminus is taken at its word', async () => {
    const indicators = new HealthIndicatorService();
    const up = () => indicators.check('disk').up({ free: 7 });
    expect(await ask(() => terminusCheck(up))).toMatchObject({
      healthy: true,
      details: { disk: { status: 'up', free: 7 } },
    });
    const down = () => indicators.check('disk').down({ message: 'full' });
    expect((await ask(() => terminusCheck(down))).error).toBe('full');
    expect((await ask(() => terminusCheck(() => indicators.check('disk').down()))).error).toBe(
      'disk is down.',
    );
  });

  it.each([
    [() => eventLoopCheck(0), 'eventLoopCheck: it takes a duration above 0, got 0.'],
    [() => heapCheck(101), 'heapCheck: it takes a percentage from 0 to 100, got 101.'],
    [() => diskCheck('/', Number.NaN), 'diskCheck: it takes a percentage from 0 to 100, got NaN.'],
    [() => portCheck(0), 'portCheck: a port must be an integer from 1 to 65535, got 0.'],
    [() => httpCheck('nowhere'), 'Invalid URL'],
  ])('refuses what cannot be: %s', (build, message) => {
    expect(build).toThrow(message);
  });
});
