// npm run simulate:fleet: 1 to 10,000 instances on paper time, with the policies themselves and a store in memory that
// takes 1 ms to answer. Writes bench/fleet.md.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from '../scripts/install.mjs';
import { ensureBuilt } from '../scripts/pack.mjs';

ensureInstalled();
await ensureBuilt();
const { CircuitBreakerPolicy, RateLimitPolicy } = await import('../dist/esm/index.js');
const { MemoryState, MemoryWorld } = await import('../dist/esm/shared-state/memory-state.js');
const { seededRandom } = await import('../dist/esm/testing/index.js');

const SIZES = [1, 10, 100, 1_000, 10_000];
const STORE_MS = 1;
const LIMIT = { capacity: 500, refillPerSecond: 2_000 };
const OFFERED_PER_SECOND = 4_000;
const SECONDS = 5;

/** Time on paper, in whole milliseconds: everything that is due at one of them runs, then the next one that is needed. */
class PaperClock {
  current = 0;
  due = new Map();
  times = [];

  now() {
    return this.current;
  }

  wallTime() {
    return this.current;
  }

  arm(entry, dueAt) {
    entry.dueAt = dueAt;
    entry.turn = (entry.turn ?? 0) + 1;
    const { turn } = entry;
    this.at(dueAt, () => {
      if (entry.turn !== turn || Number.isNaN(entry.dueAt)) return;
      entry.dueAt = Number.NaN;
      entry.onDue();
    });
  }

  disarm(entry) {
    entry.dueAt = Number.NaN;
  }

  delay(ms, callback) {
    let live = true;
    this.at(this.current + ms, () => live && callback());
    return () => (live = false);
  }

  at(time, callback) {
    const instant = Math.max(this.current, Math.ceil(time));
    const callbacks = this.due.get(instant);
    if (callbacks !== undefined) callbacks.push(callback);
    else {
      this.due.set(instant, [callback]);
      this.push(instant);
    }
  }

  async runUntil(end, isDone = () => false) {
    while (this.times.length > 0 && this.times[0] <= end && !isDone()) {
      const instant = this.pop();
      this.current = instant;
      // What falls due meanwhile, at this same instant, comes after it.
      for (const callback of this.due.get(instant)) callback();
      this.due.delete(instant);
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.current = Math.max(this.current, Math.min(end, this.current));
  }

  push(time) {
    const { times } = this;
    let place = times.push(time) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (times[parent] <= times[place]) break;
      [times[parent], times[place]] = [times[place], times[parent]];
      place = parent;
    }
  }

  pop() {
    const { times } = this;
    const [first] = times;
    const last = times.pop();
    if (times.length > 0) {
      times[0] = last;
      for (let place = 0; ;) {
        const left = 2 * place + 1;
        if (left >= times.length) break;
        const least = left + 1 < times.length && times[left + 1] < times[left] ? left + 1 : left;
        if (times[place] <= times[least]) break;
        [times[place], times[least]] = [times[least], times[place]];
        place = least;
      }
    }
    return first;
  }
}

/** A store that takes its time, and counts. */
function storeOf(clock, isLost) {
  const world = new MemoryWorld(clock);
  const store = { calls: 0, of: (owner) => stateOf(new MemoryState(world, String(owner))) };
  const slow = (call) => async () => {
    if (isLost) throw new Error('lost');
    store.calls++;
    await new Promise((resolve) => clock.delay(STORE_MS / 2, resolve));
    const answer = await call();
    await new Promise((resolve) => clock.delay(STORE_MS / 2, resolve));
    return answer;
  };
  const stateOf = (memory) => ({
    take: (key, request) => slow(() => memory.take(key, request))(),
    circuit: {
      sync: (key, report) => slow(() => memory.circuit.sync(key, report))(),
      probe: (key, request) => slow(() => memory.circuit.probe(key, request))(),
      settle: (key, result) => slow(() => memory.circuit.settle(key, result))(),
    },
  });
  return store;
}

/** Evenly: each instance gets the same. Unevenly: a tenth of them (at least one) gets nine of ten calls. */
function receiver(size, isEven, random) {
  const busy = Math.max(1, Math.floor(size / 10));
  if (isEven) return () => Math.floor(random() * size);
  return () => (random() < 0.9 ? Math.floor(random() * busy) : Math.floor(random() * size));
}

async function admission(size, shared, isEven) {
  const clock = new PaperClock();
  const isLost = shared === 'local-share';
  const store = storeOf(clock, isLost);
  const random = seededRandom(7);
  const instances = Array.from(
    { length: size },
    (_, owner) =>
      new RateLimitPolicy(
        'api',
        { ...LIMIT, shared: { mode: isLost ? 'exact' : shared } },
        { clock, random, fleet: { state: store.of(owner), size } },
      ),
  );
  const next = receiver(size, isEven, random);
  let admitted = 0;
  const total = OFFERED_PER_SECOND * SECONDS;
  for (let call = 0; call < total; call++) {
    clock.at((call * 1_000) / OFFERED_PER_SECOND, () => {
      void instances[next()].acquire().then(({ allowed }) => (admitted += allowed ? 1 : 0));
    });
  }
  await clock.runUntil(SECONDS * 1_000 + 100);
  const allowed = LIMIT.refillPerSecond * SECONDS + LIMIT.capacity;
  return { error: (100 * (admitted - allowed)) / allowed, load: store.calls / SECONDS };
}

async function timeToOpen(size, shared) {
  const clock = new PaperClock();
  const store = storeOf(clock, false);
  const random = seededRandom(7);
  const options = {
    failureRatePercent: 50,
    minimumCalls: 20,
    window: { duration: '10s' },
    openDuration: '60s',
    shared,
  };
  const breakers = Array.from(
    { length: size },
    (_, owner) =>
      new CircuitBreakerPolicy('api', options, {
        clock,
        random,
        fleet: { state: store.of(owner), size },
      }),
  );
  // All is well for two seconds, so that everybody has spoken; then nothing works any more.
  const brokenAt = 2_000;
  const end = brokenAt + 60_000;
  const gapMs = 1_000 / OFFERED_PER_SECOND;
  const next = receiver(size, true, random);
  let openAt;
  let open = 0;
  const isOpen = new Uint8Array(size);
  const call = (at) => {
    if (at > end) return;
    clock.at(at, () => {
      const breaker = breakers[next()];
      const run = async () => {
        if (clock.now() >= brokenAt) throw new Error('down');
      };
      void breaker.execute(run).catch(() => undefined);
      call(at + gapMs);
    });
  };
  call(0);
  const look = () => {
    for (let place = 0; place < size; place++) {
      if (isOpen[place] === 0 && breakers[place].state === 'open') {
        isOpen[place] = 1;
        open++;
      }
    }
    if (open === size) openAt ??= clock.now();
    else clock.at(clock.now() + 10, look);
  };
  clock.at(brokenAt, look);
  await clock.runUntil(end, () => openAt !== undefined);
  return {
    ms: openAt === undefined ? undefined : openAt - brokenAt,
    load: (store.calls * 1_000) / clock.now(),
  };
}

const signed = (value) => `${value >= 0 ? '+' : ''}${value.toFixed(1)} %`;
const whole = (value) => Math.round(value).toLocaleString('en');
const lines = [
  '# Instances on paper',
  '',
  'Made by `npm run simulate:fleet`: the policies themselves on paper time, with a store in memory that takes 1 ms to answer.',
  '',
  '## One rate limit',
  '',
  `${whole(LIMIT.refillPerSecond)} per second and a burst of ${LIMIT.capacity}, for all together; ${whole(OFFERED_PER_SECOND)} calls per second come for ${SECONDS} s. More (+) or less (−) was let in than the`,
  'limit allows; calls of the store per second. Unevenly: a tenth of the instances gets nine of ten calls. `local-share` is what',
  'holds while the store is lost.',
  '',
  '| instances | exact | store | leased | store | leased, unevenly | store | local-share | local-share, unevenly |',
  '| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
];
for (const size of SIZES) {
  console.error(`limits of ${size} instances`);
  const exact = await admission(size, 'exact', true);
  const leased = await admission(size, 'leased', true);
  const skewed = await admission(size, 'leased', false);
  const share = await admission(size, 'local-share', true);
  const skewedShare = await admission(size, 'local-share', false);
  lines.push(
    `| ${whole(size)} | ${signed(exact.error)} | ${whole(exact.load)} | ${signed(leased.error)} | ${whole(leased.load)} | ${signed(skewed.error)} | ${whole(skewed.load)} | ${signed(share.error)} | ${signed(skewedShare.error)} |`,
  );
}
lines.push(
  '',
  '## One circuit breaker',
  '',
  `${whole(OFFERED_PER_SECOND)} calls per second reach all instances together, evenly, when the dependency dies; a circuit opens at half of at least 20`,
  'calls within 10 s. Milliseconds until it is open on every instance; calls of the store per second.',
  '',
  '| instances | not shared | quorum | store | any | store |',
  '| ---: | ---: | ---: | ---: | ---: | ---: |',
);
for (const size of SIZES) {
  console.error(`circuits of ${size} instances`);
  const alone = await timeToOpen(size, false);
  const quorum = await timeToOpen(size, { scope: 'quorum' });
  const any = await timeToOpen(size, { scope: 'any' });
  const time = ({ ms }) => (ms === undefined ? 'more than 60,000' : whole(ms));
  lines.push(
    `| ${whole(size)} | ${time(alone)} | ${time(quorum)} | ${whole(quorum.load)} | ${time(any)} | ${whole(any.load)} |`,
  );
}
const text = `${lines.join('\n')}\n`;
writeFileSync(fileURLToPath(new URL('fleet.md', import.meta.url)), text);
console.log(text);
