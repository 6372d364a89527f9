import { describe, expect, it } from '@jest/globals';
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

    const withinTime = await cacheFirst.execute();
    await clock.advance(60_001);
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
});
