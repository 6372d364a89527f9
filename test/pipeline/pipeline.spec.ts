import { describe, expect, it } from '@jest/globals';
import type { Call, Next } from '../../lib/core/call.js';
import { recomposePipelines } from '../../lib/core/composition.js';
import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { Inside } from '../../lib/core/policy.js';
import {
  DEFAULT_ORDER,
  Pipeline,
  orderProblems,
  type PipelinePolicy,
  type PipelineSlot,
} from '../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../lib/policies/bulkhead/index.js';
import { ChaosPolicy } from '../../lib/policies/chaos/index.js';
import { CircuitBreakerPolicy } from '../../lib/policies/circuit-breaker/index.js';
import { FallbackChain, FallbackLevel } from '../../lib/policies/fallback/index.js';
import { HedgePolicy } from '../../lib/policies/hedge/index.js';
import { IdempotencyPolicy } from '../../lib/policies/idempotency/index.js';
import { RateLimitPolicy } from '../../lib/policies/rate-limit/index.js';
import { RetryPolicy } from '../../lib/policies/retry/index.js';
import { TimeoutPolicy } from '../../lib/policies/timeout/index.js';
import { ManualClock } from '../../lib/testing/index.js';

function pipelineOf(order?: readonly PipelineSlot[]) {
  const clock = new ManualClock();
  const policies = [
    new TimeoutPolicy('payments', '1s', { clock }),
    new BulkheadPolicy('payments', {}, { clock }),
    new RetryPolicy('payments', {}, { clock }),
  ];
  return new Pipeline('payments', policies, clock, order);
}

/** A guard that writes down when it is entered and settled. */
function spyGuard(kind: PipelineSlot, ran: string[], name: string = kind): PipelinePolicy {
  const guard = {
    kind,
    name,
    needsTime: 'never',
    describe: () => '',
    enter: () => void ran.push(`${name} enters`),
    cancel: () => undefined,
    settle: () => void ran.push(`${name} settles`),
  };
  return guard as unknown as PipelinePolicy;
}

function spyDriver(kind: PipelineSlot, ran: string[]): PipelinePolicy {
  const driver = {
    kind,
    name: kind,
    describe: () => '',
    run: (call: Call, next: Next) => {
      ran.push(kind);
      return next(call);
    },
  };
  return driver as unknown as PipelinePolicy;
}

const slotsOf = ({ steps }: Pipeline) => steps.map(({ slot }) => slot);

describe('Pipeline', () => {
  it('PL-01 the order is by kind, whatever the order in which policies are given', () => {
    expect(slotsOf(pipelineOf())).toEqual(['retry', 'bulkhead', 'timeout']);
  });

  it('PL-01 kinds that the order does not name stay where they are', () => {
    expect(slotsOf(pipelineOf(['retry']))).toEqual(['retry', 'bulkhead', 'timeout']);
    expect(slotsOf(pipelineOf(['bulkhead', 'retry']))).toEqual(['bulkhead', 'retry', 'timeout']);
  });

  it('CB-26 answers with a promise, also of a throw, and also where nothing is left of it', async () => {
    const clock = new ManualClock();
    const off = new ChaosPolicy('p', { error: 500 }, { clock });
    const broken = (): never => {
      throw new Error('at once');
    };
    for (const policies of [[], [off]]) {
      const pipeline = new Pipeline('p', policies, clock);
      await expect(pipeline.execute(broken)).rejects.toThrow('at once');
      await expect(pipeline.wrap(broken)()).rejects.toThrow('at once');
      expect(await pipeline.execute(() => 'done')).toBe('done');
    }
  });

  it('CB-26 BH-07 a result whose then throws is a rejection, and gives everything back', async () => {
    const clock = new ManualClock();
    const bulkhead = new BulkheadPolicy('p', { maxConcurrent: 1, maxQueue: 1 }, { clock });
    const pipeline = new Pipeline('p', [bulkhead], clock);
    const odd = () =>
      new Proxy(
        {},
        {
          get(_, name) {
            if (name === 'then') throw new Error('no then');
            return undefined;
          },
        },
      );
    const answers = [pipeline.execute(odd), pipeline.execute(odd)].map((answer) =>
      answer.catch((error: unknown) => error),
    );

    expect(await Promise.all(answers)).toMatchObject([{ message: 'no then' }, { message: 'no then' }]);
    expect(bulkhead.stats()).toMatchObject({ activeCalls: 0, queuedCalls: 0, totalCalls: 2 });
  });

  it('PL-01 the whole order, outermost first', () => {
    const clock = new ManualClock();
    const policies = [
      new ChaosPolicy('p', { enabled: true, error: 500 }, { clock }),
      new TimeoutPolicy('p', { duration: '1s', total: '5s' }, { clock }),
      new CircuitBreakerPolicy('p', {}, { clock }),
      new BulkheadPolicy('p', {}, { clock }),
      new RateLimitPolicy('p', {}, { clock }),
      new HedgePolicy('p', {}, { clock }),
      new RetryPolicy('p', {}, { clock }),
      new IdempotencyPolicy('p', {}, { clock }),
      new FallbackChain('p', {}, { clock }),
    ];

    expect(slotsOf(new Pipeline('p', policies, clock))).toEqual([...DEFAULT_ORDER]);
  });

  it.each([
    [{ duration: '1s' }, ['timeout']],
    [{ total: '1s' }, ['totalTimeout']],
    [{ duration: '1s', total: '2s' }, ['totalTimeout', 'timeout']],
  ] as const)('PL-01 a timeout of %j takes %j', (options, slots) => {
    const clock = new ManualClock();

    expect(slotsOf(new Pipeline('p', [new TimeoutPolicy('p', options, { clock })], clock))).toEqual(slots);
  });

  it('PL-01 any order is what runs, guards outside drivers and retries included', async () => {
    const ran: string[] = [];
    const clock = new ManualClock();
    const policies = [
      spyGuard('bulkhead', ran),
      spyGuard('circuitBreaker', ran),
      spyDriver('fallback', ran),
      spyDriver('hedge', ran),
    ];
    const order: PipelineSlot[] = ['circuitBreaker', 'hedge', 'bulkhead', 'fallback'];

    await new Pipeline('p', policies, clock, order).execute(() => ran.push('method'));

    expect(ran).toEqual([
      'circuitBreaker enters',
      'hedge',
      'bulkhead enters',
      'fallback',
      'method',
      'bulkhead settles',
      'circuitBreaker settles',
    ]);
  });

  it('PL-14 policies of one kind run in textual order, outermost first', async () => {
    const ran: string[] = [];
    const guards = ['first', 'second'].map((name) => spyGuard('bulkhead', ran, name));

    await new Pipeline('p', guards, new ManualClock()).execute(() => ran.push('method'));

    expect(ran).toEqual(['first enters', 'second enters', 'method', 'second settles', 'first settles']);
  });

  it('a driver that is off takes no part, until an update puts it on', () => {
    const clock = new ManualClock();
    const chaos = new ChaosPolicy('p', { enabled: false, error: 500 }, { clock });
    const pipeline = new Pipeline('p', [chaos], clock);
    const before = slotsOf(pipeline);

    chaos.update({ enabled: true });

    expect([before, slotsOf(pipeline)]).toEqual([[], ['chaos']]);
  });

  it('guests join at the next composition, for calls as for who looks', async () => {
    const ran: string[] = [];
    const guests: PipelinePolicy[] = [];
    const pipeline = new Pipeline('p', [], new ManualClock(), undefined, () => guests);
    const before = slotsOf(pipeline);
    guests.push(spyGuard('bulkhead', ran));

    await pipeline.execute(() => ran.push('not yet'));
    recomposePipelines();
    await pipeline.execute(() => ran.push('with a guest'));

    expect(ran).toEqual(['not yet', 'bulkhead enters', 'with a guest', 'bulkhead settles']);
    expect([before, slotsOf(pipeline)]).toEqual([[], ['bulkhead']]);
  });

  it('what stands around it sees each call, and what is inside', async () => {
    const ran: string[] = [];
    const around =
      (inside: Next): Next =>
      (call) => {
        ran.push('around');
        return inside(call);
      };
    const guards = [spyGuard('bulkhead', ran)];

    await new Pipeline('p', guards, new ManualClock(), undefined, () => [], around).execute(() =>
      ran.push('method'),
    );

    expect(ran).toEqual(['around', 'bulkhead enters', 'method', 'bulkhead settles']);
  });

  it('PL-03 a wrapped function keeps its this and its arguments, and a fallback knows how many it declares', async () => {
    const seen: unknown[] = [];
    const chain = new FallbackChain('p').register(FallbackLevel.DEFAULT, (...args) => args.length);
    const pipeline = new Pipeline('p', [chain], new ManualClock());
    const self = {
      fine: pipeline.wrap(function (this: unknown, ...args: number[]) {
        seen.push(this, args);
        return 'fine';
      }),
      failing: pipeline.wrap((_a?: number, _b?: number): number => {
        throw new Error('down');
      }),
    };

    expect(await self.fine(1, 2)).toBe('fine');
    expect(seen).toEqual([self, [1, 2]]);
    expect(await self.failing(1)).toBe(3);
  });

  it('PL-01 describes what runs, a policy a line', () => {
    const lines = pipelineOf().describe().split('\n');

    expect(lines[0]).toBe('payments');
    expect(lines.slice(1).map((line) => line.slice(0, 22))).toEqual([
      '  retry     "payments"',
      '  bulkhead  "payments"',
      '  timeout   "payments"',
    ]);
    expect(lines[3]).toBe('  timeout   "payments": 1 s');
    expect(new Pipeline('empty', [], new ManualClock()).describe()).toBe('empty\n  (nothing)');
  });

  it('RT-01 a retry alone is a pipeline', async () => {
    const clock = new ManualClock();
    const retry = new RetryPolicy('p', { maxRetries: 2, baseDelay: 0 }, { clock });
    let attempts = 0;

    const call = new Pipeline('p', [retry], clock).execute(() => {
      attempts++;
      throw new Error('down');
    });

    await expect(call).rejects.toThrow('down');
    expect(attempts).toBe(3);
  });

  it.each([false, true])(
    'FB-05 a fallback answers for attempts that time out (with a retry between: %p)',
    async (retried) => {
      const clock = new ManualClock();
      const policies: PipelinePolicy[] = [
        new FallbackChain('p', { use: () => 'fallback' }, { clock }),
        new TimeoutPolicy('p', 100, { clock }),
      ];
      if (retried) policies.push(new RetryPolicy('p', { maxRetries: 0 }, { clock }));

      const call = new Pipeline('p', policies, clock).execute(() => new Promise(() => {}));
      await clock.advance(100);

      expect(await call).toBe('fallback');
    },
  );

  it('HG-02 a driver hears whether all guards inside it are calm, and of none outside it', async () => {
    const heard: boolean[] = [];
    const calmness = { outer: true, inner: true, other: true };
    const guard = (name: keyof typeof calmness, kind: PipelineSlot): PipelinePolicy =>
      Object.assign(spyGuard(kind, [], name), { isCalm: () => calmness[name] });
    const driver = {
      kind: 'hedge',
      name: 'p',
      describe: () => '',
      run: (call: Call, next: Next, inside: Inside) => {
        heard.push(inside.isCalm(call));
        return next(call) as Promise<unknown>;
      },
    } as unknown as PipelinePolicy;
    const policies = [
      guard('outer', 'rateLimit'),
      driver,
      spyGuard('timeout', []),
      guard('inner', 'bulkhead'),
      guard('other', 'circuitBreaker'),
    ];
    const order: PipelineSlot[] = ['rateLimit', 'hedge'];
    const pipeline = new Pipeline('p', policies, new ManualClock(), order);

    await pipeline.execute(() => 'fine');
    calmness.outer = false;
    await pipeline.execute(() => 'fine');
    calmness.inner = false;
    await pipeline.execute(() => 'fine');
    calmness.inner = true;
    calmness.other = false;
    await pipeline.execute(() => 'fine');

    expect(heard).toEqual([true, true, false, false]);
  });

  it.each([
    [['retry', 'bulkheads'], 'did you mean "bulkhead"'],
    [['retry', 'retry'], '"order" holds "retry" twice'],
    [['retry', 'zzzzzzzz'], 'it may hold fallback, idempotency, '],
    [['retry', 7], '"order" holds 7, which is no kind of policy; it may hold'],
    ['retry', '"order" must be a list'],
  ])('PL-07 an order of %j is refused', (order, message) => {
    const build = () => pipelineOf(order as PipelineSlot[]);

    expect(build).toThrow(InvalidOptionsError);
    expect(build).toThrow(`pipeline "payments": `);
    expect(build).toThrow(message);
    expect(orderProblems(order, 'here').map(({ option }) => option)).toEqual(['order']);
  });
});

describe('a retry in a pipeline', () => {
  it('needs no other policy', async () => {
    const clock = new ManualClock();
    const retry = new RetryPolicy('again', { maxRetries: 1, baseDelay: 0 }, { clock });
    let runs = 0;
    const method = async () => {
      if (++runs === 1) throw new Error('down');
      return 'fine';
    };

    expect(await new Pipeline('search', [retry], clock).execute(method)).toBe('fine');
  });

  it('ends with its attempts, whose timeouts leave the call around it to a fallback', async () => {
    const clock = new ManualClock();
    const policies = [
      new FallbackChain('search', {}, { clock }).register(FallbackLevel.DEFAULT, () => 'fallback'),
      new RetryPolicy('search', { maxRetries: 1, baseDelay: 0 }, { clock }),
      new TimeoutPolicy('search', 100, { clock }),
    ];
    const call = new Pipeline('search', policies, clock).execute(() => new Promise(() => {}));
    const ended = call.catch((error: unknown) => error);
    await clock.advance(100);
    await clock.advance(100);

    expect(await ended).toBe('fallback');
  });
});
