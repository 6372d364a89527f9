// What a waiting call costs when many wait: all are started at once behind a few slots.
import { BulkheadPolicy, Priority } from 'nestjs-breakwater';
import { cockatiel, pLimit } from './peers/index.mjs';

const SLOTS = 10;
const work = async () => 42;
const PRIORITIES = [Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.LOW, Priority.BACKGROUND];

function queued(waiting) {
  const bulkhead = new BulkheadPolicy('bench', { maxConcurrent: SLOTS, maxQueue: waiting, maxWait: '10m' });
  const cock = cockatiel.bulkhead(SLOTS, waiting);
  const limit = pLimit(SLOTS);
  const all = (start) => () => Promise.all(Array.from({ length: waiting }, (_, i) => start(i)));
  const cases = [
    { name: 'nestjs-breakwater', run: all(() => bulkhead.execute(work)) },
    {
      name: 'nestjs-breakwater, random priorities',
      run: all((i) => bulkhead.execute(work, { priority: PRIORITIES[(i * 7) % 5] })),
    },
    { name: 'p-limit', run: all(() => limit(work)) },
  ];
  // Its queue is an array that is shifted: minutes at 100,000.
  if (waiting <= 10_000) cases.push({ name: 'cockatiel 3', run: all(() => cock.execute(work)) });
  return cases;
}

export const rows = [10_000, 100_000].map((waiting) => ({
  title: `Bulkhead, ${waiting.toLocaleString('en')} calls waiting, per call`,
  cases: () => queued(waiting),
  calls: waiting,
  rounds: 5,
  target: '≤ 2 µs a call',
}));
