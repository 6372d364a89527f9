// What one successful or refused call costs, next to the libraries that do the same.
import * as breakwater from 'nestjs-breakwater';
import { cockatielBreaker, cockatielStack } from './cockatiel.mjs';
import {
  Opossum,
  cockatiel,
  defer,
  lastValueFrom,
  mollitia,
  nestjsResilience,
  pLimit,
  pRetry,
} from './peers/index.mjs';

const work = async () => 42;
const failing = async () => {
  throw new Error('down');
};
const swallow = (run) => async () => {
  try {
    await run();
  } catch {
    // the refusal is what is measured
  }
};
const floor = [
  { name: 'bare await', run: work },
  { name: 'pass-through async wrapper', run: async () => await work() },
];
/** Statistics and events on: somebody listens, as an application with metrics does. */
const environment = () => {
  const events = new breakwater.EventHub();
  events.listen(() => undefined);
  return { events };
};
const ours = {
  breaker: (options) => new breakwater.CircuitBreakerPolicy('bench', options, environment()),
  retry: (options) => new breakwater.RetryPolicy('bench', options, environment()),
  bulkhead: (options) => new breakwater.BulkheadPolicy('bench', options, environment()),
  timeout: (options) => new breakwater.TimeoutPolicy('bench', options, environment()),
};

/** nestjs-resilience as its interceptor uses it: strategies around an observable. */
function nestjsStrategies(...strategies) {
  return () =>
    lastValueFrom(strategies.reduceRight((inner, one) => one.process(inner, 'bench'), defer(work)));
}

function fullStack() {
  const clock = new breakwater.SystemClock();
  const pipeline = new breakwater.Pipeline(
    'bench',
    [ours.retry({}), ours.breaker({}), ours.timeout('10s'), ours.bulkhead({})],
    clock,
  );
  const guarded = pipeline.wrap(work);
  const wrapped = cockatielStack();
  const opossum = new Opossum(work, { timeout: 10_000, capacity: 100 });
  const circuit = new mollitia.Circuit({
    func: work,
    options: {
      modules: [
        new mollitia.Retry({ attempts: 3 }),
        new mollitia.SlidingCountBreaker({}),
        new mollitia.Timeout({ delay: 10_000 }),
        new mollitia.Bulkhead({ concurrentSize: 100, queueSize: 200 }),
      ],
    },
  });
  return [
    { name: 'nestjs-breakwater', run: () => guarded() },
    { name: 'mollitia', run: () => circuit.execute() },
    { name: 'p-retry + opossum (with timeout and capacity)', run: () => pRetry(() => opossum.fire()) },
    { name: 'cockatiel 3', run: () => wrapped.execute(work) },
    {
      name: 'nestjs-resilience',
      run: nestjsStrategies(
        new nestjsResilience.RetryStrategy({ maxRetries: 3 }),
        new nestjsResilience.CircuitBreakerStrategy({ requestVolumeThreshold: 10 }),
        new nestjsResilience.TimeoutStrategy(10_000),
        new nestjsResilience.BulkheadStrategy({ maxConcurrent: 100, maxQueue: 200 }),
      ),
    },
  ];
}

function breakers() {
  const plain = ours.breaker({});
  const timed = ours.breaker({ slowCallRatePercent: 50, slowCallDuration: '1s', window: { calls: 100 } });
  const cock = cockatielBreaker();
  const opossum = new Opossum(work, { timeout: false });
  const circuit = new mollitia.Circuit({
    func: work,
    options: { modules: [new mollitia.SlidingCountBreaker({})] },
  });
  return [
    { name: 'nestjs-breakwater', run: () => plain.execute(work) },
    { name: 'nestjs-breakwater, with durations', run: () => timed.execute(work) },
    { name: 'cockatiel 3', run: () => cock.execute(work) },
    { name: 'opossum 9', run: () => opossum.fire() },
    { name: 'mollitia', run: () => circuit.execute() },
    {
      name: 'nestjs-resilience',
      run: nestjsStrategies(new nestjsResilience.CircuitBreakerStrategy({ requestVolumeThreshold: 10 })),
    },
  ];
}

function retries() {
  const retry = ours.retry({});
  const cock = cockatiel.retry(cockatiel.handleAll, { maxAttempts: 3 });
  const circuit = new mollitia.Circuit({
    func: work,
    options: { modules: [new mollitia.Retry({ attempts: 3 })] },
  });
  return [
    { name: 'nestjs-breakwater', run: () => retry.execute(work) },
    { name: 'cockatiel 3', run: () => cock.execute(work) },
    { name: 'mollitia', run: () => circuit.execute() },
    { name: 'p-retry', run: () => pRetry(work) },
    {
      name: 'nestjs-resilience',
      run: nestjsStrategies(new nestjsResilience.RetryStrategy({ maxRetries: 3 })),
    },
  ];
}

function bulkheads() {
  const bulkhead = ours.bulkhead({});
  const cock = cockatiel.bulkhead(100, 200);
  const limit = pLimit(100);
  const circuit = new mollitia.Circuit({
    func: work,
    options: { modules: [new mollitia.Bulkhead({ concurrentSize: 100, queueSize: 200 })] },
  });
  return [
    { name: 'nestjs-breakwater', run: () => bulkhead.execute(work) },
    { name: 'cockatiel 3', run: () => cock.execute(work) },
    { name: 'p-limit', run: () => limit(work) },
    { name: 'mollitia', run: () => circuit.execute() },
    {
      name: 'nestjs-resilience',
      run: nestjsStrategies(new nestjsResilience.BulkheadStrategy({ maxConcurrent: 100, maxQueue: 200 })),
    },
  ];
}

function timeouts() {
  const timeout = ours.timeout('10s');
  const cock = cockatiel.timeout(10_000, cockatiel.TimeoutStrategy.Cooperative);
  const opossum = new Opossum(work, { timeout: 10_000 });
  const circuit = new mollitia.Circuit({
    func: work,
    options: { modules: [new mollitia.Timeout({ delay: 10_000 })] },
  });
  return [
    { name: 'nestjs-breakwater', run: () => timeout.execute(work) },
    { name: 'cockatiel 3', run: () => cock.execute(work) },
    { name: 'opossum 9 (with its breaker)', run: () => opossum.fire() },
    { name: 'mollitia', run: () => circuit.execute() },
    { name: 'nestjs-resilience', run: nestjsStrategies(new nestjsResilience.TimeoutStrategy(10_000)) },
  ];
}

async function rejections() {
  const breaker = ours.breaker({});
  breaker.forceOpen();
  const cock = cockatiel.circuitBreaker(cockatiel.handleAll, {
    halfOpenAfter: 3_600_000,
    breaker: new cockatiel.ConsecutiveBreaker(1),
  });
  await swallow(() => cock.execute(failing))();
  const opossum = new Opossum(failing, { timeout: false, resetTimeout: 3_600_000 });
  opossum.open();
  const rejecting = new Error('refused');
  const refuse = async () => {
    throw rejecting;
  };
  return [
    { name: 'await and catch one error', run: swallow(refuse) },
    { name: 'nestjs-breakwater', run: swallow(() => breaker.execute(work)) },
    { name: 'cockatiel 3', run: swallow(() => cock.execute(work)) },
    { name: 'opossum 9', run: swallow(() => opossum.fire()) },
  ];
}

/** Rows of ANCHORS-like tables: what is measured, the floor, and everybody's cases. */
export const rows = [
  // First, and without the others: the garbage and the timers that they leave behind slow down whoever runs beside them.
  {
    title: 'Full stack beside the floor alone, success',
    cases: () => fullStack().slice(0, 1),
    target: '≤ 4 × the pass-through wrapper',
  },
  {
    title: 'Full stack: retry, breaker, timeout, bulkhead; success',
    cases: fullStack,
    target: '≤ 4 × the pass-through wrapper',
  },
  { title: 'Circuit breaker alone, success', cases: breakers, target: '≤ cockatiel without durations' },
  { title: 'Retry alone, success', cases: retries, target: '≤ cockatiel' },
  { title: 'Bulkhead alone, uncontended', cases: bulkheads, target: '≤ 1.2 × cockatiel' },
  { title: 'Timeout alone, success', cases: timeouts, target: '' },
  { title: 'Open circuit, refused call', cases: rejections, target: '≤ 0.5 × the best peer' },
].map((row) => ({ ...row, cases: async () => [...floor, ...(await row.cases())] }));
