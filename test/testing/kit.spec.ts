import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Bulkhead,
  BulkheadFullError,
  CircuitBreaker,
  CircuitOpenError,
  EventHub,
  Fallback,
  Idempotent,
  InvalidOptionsError,
  RateLimit,
  RateLimitExceededError,
  RateLimitPolicy,
  ResilienceService,
  Retry,
  Timeout,
  TimeoutExceededError,
} from '../../lib/index.js';
import {
  ManualClock,
  ResilienceTestingModule,
  bindResilience,
  forcePolicy,
  recordEvents,
  resilienceMatchers,
  type ResilienceMatchers,
} from '../../lib/testing/index.js';

declare module 'expect' {
  interface Matchers<R> extends ResilienceMatchers<R> {}
}

expect.extend(resilienceMatchers);

@Injectable()
class Payments {
  calls = 0;
  down = false;

  @Retry('payments', { maxRetries: 2, baseDelay: '1s', budget: 'payments' })
  @CircuitBreaker('payments', { failureThreshold: 3, openDuration: '30s', successThreshold: 1 })
  async charge(): Promise<string> {
    this.calls++;
    if (this.down) throw new Error('down');
    return 'charged';
  }

  @Bulkhead('payments', { maxConcurrent: 5, maxQueue: 1 })
  async read(): Promise<string> {
    return 'read';
  }

  @RateLimit('payments', { capacity: 10, refillPerSecond: 1 })
  async search(): Promise<string> {
    return 'found';
  }

  @Timeout({ name: 'payments', duration: '1s' })
  async slow(ms = 0): Promise<string> {
    if (ms > 0) await new Promise(() => undefined);
    return 'done';
  }

  @Fallback({ name: 'payments', use: () => 'later' })
  async report(): Promise<string> {
    if (this.down) throw new Error('down');
    return 'report';
  }

  @Idempotent({ name: 'payments', key: ({ args }) => String(args[0]) })
  async refund(_key: string): Promise<number> {
    return ++this.calls;
  }
}

const OPTIONS = { retryBudgets: { payments: { max: 2, window: '60s' } } };

const setUp = () => bindResilience(new Payments(), OPTIONS);

/** Runs to its end, whatever time that takes. */
async function through(clock: ManualClock, run: Promise<unknown>): Promise<unknown> {
  const ended = run.catch((error: unknown) => error);
  await clock.advance(10_000);
  return ended;
}

describe('ResilienceTestingModule', () => {
  it('TK-01 is the module with a clock that stands still, which can be injected', async () => {
    const module = await Test.createTestingModule({
      imports: [ResilienceTestingModule.forRoot(OPTIONS)],
      providers: [Payments],
    }).compile();
    const payments = module.get(Payments);
    payments.down = true;
    const call = payments.charge().catch((error: unknown) => error);
    await module.get(ManualClock).advance(500);
    expect(payments.calls).toBe(1);
    await module.get(ManualClock).advance(10_000);
    expect(await call).toMatchObject({ message: 'down' });
    expect(payments.calls).toBe(3);
    await module.close();
  });

  it('TK-01 jitter is the same in each run, and a clock of one’s own is the one that is injected', async () => {
    const clock = new ManualClock();
    const delays: unknown[][] = [];
    for (const given of [{}, {}, { clock }]) {
      const module = await Test.createTestingModule({
        imports: [ResilienceTestingModule.forRoot({ ...OPTIONS, ...given })],
        providers: [Payments],
      }).compile();
      const recorder = recordEvents(module.get(ResilienceService));
      const payments = module.get(Payments);
      payments.down = true;
      await through(module.get(ManualClock), payments.charge());
      delays.push(recorder.of('retry', 'retried').map(({ details }) => details?.['delayMs']));
      if ('clock' in given) expect(module.get(ManualClock)).toBe(clock);
      await module.close();
    }
    expect(delays[0]).toHaveLength(2);
    expect(delays[1]).toEqual(delays[0]);
  });
});

describe('bindResilience', () => {
  it('TK-02 makes the decorators of a plain instance hold, and lets go of it again', async () => {
    const { instance, clock, resilience, release } = setUp();
    instance.down = true;
    await through(clock, instance.charge());
    expect(instance.calls).toBe(3);
    expect(resilience.circuitBreaker('payments').state).toBe('open');
    expect(resilience.stats().draining.phase).toBe('ready');
    release();
    await expect(instance.charge()).rejects.toThrow('down');
    expect(instance.calls).toBe(4);
    expect(bindResilience(instance, OPTIONS).resilience.circuitBreaker('payments')).toBeClosed();
  });

  it('TK-02 says what cannot be bound', () => {
    expect(() => bindResilience(new Date())).toThrow('bindResilience: Date has no method with a decorator');
    const { instance } = setUp();
    expect(() => bindResilience(instance)).toThrow(
      'this instance of Payments is bound already; release it first',
    );
    class Wrong {
      @Retry({ maxRetries: -1 })
      async run() {}
    }
    expect(() => bindResilience(new Wrong())).toThrow(InvalidOptionsError);
    class AllWrong extends Wrong {
      @Timeout('soon')
      async wait() {}
    }
    expect(() => bindResilience(new AllWrong())).toThrow(/^2 problems:[^]*AllWrong\.wait[^]*maxRetries/);
  });
});

describe('resilienceMatchers', () => {
  it('TK-03 tell what policies did', async () => {
    const { instance, clock, resilience } = setUp();
    const [breaker, retry] = [resilience.circuitBreaker('payments'), resilience.retry('payments')];
    expect(breaker).toBeClosed();
    expect(retry).not.toHaveRetried();
    instance.down = true;
    await through(clock, instance.charge());
    expect(breaker).toBeOpen();
    expect(breaker).not.toHaveRejected();
    expect(retry).toHaveRetried(2);
    expect(resilience.retryBudget('payments')).toBeExhausted();
    await through(clock, instance.charge());
    expect(breaker).toHaveRejected(1);
    await clock.advance(30_000);
    expect(breaker).toBeHalfOpen();
    await instance.report();
    expect(resilience.fallback('payments')).toHaveFallenBack(1);
    await through(clock, instance.slow(5_000));
    expect(resilience.stats().timeouts['payments']).toHaveTimedOut(1);
    await instance.refund('a');
    await instance.refund('a');
    expect(resilience.idempotency('payments')).toHaveReplayed(1);
    expect(resilience.bulkhead('payments')).not.toHaveRejected();
  });

  it('TK-03 say what was wanted and what there is', () => {
    const { resilience } = setUp();
    const breaker = resilience.circuitBreaker('payments');
    expect(() => expect(breaker).toBeOpen()).toThrow('expected "payments" to be open; it is closed');
    expect(() => expect(breaker).not.toBeClosed()).toThrow(
      'expected not "payments" to be closed; it is closed',
    );
    expect(() => expect(breaker).toHaveRejected(2)).toThrow(
      'expected "payments" to have 2 rejected calls; it has 0',
    );
    breaker.forceOpen('maintenance');
    expect(() => expect(breaker).toBeClosed()).toThrow('to be closed; it is forced-open (maintenance)');
    expect(() => expect(resilience.retry('payments')).toBeOpen()).toThrow(
      'toBeOpen is for policies whose stats have "state", got',
    );
  });
});

describe('forcePolicy', () => {
  it('holds for a limit that is used by itself', async () => {
    const limit = new RateLimitPolicy('search', { capacity: 5 });
    const release = forcePolicy(limit, 'exhausted');

    await expect(limit.execute(() => 'found')).rejects.toThrow(RateLimitExceededError);
    release();
    expect(await limit.execute(() => 'found', { key: 'a' })).toBe('found');
  });

  it('TK-04 says what a policy can be forced to be', () => {
    const { resilience } = setUp();
    expect(() => forcePolicy(resilience.bulkhead('payments'), 'open' as never)).toThrow(
      'forcePolicy: "payments" can be forced to be "full", got "open".',
    );
    expect(() => forcePolicy(resilience.circuitBreaker('payments'), 'full' as never)).toThrow(
      '"payments" can be forced to be "open" or "closed", got "full".',
    );
    expect(() => forcePolicy(resilience.retry('payments') as never, 'open' as never)).toThrow(
      'it takes a circuit breaker, bulkhead, rate limit, retry budget or timeout',
    );
  });

  it('TK-04 lets go in any order, once', async () => {
    const { resilience } = setUp();
    const [limit, bulkhead, breaker] = [
      resilience.rateLimiter('payments'),
      resilience.bulkhead('payments'),
      resilience.circuitBreaker('payments'),
    ];
    const first = [
      forcePolicy(limit, 'exhausted'),
      forcePolicy(bulkhead, 'full'),
      forcePolicy(breaker, 'open'),
    ];
    const second = [
      forcePolicy(limit, 'exhausted'),
      forcePolicy(bulkhead, 'full'),
      forcePolicy(breaker, 'closed'),
    ];
    const seen = () => [limit.decide().allowed, bulkhead.stats().maxConcurrent, breaker.state];

    for (const letGo of first) letGo();
    const between = seen();
    for (const letGo of second) letGo();
    const after = seen();
    breaker.forceOpen('by hand');
    for (const letGo of [...first, ...second]) letGo();

    expect(between).toEqual([false, 0, 'disabled']);
    expect(after).toEqual([true, 5, 'closed']);
    expect(breaker.state).toBe('forced-open');
  });

  it.each(['forceOpen', 'disable', 'meterOnly'] as const)('TK-04 leaves what %s had said', (decide) => {
    const breaker = setUp().resilience.circuitBreaker('payments');
    breaker[decide]('maintenance');
    const before = breaker.state;

    forcePolicy(breaker, 'closed')();

    expect([breaker.state, breaker.stats().reason]).toEqual([before, 'maintenance']);
  });

  it('TK-04 makes a policy do one thing, and lets it decide again', async () => {
    const { instance, clock, resilience } = setUp();
    const cases = [
      [forcePolicy(resilience.circuitBreaker('payments'), 'open'), () => instance.charge(), CircuitOpenError],
      [forcePolicy(resilience.bulkhead('payments'), 'full'), () => instance.read(), BulkheadFullError],
      [
        forcePolicy(resilience.rateLimiter('payments'), 'exhausted'),
        () => instance.search(),
        RateLimitExceededError,
      ],
      [forcePolicy(resilience.timeout('payments'), 'expired'), () => instance.slow(), TimeoutExceededError],
    ] as const;
    for (const [letGo, call, error] of cases) {
      expect(await through(clock, call())).toBeInstanceOf(error);
      letGo();
      expect(await through(clock, call())).toEqual(expect.any(String));
    }
    expect(resilience.rateLimiter('payments').decide().allowed).toBe(true);
    expect(resilience.bulkhead('payments').stats()).toMatchObject({
      maxConcurrent: 5,
      maxQueue: 1,
      activeCalls: 0,
    });
  });

  it('TK-04 a closed breaker lets failures pass; an exhausted budget allows no retry; a limit asked by hand says no', async () => {
    const { instance, clock, resilience } = setUp();
    const letGo = [
      forcePolicy(resilience.circuitBreaker('payments'), 'closed'),
      forcePolicy(resilience.retryBudget('payments'), 'exhausted'),
      forcePolicy(resilience.rateLimiter('payments'), 'exhausted'),
    ];
    instance.down = true;
    for (let i = 0; i < 5; i++) await through(clock, instance.charge());
    expect(instance.calls).toBe(5);
    const refused = { allowed: false, remaining: 0, limit: 10, retryAfterMs: 10_000, resetMs: 10_000 };
    expect(resilience.rateLimiter('payments').decide()).toEqual(refused);
    expect(await resilience.rateLimiter('payments').acquire()).toEqual(refused);
    for (const each of letGo) each();
    await through(clock, instance.charge());
    expect(instance.calls).toBe(8);
    expect(resilience.circuitBreaker('payments')).toBeOpen();
  });
});

describe('recordEvents', () => {
  it('TK-05 keeps what happened, in order, by kind and type', async () => {
    const { instance, clock, resilience } = setUp();
    const recorder = recordEvents(resilience);
    instance.down = true;
    await through(clock, instance.charge());
    expect(recorder.lines()).toEqual([
      'retry payments retried',
      'retry payments retried',
      'circuitBreaker payments state-changed',
    ]);
    expect(recorder.of('retry')).toHaveLength(2);
    expect(recorder.of('circuitBreaker', 'rejected')).toEqual([]);
    recorder.clear();
    expect(recorder.events).toEqual([]);
    recorder.stop();
    await through(clock, instance.charge());
    expect(recorder.events).toEqual([]);
  });

  it('TK-05 hears an event hub as well', async () => {
    const hub = new EventHub();
    const recorder = recordEvents(hub);
    hub.emit({ kind: 'hedge', policy: 'a', type: 'hedged', at: 0 });
    await Promise.resolve();
    expect(recorder.lines()).toEqual(['hedge a hedged']);
  });
});
