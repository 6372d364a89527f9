import { once } from 'node:events';
import { Agent as HttpAgent, createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { Agent as HttpsAgent, createServer as createHttpsServer } from 'node:https';
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net';
import type { Readable } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import axios, { AxiosError } from 'axios';
import { Agent, fetch } from 'undici';
import { InvalidOptionsError, TimeoutExceededError } from '../../../lib/core/errors.js';
import { EventHub, type PolicyEvent } from '../../../lib/core/events.js';
import { TimeoutPolicy, timeoutPhaseOf, type TimeoutOptions } from '../../../lib/policies/timeout/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

const errorOf = (call: Promise<unknown>) => call.catch((error: unknown) => error);

const BIG = 30_000_000;
/** Each short one is among others that are not, so that a machine that pauses cannot make it another's turn. */
const LONG = { connect: '30s', read: '30s', request: '60s' } as const;

/** Takes connections and says nothing, so that a TLS handshake never ends. */
let silent: Server;
const held = new Set<Socket>();
/**
 * `/` answers, `/headers` never does, `/body` stops in the middle, `/slow` sends a byte again and again, `/big` sends more
 * than fits into all buffers on the way.
 */
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
    if (request.url === '/big') response.end(Buffer.alloc(BIG));
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

/** TLS without certificates: both sides know a key. */
const SHARED_KEY = {
  ciphers: 'PSK-AES128-GCM-SHA256',
  maxVersion: 'TLSv1.2',
  checkServerIdentity: () => undefined,
  pskCallback: () => ({ identity: 'test', psk: Buffer.alloc(16, 1) }),
} as const;

/** Sockets that an agent gives out when they are connected already, as one does that comes through a proxy. */
async function connectedTo(server: Server): Promise<Socket> {
  const socket = connect(port(server), '127.0.0.1');
  held.add(socket.on('error', () => undefined));
  await once(socket, 'connect');
  return socket;
}

/** Gives out one socket: at once, or later. */
class OneSocketAgent extends HttpAgent {
  constructor(
    private readonly socket: Socket,
    private readonly how: 'returned' | 'handed over later' | 'both',
  ) {
    super();
  }

  override createConnection(...[, callback]: Parameters<HttpAgent['createConnection']>) {
    if (this.how !== 'returned') setImmediate(() => callback?.(null, this.socket));
    return this.how === 'handed over later' ? undefined : this.socket;
  }
}

describe('the timeouts of HTTP clients', () => {
  it('TO-10 connect, read and request configure undici and fetch from one policy and are reported apart', async () => {
    const events = new EventHub();
    const seen: PolicyEvent[] = [];
    events.listen((event) => seen.push(event));
    const timeout = new TimeoutPolicy('stock', LONG, { events });
    const get = async (url: string) => {
      await agent?.destroy();
      agent = new Agent({ ...timeout.http.undici() });
      return timeout.execute(async ({ signal }) => {
        const response = await fetch(url, { signal, dispatcher: agent as Agent });
        return await response.text();
      });
    };

    await expect(get(urlOf('/'))).resolves.toBe('fine');
    timeout.update({ ...LONG, connect: 40 });
    const connect = await errorOf(get(`https://127.0.0.1:${port(silent)}/`));
    timeout.update({ ...LONG, read: 60 });
    const headers = await errorOf(get(urlOf('/headers')));
    const body = await errorOf(get(urlOf('/body')));
    timeout.update({ connect: 1_000, read: 1_000, request: 1_000 });
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
      ['timed-out', 'attempt', 1_000],
    ]);
  });

  it('TO-10 connect, read and request configure axios from the same policy', async () => {
    const timeout = new TimeoutPolicy('stock', LONG);
    const get = (url: string) => {
      const client = axios.create({ ...timeout.http.axios(agents()) });
      return timeout.execute(async ({ signal }) => (await client.get<string>(url, { signal })).data);
    };

    await expect(get(urlOf('/'))).resolves.toBe('fine');
    timeout.update({ ...LONG, connect: 40 });
    const connect = await errorOf(get(`https://127.0.0.1:${port(silent)}/`));
    timeout.update({ ...LONG, read: 60 });
    const headers = await errorOf(get(urlOf('/headers')));
    const body = await errorOf(get(urlOf('/body')));
    timeout.update({ connect: 1_000, read: 1_000, request: 1_000 });
    const request = await errorOf(get(urlOf('/slow')));

    expect([connect, headers, body, request].map(timeoutPhaseOf)).toEqual([
      'connect',
      'read',
      'read',
      'request',
    ]);
    expect(timeout.stats().timedOutByPhase).toEqual({ connect: 1, read: 2, request: 1 });
  });

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

  it.each(['returned', 'handed over later', 'both'] as const)(
    'TO-10 watches a socket that is connected already and is %s',
    async (how) => {
      const clock = new ManualClock();
      const timeout = new TimeoutPolicy('stock', { connect: 1_000, read: 8_000, request: '1h' }, { clock });
      const socket = await connectedTo(web);
      const { httpAgent } = timeout.http.axios({ ...agents(), httpAgent: new OneSocketAgent(socket, how) });

      const arrived = once(web, 'request');
      const answer = errorOf(axios.create({ httpAgent }).get(urlOf('/headers')));
      await arrived;
      expect(clock.pending).toBe(1);
      await clock.advance(7_000);
      expect(socket.destroyed).toBe(false);
      await clock.advance(3_000);
      expect(timeoutPhaseOf(await answer)).toBe('read');
      expect(clock.pending).toBe(0);
    },
  );

  it('TO-10 with TLS a connected socket is there when it has shaken hands', async () => {
    const clock = new ManualClock();
    const timeout = new TimeoutPolicy('stock', { connect: 1_000, read: 8_000, request: '1h' }, { clock });
    const secure = createHttpsServer({
      ...SHARED_KEY,
      pskCallback: () => SHARED_KEY.pskCallback().psk,
    });
    secure.listen(0, '127.0.0.1');
    await once(secure, 'listening');
    const requestOver = async (server: Server, ready: (socket: TLSSocket) => Promise<unknown>) => {
      const socket = connectTls({ ...SHARED_KEY, socket: await connectedTo(server) });
      await ready(socket.on('error', () => undefined));
      const { httpAgent } = timeout.http.axios({
        ...agents(),
        httpAgent: new OneSocketAgent(socket, 'returned'),
      });
      return errorOf(axios.create({ httpAgent }).get(urlOf('/headers')));
    };

    const arrived = once(secure, 'request');
    const ready = requestOver(secure, (socket) => once(socket, 'secureConnect'));
    await arrived;
    const arrivedLater = once(secure, 'request');
    const pending = requestOver(secure, () => Promise.resolve());
    await arrivedLater;
    const never = requestOver(silent, () => Promise.resolve());
    while (clock.pending < 3) await new Promise(setImmediate);

    await clock.advance(1_000);
    expect(timeoutPhaseOf(await never)).toBe('connect');
    await clock.advance(6_000);
    expect(clock.pending).toBe(2);
    await clock.advance(3_000);
    expect([await ready, await pending].map(timeoutPhaseOf)).toEqual(['read', 'read']);
    await new Promise((resolve) => secure.close(resolve));
  });

  it('TO-10 refuses agents that have no connections of their own to watch', () => {
    const timeout = new TimeoutPolicy('stock');
    // As those of agent-base were before version 7.
    const old = { addRequest: () => undefined, freeSockets: {} } as unknown as HttpsAgent;
    const configure = () => timeout.http.axios({ httpAgent: old, httpsAgent: old });
    expect(configure).toThrow(InvalidOptionsError);
    expect(configure).toThrow(
      'timeout "stock": "httpAgent" must be an agent that is built on those of node:http',
    );
    expect(configure).toThrow('timeout "stock": "httpsAgent" must be');
  });

  it('TO-10 a reader who takes its time is no silence of the server', async () => {
    const clock = new ManualClock();
    const timeout = new TimeoutPolicy('stock', { connect: 1_000, read: 8_000, request: '1h' }, { clock });
    const { httpAgent } = timeout.http.axios(agents());
    const { data } = await axios
      .create({ httpAgent })
      .get<Readable>(urlOf('/big'), { responseType: 'stream' });
    const [socket] = Object.values(httpAgent.sockets).flat() as Socket[];
    while (socket?.isPaused() === false) await new Promise(setImmediate);

    for (let i = 0; i < 60; i++) await clock.advance(1_000);
    let bytes = 0;
    for await (const chunk of data) bytes += (chunk as Buffer).length;
    expect(bytes).toBe(BIG);
    httpAgent.destroy();
  });

  it('TO-10 axios has `request` where the policy bounds attempts by more, and comes after it where by as much', async () => {
    const events = new EventHub();
    const seen: PolicyEvent[] = [];
    events.listen((event) => seen.push(event));
    const clock = new ManualClock();
    const timeout = new TimeoutPolicy('stock', { duration: '1h', request: 60 }, { events, clock });
    const client = axios.create({ ...timeout.http.axios(agents()) });
    const error = await errorOf(timeout.execute(() => client.get(urlOf('/headers'))));
    expect(timeoutPhaseOf(error)).toBe('request');
    expect(timeout.stats()).toMatchObject({
      failedAttempts: 1,
      timedOutAttempts: 0,
      timedOutByPhase: { connect: 0, read: 0, request: 1 },
    });
    expect(seen.map(({ type, details }) => [type, details])).toEqual([
      ['timed-out', { scope: 'request', limitMs: 60, error }],
    ]);
    timeout.reset();
    expect(timeout.stats().timedOutByPhase.request).toBe(0);

    const millisecondsOf = (options: TimeoutOptions) =>
      new TimeoutPolicy('stock', options).http.axios(agents()).timeout;
    expect(millisecondsOf({ request: 60 })).toBe(1_060);
    expect(millisecondsOf({ duration: '2s' })).toBe(3_000);
    expect(millisecondsOf({ total: '5s' })).toBe(6_000);
    expect(millisecondsOf({ duration: '2s', request: '5s' })).toBe(5_000);
    expect(millisecondsOf({ duration: '2s', request: '1s' })).toBe(1_000);
    expect(millisecondsOf({ duration: '2s', adaptive: { max: '8s' } })).toBe(2_000);
    expect(millisecondsOf({ duration: '2s', adaptive: { max: '1s' } })).toBe(3_000);
  });

  it('TO-10 a timeout of another policy, or of the whole call, is not taken for one of the client', async () => {
    const clock = new ManualClock();
    const timeout = new TimeoutPolicy('stock', { duration: '2s', total: '3s', connect: '1s' }, { clock });
    for (const scope of ['attempt', 'total', 'connect', 'read'] as const) {
      const error = new TimeoutExceededError('too late', { policy: 'another' }, scope);
      await errorOf(timeout.execute(() => Promise.reject(error)));
    }
    const ofWholeCall = new TimeoutExceededError('too late', { policy: 'stock' }, 'total');
    await errorOf(timeout.execute(() => Promise.reject(ofWholeCall)));
    expect(timeout.stats()).toMatchObject({
      failedAttempts: 5,
      timedOutByPhase: { connect: 0, read: 0, request: 0 },
    });
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
    const ofSystem = withCode('ETIMEDOUT', { syscall: 'connect' });
    const ofAllAddresses = Object.assign(new AggregateError([ofSystem], ''), { code: 'ETIMEDOUT' });
    expect(timeoutPhaseOf(AxiosError.from(ofSystem))).toBe('connect');
    expect(timeoutPhaseOf(ofAllAddresses)).toBe('connect');
    expect(timeoutPhaseOf(AxiosError.from(ofAllAddresses))).toBe('connect');
    expect(timeoutPhaseOf(new TypeError('fetch failed', { cause: ofAllAddresses }))).toBe('connect');
    expect(timeoutPhaseOf(withCode('ETIMEDOUT', { errors: [withCode('ETIMEDOUT'), new Error('x')] }))).toBe(
      'request',
    );
    expect(timeoutPhaseOf(withCode('UND_ERR_BODY_TIMEOUT'))).toBe('read');
    expect(timeoutPhaseOf(withCode('ECONNREFUSED'))).toBeUndefined();
    expect(timeoutPhaseOf(undefined)).toBeUndefined();
  });
});
