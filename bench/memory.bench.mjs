// What things weigh: bytes per key of a rate limit, per idle breaker, and per call. Needs node --expose-gc.
import { fileURLToPath } from 'node:url';
import {
  CircuitBreakerPolicy,
  Pipeline,
  RateLimitPolicy,
  RetryPolicy,
  BulkheadPolicy,
  SystemClock,
  TimeoutPolicy,
} from 'nestjs-breakwater';
import { measuredApart } from './apart.mjs';
import { cockatielBreaker, cockatielStack } from './cockatiel.mjs';
import { Opossum, RateLimiterMemory } from './peers/index.mjs';

const self = fileURLToPath(import.meta.url);
const work = async () => 42;

const calls = {
  'pass-through async wrapper': () => async () => await work(),
  'nestjs-breakwater': () =>
    new Pipeline(
      'bench',
      [
        new RetryPolicy('r'),
        new CircuitBreakerPolicy('b'),
        new TimeoutPolicy('t', '10s'),
        new BulkheadPolicy('k'),
      ],
      new SystemClock(),
    ).wrap(work),
  'cockatiel 3': () => {
    const wrapped = cockatielStack();
    return () => wrapped.execute(work);
  },
};

function heapAfter(make) {
  globalThis.gc();
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  const kept = make();
  globalThis.gc();
  globalThis.gc();
  const used = process.memoryUsage().heapUsed - before;
  return { used, kept };
}

function bytesEach(count, make) {
  const { used, kept } = heapAfter(make);
  return kept === undefined ? Number.NaN : used / count;
}

/** In a process whose collector has no reason to run meanwhile: it would take away what is counted. */
function bytesPerCall(name) {
  return measuredApart(self, name, ['--min-semi-space-size=128', '--max-semi-space-size=128']);
}

async function countBytes(run) {
  const count = 2_000;
  for (let i = 0; i < 20_000; i++) await run();
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < count; i++) await run();
  return (process.memoryUsage().heapUsed - before) / count;
}

export function weigh() {
  const KEYS = 100_000;
  const names = Array.from({ length: KEYS }, (_, i) => `user:${i}`);
  const BREAKERS = 10_000;
  return [
    {
      title: 'Bytes per rate-limit key, 100,000 keys (names not counted)',
      target: '≤ 110',
      cases: [
        [
          'nestjs-breakwater',
          bytesEach(KEYS, () => {
            const policy = new RateLimitPolicy('bench', {
              capacity: 100,
              refillPerSecond: 0.001,
              maxKeys: KEYS,
            });
            for (const name of names) policy.decide(name);
            return policy;
          }),
        ],
        [
          'rate-limiter-flexible (memory)',
          bytesEach(KEYS, () => {
            const limiter = new RateLimiterMemory({ points: 100, duration: 3600 });
            for (const name of names) void limiter.consume(name);
            return limiter;
          }),
        ],
      ],
    },
    {
      title: 'Bytes per idle circuit breaker, 10,000 of them',
      target: '≤ 1,200',
      cases: [
        [
          'nestjs-breakwater',
          bytesEach(BREAKERS, () => names.slice(0, BREAKERS).map((name) => new CircuitBreakerPolicy(name))),
        ],
        ['cockatiel 3', bytesEach(BREAKERS, () => names.slice(0, BREAKERS).map(() => cockatielBreaker()))],
        [
          'opossum 9',
          bytesEach(BREAKERS, () => names.slice(0, BREAKERS).map((name) => new Opossum(work, { name }))),
        ],
      ],
    },
    {
      title: 'Bytes allocated per call, full stack, success',
      target: '≤ 1,500',
      cases: Object.keys(calls).map((name) => [name, bytesPerCall(name)]),
    },
  ];
}

if (process.argv[1] === self) {
  console.log(await countBytes(calls[process.argv[2]]()));
  process.exit();
}
