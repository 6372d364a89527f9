import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { Injectable, Module, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Idempotent, ResilienceModule, ResilienceService } from 'nestjs-breakwater';
import { redisState } from 'nestjs-breakwater/redis';
import { canRunRedis } from './server.js';
import { withRedis } from './with-redis.js';

@Injectable()
class Orders {
  @Idempotent('orders', { key: ({ args: [id] }) => id as string, shared: true })
  async place(id: string): Promise<string> {
    return `placed ${id}`;
  }
}

(canRunRedis ? describe : describe.skip)(
  'two applications of one module, and so with one shared state',
  () => {
    const redis = withRedis();

    function moduleWithState(): Type {
      const sharedState = redisState(redis.client, { app: `test-${randomUUID()}`, timeout: '5s' });
      @Module({ imports: [ResilienceModule.forRoot({ sharedState })], providers: [Orders] })
      class AppModule {}
      return AppModule;
    }

    const start = async (module: Type): Promise<TestingModule> => {
      const app = await Test.createTestingModule({ imports: [module] }).compile();
      return app.init();
    };
    const instances = (app: TestingModule) => app.get(ResilienceService).stats().sharedState?.instances;

    it('PL-04 one works after the other was closed', async () => {
      const module = moduleWithState();
      const first = await start(module);
      await first.get(Orders).place('1');
      await first.close();

      const second = await start(module);
      expect(await second.get(Orders).place('2')).toBe('placed 2');
      expect(instances(second)).toBe(1);
      await second.close();
    });

    it('PL-04 at the same time they are two instances, and one stays when the other leaves', async () => {
      const module = moduleWithState();
      const first = await start(module);
      const second = await start(module);
      expect(instances(second)).toBe(2);

      await first.close();
      expect(await second.get(Orders).place('3')).toBe('placed 3');
      await second.close();
    });
  },
);
