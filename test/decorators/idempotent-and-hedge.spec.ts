import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Injectable, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Observable, of } from 'rxjs';
import {
  Hedge,
  IdempotencyConflictError,
  Idempotent,
  InvalidOptionsError,
  ResilienceModule,
  ResilienceService,
  Resilient,
  Retry,
} from '../../lib/index.js';
import { ManualClock } from '../../lib/testing/index.js';

async function start<T>(type: Type<T>) {
  const clock = new ManualClock();
  const module = await Test.createTestingModule({
    imports: [ResilienceModule.forRoot({ clock })],
    providers: [type],
  }).compile();
  return { clock, service: module.get(type), resilience: module.get(ResilienceService) };
}

interface Order {
  readonly id: string;
  readonly amount: number;
}

describe('@Idempotent', () => {
  @Injectable()
  class Orders {
    placed = 0;

    @Idempotent('orders', { key: ({ args: [order] }) => (order as Order).id })
    async place(order: Order): Promise<string> {
      this.placed++;
      return `receipt of ${order.id}`;
    }

    @Resilient({ idempotency: { key: () => 'always', wait: '1s' } })
    async once(): Promise<number> {
      return ++this.placed;
    }
  }

  it('ID-01 runs a method once per key, by name and by injection the same policy', async () => {
    const { service, resilience } = await start(Orders);
    const order = { id: 'o-1', amount: 10 };

    const receipts = [await service.place(order), await service.place({ ...order })];

    expect(receipts).toEqual(['receipt of o-1', 'receipt of o-1']);
    expect(service.placed).toBe(1);
    expect(resilience.idempotency('orders').stats()).toMatchObject({ totalRuns: 1, totalReplays: 1 });
    expect(resilience.stats().idempotencies).toHaveProperty('orders');
  });

  it('ID-02 refuses a second call meanwhile, or lets it wait', async () => {
    const { service } = await start(Orders);
    const order = { id: 'o-1', amount: 10 };

    const [first, second] = await Promise.allSettled([service.place(order), service.place(order)]);
    const both = await Promise.all([service.once(), service.once()]);

    expect(first.status).toBe('fulfilled');
    expect((second as PromiseRejectedResult).reason).toBeInstanceOf(IdempotencyConflictError);
    expect(both).toEqual([2, 2]);
  });
});

describe('@Hedge', () => {
  it('starts a second attempt from the budget of the retry of the same method', async () => {
    @Injectable()
    class Catalogue {
      attempts = 0;

      @Hedge({ delay: 100, idempotent: true })
      @Retry({ budget: { max: 1 } })
      async item(): Promise<string> {
        this.attempts++;
        return this.attempts % 2 === 1 ? new Promise<string>(() => undefined) : 'from the hedge';
      }
    }
    const { clock, service, resilience } = await start(Catalogue);

    const first = service.item();
    await clock.advance(100);
    void service.item();
    await clock.advance(100);

    expect(await first).toBe('from the hedge');
    expect(service.attempts).toBe(3);
    expect(resilience.stats().hedges['Catalogue.item']).toMatchObject({ totalHedges: 1, totalSuppressed: 1 });
    expect(resilience.describe(Catalogue, 'item')).toMatch(/retry .*\n.*hedge .*up to 1 more after 100 ms/);
  });

  it('PL-07 refuses a method that is not declared idempotent, and one that returns an Observable', async () => {
    @Injectable()
    class Catalogue {
      @Hedge({ delay: 100 })
      async item(): Promise<string> {
        return 'item';
      }

      @Hedge({ delay: 100 })
      @Idempotent({ key: () => 'key' })
      async safe(): Promise<string> {
        return 'item';
      }

      @Hedge({ delay: 100, idempotent: true })
      items(): Observable<string> {
        return of('item');
      }
    }

    const starting = start(Catalogue);

    await expect(starting).rejects.toThrow(InvalidOptionsError);
    await expect(starting).rejects.toMatchObject({
      problems: [
        { where: '@Hedge on Catalogue.item', option: 'idempotent' },
        { where: '@Hedge on Catalogue.items', message: expect.stringContaining('Observable') },
      ],
    });
  });
});
