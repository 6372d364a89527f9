// What one more failure costs a breaker that has already seen many calls in its window.
import { CircuitBreakerPolicy } from 'nestjs-breakwater';
import { Opossum } from './peers/index.mjs';

const down = new Error('down');
const failing = async () => {
  throw down;
};
const swallow = (run) => async () => {
  try {
    await run();
  } catch {
    // what a failure costs is what is measured
  }
};

/** Nobody opens: the window has so many calls and a threshold that is never met. */
async function outage(calls) {
  const windows = [
    ['nestjs-breakwater', { calls }],
    ['nestjs-breakwater, time window', { duration: '10m' }],
  ].map(([name, window]) => {
    const options = { failureRatePercent: 100, window, minimumCalls: calls };
    return [name, new CircuitBreakerPolicy('bench', options)];
  });
  const opossum = new Opossum(async (fails) => (fails ? failing() : 42), {
    timeout: false,
    rollingCountTimeout: 3_600_000,
    rollingCountBuckets: 1,
    errorThresholdPercentage: 100,
  });
  for (let i = 0; i < calls; i++) {
    for (const [, breaker] of windows) await breaker.execute(async () => 42);
    await opossum.fire(false);
  }
  return [
    { name: 'await and catch one error', run: swallow(failing) },
    ...windows.map(([name, breaker]) => ({ name, run: swallow(() => breaker.execute(failing)) })),
    { name: 'opossum 9', run: swallow(() => opossum.fire(true)) },
  ];
}

export const rows = [1_000, 10_000].map((calls) => ({
  title: `Failing call with ${calls.toLocaleString('en')} calls in the window`,
  cases: () => outage(calls),
  rounds: 5,
  target: 'the same whatever the window holds',
}));
