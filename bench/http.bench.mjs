// What protection costs a handler, over real sockets: requests per second of one handler in several dresses. The server
// and the load each have a process, and a core.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { autocannon } from './peers/index.mjs';
import { median } from './rounds.mjs';

const ROUNDS = 5;
const SECONDS = 2;
const keys = Array.from({ length: 1000 }, (_, i) => ({ headers: { 'x-key': `tenant-${i}` } }));
const DRESSES = [
  { name: 'bare handler', path: '/bare' },
  { name: '@RateLimit({ by }), one key', path: '/limited', requests: [{ headers: { 'x-key': 'one' } }] },
  { name: '@RateLimit({ by }), 1,000 keys', path: '/limited', requests: keys },
  { name: 'breaker called by hand in the handler', path: '/plain' },
  { name: 'an empty interceptor', path: '/empty' },
  { name: '@CircuitBreaker on the handler', path: '/broken' },
];

async function load(port, { path, requests = [{}] }) {
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: 32,
    duration: SECONDS,
    requests: requests.map((request) => ({ method: 'GET', path, ...request })),
  });
  if (result.non2xx > 0) throw new Error(`${path} answered ${result.non2xx} times with an error.`);
  return result.requests.average;
}

export async function overHttp() {
  const tables = [];
  for (const platform of ['Fastify', 'Express']) {
    const server = fork(fileURLToPath(new URL('./http-server.mjs', import.meta.url)), [platform]);
    const [port] = await once(server, 'message');
    const samples = DRESSES.map(() => []);
    for (const dress of DRESSES) await load(port, dress);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, dress] of DRESSES.entries()) samples[i].push(await load(port, dress));
    }
    server.disconnect();
    tables.push({
      title: `HTTP, Nest on ${platform}`,
      cases: DRESSES.map(({ name }, i) => [name, median(samples[i])]),
    });
  }
  return tables;
}
