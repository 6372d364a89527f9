import { tally, type Step } from '../step.js';

const ASKED = 250;
const BURST = 100;
const PER_SECOND = 10;

/** The token bucket `demo_api`: 100 at once, then 10 per second. */
export const rateLimitStep: Step = {
  title: 'A rate limit',
  async run(sample, narrator) {
    await sample.reset('rateLimiters', 'demo_api');
    const startedAt = performance.now();
    const answers = await Promise.all(
      Array.from({ length: ASKED }, () => sample.post('/api/resilience/protected-endpoint')),
    );
    const seconds = (performance.now() - startedAt) / 1_000;
    const passed = answers.filter(({ status }) => status === 200).length;
    const most = BURST + Math.ceil(PER_SECOND * seconds);
    narrator.check(
      `of ${ASKED} requests at once ${BURST} pass, up to ${most} with what comes back meanwhile, and the others get 429`,
      tally(answers.map(({ status }) => status)),
      passed >= BURST && passed <= most && answers.every(({ status }) => status === 200 || status === 429),
    );
    const refused = answers.find(({ status }) => status === 429);
    narrator.check(
      'a body that says so, and Retry-After',
      `${JSON.stringify(refused?.body)}, Retry-After: ${refused?.headers.get('retry-after')}`,
      refused?.body['retry_after'] === 60 && refused.headers.get('retry-after') !== null,
    );
    await sample.reset('rateLimiters', 'demo_api');
  },
};
