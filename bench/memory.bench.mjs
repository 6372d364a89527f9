// What things weigh: bytes per key of a rate limit, per idle breaker, and per call. Needs node --expose-gc.
import {
  CircuitBreakerPolicy,
  Pipeline,
  RateLimitPolicy,
  RetryPolicy,
  BulkheadPolicy,
  SystemClock,
  TimeoutPolicy,
} from 'nestjs-breakwater';
import { Opossum, RateLimiterMemory, cockatiel } from './peers/index.mjs';

const work = async () => 42;

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

async function bytesPerCall(run) {
  const calls = 20_000;
  for (let i = 0; i < 5_000; i++) await run();
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < calls; i++) await run();
  return (process.memoryUsage().heapUsed - before) / calls;
}

export async function weigh() {
  const KEYS = 100_000;
  const names = Array.from({ length: KEYS }, (_, i) => `user:${i}`);
  const BREAKERS = 10_000;
  const guarded = new Pipeline(
    'bench',
    [
      new RetryPolicy('r'),
      new CircuitBreakerPolicy('b'),
      new TimeoutPolicy('t', '10s'),
      new BulkheadPolicy('k'),
    ],
    new SystemClock(),
  ).wrap(work);
  const wrapped = cockatiel.wrap(
    cockatiel.retry(cockatiel.handleAll, { maxAttempts: 3 }),
    cockatiel.circuitBreaker(cockatiel.handleAll, {
      halfOpenAfter: 60_000,
      breaker: new cockatiel.ConsecutiveBreaker(5),
    }),
    cockatiel.timeout(10_000, cockatiel.TimeoutStrategy.Cooperative),
    cockatiel.bulkhead(100, 200),
  );
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
        [
          'cockatiel 3',
          bytesEach(BREAKERS, () =>
            names.slice(0, BREAKERS).map(() =>
              cockatiel.circuitBreaker(cockatiel.handleAll, {
                halfOpenAfter: 60_000,
                breaker: new cockatiel.ConsecutiveBreaker(5),
              }),
            ),
          ),
        ],
        [
          'opossum 9',
          bytesEach(BREAKERS, () => names.slice(0, BREAKERS).map((name) => new Opossum(work, { name }))),
        ],
      ],
    },
    {
      title: 'Bytes allocated per call, full stack, success',
      target: '≤ 1,500',
      cases: [
        ['pass-through async wrapper', await bytesPerCall(async () => await work())],
        ['nestjs-breakwater', await bytesPerCall(() => guarded())],
        ['cockatiel 3', await bytesPerCall(() => wrapped.execute(work))],
      ],
    },
  ];
}
