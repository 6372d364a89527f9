import { milliseconds, tally, type Step } from '../step.js';

interface TimeoutStats {
  readonly currentTimeoutMs: number;
}

/** The timeout `quotes`: 1.5 times what 95 of 100 calls take, between 50 ms and 2 s. */
export const timeoutStep: Step = {
  title: 'An adaptive timeout follows what calls take',
  async run(sample, narrator) {
    const current = async () => (await sample.stats<TimeoutStats>('timeouts', 'quotes')).currentTimeoutMs;
    const ask = async (times: number, sku: string) => {
      const levels: string[] = [];
      for (let i = 0; i < times; i++) {
        const { body } = await sample.get(`/quotes/${sku}`);
        levels.push(String(body['level']));
        narrator.progress(`${i + 1} of ${times} quotes; the timeout is ${milliseconds(await current())}`);
      }
      return levels;
    };
    await sample.reset('timeouts', 'quotes');
    const first = await current();
    narrator.check('2 s while nothing is known', milliseconds(first), first === 2_000);

    await ask(60, 'quick');
    const quick = await current();
    narrator.check('much less once 60 quick calls are known', milliseconds(quick), quick < 1_000);

    narrator.say('The service becomes slower: 400 ms for each answer.');
    await sample.upstream('primary', { latencyMs: 400 });
    const levels = await ask(60, 'slow');
    await sample.upstream('primary', { latencyMs: 0 });
    const slow = await current();
    narrator.check(
      'it rises until slow answers fit, and the replica answers until then',
      `${milliseconds(slow)}; answers: ${tally(levels)}`,
      slow >= 400 && levels.slice(-10).includes('primary'),
    );
    await sample.reset('timeouts', 'quotes');
  },
};
