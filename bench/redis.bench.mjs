// What one decision of a rate limit costs that instances share, next to the libraries that do the same, and what a call
// waits for when the store is stopped. Needs redis-server; without it there are no such rows.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { RateLimitPolicy } from 'nestjs-breakwater';
import { redisState } from 'nestjs-breakwater/redis';
import { RateLimiterRedis, Redis, ThrottlerStorageRedisService } from './peers/index.mjs';

const IN_FLIGHT = 64;
const KEYS = Array.from({ length: 1_000 }, (_, i) => `user:${i}`);
/** What nobody waits for any longer. */
const PATIENCE_MS = 2_000;

const isThere = spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status === 0;

/** What asks the store, each by a client of its own. What is measured is the store, so that nobody gives it up early. */
async function setUp(timeout = '5s') {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  for await (const chunk of server.stdout) if (String(chunk).includes('Ready to accept connections')) break;
  const clients = [];
  const connect = () => {
    const client = new Redis(port, '127.0.0.1');
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  };
  const states = [];
  const ours = (options) => {
    const state = redisState(connect(), { app: 'bench', timeout });
    states.push(state);
    const limit = { capacity: 1e6, refillPerSecond: 1e6, ...options };
    return new RateLimitPolicy('bench', limit, { fleet: { state, size: 4 } });
  };
  const exact = ours({ shared: true });
  const leased = ours({ shared: { mode: 'leased' } });
  const flexible = new RateLimiterRedis({ storeClient: connect(), points: 1e9, duration: 3600 });
  const throttler = new ThrottlerStorageRedisService(connect());
  const plain = connect();
  const end = async () => {
    for (const state of states) await state.close();
    for (const client of clients) client.disconnect();
    server.kill('SIGCONT');
    server.kill('SIGKILL');
    await once(server, 'exit');
  };
  const ask = [
    ['PING, the floor', () => plain.ping()],
    ['nestjs-breakwater', (key) => exact.acquire(key)],
    ['nestjs-breakwater, leased', (key) => leased.acquire(key)],
    ['rate-limiter-flexible', (key) => flexible.consume(key)],
    ['@nest-lab/throttler-storage-redis', (key) => throttler.increment(key, 3_600_000, 1e9, 0, 'bench')],
  ];
  return { server, ask, end };
}

function decisions(keyCount) {
  let scene;
  return {
    title: `Redis: a decision that instances share, ${keyCount.toLocaleString('en')} key${keyCount === 1 ? '' : 's'}, ${IN_FLIGHT} in flight`,
    target: `exact ≤ 1.18 × PING and ahead of the others${keyCount === 1 ? '; leased ≤ 0.1 × PING' : ''}`,
    calls: IN_FLIGHT,
    async cases() {
      scene = await setUp();
      const keyOf = (i) => KEYS[i % keyCount];
      return scene.ask.map(([name, ask]) => ({
        name,
        run: (i) => Promise.all(Array.from({ length: IN_FLIGHT }, (_, j) => ask(keyOf(i * IN_FLIGHT + j)))),
      }));
    },
    end: () => scene.end(),
  };
}

export const rows = isThere ? [decisions(1), decisions(1_000)] : [];

/** Milliseconds that a call waits when the store is stopped: the first ones, and those that follow. */
export async function stopped() {
  if (!isThere) return [];
  const { server, ask, end } = await setUp('50ms');
  for (const [, one] of ask) await one('user:0');
  server.kill('SIGSTOP');
  const cases = [];
  for (const [name, one] of ask.slice(1)) {
    cases.push([`${name}, the first call`, await waited(one)]);
    for (let i = 0; i < 2; i++) await waited(one);
    cases.push([`${name}, the fourth`, await waited(one)]);
  }
  await end();
  const target = `the first at most 50, later ones nothing; given up after ${PATIENCE_MS.toLocaleString('en')}`;
  return [{ title: 'Redis stopped: what a call waits for', target, unit: 'ms', cases }];
}

async function waited(ask) {
  const begun = performance.now();
  let timer;
  const patience = new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE_MS)));
  await Promise.race([ask('user:1').catch(() => undefined), patience]);
  clearTimeout(timer);
  return performance.now() - begun;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
