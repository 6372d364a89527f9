import { launch } from '../launch.js';
import { findRedis } from '../redis-server.js';
import type { SampleClient } from '../sample-client.js';
import { tally, type Step } from '../step.js';

const CLIENTS_EACH = 5;
const ASKED_BY_CLIENT = 20;
const ASKED_EACH = CLIENTS_EACH * ASKED_BY_CLIENT;
const BURST = 100;
const PER_SECOND = 10;

/** Two processes, one Redis, one token bucket. */
export const sharedLimitStep: Step = {
  title: 'Two processes share one rate limit',
  async run(_, narrator) {
    const redis = await findRedis();
    if (redis === undefined) {
      narrator.skip('there is no Redis: REDIS_URL names one, or install redis-server.');
      return;
    }
    narrator.say('Starting two samples on one Redis.');
    const environment = { REDIS_URL: redis.url };
    const instances = await Promise.all([launch(environment), launch(environment)]);
    try {
      const startedAt = performance.now();
      const statuses = await Promise.all(instances.map(({ client }) => askMuch(client)));
      const seconds = (performance.now() - startedAt) / 1_000;
      const passed = statuses.flat().filter((status) => status === 200).length;
      const most = BURST + Math.ceil(PER_SECOND * seconds);
      narrator.check(
        `${ASKED_EACH} requests to each: ${BURST} to ${most} pass in all, as with one process`,
        `${passed} in all; ${statuses.map((each, index) => `process ${index + 1}: ${tally(each)}`).join('; ')}`,
        passed >= BURST && passed <= most,
      );
    } finally {
      await Promise.all(instances.map(({ stop }) => stop()));
      redis.stop();
    }
  },
};

/** A few clients, each with one request after the other; what they were answered. */
async function askMuch(sample: SampleClient): Promise<number[]> {
  const statuses: number[] = [];
  const ask = async () => {
    for (let i = 0; i < ASKED_BY_CLIENT; i++) {
      const { status } = await sample.post('/api/resilience/protected-endpoint');
      statuses.push(status);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS_EACH }, ask));
  return statuses;
}
