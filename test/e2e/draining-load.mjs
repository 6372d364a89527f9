// Load from a process of its own: so many keep-alive connections, each asking again and again, next to somebody who asks
// for readiness and liveness as a load balancer does. It sends SIGTERM itself, so that it knows what was sent before and
// what after, and stops as a load balancer would: a little after readiness has turned down, or when something is very wrong.
// Prints what it saw as JSON.
import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const MOST_FAILURES = 1_000;
const LONGEST_MS = 150_000;

const { url, path, pid, connections, warmUp, afterwards } = JSON.parse(process.argv[2]);
const agent = new Agent({ keepAlive: true, maxSockets: connections });

const seen = {
  servedBefore: 0,
  servedAfter: 0,
  failed: [],
  /** `Connection` of answers that were sent after readiness had turned down. */
  connection: {},
  ready: [],
  live: [],
  signalledAt: undefined,
  unreadyAt: undefined,
  /** How long the slowest answer took: no signal waits longer in that process than a request. */
  slowestMs: 0,
};

const isHopeless = () => seen.failed.length > MOST_FAILURES || performance.now() > LONGEST_MS;

function ask(at, options) {
  const askedAt = performance.now();
  return new Promise((resolve) => {
    get(`${url}${at}`, options, (response) => {
      response.resume();
      response.once('end', () => {
        seen.slowestMs = Math.max(seen.slowestMs, performance.now() - askedAt);
        resolve({ status: response.statusCode, connection: response.headers.connection });
      });
      response.once('error', (error) => resolve({ status: error.code }));
    }).once('error', (error) => resolve({ status: error.code }));
  });
}

async function user() {
  for (let left = afterwards; left > 0 && !isHopeless();) {
    const unready = seen.unreadyAt !== undefined;
    if (unready) left--;
    const { status, connection } = await ask(path, { agent });
    if (status !== 200) seen.failed.push(status);
    else if (seen.signalledAt === undefined) seen.servedBefore++;
    else seen.servedAfter++;
    if (unready) seen.connection[connection] = (seen.connection[connection] ?? 0) + 1;
    if (seen.signalledAt === undefined && seen.servedBefore >= warmUp) {
      process.kill(pid, 'SIGTERM');
      seen.signalledAt = performance.now();
    }
  }
}

/** Asks until nobody answers any more. */
async function balancer() {
  while (!isHopeless()) {
    const sentAt = performance.now();
    const [ready, live] = await Promise.all([ask('/health/ready'), ask('/health/live')]);
    if (ready.status === 503) seen.unreadyAt ??= performance.now();
    const sentAfterMs = seen.signalledAt === undefined ? -1 : sentAt - seen.signalledAt;
    seen.ready.push({ status: ready.status, sentAfterMs });
    seen.live.push(live.status);
    if (typeof ready.status === 'string' && typeof live.status === 'string') return;
    await delay(5);
  }
}

await Promise.all([balancer(), ...Array.from({ length: connections }, user)]);
agent.destroy();
process.stdout.write(JSON.stringify(seen));
