// What ten thousand breakers cost while nobody calls them, in percent of a core; each in a process of its own, so that no
// timers of others run there.
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CircuitBreakerPolicy } from 'nestjs-breakwater';
import { measuredApart } from './apart.mjs';
import { cockatielBreaker } from './cockatiel.mjs';
import { Opossum } from './peers/index.mjs';

const BREAKERS = 10_000;
const SPAN_MS = 5_000;
const self = fileURLToPath(import.meta.url);
const work = async () => 42;

const makers = {
  'a process with nothing in it': () => undefined,
  'nestjs-breakwater': (name) => new CircuitBreakerPolicy(name),
  'cockatiel 3': cockatielBreaker,
  'opossum 9': (name) => new Opossum(work, { name }),
};

export function idle() {
  const cases = Object.keys(makers).map((name) => [name, measuredApart(self, name)]);
  return [{ title: '10,000 idle circuit breakers, percent of a core', target: '0', unit: '%', cases }];
}

async function percentOfCore(make) {
  const breakers = Array.from({ length: BREAKERS }, (_, i) => make(`breaker-${i}`));
  for (const breaker of breakers) await (breaker?.execute ?? breaker?.fire)?.call(breaker, work);
  // What making them has left to do is not what they cost.
  globalThis.gc();
  await sleep(500);
  const before = process.cpuUsage();
  await sleep(SPAN_MS);
  const { user, system } = process.cpuUsage(before);
  return breakers.length === BREAKERS ? (user + system) / 10 / SPAN_MS : Number.NaN;
}

if (process.argv[1] === self) {
  console.log(await percentOfCore(makers[process.argv[2]]));
  // Timers of others would keep it alive.
  process.exit();
}
