import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Bulkhead,
  CircuitBreaker,
  InvalidOptionsError,
  RateLimit,
  ResilienceModule,
  ResilienceService,
  Retry,
  Timeout,
  TimeoutExceededError,
  type ResilienceModuleOptions,
} from '../../lib/index.js';
import { ManualClock } from '../../lib/testing/index.js';

@Injectable()
class Prices {
  attempts = 0;

  @CircuitBreaker('prices', { failureThreshold: 3 })
  async failing(): Promise<never> {
    this.attempts++;
    throw new Error('down');
  }

  @Retry('prices', { maxRetries: 0, baseDelay: 0 })
  async retried(): Promise<never> {
    this.attempts++;
    throw new Error('down');
  }

  @RateLimit('prices', { capacity: 2, refillPerSecond: 0 })
  async limited(): Promise<string> {
    return 'price';
  }

  @Bulkhead('prices', { maxConcurrent: 1 })
  async queued(): Promise<string> {
    this.attempts++;
    return new Promise(() => undefined);
  }

  @Timeout({ name: 'prices', duration: '10s' })
  async slow(): Promise<string> {
    return new Promise(() => undefined);
  }
}

async function start(options: ResilienceModuleOptions = {}) {
  const clock = new ManualClock();
  const module = await Test.createTestingModule({
    imports: [ResilienceModule.forRoot({ clock, ...options })],
    providers: [Prices],
  }).compile();
  return { clock, prices: module.get(Prices), resilience: module.get(ResilienceService) };
}

describe('ResilienceService.update', () => {
  it('PL-08 a breaker keeps its count and follows its new threshold', async () => {
    const { prices, resilience } = await start();
    for (let i = 0; i < 2; i++) await prices.failing().catch(() => undefined);

    resilience.update('circuitBreaker', 'prices', { failureThreshold: 4 });
    await prices.failing().catch(() => undefined);
    const atThree = resilience.circuitBreaker('prices').state;
    await prices.failing().catch(() => undefined);

    expect([atThree, resilience.circuitBreaker('prices').state]).toEqual(['closed', 'open']);
  });

  it('PL-08 a retry, a rate limit, a bulkhead and a timeout follow at the next call', async () => {
    const { clock, prices, resilience } = await start();
    await prices.limited();

    resilience.update('retry', 'prices', { maxRetries: 2 });
    resilience.update('rateLimit', 'prices', { capacity: 3 });
    resilience.update('timeout', 'prices', { duration: '1s', total: '5s' });
    await prices.retried().catch(() => undefined);
    const limited = await Promise.allSettled([prices.limited(), prices.limited(), prices.limited()]);
    const slow = prices.slow().catch((error: unknown) => error);
    await clock.advance(1_000);

    expect(prices.attempts).toBe(3);
    // One of three was taken under the old capacity.
    expect(limited.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(await slow).toBeInstanceOf(TimeoutExceededError);
    expect(resilience.describe(Prices, 'slow')).toContain('totalTimeout');
  });

  it('PL-08 a raised bulkhead starts who waits', async () => {
    const { clock, prices, resilience } = await start();
    void prices.queued();
    void prices.queued();
    await clock.advance(0);
    const before = prices.attempts;

    resilience.update('bulkhead', 'prices', { maxConcurrent: 2 });
    await clock.advance(0);

    expect([before, prices.attempts]).toEqual([1, 2]);
  });

  it('PL-08 a refused update leaves the old options in force', async () => {
    const { prices, resilience } = await start();

    const update = () =>
      resilience.update('circuitBreaker', 'prices', { failureThreshold: 1, openDuration: -1 });

    expect(update).toThrow(InvalidOptionsError);
    await prices.failing().catch(() => undefined);
    expect(resilience.circuitBreaker('prices').state).toBe('closed');
    expect(resilience.circuitBreaker('prices').stats().config.failureThreshold).toBe(3);
  });

  it('says where there is no policy of that name', async () => {
    const { resilience } = await start();

    expect(resilience.update('retry', 'nobody', {})).toBe(false);
    expect(resilience.reset('retry', 'nobody')).toBe(false);
    expect(resilience.find('retry', 'nobody')).toBeUndefined();
  });
});

describe('policies named from user input', () => {
  it('PL-09 cannot grow without bound, refused names included', async () => {
    const { resilience } = await start({ maxPolicies: 10 });
    const refused: unknown[] = [];
    for (let i = 0; i < 1_000; i++) {
      try {
        resilience.circuitBreaker(`user-${i}`, { failureThreshold: i + 1 });
      } catch (error) {
        refused.push(error);
      }
    }

    expect(Object.keys(resilience.stats().circuitBreakers)).toHaveLength(10);
    // One place was taken by the breaker of the class.
    expect(refused).toHaveLength(991);
    expect(refused[0]).toMatchObject({ message: expect.stringContaining('belong into "key"') });
  });
});
