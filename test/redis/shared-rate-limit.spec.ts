import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Redis } from 'ioredis';
import {
  RateLimit,
  RateLimitExceededError,
  RateLimitPolicy,
  ResilienceModule,
  type RateLimitOptions,
} from 'nestjs-breakwater';
import { redisState, type RedisState } from 'nestjs-breakwater/redis';
import { ManualClock } from 'nestjs-breakwater/testing';
import { canOwnRedis, canRunRedis, startRedis, type RedisServer } from './server.js';

const slow = { capacity: 40, refillPerSecond: 0.001 };

@Injectable()
class Search {
  @RateLimit('search', { ...slow, shared: true })
  async find(): Promise<string> {
    return 'found';
  }
}

(canRunRedis ? describe : describe.skip)('a rate limit that instances share', () => {
  let server: RedisServer;
  let client: Redis;
  let app: string;
  const states: RedisState[] = [];

  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.url);
  });

  beforeEach(() => {
    app = `test-${randomUUID()}`;
  });

  afterAll(async () => {
    for (const state of states) await state.close();
    client?.disconnect();
    await server?.stop();
  });

  function instances(count: number, options: RateLimitOptions) {
    return Array.from({ length: count }, () => {
      const state = redisState(client, { app, timeout: '5s' });
      states.push(state);
      return new RateLimitPolicy('search', options, { fleet: { state, size: count } });
    });
  }

  async function admitted(
    policies: readonly RateLimitPolicy[],
    calls: number,
    key?: string,
  ): Promise<number> {
    const answers = await Promise.all(
      Array.from({ length: calls }, (_, i) =>
        (policies[i % policies.length] as RateLimitPolicy)
          .execute(async () => 1, key === undefined ? {} : { key })
          .catch((error: unknown) => {
            if (!(error instanceof RateLimitExceededError)) throw error;
            return 0;
          }),
      ),
    );
    return answers.reduce((sum, one) => sum + one, 0);
  }

  it('SS-01 exact: together they let through what one alone would, to the unit', async () => {
    const policies = instances(4, { ...slow, shared: true });
    expect(await admitted(policies, 200)).toBe(40);
    expect(await admitted(policies, 50)).toBe(0);
    const totals = policies.map((policy) => policy.stats());
    expect(totals.reduce((sum, { totalAllowed }) => sum + totalAllowed, 0)).toBe(40);
    expect(totals.reduce((sum, { totalRejected }) => sum + totalRejected, 0)).toBe(210);
    await expect(policies[0]?.execute(async () => 1)).rejects.toMatchObject({
      retryAfterMs: expect.any(Number),
      decision: { allowed: false, remaining: 0, limit: 40 },
    });
  });

  it.each([
    [1, 3],
    [1, 9],
    [1, 0.3],
    [4, 3],
    [10, 9],
    [20, 0.7],
    [100, 30],
    [300, 7],
  ])(
    'SS-01 exact: all of %j at %j per second, whatever that is in microseconds',
    async (capacity, refillPerSecond) => {
      const [limit] = instances(1, { capacity, refillPerSecond, shared: true }) as [RateLimitPolicy];
      const burst = await Promise.all(Array.from({ length: capacity }, () => limit.acquire('one by one')));
      expect(burst.filter(({ allowed }) => allowed)).toHaveLength(capacity);
      // In one turn, so that nothing comes back between the two.
      const [granted, refused] = await Promise.all([
        limit.acquire('at once', capacity),
        limit.acquire('at once', capacity),
      ]);
      expect(granted).toMatchObject({ allowed: true, remaining: 0 });
      expect(refused.allowed).toBe(false);
      expect(refused.retryAfterMs).toBeGreaterThan(0);
    },
  );

  it('SS-01 leased: never more, and most decisions without the store', async () => {
    const options = { capacity: 400, refillPerSecond: 1_000, shared: { mode: 'leased' } } as const;
    const policies = instances(4, options);
    const before = await commandsOf();
    const begun = performance.now();
    const count = await admitted(policies, 2_000);
    // What came back while it ran is let through as well.
    const most = 400 + Math.ceil(performance.now() - begun) + 1;
    expect(count).toBeLessThanOrEqual(most);
    expect(count).toBeGreaterThanOrEqual(400 - 4 * 20);
    expect((await commandsOf()) - before).toBeLessThan(count);
  });

  it('SS-01 each key has a limit of its own, a cost need not be whole, and waiting is possible', async () => {
    const [one, two] = instances(2, { ...slow, shared: true }) as [RateLimitPolicy, RateLimitPolicy];
    expect(await admitted([one, two], 60, 'a')).toBe(40);
    expect(await admitted([one, two], 60, 'b')).toBe(40);
    expect((await one.acquire('c', 39.5)).allowed).toBe(true);
    expect(await two.acquire('c', 1)).toMatchObject({ allowed: false });
    expect((await two.acquire('c', 0.5)).allowed).toBe(true);
    expect(() => one.decide()).toThrow('is shared: ask it with "await acquire()"');

    const [patient] = instances(1, { capacity: 1, refillPerSecond: 50, maxWait: '5s', shared: true });
    expect(await admitted([patient as RateLimitPolicy], 5)).toBe(5);
  });

  it('SS-01 two applications share a limit, and know that they are two', async () => {
    const start = async () => {
      const sharedState = redisState(client, { app, timeout: '5s' });
      const module = await Test.createTestingModule({
        imports: [ResilienceModule.forRoot({ sharedState })],
        providers: [Search],
      }).compile();
      await module.init();
      return module;
    };
    const [first, second] = [await start(), await start()];
    const calls = Array.from({ length: 60 }, (_, i) =>
      (i % 2 === 0 ? first : second)
        .get(Search)
        .find()
        .then(
          () => 1,
          () => 0,
        ),
    );
    expect((await Promise.all(calls)).reduce((sum, one) => sum + one, 0)).toBe(40);
    const alone = redisState(client, { app, timeout: '5s' });
    expect(await alone.presence.beat(5_000)).toBe(3);
    await first.close();
    await second.close();
    expect(await alone.presence.beat(5_000)).toBe(1);
  });

  async function commandsOf(): Promise<number> {
    const info = await client.info('commandstats');
    const calls = [...info.matchAll(/cmdstat_eval\w*:calls=(\d+)/g)].map(([, count]) => Number(count));
    return calls.reduce((sum, one) => sum + one, 0);
  }
});

(canOwnRedis ? describe : describe.skip)('a rate limit whose store is lost', () => {
  it.each([
    ['local-share', 10],
    ['open', 100],
    ['closed', 0],
  ] as const)('SS-06 %s lets %i of 100 calls through', async (onStoreLoss, expected) => {
    const server = await startRedis();
    const client = new Redis(server.url);
    const state = redisState(client, { app: 'shop' });
    const policy = new RateLimitPolicy(
      'search',
      { ...slow, shared: { onStoreLoss } },
      { fleet: { state, size: 4 } },
    );
    server.process?.kill('SIGSTOP');
    let passed = 0;
    for (let i = 0; i < 100; i++) {
      const answer = await policy.acquire();
      if (answer.allowed) passed++;
    }
    expect(passed).toBe(expected);
    expect(state.degraded).toBe(true);
    await state.close();
    client.disconnect();
    await server.stop();
  });
});

describe('the options of a shared limit', () => {
  it.each<[RateLimitOptions, string]>([
    [{ limit: 5, shared: true }, '"shared" is for a token bucket, not for the algorithm "sliding-window".'],
    [{ capacity: 5, refillPerSecond: 0, shared: true }, '"shared" needs a "refillPerSecond" above 0.'],
    [{ shared: { mode: 'loose' as 'exact' } }, '"shared.mode"'],
  ])('refuses %j', (options, message) => {
    expect(() => new RateLimitPolicy('search', options)).toThrow(message);
  });

  it("SS-06 without a shared store the limit is this instance's own", () => {
    const policy = new RateLimitPolicy('search', { ...slow, shared: true }, { clock: new ManualClock() });
    expect(Array.from({ length: 50 }, () => policy.decide().allowed).filter(Boolean)).toHaveLength(40);
  });

  it('refuses a shared state that is none', () => {
    const start = Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ sharedState: {} as never })],
    });
    return expect(start.compile()).rejects.toThrow('"sharedState" must be what redisState() returns');
  });
});
