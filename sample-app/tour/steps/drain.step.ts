import { setTimeout as delay } from 'node:timers/promises';
import { launch } from '../launch.js';
import type { SampleClient } from '../sample-client.js';
import { milliseconds, resolvePath, tally, until, type Step } from '../step.js';

const CLIENTS = 20;
const READINESS_DELAY_MS = 5_000;
/** How long it takes a load balancer to look away. */
const NOTICED_AFTER_MS = 1_000;

/** What became of a request: its status, or that it broke. */
type Outcome = number | 'broken';

/** A sample gets SIGTERM while twenty clients ask it. */
export const drainStep: Step = {
  title: 'A drain under load',
  async run(_, narrator) {
    narrator.say(`Starting a sample; ${CLIENTS} clients ask it without a pause.`);
    const { client, process: child, ended } = await launch({ READINESS_DELAY: `${READINESS_DELAY_MS}ms` });
    const before: Outcome[] = [];
    const after: Outcome[] = [];
    let toldAt = Number.POSITIVE_INFINITY;
    const ask = async () => {
      while (performance.now() < toldAt + NOTICED_AFTER_MS) {
        const outcomes = performance.now() < toldAt ? before : after;
        outcomes.push(await outcomeOf(client, resolvePath()));
        narrator.progress(`${before.length} requests before, ${after.length} after the signal`);
      }
    };
    const clients = Array.from({ length: CLIENTS }, ask);
    await delay(1_000);
    toldAt = performance.now();
    child.kill('SIGTERM');
    let ready: Outcome = 200;
    await until(async () => {
      ready = await outcomeOf(client, '/health/ready');
      return ready !== 200;
    }, READINESS_DELAY_MS);
    const noticedMs = performance.now() - toldAt;
    await Promise.all(clients);
    const code = await ended;
    const tookMs = performance.now() - toldAt;
    narrator.check(
      '/health/ready answers 503 at once',
      `${ready} after ${milliseconds(noticedMs)}`,
      ready === 503,
    );
    narrator.check(
      `all are served, before the signal and for the ${milliseconds(NOTICED_AFTER_MS)} until the clients look away`,
      `before: ${tally(before)}; after: ${tally(after)}`,
      after.includes(200) && [...before, ...after].every((outcome) => outcome === 200),
    );
    narrator.check('it ends with 0', `${code} after ${milliseconds(tookMs)}`, code === 0);
  },
};

async function outcomeOf(client: SampleClient, path: string): Promise<Outcome> {
  try {
    return (await client.get(path)).status;
  } catch {
    return 'broken';
  }
}
