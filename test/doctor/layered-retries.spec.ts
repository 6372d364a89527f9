import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Controller, Get, Inject, Injectable, Scope, UseInterceptors, forwardRef } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { Fallback, Resilient, Retry, RetryInterceptor, RetryPolicy, Timeout } from '../../lib/index.js';
import { findingsOf, onlyFinding } from './examine.js';

@Injectable()
class Gateway {
  @Retry({ maxRetries: 3 })
  @Timeout('1s')
  async charge() {
    return 'charged';
  }

  async look() {
    return 'seen';
  }
}

/** Not retried itself. */
@Injectable()
class Ledger {
  constructor(private readonly gateway: Gateway) {}

  async book() {
    return this.gateway.charge();
  }

  async read() {
    return this.gateway.look();
  }
}

describe('retries in layers', () => {
  it('multiply through a class between them', async () => {
    @Injectable()
    class Payments {
      constructor(private readonly ledger: Ledger) {}

      @Retry({ maxRetries: 2 })
      @Timeout('5s')
      async pay() {
        return this.ledger.book();
      }
    }

    const finding = await onlyFinding({ providers: [Gateway, Ledger, Payments] });

    expect(finding).toMatchObject({ code: 'layered-retries', severity: 'warning', where: 'Payments.pay' });
    expect(finding.message).toBe(
      'Retries in layers multiply: Payments.pay (3 attempts) → Gateway.charge (4 attempts): up to 12 attempts for one call.',
    );
  });

  it('are told apart from methods that call no retried one', async () => {
    @Injectable()
    class Payments {
      constructor(
        private readonly ledger: Ledger,
        private readonly gateway: Gateway,
      ) {}

      @Retry()
      @Timeout('5s')
      async balance() {
        // Not this.gateway.charge(), and no "this" of a comment counts.
        return `${await this.ledger.read()} of ${await this.gateway.look()}`;
      }

      @Timeout('5s')
      async pay() {
        return this.ledger.book();
      }
    }

    expect(await findingsOf({ providers: [Gateway, Ledger, Payments] })).toEqual([]);
  });

  it('are one finding, for the longest chain', async () => {
    @Injectable()
    class Payments {
      constructor(private readonly gateway: Gateway) {}

      @Retry({ maxRetries: 2 })
      @Timeout('5s')
      async pay() {
        return this.gateway.charge();
      }
    }

    @Controller('orders')
    class Orders {
      constructor(private readonly payments: Payments) {}

      @Get()
      @UseInterceptors(RetryInterceptor.for({ maxRetries: 1 }))
      async order() {
        return this.payments.pay();
      }
    }

    const finding = await onlyFinding({ providers: [Gateway, Payments], controllers: [Orders] });

    expect(finding.where).toBe('Orders.order');
    expect(finding.message).toContain('up to 24 attempts');
  });

  it('are seen through tokens, factories, properties, own methods and request scope', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      constructor(@Inject('gateway') private readonly gateway: Gateway) {}

      @Retry({ maxRetries: 1 })
      @Timeout('5s')
      async pay() {
        return this.gateway.charge();
      }
    }

    @Injectable()
    class ByProperty {
      @Inject('made') private readonly made!: Gateway;

      @Retry({ maxRetries: 1 })
      @Timeout('5s')
      async pay() {
        return this.really();
      }

      private async really() {
        return this.made.charge();
      }
    }

    const where = await findingsOf({
      providers: [
        PerRequest,
        ByProperty,
        { provide: 'gateway', useClass: Gateway },
        { provide: 'made', useFactory: () => new Gateway() },
      ],
    });

    expect(where).toEqual(['layered-retries: PerRequest.pay', 'layered-retries: ByProperty.pay']);
  });

  it('are assumed where a method hands its object on', async () => {
    @Injectable()
    class Payments {
      constructor(private readonly gateway: Gateway) {}

      @Retry()
      @Timeout('5s')
      async pay() {
        const { gateway } = this;
        return gateway.charge();
      }
    }

    expect(await findingsOf({ providers: [Gateway, Payments] })).toEqual(['layered-retries: Payments.pay']);
  });

  it('end where classes need each other', async () => {
    @Injectable()
    class One {
      constructor(@Inject(forwardRef(() => Other)) private readonly other: { back(): Promise<unknown> }) {}

      @Retry({ maxRetries: 1 })
      @Timeout('5s')
      async go() {
        return this.other.back();
      }
    }

    @Injectable()
    class Other {
      constructor(@Inject(forwardRef(() => One)) private readonly one: One) {}

      @Retry({ maxRetries: 2 })
      @Timeout('5s')
      async back(): Promise<unknown> {
        return this.one.go();
      }
    }

    const finding = await onlyFinding({ providers: [One, Other] });

    expect(finding.message).toContain('up to 6 attempts');
  });

  it('do not multiply where an error ends between them', async () => {
    @Injectable()
    class Caught {
      constructor(private readonly gateway: Gateway) {}

      @Retry()
      @Timeout('5s')
      async pay() {
        return this.orNothing(() => this.gateway.charge());
      }

      private async orNothing(work: () => Promise<string>) {
        return work().catch(() => undefined);
      }
    }

    @Injectable()
    class Answered {
      constructor(private readonly gateway: Gateway) {}

      @Fallback(() => 'nothing')
      @Retry({ maxRetries: 1 })
      @Timeout('5s')
      async look() {
        return this.gateway.look();
      }
    }

    @Injectable()
    class Passed {
      constructor(
        private readonly answered: Answered,
        private readonly gateway: Gateway,
      ) {}

      @Retry()
      @Timeout('5s')
      async look() {
        return this.answered.look();
      }

      @Retry({ maxRetries: 1 })
      @Timeout('5s')
      async pay() {
        try {
          return await this.gateway.charge();
        } catch (cause) {
          throw new Error('Not paid', { cause });
        }
      }
    }

    expect(await findingsOf({ providers: [Gateway, Caught, Answered, Passed] })).toEqual([
      'layered-retries: Passed.pay',
    ]);
  });

  it('multiply around one method, too', async () => {
    @Injectable()
    class Payments {
      @Retry('outer', { maxRetries: 1 })
      @Resilient({ retry: new RetryPolicy('inner', { maxRetries: 2 }) })
      @Timeout('1s')
      async pay() {
        return 'paid';
      }
    }

    @Controller('prices')
    class Prices {
      @Get()
      @Retry({ maxRetries: 2 })
      @Timeout('1s')
      async price() {
        return 1;
      }
    }

    expect((await onlyFinding({ providers: [Payments] })).message).toBe(
      '2 retries stand around the same method: up to 2 × 3 = 6 attempts for one call.',
    );
    const everywhere = { provide: APP_INTERCEPTOR, useClass: RetryInterceptor.for({ maxRetries: 3 }) };
    expect((await onlyFinding({ controllers: [Prices], providers: [everywhere] })).message).toContain(
      '4 × 3 = 12 attempts',
    );
  });

  it('do not count where they are off', async () => {
    @Injectable()
    class Payments {
      constructor(private readonly gateway: Gateway) {}

      @Retry({ maxRetries: 0 })
      @Timeout('5s')
      async pay() {
        return this.gateway.charge();
      }
    }

    expect(await findingsOf({ providers: [Gateway, Payments] })).toEqual([]);
  });
});
