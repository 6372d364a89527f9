// npm run demo: drives a running sample through everything that the library does, and says what was expected and seen.
import { launch } from './launch.js';
import { Narrator } from './narrator.js';
import { SampleClient } from './sample-client.js';
import type { Step } from './step.js';
import { budgetStep } from './steps/budget.step.js';
import { bulkheadStep } from './steps/bulkhead.step.js';
import { chaosStep } from './steps/chaos.step.js';
import { circuitStep } from './steps/circuit.step.js';
import { drainStep } from './steps/drain.step.js';
import { failoverStep } from './steps/failover.step.js';
import { fallbackStep } from './steps/fallback.step.js';
import { gameDayStep } from './steps/game-day.step.js';
import { idempotencyStep } from './steps/idempotency.step.js';
import { rateLimitStep } from './steps/rate-limit.step.js';
import { sharedLimitStep } from './steps/shared-limit.step.js';
import { timeoutStep } from './steps/timeout.step.js';

const STEPS: readonly Step[] = [
  circuitStep,
  budgetStep,
  bulkheadStep,
  rateLimitStep,
  timeoutStep,
  fallbackStep,
  idempotencyStep,
  chaosStep,
  gameDayStep,
  failoverStep,
  sharedLimitStep,
  drainStep,
];

const startedAt = performance.now();
const { client, stop } = await sampleToDrive();
const narrator = new Narrator();
for (const [index, step] of STEPS.entries()) {
  narrator.step(index + 1, STEPS.length, step.title);
  try {
    await step.run(client, narrator);
  } catch (error) {
    narrator.fail(error);
  }
}
await stop();
process.exitCode = narrator.conclude(performance.now() - startedAt) ? 0 : 1;

/** The one of `SAMPLE_URL` and `ADMIN_TOKEN`, else one of our own. */
async function sampleToDrive(): Promise<{ client: SampleClient; stop(): Promise<void> }> {
  const { SAMPLE_URL: url, ADMIN_TOKEN: token } = process.env;
  if (url === undefined || url === '') {
    console.log('Starting a sample of its own; SAMPLE_URL and ADMIN_TOKEN name another one.');
    return launch();
  }
  if (token === undefined || token === '') {
    console.error('SAMPLE_URL needs ADMIN_TOKEN: the token that the sample has printed.');
    process.exit(2);
  }
  console.log(`Driving the sample at ${url}. Steps that end a process start one of their own.`);
  return { client: new SampleClient(url.replace(/\/$/, ''), token), stop: async () => {} };
}
