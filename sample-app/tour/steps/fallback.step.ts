import type { Answer, SampleClient } from '../sample-client.js';
import type { Step } from '../step.js';

const PATH = '/quotes/fallback';

/** What is taken away, and which of the six levels answers then. */
const LEVELS: readonly (readonly [
  level: string,
  what: string,
  takeAway: (sample: SampleClient) => Promise<unknown>,
])[] = [
  ['primary', 'Everything is well.', async () => undefined],
  ['replica', 'The primary fails.', (sample) => sample.upstream('primary', { failurePercent: 100 })],
  [
    'distributed_cache',
    'So does the replica.',
    (sample) => sample.upstream('replica', { failurePercent: 100 }),
  ],
  ['local_cache', 'The cache is emptied.', (sample) => sample.operate('DELETE', '/operations/cache')],
  ['backup_service', "This instance's own memory, too.", (sample) => sample.reset('fallbacks', 'quotes')],
  [
    'default',
    'And the backup fails.',
    async (sample) => {
      await sample.upstream('backup', { failurePercent: 100 });
      await sample.operate('DELETE', '/operations/cache');
    },
  ],
];

/** Who answered, by the header; the primary does not need one. */
function levelOf({ headers }: Answer): string {
  return headers.get('x-degraded-level') ?? 'primary';
}

export const fallbackStep: Step = {
  title: 'Six levels of fallback, one by one',
  async run(sample, narrator) {
    await sample.reset('fallbacks', 'quotes');
    await sample.operate('DELETE', '/operations/cache');
    for (const [level, what, takeAway] of LEVELS) {
      await takeAway(sample);
      const answer = await sample.get(PATH);
      const seen = levelOf(answer);
      narrator.say(what);
      narrator.check(
        `200 from ${level}`,
        `${answer.status} from ${seen}`,
        answer.status === 200 && seen === level,
      );
    }
    for (const region of ['primary', 'replica', 'backup'])
      await sample.upstream(region, { failurePercent: 0 });
  },
};
