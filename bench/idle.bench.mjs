// What ten thousand breakers cost while nobody calls them, in percent of a core.
import { setTimeout as sleep } from 'node:timers/promises';
import { CircuitBreakerPolicy } from 'nestjs-breakwater';
import { Opossum, cockatiel } from './peers/index.mjs';

const BREAKERS = 10_000;
const SPAN_MS = 5_000;
const work = async () => 42;

async function percentOfCore(kept) {
  // What making them has left to do is not what they cost.
  globalThis.gc();
  await sleep(500);
  const before = process.cpuUsage();
  await sleep(SPAN_MS);
  const { user, system } = process.cpuUsage(before);
  return kept.length === 0 ? Number.NaN : (user + system) / 10 / SPAN_MS;
}

const made = (make) => Array.from({ length: BREAKERS }, (_, i) => make(`breaker-${i}`));

export async function idle() {
  const cases = [['a process with nothing in it', await percentOfCore([0])]];
  const ours = made((name) => new CircuitBreakerPolicy(name));
  for (const breaker of ours) await breaker.execute(work);
  cases.push(['nestjs-breakwater', await percentOfCore(ours)]);
  const cockatiels = made(() =>
    cockatiel.circuitBreaker(cockatiel.handleAll, {
      halfOpenAfter: 60_000,
      breaker: new cockatiel.ConsecutiveBreaker(5),
    }),
  );
  cases.push(['cockatiel 3', await percentOfCore(cockatiels)]);
  const opossums = made((name) => new Opossum(work, { name }));
  cases.push(['opossum 9', await percentOfCore(opossums)]);
  for (const breaker of opossums) breaker.shutdown();
  return [{ title: '10,000 idle circuit breakers, percent of a core', target: '0', unit: '%', cases }];
}
