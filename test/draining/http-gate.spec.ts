import 'reflect-metadata';
import dns from 'node:dns';
import { once } from 'node:events';
import { Agent, get as httpGet, type IncomingMessage, type Server } from 'node:http';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Get, Post, Res, Sse, VersioningType, type INestApplication } from '@nestjs/common';
import { RouterModule } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Subject } from 'rxjs';
import {
  DrainingService,
  ResilienceHealthModule,
  ResilienceModule,
  enableGracefulShutdown,
  type DrainingOptions,
} from '../../lib/index.js';
import { ManualClock } from '../../lib/testing/index.js';
import { deferred, type Deferred } from '../policies/deferred.js';

let held: Deferred<unknown>;
let arrived: Deferred<unknown>;
let events: Subject<{ data: string }>;

@Controller()
class WorkController {
  @Get('quick') quick() {
    return 'quick';
  }

  @Get(['held', 'health/export']) async held() {
    arrived.resolve(undefined);
    await held.promise;
    return 'held';
  }

  @Get('broken') broken() {
    throw new Error('broken');
  }

  /** As a Terminus controller of the user may be. */
  @Get('status') status() {
    return 'up';
  }

  @Get(['patients/:id/health/records', 'vendors/health/live']) records() {
    return 'records';
  }

  @Post('upload') upload() {
    return 'uploaded';
  }

  /** Writes by itself, and never ends. */
  @Get('raw') raw(@Res() response: { raw?: IncomingMessage; write?(text: string): void }) {
    const raw = (response.raw ?? response) as unknown as { write(text: string): void };
    raw.write('begun');
  }

  @Sse('events') events() {
    return events;
  }
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

describe.each(['Express', 'Fastify'])('requests on %s', (platform) => {
  let clock: ManualClock;
  let app: INestApplication;
  let port: number;
  let draining: DrainingService;
  let agent: Agent;

  async function start(options?: DrainingOptions, http2 = false) {
    clock = new ManualClock();
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock, draining: options }), ResilienceHealthModule.register()],
      controllers: [WorkController],
    }).compile();
    const adapter = http2 ? new FastifyAdapter({ http2: true } as object) : new FastifyAdapter();
    app = platform === 'Express' ? module.createNestApplication() : module.createNestApplication(adapter);
    app.useLogger(false);
    await app.listen(0, '127.0.0.1');
    port = Number(new URL(await app.getUrl()).port);
    draining = app.get(DrainingService);
  }

  function get(
    path: string,
    options: { agent?: Agent; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      httpGet({ port, host: '127.0.0.1', path, agent, ...options }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () =>
          resolve({ status: response.statusCode as number, headers: response.headers, body }),
        );
      }).on('error', reject);
    });
  }

  /** Once the service has counted to `count`. */
  async function inFlight(count: number): Promise<void> {
    while (draining.inFlight !== count) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Sent when Nest listens: an event before that would be lost. */
  async function firstEvent(): Promise<void> {
    while (!events.observed) await new Promise((resolve) => setImmediate(resolve));
    events.next({ data: 'first' });
  }

  beforeEach(() => {
    held = deferred();
    arrived = deferred();
    events = new Subject();
    agent = new Agent({ keepAlive: true });
  });

  afterEach(async () => {
    agent.destroy();
    held.resolve(undefined);
    (app.getHttpServer() as Server).closeAllConnections?.();
    await app.close();
  });

  it('DR-02 counts a request until its answer is out, exceptions and unknown paths included', async () => {
    await start();
    const answer = get('/held');
    await arrived.promise;
    expect(draining.inFlight).toBe(1);
    expect((await get('/broken')).status).toBe(500);
    expect((await get('/nowhere')).status).toBe(404);

    held.resolve(undefined);

    expect((await answer).body).toBe('held');
    await inFlight(0);
  });

  it('DR-02 counts a request whose client has gone until its connection is closed', async () => {
    await start();
    const request = httpGet({ port, host: '127.0.0.1', path: '/held', agent }).on('error', () => undefined);
    await arrived.promise;
    expect(draining.inFlight).toBe(1);

    request.destroy();

    await inFlight(0);
  });

  it('DR-02 counts an upload that its client gives up', async () => {
    await start();
    const socket = await open();
    socket.write(
      'POST /upload HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\nbegun',
    );
    await inFlight(1);

    socket.destroy();

    await inFlight(0);
  });

  it('DR-02 counts pipelined requests, those whose turn never comes included', async () => {
    await start();
    const socket = await open();
    const line = 'GET /held HTTP/1.1\r\nHost: here\r\n\r\n';
    socket.write(line + line + line);
    await inFlight(3);

    socket.destroy();

    await inFlight(0);
  });

  it('DR-02 requests that were sent ahead leave nothing behind on their connection', async () => {
    await start();
    const accepted = once(app.getHttpServer() as Server, 'connection');
    const socket = await open();
    const [connection] = (await accepted) as [Socket];
    const before = connection.listenerCount('close');
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    const line = 'GET /held HTTP/1.1\r\nHost: here\r\n\r\n';
    socket.write(line.repeat(30));
    await inFlight(30);
    expect(connection.listenerCount('close')).toBeLessThan(before + 5);
    held.resolve(undefined);
    while (received.split('HTTP/1.1 200').length - 1 < 30) await once(socket, 'data');
    await inFlight(0);
    socket.destroy();
  });

  it('DR-02 counts streams as long as they are open', async () => {
    await start();
    const sse = httpGet({ port, host: '127.0.0.1', path: '/events', agent }).on('error', () => undefined);
    const raw = httpGet({ port, host: '127.0.0.1', path: '/raw', agent }).on('error', () => undefined);
    await Promise.all([once(sse, 'response'), once(raw, 'response'), firstEvent()]);
    await inFlight(2);

    events.complete();
    await inFlight(1);
    raw.destroy();

    await inFlight(0);
  });

  it('HL-06 health endpoints do not count, and show what does', async () => {
    await start();
    const answer = get('/held');
    await arrived.promise;

    const { details } = JSON.parse((await get('/health/ready')).body) as { details: Record<string, unknown> };

    expect(details['draining']).toMatchObject({ status: 'up', inFlightRequests: 1 });
    held.resolve(undefined);
    await answer;
  });

  it('DR-01 readiness is 503 at once, while traffic is served with Connection: close', async () => {
    await start({ readinessDelay: '5s' });
    const before = await get('/quick');
    const under = get('/held');
    await arrived.promise;

    draining.start();

    const ready = await get('/health/ready');
    expect(ready.status).toBe(503);
    expect((JSON.parse(ready.body) as { error: unknown }).error).toMatchObject({
      draining: { status: 'down', inFlightRequests: 1, message: expect.stringContaining('draining') },
    });
    expect((await get('/health/live')).status).toBe(200);
    const during = await get('/quick');
    held.resolve(undefined);
    const answers = [before, during, await under];
    expect(answers.map(({ status, headers }) => [status, headers.connection])).toEqual([
      [200, 'keep-alive'],
      [200, 'close'],
      [200, 'close'],
    ]);
  });

  it('DR-01 after the delay new work is refused with 503, what is under way finishes, health answers', async () => {
    await start({ readinessDelay: '5s', timeout: '30s' });
    const under = get('/held');
    await arrived.promise;
    draining.start();
    await clock.advance(5_000);

    const refused = await get('/quick');
    const live = await get('/health/live?verbose');
    const numbers = await get('/health/resilience');
    held.resolve(undefined);

    expect([refused.status, refused.headers['retry-after'], refused.headers.connection]).toEqual([
      503,
      '1',
      'close',
    ]);
    expect(JSON.parse(refused.body)).toEqual({
      statusCode: 503,
      error: 'Service Unavailable',
      message: 'The application is shutting down and takes no new work.',
      code: 'DRAINING',
      retryAfterMs: 1_000,
    });
    expect(live.status).toBe(200);
    expect((JSON.parse(numbers.body) as { draining: object }).draining).toMatchObject({
      phase: 'draining',
      isDraining: true,
      inFlightRequests: 1,
      refusedRequests: 1,
      cutOffRequests: 0,
    });
    expect(await under).toMatchObject({ status: 200, body: 'held' });
    expect(await draining.drain()).toBe(true);
  });

  it('DR-01 an idle connection is kept through the delay, and served', async () => {
    await start({ readinessDelay: '5s' });
    await get('/quick');
    const [idle] = Object.values(agent.freeSockets)[0] as Socket[];

    draining.start();
    await clock.advance(4_000);
    const answer = await get('/quick');

    expect(answer.status).toBe(200);
    expect(answer.headers.connection).toBe('close');
    if (idle?.closed === false) await once(idle, 'close');
  });

  it('DR-01 refuses upgrades once it refuses, and paths of alwaysServe never', async () => {
    await start({ readinessDelay: 0, alwaysServe: ['/quick'] });
    (app.getHttpServer() as Server).on('upgrade', (_request, socket) =>
      socket.end('HTTP/1.1 101 Hello\r\n\r\n'),
    );

    draining.start();

    const socket = await open();
    socket.write('GET /chat HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const [head] = (await once(socket, 'data')) as [Buffer];
    expect(head.toString()).toMatch(/^HTTP\/1\.1 503 .*\r\nRetry-After: 1\r\n/);
    expect((await get('/quick')).status).toBe(200);
    expect((await get('/held')).status).toBe(503);
  });

  it('DR-01 a route of the application that has a health path in the middle is refused like any other', async () => {
    await start({ readinessDelay: 0 });
    expect((await get('/patients/7/health/records')).body).toBe('records');

    draining.start();

    const paths = ['/patients/7/health/records', '/vendors/health/live', '/health/live?of=/health/live'];
    const answers = await Promise.all(paths.map((path) => get(path)));
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 200]);
    expect(draining.stats().refusedRequests).toBe(2);
  });

  it('DR-01 DR-02 a route of the application below a health path counts, finishes, and is refused like any other', async () => {
    await start({ readinessDelay: 0 });
    enableGracefulShutdown(app, silentProcess);
    const answer = get('/health/export');
    await arrived.promise;
    expect(draining.inFlight).toBe(1);

    const closed = app.close();
    expect((await get('/health/live/export')).status).toBe(503);
    expect((await get('/health/live/?of=kubelet')).status).not.toBe(503);
    expect((await get('/health/live')).status).toBe(200);
    await clock.advance(5_000);
    held.resolve(undefined);

    expect((await answer).body).toBe('held');
    await closed;
    expect(draining.stats()).toMatchObject({ phase: 'closed', cutOffRequests: 0 });
  });

  it('DR-01 finds health endpoints below a global prefix, a version and the path of a module', async () => {
    clock = new ManualClock();
    const module = await Test.createTestingModule({
      imports: [
        ResilienceModule.forRoot({
          clock,
          draining: { readinessDelay: 0, alwaysServe: ['/quick', 'status'] },
        }),
        ResilienceHealthModule.register(),
        RouterModule.register([{ path: 'internal', module: ResilienceHealthModule }]),
      ],
      controllers: [WorkController],
    }).compile();
    app =
      platform === 'Express'
        ? module.createNestApplication()
        : module.createNestApplication(new FastifyAdapter());
    app.useLogger(false);
    app.setGlobalPrefix('api', { exclude: ['quick'] });
    app.enableVersioning({ type: VersioningType.URI, defaultVersion: ['beta', '2'] });
    await app.listen(0, '127.0.0.1');
    port = Number(new URL(await app.getUrl()).port);
    draining = app.get(DrainingService);
    const statuses = (paths: readonly string[]) =>
      Promise.all(paths.map(async (path) => (await get(path)).status));
    const served = ['/api/internal/health/live', '/api/v2/status', '/api/vbeta/status', '/v2/quick'];
    const others = [
      '/api/v2/patients/7/health/records',
      '/api/vbeta/vendors/health/live',
      '/api/v2/held/quick',
    ];
    held.resolve(undefined);
    expect(await statuses([...served, ...others])).toEqual([200, 200, 200, 200, 200, 200, 404]);

    draining.start();

    expect(await statuses(served)).toEqual([200, 200, 200, 200]);
    expect(await statuses(others)).toEqual([503, 503, 503]);
  });

  it('DR-02 what is under way at the deadline is cut off, and the application closes', async () => {
    await start({ readinessDelay: 0, timeout: '10s' });
    enableGracefulShutdown(app, silentProcess);
    const cut = get('/held').catch((error: { code: string }) => error.code);
    await arrived.promise;
    const silent = await open();

    const closed = app.close();
    await clock.advance(10_000);

    expect(await cut).toBe('ECONNRESET');
    await closed;
    expect(draining.stats()).toMatchObject({ phase: 'closed', cutOffRequests: 1 });
    if (!silent.closed) await once(silent, 'close');
  });

  it('DR-02 connections that sent nothing do not keep it open', async () => {
    await start({ readinessDelay: 0 });
    enableGracefulShutdown(app, silentProcess);
    const silent = await open();
    await get('/quick');

    await app.close();

    if (!silent.closed) await once(silent, 'close');
    expect(draining.stats()).toMatchObject({ phase: 'closed', cutOffRequests: 0 });
  });

  async function open(): Promise<Socket> {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }

  if (platform === 'Express') return;

  it('DR-02 counts requests on every address of localhost', async () => {
    await start();
    await app.close();
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock, draining: { readinessDelay: 0 } })],
      controllers: [WorkController],
    }).compile();
    app = module.createNestApplication(new FastifyAdapter());
    app.useLogger(false);
    // Whatever this machine calls localhost.
    const second = process.platform === 'linux' ? '127.0.0.2' : '::1';
    const found = [
      { address: '127.0.0.1', family: 4 },
      { address: second, family: second === '::1' ? 6 : 4 },
    ];
    const { lookup: real } = dns;
    const lookup = jest.spyOn(dns, 'lookup').mockImplementation((host: string, ...rest: unknown[]) => {
      if (rest.length === 1) return real(host, rest[0] as Parameters<typeof real>[1]);
      return (rest[1] as (error: null, addresses: object[]) => void)(null, found);
    });
    await app.listen(0);
    lookup.mockRestore();
    const fastify = app.getHttpAdapter().getInstance() as {
      addresses(): { address: string; port: number }[];
    };
    const addresses = fastify.addresses();
    draining = app.get(DrainingService);
    const answers = addresses.map(({ address, port: at }) =>
      get('/held', { host: address, port: at } as object),
    );

    expect(answers).toHaveLength(2);
    await inFlight(2);
    draining.start();
    const late = await Promise.all(
      addresses.map(({ address, port: at }) => get('/quick', { host: address, port: at } as object)),
    );
    held.resolve(undefined);

    expect(late.map(({ status }) => status)).toEqual(answers.map(() => 503));
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(await draining.drain()).toBe(true);
  });

  describe('over HTTP/2', () => {
    let client: ClientHttp2Session;

    function stream(path: string): Promise<{ status: unknown; connection: unknown }> {
      return new Promise((resolve, reject) => {
        const request = client.request({ ':path': path });
        request.once('response', (headers) =>
          resolve({ status: headers[':status'], connection: headers['connection'] }),
        );
        request.once('error', reject);
        request.resume();
      });
    }

    function openSession(): ClientHttp2Session {
      return connectHttp2(`http://127.0.0.1:${port}`).on('error', () => undefined);
    }

    beforeEach(async () => {
      await start({ readinessDelay: '5s' }, true);
      client = openSession();
    });

    afterEach(() => client.destroy());

    it('DR-01 says GOAWAY once, finishes open streams, and serves new sessions until the delay is over', async () => {
      const under = stream('/held');
      await arrived.promise;
      expect(draining.inFlight).toBe(1);

      const goaway = once(client, 'goaway');
      draining.start();

      const [code] = (await goaway) as [number];
      expect(code).toBe(0);
      held.resolve(undefined);
      expect(await under).toEqual({ status: 200, connection: undefined });
      client = openSession();
      expect(await stream('/quick')).toMatchObject({ status: 200 });
      await clock.advance(5_000);
      client = openSession();
      expect(await stream('/quick')).toMatchObject({ status: 503 });
      expect(await draining.drain()).toBe(true);
    });

    it('DR-02 counts streams that their client gives up, and cuts off those at the deadline', async () => {
      enableGracefulShutdown(app, silentProcess);
      const given = client.request({ ':path': '/held' }).on('error', () => undefined);
      await inFlight(1);
      given.close(8);
      await inFlight(0);
      client.request({ ':path': '/held' }).on('error', () => undefined);
      await inFlight(1);

      const closed = app.close();
      await clock.advance(35_000);

      await closed;
      expect(draining.stats().cutOffRequests).toBe(1);
      if (!client.destroyed) await once(client, 'close');
    });
  });
});

/** Signals are no part of these tests. */
const silentProcess = {
  on: () => undefined,
  off: () => undefined,
  listenerCount: () => 0,
  exit: () => undefined,
};
