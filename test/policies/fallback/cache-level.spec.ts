import { describe, expect, it, jest } from '@jest/globals';
import { Call } from '../../../lib/core/call.js';
import { FallbackExhaustedError } from '../../../lib/core/errors.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { FallbackChain, FallbackLevel, type CacheOptions } from '../../../lib/policies/fallback/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

const down = new Error('down');

function setUp(
  options: CacheOptions = {},
  level: FallbackLevel.LOCAL_CACHE | FallbackLevel.DISTRIBUTED_CACHE = FallbackLevel.LOCAL_CACHE,
) {
  const clock = new ManualClock();
  const primary = { answer: (): unknown => 'fresh' };
  const chain = new FallbackChain('rates', {}, { clock })
    .register(FallbackLevel.PRIMARY, (...args) => {
      const answer = primary.answer();
      return args.length > 0 && typeof args[0] === 'string' ? `${String(answer)} ${args[0]}` : answer;
    })
    .cache(level, options);
  const fail = () => {
    primary.answer = () => {
      throw down;
    };
  };
  return { clock, chain, fail };
}

describe('cache levels of a fallback chain', () => {
  it('FB-06 a cache fills on success and serves on failure, by the arguments', async () => {
    const { chain, fail } = setUp();
    await chain.execute('EUR');
    await chain.execute('USD');
    fail();

    expect(await chain.execute('USD')).toEqual({ value: 'fresh USD', level: 'local_cache', degraded: true });
    expect(await chain.execute('EUR')).toMatchObject({ value: 'fresh EUR' });
  });

  it('FB-06 it serves within its time, stale for a while longer, and then no more', async () => {
    const { clock, chain, fail } = setUp({ ttl: '1m', staleTtl: '10m' });
    await chain.execute('EUR');
    fail();
    await clock.advance(60_000);
    const good = await chain.execute('EUR');
    await clock.advance(600_000);
    const stale = await chain.execute('EUR');
    await clock.advance(1);

    expect([good.value, stale.value]).toEqual(['fresh EUR', 'fresh EUR']);
    await expect(chain.execute('EUR')).rejects.toMatchObject({ errors: [down], cause: down });
  });

  it('FB-06 what is stale is served on failure only', async () => {
    const clock = new ManualClock();
    const kept = new Map<string, unknown>();
    const options = { ttl: '1m', staleTtl: '10m', store: kept };
    const filling = new FallbackChain('rates', {}, { clock })
      .register(FallbackLevel.PRIMARY, () => 'fresh')
      .cache(FallbackLevel.DISTRIBUTED_CACHE, options);
    // Nothing stands before the cache here, so nothing has failed when it is asked.
    const cacheFirst = new FallbackChain('rates', {}, { clock })
      .cache(FallbackLevel.DISTRIBUTED_CACHE, options)
      .register(FallbackLevel.DEFAULT, () => 'default');
    await filling.execute();

    await clock.advance(60_000);
    const withinTime = await cacheFirst.execute();
    await clock.advance(1);
    const later = await cacheFirst.execute();

    expect([withinTime.value, later.value]).toEqual(['fresh', 'default']);
  });

  it('FB-06 memory is bounded: the least recently used answer goes', async () => {
    const { chain, fail } = setUp({ maxEntries: 2 });
    for (const currency of ['EUR', 'USD', 'GBP']) await chain.execute(currency);
    fail();

    await expect(chain.execute('EUR')).rejects.toThrow();
    expect((await chain.execute('USD')).value).toBe('fresh USD');
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('store down');
      },
    ],
    ['rejects', () => Promise.reject(new Error('store down'))],
    ['answers rubbish', () => 'rubbish'],
  ])('FB-06 a store that %s is passed over', async (_how, broken) => {
    const { clock, chain, fail } = setUp(
      { store: { get: broken, set: broken } },
      FallbackLevel.DISTRIBUTED_CACHE,
    );
    chain.register(FallbackLevel.DEFAULT, () => 'default');

    const filled = await chain.execute('EUR');
    fail();
    const answer = await chain.execute('EUR');
    await clock.advance(0);

    expect(filled.value).toBe('fresh EUR');
    expect(answer).toEqual({ value: 'default', level: 'default', degraded: true });
  });

  it('FB-06 a store serves other processes, and who asks at the same time shares one reading', async () => {
    const kept = new Map<string, unknown>();
    let readings = 0;
    const store = {
      get: async (key: string) => {
        readings++;
        return kept.get(key);
      },
      set: async (key: string, value: unknown) => void kept.set(key, value),
    };
    const first = setUp({ store }, FallbackLevel.DISTRIBUTED_CACHE);
    const second = setUp({ store }, FallbackLevel.DISTRIBUTED_CACHE);
    await first.chain.execute('EUR');
    second.fail();

    const answers = await Promise.all([second.chain.execute('EUR'), second.chain.execute('EUR')]);

    expect(answers.map(({ value }) => value)).toEqual(['fresh EUR', 'fresh EUR']);
    expect(readings).toBe(1);
  });

  it('FB-06 as a policy of a method it keeps what the method answers', async () => {
    const clock = new ManualClock();
    const chain = new FallbackChain('rates', {}, { clock }).cache(FallbackLevel.LOCAL_CACHE);
    const pipeline = new Pipeline('rates', [chain], clock);
    await pipeline.execute(() => null, { args: ['EUR'] });

    const answer = await pipeline.execute(() => Promise.reject(down), { args: ['EUR'] });

    expect(answer).toBeNull();
    await expect(pipeline.execute(() => Promise.reject(down), { args: ['USD'] })).rejects.toBe(down);
    expect(chain.stats().levels.local_cache).toMatchObject({ answered: 1, failed: 1 });
  });

  it('FB-06 keeps what the primary and the replica answer, and no substitute', async () => {
    const primary = { answer: (): unknown => Promise.reject(down) };
    const replica = { answer: (): unknown => 'replica' };
    const chain = new FallbackChain('rates')
      .register(FallbackLevel.PRIMARY, () => primary.answer())
      .register(FallbackLevel.REPLICA, () => replica.answer())
      .cache(FallbackLevel.LOCAL_CACHE)
      .register(FallbackLevel.DEFAULT, () => 'default');
    const ask = async () => (await chain.execute('EUR')).level;

    const answers = [await ask()];
    replica.answer = () => Promise.reject(down);
    answers.push(await ask());
    chain.reset();
    answers.push(await ask(), await ask());

    expect(answers).toEqual(['replica', 'local_cache', 'default', 'default']);
  });

  it('FB-06 around a method it keeps what the replica answers', async () => {
    const replica = { answer: (): unknown => 'replica' };
    const chain = new FallbackChain('rates')
      .register(FallbackLevel.REPLICA, () => replica.answer())
      .cache(FallbackLevel.LOCAL_CACHE);
    const pipeline = new Pipeline('rates', [chain], new ManualClock());
    await pipeline.execute(() => Promise.reject(down));
    replica.answer = () => Promise.reject(down);

    expect(await pipeline.execute(() => Promise.reject(down))).toBe('replica');
  });

  it('FB-06 around a method, too, it serves what is stale on failure', async () => {
    const clock = new ManualClock();
    const options = { ttl: '1m', staleTtl: '10m' };
    const chain = new FallbackChain('rates', {}, { clock }).cache(FallbackLevel.LOCAL_CACHE, options);
    const pipeline = new Pipeline('rates', [chain], clock);
    await pipeline.execute(() => 'fresh');
    await clock.advance(60_001);

    expect(await pipeline.execute(() => Promise.reject(down))).toBe('fresh');
  });

  it('a reset leaves alone what a store keeps: it may be the store of others', async () => {
    const { chain, fail } = setUp({ store: new Map<string, unknown>() }, FallbackLevel.DISTRIBUTED_CACHE);
    await chain.execute('EUR');
    fail();

    chain.reset();

    expect((await chain.execute('EUR')).value).toBe('fresh EUR');
  });

  it('FB-06 `key` tells one question from another', async () => {
    const { chain, fail } = setUp({ key: (currency: string) => currency.slice(0, 1) });
    await chain.execute('EUR');
    fail();

    expect((await chain.execute('ETB')).value).toBe('fresh EUR');
    await expect(chain.execute('USD')).rejects.toThrow();
  });

  it('FB-06 a store is asked by key, and told how long an answer may be of use', async () => {
    const set = jest.fn();
    const options = { ttl: 1_000, staleTtl: 500, key: () => 'k', store: { get: () => undefined, set } };
    const { chain } = setUp(options, FallbackLevel.DISTRIBUTED_CACHE);

    await chain.execute('EUR');

    expect(set.mock.calls).toEqual([['k', { value: 'fresh EUR', at: expect.any(Number) }, 1_500]]);
  });

  it('FB-06 who asks later does not share an earlier reading', async () => {
    const get = jest.fn(async () => undefined);
    const { chain, fail } = setUp({ store: { get, set: () => undefined } }, FallbackLevel.DISTRIBUTED_CACHE);
    fail();

    await chain.execute('EUR').catch(() => undefined);
    await chain.execute('EUR').catch(() => undefined);

    expect(get).toHaveBeenCalledTimes(2);
  });

  it.each([null, 'rubbish', { value: 1 }, { at: 1 }])(
    'FB-06 what is no answer of ours, %j, is a miss',
    async (kept) => {
      const store = { get: () => kept, set: () => undefined };
      const { chain, fail } = setUp({ store }, FallbackLevel.DISTRIBUTED_CACHE);
      fail();

      await expect(chain.execute('EUR')).rejects.toThrow(FallbackExhaustedError);
      expect(chain.stats().levels.distributed_cache).toMatchObject({ failed: 1, lastError: undefined });
    },
  );

  it.each([
    [
      'get throws',
      {
        get: () => {
          throw down;
        },
        set: () => undefined,
      },
    ],
    [
      'set throws',
      {
        get: () => undefined,
        set: () => {
          throw down;
        },
      },
    ],
    ['set rejects', { get: () => undefined, set: () => Promise.reject(down) }],
  ])('FB-06 the numbers of a level say what was wrong with its store: %s', async (_what, store) => {
    const { clock, chain, fail } = setUp({ store }, FallbackLevel.DISTRIBUTED_CACHE);
    await chain.execute('EUR');
    await clock.advance(0);
    fail();
    await chain.execute('EUR').catch(() => undefined);

    expect(chain.stats().levels.distributed_cache?.lastError).toBe('Error: down');
  });

  it('measures how long a store takes', async () => {
    const clock = new ManualClock({ now: 1_000 });
    const store = {
      get: () =>
        new Promise((resolve) => clock.delay(40, () => resolve({ value: 'kept', at: clock.wallTime() }))),
      set: () => undefined,
    };
    const chain = new FallbackChain('rates', {}, { clock }).cache(FallbackLevel.DISTRIBUTED_CACHE, { store });
    const answer = chain.execute();
    await clock.advance(40);

    expect(await answer).toEqual({ value: 'kept', level: 'distributed_cache', degraded: true });
    expect(chain.stats().levels.distributed_cache).toMatchObject({ answered: 1, failed: 0, meanMs: 40 });
  });

  it('FB-07 a call whose caller gives up while a store is asked ends with the reason of that', async () => {
    const clock = new ManualClock();
    const store = {
      get: () =>
        new Promise((resolve) => clock.delay(40, () => resolve({ value: 'kept', at: clock.wallTime() }))),
      set: () => undefined,
    };
    const chain = new FallbackChain('rates', {}, { clock }).cache(FallbackLevel.DISTRIBUTED_CACHE, { store });
    const [call, healthy] = [0, 1].map(() => new Call(() => undefined, undefined, [])) as [Call, Call];
    const answer = chain.run(call, () => Promise.reject(down));
    const other = chain.run(healthy, () => Promise.reject(down));
    await clock.advance(0);
    call.abort('caller', new Error('gone'));
    await Promise.all([clock.advance(40), expect(answer).rejects.toThrow('gone')]);

    expect(await other).toBe('kept');
    expect([call.fallbackLevel, healthy.fallbackLevel]).toEqual([undefined, 'distributed_cache']);
  });

  it.each(['local', 'distributed'])(
    'FB-06 a key that throws costs a %s cache, and no call',
    async (where) => {
      const store = where === 'local' ? undefined : new Map<string, unknown>();
      const key = ({ id }: { id: string }) => id;
      const clock = new ManualClock();
      const chain = new FallbackChain('rates', {}, { clock })
        .cache(where === 'local' ? FallbackLevel.LOCAL_CACHE : FallbackLevel.DISTRIBUTED_CACHE, {
          key,
          store,
        })
        .register(FallbackLevel.DEFAULT, () => 'default');
      const pipeline = new Pipeline('rates', [chain], clock);
      const args = [undefined];

      expect(await pipeline.execute(() => 'fresh', { args })).toBe('fresh');
      expect(chain.stats().levels).toMatchObject({ primary: { answered: 1, failed: 0 } });
      expect(await pipeline.execute(() => Promise.reject(down), { args })).toBe('default');
      chain.register(FallbackLevel.PRIMARY, () => 'alone');
      expect(await chain.execute(undefined)).toMatchObject({ value: 'alone' });

      const { levels } = chain.stats();
      expect(levels.primary).toMatchObject({ answered: 1, failed: 0 });
      const cache = where === 'local' ? levels.local_cache : levels.distributed_cache;
      expect(cache?.lastError).toContain('TypeError');
    },
  );

  it('FB-06 a store that hangs is waited for as long as `storeTimeout`, and passed over', async () => {
    const clock = new ManualClock();
    const never = new Promise<never>(() => {});
    const store = { get: () => never, set: () => never };
    const chain = new FallbackChain('rates', {}, { clock })
      .cache(FallbackLevel.DISTRIBUTED_CACHE, { store, storeTimeout: '200ms' })
      .register(FallbackLevel.DEFAULT, () => 'default');
    const pipeline = new Pipeline('rates', [chain], clock);

    expect(await pipeline.execute(() => 'fresh')).toBe('fresh');
    await clock.advance(200);
    const ofTheWrite = chain.stats().levels.distributed_cache?.lastError;
    chain.reset();
    let answer: unknown;
    void pipeline.execute(() => Promise.reject(down)).then((value) => (answer = value));
    await clock.advance(199);
    const before = answer;
    await clock.advance(1);

    expect([before, answer]).toEqual([undefined, 'default']);
    expect(ofTheWrite).toContain('The store has not answered within 200 ms.');
    expect(chain.stats().levels.distributed_cache).toMatchObject({
      failed: 1,
      meanMs: 200,
      lastError: expect.stringContaining('The store has not answered within 200 ms.'),
    });
    expect(clock.pending).toBe(0);
  });

  it('FB-06 a store has a second, unless told otherwise', async () => {
    const clock = new ManualClock();
    const get = () => new Promise((resolve) => clock.delay(2_000, () => resolve(undefined)));
    const chain = new FallbackChain('rates', {}, { clock })
      .cache(FallbackLevel.DISTRIBUTED_CACHE, { store: { get, set: () => undefined } })
      .register(FallbackLevel.DEFAULT, () => 'default');
    const answer = chain.execute();
    await clock.advance(1_000);

    expect((await answer).value).toBe('default');
  });

  it.each([-3_600_000, 3_600_000])(
    'FB-06 CB-12 the wall clock stepping by %d ms changes nothing for answers in memory',
    async (stepMs) => {
      const { clock, chain, fail } = setUp({ ttl: '1m', staleTtl: 0 });
      await chain.execute('EUR');
      fail();
      clock.setWallTime(clock.wallTime() + stepMs);

      expect((await chain.execute('EUR')).value).toBe('fresh EUR');
      await clock.advance(60_001);
      await expect(chain.execute('EUR')).rejects.toThrow(FallbackExhaustedError);
    },
  );

  it('FB-06 answers in a store are as old as the wall clock says, which all processes have', async () => {
    const store = new Map<string, unknown>();
    const [first, second] = [1_000, 5_000_000].map((now) => {
      const clock = new ManualClock({ now });
      const chain = new FallbackChain('rates', {}, { clock });
      chain.cache(FallbackLevel.DISTRIBUTED_CACHE, { store, ttl: '1m', staleTtl: 0 });
      return { clock, pipeline: new Pipeline('rates', [chain], clock) };
    }) as [{ pipeline: Pipeline }, { clock: ManualClock; pipeline: Pipeline }];
    await first.pipeline.execute(() => 'fresh');
    await second.clock.advance(60_000);

    expect(await second.pipeline.execute(() => Promise.reject(down))).toBe('fresh');
    await second.clock.advance(1);
    await expect(second.pipeline.execute(() => Promise.reject(down))).rejects.toBe(down);
  });

  it('FB-06 nothing is wrong with a cache that has no answer, nor with a store that answers at once', async () => {
    const memory = setUp();
    const store = setUp({ store: new Map<string, unknown>() }, FallbackLevel.DISTRIBUTED_CACHE);
    memory.fail();
    await expect(memory.chain.execute('EUR')).rejects.toThrow(FallbackExhaustedError);
    await store.chain.execute('EUR');
    store.fail();
    await store.chain.execute('EUR');

    expect(memory.chain.stats().levels.local_cache).toMatchObject({ failed: 1, lastError: undefined });
    expect(store.chain.stats().levels.distributed_cache).toMatchObject({ answered: 1, lastError: undefined });
  });

  it('FB-06 a cache answers for the errors that its `on` means, and fills whatever they are', async () => {
    const clock = new ManualClock();
    const chain = new FallbackChain('rates', {
      levels: [{ level: FallbackLevel.LOCAL_CACHE }],
      on: RangeError,
    });
    const pipeline = new Pipeline('rates', [chain], clock);
    await pipeline.execute(() => 'fresh');

    await expect(pipeline.execute(() => Promise.reject(down))).rejects.toBe(down);
    expect(await pipeline.execute(() => Promise.reject(new RangeError()))).toBe('fresh');
    expect(chain.stats().levels.local_cache).toMatchObject({ answered: 1, failed: 0 });
  });
});
