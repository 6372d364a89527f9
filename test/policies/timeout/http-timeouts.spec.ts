import { once } from 'node:events';
import { Agent as HttpAgent, createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import axios from 'axios';
import { Agent, fetch } from 'undici';
import { InvalidOptionsError, TimeoutExceededError } from '../../../lib/core/errors.js';
import { EventHub, type PolicyEvent } from '../../../lib/core/events.js';
import { TimeoutPolicy, timeoutPhaseOf, type TimeoutOptions } from '../../../lib/policies/timeout/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

const errorOf = (call: Promise<unknown>) => call.catch((error: unknown) => error);

/** Takes connections and says nothing, so that a TLS handshake never ends. */
let silent: Server;
const held = new Set<Socket>();
/** `/` answers, `/headers` never does, `/body` stops in the middle, `/slow` sends a byte again and again. */
let web: HttpServer;
let trickle: ReturnType<typeof setInterval> | undefined;
let agent: Agent | undefined;

beforeEach(async () => {
  silent = createTcpServer((socket) => {
    held.add(socket.on('error', () => undefined));
  });
  web = createHttpServer((request, response) => {
    if (request.url === '/') response.end('fine');
    if (request.url === '/body') response.write('half');
    if (request.url === '/slow') trickle = setInterval(() => response.write('.'), 5);
  });
  for (const server of [silent, web]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
});

afterEach(async () => {
  clearInterval(trickle);
  await agent?.destroy();
  agent = undefined;
  for (const socket of held) socket.destroy();
  held.clear();
  web.closeAllConnections();
  for (const server of [silent, web]) await new Promise((resolve) => server.close(resolve));
});

const agents = () => ({
  httpAgent: new HttpAgent({ keepAlive: true }),
  httpsAgent: new HttpsAgent({ keepAlive: true }),
});
const port = (server: Server) => (server.address() as AddressInfo).port;
const urlOf = (path: string) => `http://127.0.0.1:${port(web)}${path}`;

describe('the timeouts of HTTP clients', () => {
  it('TO-10 connect, read and request configure undici and fetch from one policy and are reported apart', async () => {
    const events = new EventHub();
    const seen: PolicyEvent[] = [];
    events.listen((event) => seen.push(event));
    const timeout = new TimeoutPolicy('stock', { connect: 40, read: 60, request: '10s' }, { events });
    agent = new Agent({ ...timeout.http.undici() });
    const get = (url: string) =>
      timeout.execute(async ({ signal }) => {
        const response = await fetch(url, { signal, dispatcher: agent as Agent });
        return await response.text();
      });

    await expect(get(urlOf('/'))).resolves.toBe('fine');
    const connect = await errorOf(get(`https://127.0.0.1:${port(silent)}/`));
    const headers = await errorOf(get(urlOf('/headers')));
    const body = await errorOf(get(urlOf('/body')));
    timeout.update({ read: 300, request: 300 });
    await agent.destroy();
    agent = new Agent({ ...timeout.http.undici() });
    const request = await errorOf(get(urlOf('/slow')));

    expect([connect, headers, body, request].map(timeoutPhaseOf)).toEqual([
      'connect',
      'read',
      'read',
      'request',
    ]);
    expect(request).toBeInstanceOf(TimeoutExceededError);
    expect(timeout.stats()).toMatchObject({
      totalAttempts: 5,
      timedOutAttempts: 1,
      timedOutByPhase: { connect: 1, read: 2, request: 1 },
    });
    expect(seen.map(({ type, details }) => [type, details?.['scope'], details?.['limitMs']])).toEqual([
      ['timed-out', 'connect', 40],
      ['timed-out', 'read', 60],
      ['timed-out', 'read', 60],
      ['timed-out', 'attempt', 300],
    ]);
  }, 15_000);

  it('TO-10 connect, read and request configure axios from the same policy', async () => {
    const timeout = new TimeoutPolicy('stock', { connect: 40, read: 60, request: '10s' });
    let client = axios.create({ ...timeout.http.axios(agents()) });
    const get = (url: string) =>
      timeout.execute(async ({ signal }) => (await client.get<string>(url, { signal })).data);

    await expect(get(urlOf('/'))).resolves.toBe('fine');
    const connect = await errorOf(get(`https://127.0.0.1:${port(silent)}/`));
    const headers = await errorOf(get(urlOf('/headers')));
    const body = await errorOf(get(urlOf('/body')));
    timeout.update({ read: 300, request: 300 });
    client = axios.create({ ...timeout.http.axios(agents()) });
    const request = await errorOf(get(urlOf('/slow')));

    expect([connect, headers, body, request].map(timeoutPhaseOf)).toEqual([
      'connect',
      'read',
      'read',
      'request',
    ]);
    expect(timeout.stats().timedOutByPhase).toEqual({ connect: 1, read: 2, request: 1 });
  }, 15_000);

  it('TO-10 the read timeout of axios counts silence on the injected clock, and lets idle connections live', async () => {
    const clock = new ManualClock();
    const timeout = new TimeoutPolicy('stock', { connect: 1_000, read: 8_000, request: '1h' }, { clock });
    const { httpAgent } = timeout.http.axios(agents());
    const client = axios.create({ httpAgent });
    await client.get(urlOf('/'));
    expect(Object.values(httpAgent.freeSockets).flat()).toHaveLength(1);

    await clock.advance(60_000);
    expect(Object.values(httpAgent.freeSockets).flat()).toHaveLength(1);

    const arrived = once(web, 'request');
    const answer = errorOf(client.get(urlOf('/headers')));
    await arrived;
    await clock.advance(7_000);
    expect(Object.values(httpAgent.sockets).flat()).toHaveLength(1);
    await clock.advance(3_000);
    const error = await answer;
    expect(timeoutPhaseOf(error)).toBe('read');
    expect((error as Error).message).toBe('The connection was silent for the 8 s of timeout "stock".');
    expect(clock.pending).toBe(0);
  });

  it('TO-10 an attempt takes no longer than `request`, and the numbers have the defaults of the starting system', () => {
    const { http } = new TimeoutPolicy('stock', {});
    expect([http.connectMs, http.readMs, http.requestMs]).toEqual([3_000, 30_000, 60_000]);
    expect(new TimeoutPolicy('stock', { request: '5s' }).stats().currentTimeoutMs).toBe(5_000);
    const short = new TimeoutPolicy('stock', '1s').http;
    expect([short.connectMs, short.readMs, short.requestMs]).toEqual([1_000, 1_000, 1_000]);
    expect(new TimeoutPolicy('stock', { total: '9s', connect: '1s' }).boundsAttempts).toBe(true);
  });

  it.each<[TimeoutOptions, string]>([
    [{ connect: '5s', request: '2s' }, '"connect" of 5000 ms is above the 2000 ms of the whole request.'],
    [{ read: '5s', duration: '2s' }, '"read" of 5000 ms is above the 2000 ms of the whole request.'],
    [{ connect: 0 }, '"connect"'],
  ])('TO-10 refuses %j', (options, message) => {
    const build = () => new TimeoutPolicy('stock', options);
    expect(build).toThrow(InvalidOptionsError);
    expect(build).toThrow(message);
  });

  it('TO-10 tells the phases apart by what clients throw', () => {
    const withCode = (code: string, more = {}) => Object.assign(new Error(code), { code, ...more });
    expect(timeoutPhaseOf(new TypeError('x', { cause: withCode('UND_ERR_CONNECT_TIMEOUT') }))).toBe(
      'connect',
    );
    expect(timeoutPhaseOf(withCode('ETIMEDOUT', { syscall: 'connect' }))).toBe('connect');
    expect(timeoutPhaseOf(withCode('ETIMEDOUT'))).toBe('request');
    expect(timeoutPhaseOf(withCode('UND_ERR_BODY_TIMEOUT'))).toBe('read');
    expect(timeoutPhaseOf(withCode('ECONNREFUSED'))).toBeUndefined();
    expect(timeoutPhaseOf(undefined)).toBeUndefined();
  });
});
