import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { Fallback, FallbackChain, FallbackLevel, ResilienceModule } from 'nestjs-breakwater';
import { redisState } from 'nestjs-breakwater/redis';
import { canOwnRedis, canRunRedis, startRedis } from './server.js';
import { withRedis } from './with-redis.js';

const { DISTRIBUTED_CACHE } = FallbackLevel;
const shared = [{ level: DISTRIBUTED_CACHE, shared: true }] as const;

@Injectable()
class Rates {
  isDown = false;

  @Fallback({ levels: shared })
  async of(currency: string): Promise<{ currency: string; rate: number }> {
    if (this.isDown) throw new Error('down');
    return { currency, rate: 1.25 };
  }
}

const until = async (condition: () => Promise<unknown>) => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
};

(canRunRedis ? describe : describe.skip)('answers that instances share', () => {
  const redis = withRedis();

  it('FB-06 SS-08 what one application got another gives; it expires, and shows nobody what it is about', async () => {
    const app = `test-${randomUUID()}`;
    const start = async () => {
      const sharedState = redisState(redis.client, { app, timeout: '5s' });
      const module = await Test.createTestingModule({
        imports: [ResilienceModule.forRoot({ sharedState })],
        providers: [Rates],
      }).compile();
      await module.init();
      return module;
    };
    const [first, second] = [await start(), await start()];
    const others = second.get(Rates);
    others.isDown = true;
    await first.get(Rates).of('EUR');
    const keys = () => redis.client.keys(`resilience:{${app}:fallback:*`);
    await until(async () => (await keys()).length === 1);

    expect(await others.of('EUR')).toEqual({ currency: 'EUR', rate: 1.25 });
    await expect(others.of('USD')).rejects.toThrow();
    const [key] = (await keys()) as [string];
    expect(key).not.toContain('EUR');
    // Five minutes, and an hour more.
    expect(Math.abs((await redis.client.pttl(key)) - 3_900_000)).toBeLessThan(60_000);
    await first.close();
    await second.close();
  });
});

(canOwnRedis ? describe : describe.skip)('answers whose store is lost', () => {
  it('SS-06 what is here is given; callers do not wait for a store that hangs', async () => {
    const server = await startRedis();
    const client = new Redis(server.url);
    const state = redisState(client, { app: 'shop' });
    let isDown = false;
    const chain = new FallbackChain('rates', { levels: shared }, { fleet: { state, size: 2 } }).register(
      FallbackLevel.PRIMARY,
      () => {
        if (isDown) throw new Error('down');
        return 'fresh';
      },
    );
    server.process?.kill('SIGSTOP');
    expect((await chain.execute('EUR')).value).toBe('fresh');
    isDown = true;

    expect(await chain.execute('EUR')).toMatchObject({ value: 'fresh', level: DISTRIBUTED_CACHE });
    await expect(chain.execute('USD')).rejects.toThrow();
    await until(async () => chain.stats().levels[DISTRIBUTED_CACHE]?.lastError !== undefined);
    await state.close();
    client.disconnect();
    await server.stop();
  });
});
