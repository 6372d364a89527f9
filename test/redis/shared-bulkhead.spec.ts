import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { Bulkhead, BulkheadFullError, BulkheadPolicy, ResilienceModule } from 'nestjs-breakwater';
import { redisState, type RedisState } from 'nestjs-breakwater/redis';
import { seededRandom } from 'nestjs-breakwater/testing';
import { canOwnRedis, canRunRedis, startRedis } from './server.js';
import { withRedis } from './with-redis.js';

/** Calls that run until they are let go. */
class Work {
  started = 0;
  refused = 0;
  readonly ends: (() => void)[] = [];
  private readonly calls: Promise<void>[] = [];

  begin(bulkhead: Pick<BulkheadPolicy, 'execute'>, count: number): Promise<unknown> {
    const calls = Array.from({ length: count }, () => this.one(bulkhead));
    this.calls.push(...calls.map(({ end }) => end));
    return Promise.all(calls.map(({ begun }) => begun));
  }

  async finish(): Promise<void> {
    for (const end of this.ends) end();
    await Promise.all(this.calls);
  }

  private one(bulkhead: Pick<BulkheadPolicy, 'execute'>) {
    let begin = () => {};
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const run = () => {
      this.started++;
      begin();
      return new Promise<void>((resolve) => this.ends.push(resolve));
    };
    const end = bulkhead.execute(run).catch((error: unknown) => {
      if (!(error instanceof BulkheadFullError)) throw error;
      this.refused++;
      begin();
    });
    return { begun, end };
  }
}

const until = async (condition: () => unknown) => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
};

const settled = (policy: BulkheadPolicy) => policy.stats().shared?.held === 0;

@Injectable()
class Search {
  readonly work = new Work();

  @Bulkhead('search', { maxConcurrent: 1, maxQueue: 0, shared: true })
  find(): Promise<string> {
    this.work.started++;
    return new Promise((resolve) => this.work.ends.push(() => resolve('found')));
  }
}

(canRunRedis ? describe : describe.skip)('a bulkhead that instances share', () => {
  const redis = withRedis();

  it('SS-02 two instances run ten calls together, and give back what they held', async () => {
    const app = `test-${randomUUID()}`;
    const states = [1, 2].map(() => redisState(redis.client, { app, timeout: '5s' })) as [
      RedisState,
      RedisState,
    ];
    const [first, second] = states.map(
      (state) =>
        new BulkheadPolicy(
          'search',
          { maxConcurrent: 10, maxQueue: 0, shared: true },
          { fleet: { state, size: 2 } },
        ),
    ) as [BulkheadPolicy, BulkheadPolicy];
    const [some, more, others] = [new Work(), new Work(), new Work()];

    await Promise.all([some.begin(first, 8), others.begin(second, 8)]);
    expect([some.started + others.started, some.refused + others.refused]).toEqual([10, 6]);
    expect((first.stats().shared?.held ?? 0) + (second.stats().shared?.held ?? 0)).toBe(10);

    await others.finish();
    await until(() => settled(second));
    const back = 10 - some.started;
    await until(async () => {
      await more.begin(first, 1);
      return more.started === back;
    });
    expect(first.stats()).toMatchObject({ activeCalls: 10, shared: { held: 10, source: 'store' } });
    await Promise.all([some.finish(), more.finish()]);
    await until(() => settled(first));
    await until(async () => (await redis.client.keys(`resilience:{${app}:*`)).length === 0);
    for (const state of states) await state.close();
  });

  it('SS-02 BH-01 four busy instances never run more than the limit, and all that wait have their turn', async () => {
    const app = `test-${randomUUID()}`;
    const states = Array.from({ length: 4 }, () => redisState(redis.client, { app, timeout: '5s' }));
    const bulkheads = states.map(
      (state) =>
        new BulkheadPolicy(
          'search',
          { maxConcurrent: 10, maxQueue: 1_000, maxWait: '60s', shared: true },
          { fleet: { state, size: 4 } },
        ),
    );
    const random = seededRandom(7);
    let [running, most, ended] = [0, 0, 0];
    const run = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, random() * 10));
      running--;
      ended++;
    };
    await Promise.all(
      bulkheads.flatMap((bulkhead) => Array.from({ length: 200 }, () => bulkhead.execute(run))),
    );

    expect([ended, most]).toEqual([800, 10]);
    await until(() => bulkheads.every(settled));
    await until(async () => (await redis.client.keys(`resilience:{${app}:*`)).length === 0);
    for (const state of states) await state.close();
  });

  it('SS-02 an application that closes gives its permits to the others at once', async () => {
    const app = `test-${randomUUID()}`;
    const start = async () => {
      const sharedState = redisState(redis.client, { app, timeout: '5s' });
      const module = await Test.createTestingModule({
        imports: [ResilienceModule.forRoot({ sharedState })],
        providers: [Search],
      }).compile();
      await module.init();
      return module;
    };
    const [first, second] = [await start(), await start()];
    const [one, two] = [first.get(Search), second.get(Search)];
    const running = one.find();
    await until(() => one.work.started === 1);
    await expect(two.find()).rejects.toThrow(BulkheadFullError);

    await first.close();
    const outcomes: Promise<unknown>[] = [];
    await until(() => {
      outcomes.push(two.find().catch(() => 'refused'));
      return two.work.started === 1;
    });
    await one.work.finish();
    await two.work.finish();
    expect(await running).toBe('found');
    expect((await Promise.all(outcomes)).filter((outcome) => outcome === 'found')).toHaveLength(1);
    await second.close();
  });
});

(canOwnRedis ? describe : describe.skip)('a bulkhead whose store is lost', () => {
  it('SS-06 SS-07 keeps what it holds, then its share; and asks again when the store is back', async () => {
    const server = await startRedis();
    const client = new Redis(server.url);
    // Long enough for a busy machine while the server runs.
    const state = redisState(client, { app: 'shop', timeout: '2s' });
    const bulkhead = new BulkheadPolicy(
      'search',
      { maxConcurrent: 10, maxQueue: 20, maxWait: '60s', shared: { lease: '6s' } },
      { fleet: { state, size: 2 } },
    );
    const work = new Work();
    await work.begin(bulkhead, 3);
    const { held } = bulkhead.stats().shared as { held: number };
    expect(held).toBeLessThan(5);

    server.process?.kill('SIGSTOP');
    const waiting = work.begin(bulkhead, 6);
    expect(bulkhead.stats().shared).toEqual({ held, source: 'store' });
    await until(() => bulkhead.stats().shared?.source === 'local-share');
    expect(bulkhead.stats()).toMatchObject({ activeCalls: 5, queuedCalls: 4, shared: { held: 0 } });
    await until(() => state.degraded);

    server.process?.kill('SIGCONT');
    await waiting;
    expect(bulkhead.stats()).toMatchObject({ activeCalls: 9, shared: { source: 'store' } });
    await work.finish();
    await until(() => settled(bulkhead));
    await until(async () => (await client.keys('resilience:{shop:bulkhead:*')).length === 0);
    await state.close();
    client.disconnect();
    await server.stop();
  });
});
