import { launch } from '../launch.js';
import { milliseconds, resolvePath, until, type Step } from '../step.js';

const PROMISED_MS = 10_000;
const RETURNED_MS = 60_000;

/** A sample with a replica loses its database. */
export const failoverStep: Step = {
  title: 'The primary dies: how long until the replica answers',
  async run(_, narrator) {
    narrator.say('Starting a sample with a replica.');
    const { client, stop } = await launch({ REPLICA_URL: 'embedded' });
    try {
      await client.change('circuitBreakers', 'database', { openDuration: '1s' });
      const before = await client.get(resolvePath());
      narrator.check(
        'the primary answers',
        `${before.status}, X-Degraded-Mode ${before.headers.get('x-degraded-mode')}`,
        before.status === 200 && !before.headers.has('x-degraded-mode'),
      );
      const diesAt = performance.now();
      const dying = client.operate('POST', '/operations/database/stop');
      let source: unknown;
      await until(async () => {
        // Who was still answered by the primary has filled the cache with it.
        await client.operate('DELETE', '/operations/cache');
        const answer = await client.get(resolvePath());
        source = answer.body['source'];
        return answer.status === 200 && source === 'replica';
      }, PROMISED_MS);
      const tookMs = performance.now() - diesAt;
      await dying;
      narrator.check(
        `the first answer of the replica within ${milliseconds(PROMISED_MS)}`,
        `from ${String(source)} after ${milliseconds(tookMs)}`,
        source === 'replica' && tookMs < PROMISED_MS,
      );

      narrator.say('The primary comes back.');
      await client.operate('POST', '/operations/database/start');
      const isBack = await until(async () => {
        const answer = await client.get(resolvePath());
        return answer.status === 200 && !answer.headers.has('x-degraded-mode');
      }, RETURNED_MS);
      narrator.check(
        'it answers again, with no mark',
        isBack ? 'so it is' : `still degraded after ${milliseconds(RETURNED_MS)}`,
        isBack,
      );
    } finally {
      await stop();
    }
  },
};
