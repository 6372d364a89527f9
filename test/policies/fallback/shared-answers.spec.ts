import { describe, expect, it } from '@jest/globals';
import type { SharedCache } from '../../../lib/core/shared-state.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import {
  FallbackChain,
  FallbackLevel,
  type CacheOptions,
  type FallbackOptions,
} from '../../../lib/policies/fallback/index.js';
import { MemoryState, MemoryWorld } from '../../../lib/shared-state/memory-state.js';
import { ManualClock } from '../../../lib/testing/index.js';

const { PRIMARY, DISTRIBUTED_CACHE, LOCAL_CACHE, DEFAULT } = FallbackLevel;
const down = new Error('down');

/** One instance: a chain, the answer of its primary, and how often its store was asked. */
class Instance {
  readonly chain: FallbackChain;
  answer: () => unknown = () => 'fresh';
  gets = 0;
  puts = 0;
  lost = false;

  constructor(world: MemoryWorld, clock: ManualClock, options: CacheOptions, name = 'rates') {
    const state = new MemoryState(world, name);
    const { cache } = state;
    const counted: SharedCache = {
      get: async (key) => {
        this.gets++;
        if (this.lost) throw new Error('store lost');
        return cache.get(key);
      },
      put: async (key, value, ttlMs) => {
        this.puts++;
        if (this.lost) throw new Error('store lost');
        return cache.put(key, value, ttlMs);
      },
    };
    const shared = Object.assign(Object.create(state) as MemoryState, { cache: counted });
    this.chain = new FallbackChain(name, {}, { clock, fleet: { state: shared, size: 2 } })
      .register(PRIMARY, () => this.answer())
      .cache(DISTRIBUTED_CACHE, options);
  }

  fail(): void {
    this.answer = () => Promise.reject(down);
  }

  /** What a call gets, or that it got nothing. */
  ask(...args: unknown[]): Promise<unknown> {
    return this.chain.execute(...args).then(
      ({ value, level }) => ({ value, level }),
      () => 'nothing',
    );
  }

  get lastError(): string | undefined {
    return this.chain.stats().levels[DISTRIBUTED_CACHE]?.lastError;
  }
}

function setUp(options: CacheOptions = {}) {
  const clock = new ManualClock();
  const world = new MemoryWorld(clock);
  const given = { ttl: '1m', staleTtl: '10m', shared: true, ...options } as const;
  return {
    clock,
    world,
    first: new Instance(world, clock, given),
    second: new Instance(world, clock, given),
    other: new Instance(world, clock, given, 'prices'),
  };
}

const kept = (value: unknown) => ({ value, level: DISTRIBUTED_CACHE });

describe('answers that instances share', () => {
  it.each([['text'], [0], [null], [undefined], [''], [[1, { deep: true }]]])(
    'FB-06 FB-02 what one got, %j, another gives when its primary fails',
    async (value) => {
      const { first, second, other } = setUp();
      first.answer = () => value;
      await first.ask('EUR');
      second.fail();
      other.fail();

      expect(await second.ask('EUR')).toEqual(kept(value));
      expect(await second.ask('USD')).toBe('nothing');
      expect(await other.ask('EUR')).toBe('nothing');
    },
  );

  it('FB-06 it is as old as it is, wherever it is given: good, then stale, then none', async () => {
    const { clock, first, second } = setUp();
    await first.ask();
    second.fail();
    await clock.advance(50_000);
    expect(await second.ask()).toEqual(kept('fresh'));
    await clock.advance(610_000);
    expect(await second.ask()).toEqual(kept('fresh'));
    await clock.advance(1);
    expect(await second.ask()).toBe('nothing');
  });

  it('FB-06 what is stale is served on failure only', async () => {
    const { clock, first, world } = setUp();
    await first.ask();
    const state = new MemoryState(world, 'reader');
    const cacheFirst = new FallbackChain('rates', {}, { clock, fleet: { state, size: 2 } })
      .cache(DISTRIBUTED_CACHE, { ttl: '1m', shared: true })
      .register(DEFAULT, () => 'default');

    await clock.advance(60_000);
    expect((await cacheFirst.execute()).value).toBe('fresh');
    await clock.advance(1);
    expect((await cacheFirst.execute()).value).toBe('default');
  });

  it('while the answer at hand is good nobody is asked; then the others, for what is newer', async () => {
    const { clock, first, second } = setUp();
    await first.ask();
    await clock.advance(0);
    first.fail();
    await clock.advance(60_000);
    expect(await first.ask()).toEqual(kept('fresh'));
    expect(first.gets).toBe(0);

    await clock.advance(1);
    second.answer = () => 'newer';
    await second.ask();
    expect(await first.ask()).toEqual(kept('newer'));
    expect(await first.ask()).toEqual(kept('newer'));
    expect(first.gets).toBe(1);
  });

  it('SS-06 a lost store is a store without an answer: what is here is given, stale too', async () => {
    const { clock, first, second } = setUp();
    first.lost = second.lost = true;
    expect(await first.ask()).toEqual({ value: 'fresh', level: PRIMARY });
    first.fail();
    second.fail();
    await clock.advance(600_000);

    expect(await first.ask()).toEqual(kept('fresh'));
    expect(await second.ask()).toBe('nothing');
    expect(first.lastError).toBe('Error: store lost');
  });

  it('a caller does not wait for the store to take an answer, and the store gets one each second', async () => {
    const { clock, first } = setUp();
    for (let i = 0; i < 21; i++) {
      await first.ask('EUR');
      await clock.advance(100);
    }
    expect(first.puts).toBe(3);
    await first.ask('USD');
    expect(first.puts).toBe(4);
  });

  it('who asks for the same at the same time shares one reading', async () => {
    const { first, second, clock } = setUp();
    await first.ask('EUR');
    second.fail();
    const answers = await Promise.all(['EUR', 'EUR', 'USD'].map((currency) => second.ask(currency)));

    expect(answers).toEqual([kept('fresh'), kept('fresh'), 'nothing']);
    expect(second.gets).toBe(2);
    // What was read is at hand from then on.
    await clock.advance(1_000);
    expect(await second.ask('EUR')).toEqual(kept('fresh'));
    expect(second.gets).toBe(2);
  });

  it.each([0, 5_000])('what came in while the store was asked wins, %d ms newer', async (laterMs) => {
    const { clock, first, second } = setUp();
    await first.ask();
    await clock.advance(laterMs);
    second.fail();
    const reading = second.ask();
    second.answer = () => 'newer';
    await second.ask();
    expect(await reading).toEqual(kept('newer'));
  });

  it.each<[string, unknown, string]>([
    ['a ring', ringOf(), 'TypeError: Converting circular structure to JSON'],
    ['a big number', 1n, 'TypeError: Do not know how to serialize a BigInt'],
    ['a function', () => 1, 'TypeError: A function cannot be shared: it is no JSON.'],
    [
      'more than 64 KiB',
      'x'.repeat(64 * 1024 - 1),
      'RangeError: An answer of 65537 bytes is not shared; 65536 are the most.',
    ],
  ])('%s stays on its instance, which says why', async (_what, value, why) => {
    const { first, second } = setUp();
    first.answer = () => value;
    await first.ask();
    first.fail();
    second.fail();

    expect(await first.ask()).toEqual(kept(value));
    expect(first.lastError).toContain(why);
    expect(await second.ask()).toBe('nothing');
    expect(second.lastError).toBeUndefined();
  });

  it('FB-06 64 KiB are shared, and bytes count, not characters', async () => {
    const { first, second } = setUp();
    const text = 'ü'.repeat(32 * 1024 - 1);
    first.answer = () => text;
    await first.ask('fits');
    first.answer = () => `${text}!`;
    await first.ask('does not');
    second.fail();

    expect(await second.ask('fits')).toEqual(kept(text));
    expect(await second.ask('does not')).toBe('nothing');
  });

  it('FB-06 what is there and no JSON is passed over', async () => {
    const { world, second } = setUp({ key: () => 'EUR' });
    const key = { kind: 'fallback', policy: 'rates', subject: 'EUR' };
    await new MemoryState(world).cache.put(key, '{', 60_000);
    second.fail();

    expect(await second.ask()).toBe('nothing');
    expect(second.lastError).toContain('SyntaxError');
  });

  it('a reset forgets what is here, and leaves alone what others have', async () => {
    const { first } = setUp();
    await first.ask();
    first.fail();
    first.chain.reset();

    expect(await first.ask()).toEqual(kept('fresh'));
    expect(first.gets).toBe(1);
  });

  it('a cache in memory shares nothing, also in an application whose instances share state', async () => {
    const clock = new ManualClock();
    const fleet = { state: new MemoryState(new MemoryWorld(clock)), size: 2 };
    const [first, second] = ['fresh', 'newer'].map((answer) => {
      const chain = new FallbackChain('rates', {}, { clock, fleet }).cache(LOCAL_CACHE);
      return { answer, pipeline: new Pipeline('rates', [chain], clock) };
    }) as [{ answer: string; pipeline: Pipeline }, { answer: string; pipeline: Pipeline }];
    await first.pipeline.execute(() => first.answer);
    await clock.advance(0);

    await expect(second.pipeline.execute(() => Promise.reject(down))).rejects.toBe(down);
  });

  it("without a fleet the answers are this instance's own", async () => {
    const levels = [{ level: DISTRIBUTED_CACHE, shared: true }] as const;
    const clock = new ManualClock();
    const chain = new FallbackChain('rates', { levels }, { clock });
    const pipeline = new Pipeline('rates', [chain], clock);
    await pipeline.execute(() => 'fresh');

    expect(await pipeline.execute(() => Promise.reject(down))).toBe('fresh');
    expect(chain.stats().levels.distributed_cache?.lastError).toBeUndefined();
  });

  it.each<[string, FallbackOptions]>([
    [
      '"shared" is for level "distributed_cache", not for "local_cache".',
      { levels: [{ level: LOCAL_CACHE, shared: true }] },
    ],
    [
      'Level "distributed_cache": "store" and "shared" exclude each other.',
      { levels: [{ level: DISTRIBUTED_CACHE, shared: true, store: new Map() }] },
    ],
    [
      'Level "distributed_cache": "use" and "shared" exclude each other.',
      { levels: [{ level: DISTRIBUTED_CACHE, shared: true, use: () => 1 }] },
    ],
    ['needs "use", a "store" or "shared"', { levels: [{ level: DISTRIBUTED_CACHE, shared: false }] }],
    ['shared" must be', { levels: [{ level: DISTRIBUTED_CACHE, shared: 1 as never }] }],
  ])('refuses what cannot be: %s', (message, options) => {
    expect(() => new FallbackChain('rates', options)).toThrow(message);
  });

  it.each<[string, FallbackLevel.LOCAL_CACHE | FallbackLevel.DISTRIBUTED_CACHE, CacheOptions]>([
    ['"shared" is for level', LOCAL_CACHE, { shared: true }],
    ['exclude', DISTRIBUTED_CACHE, { shared: true, store: new Map() }],
    ['needs "use", a "store" or "shared"', DISTRIBUTED_CACHE, {}],
    ['"ttl" must be', LOCAL_CACHE, { ttl: -1 }],
  ])('refuses it where a level is added by hand, too: %s', (message, level, options) => {
    const chain = new FallbackChain('rates');
    expect(() => chain.cache(level, options)).toThrow(message);
    expect(() => chain.cache(level, options)).toThrow('fallback "rates"');
    expect(chain.sharesAnswers).toBe(false);
  });

  it('knows whether it shares answers, however many levels do not', () => {
    const chain = new FallbackChain('rates').cache(LOCAL_CACHE);
    expect(chain.sharesAnswers).toBe(false);
    chain.cache(DISTRIBUTED_CACHE, { shared: true }).cache(LOCAL_CACHE);
    expect(chain.sharesAnswers).toBe(true);
  });
});

function ringOf(): unknown {
  const ring: { self?: unknown } = {};
  ring.self = ring;
  return ring;
}
