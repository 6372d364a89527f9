import { describe, expect, it, jest } from '@jest/globals';
import { Call, type CallInfo } from '../../../lib/core/call.js';
import {
  FallbackExhaustedError,
  InvalidOptionsError,
  RateLimitExceededError,
  TimeoutExceededError,
} from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/index.js';
import { FallbackChain, FallbackLevel, type FallbackOptions } from '../../../lib/policies/fallback/index.js';
import { RetryPolicy } from '../../../lib/policies/retry/index.js';
import { TimeoutPolicy } from '../../../lib/policies/timeout/index.js';
import { ManualClock } from '../../../lib/testing/index.js';

const { PRIMARY, REPLICA, DISTRIBUTED_CACHE, LOCAL_CACHE, BACKUP_SERVICE, DEFAULT } = FallbackLevel;
const failWith = (message: string) => () => Promise.reject(new Error(message));

describe('FallbackChain', () => {
  it('FB-01 levels run in level order whatever the order of registration, absent ones skipped', async () => {
    const ran: string[] = [];
    const level = (name: string) => () => {
      ran.push(name);
      throw new Error(name);
    };
    const chain = new FallbackChain('rates')
      .register(DEFAULT, level('default'))
      .register(LOCAL_CACHE, level('local cache'))
      .register(PRIMARY, level('primary'))
      .register(BACKUP_SERVICE, level('backup'))
      .register(DISTRIBUTED_CACHE, level('distributed cache'));

    await expect(chain.execute()).rejects.toThrow(FallbackExhaustedError);

    expect(ran).toEqual(['primary', 'distributed cache', 'local cache', 'backup', 'default']);
  });

  it('FB-01 the first that succeeds answers with its level, and the rest do not run', async () => {
    const last = jest.fn();
    const chain = new FallbackChain('rates')
      .register(PRIMARY, failWith('down'))
      .register(REPLICA, () => 'from the replica')
      .register(DEFAULT, last);

    expect(await chain.execute()).toEqual({ value: 'from the replica', level: REPLICA, degraded: true });

    expect(last).not.toHaveBeenCalled();
  });

  it('FB-01 degraded is true for all but the primary', async () => {
    for (const level of Object.values(FallbackLevel)) {
      const chain = new FallbackChain('rates').register(level, () => 'fine');
      expect(await chain.execute()).toEqual({ value: 'fine', level, degraded: level !== PRIMARY });
    }
  });

  it.each([null, undefined])('FB-02 %s is an answer', async (answer) => {
    const last = jest.fn();
    const chain = new FallbackChain('rates')
      .register(PRIMARY, failWith('down'))
      .register(REPLICA, () => answer)
      .register(DEFAULT, last);
    const pipeline = new Pipeline('rates', [chain], new ManualClock());

    expect(await chain.execute()).toEqual({ value: answer, level: REPLICA, degraded: true });
    expect(await pipeline.execute(failWith('down'))).toBe(answer);
    expect(await pipeline.execute(() => answer)).toBe(answer);

    expect(last).not.toHaveBeenCalled();
  });

  it("FB-03 when all fail it throws every level's error in order, the primary's as cause", async () => {
    const chain = new FallbackChain('rates')
      .register(REPLICA, failWith('replica'))
      .register(DEFAULT, failWith('default'));
    const pipeline = new Pipeline('rates', [chain], new ManualClock());
    const inOrder = { errors: ['primary', 'replica', 'default'].map((message) => ({ message })) };

    const alone = await new FallbackChain('rates')
      .register(PRIMARY, failWith('primary'))
      .register(REPLICA, failWith('replica'))
      .register(DEFAULT, failWith('default'))
      .execute()
      .catch((error: unknown) => error);
    const aroundMethod = await pipeline.execute(failWith('primary')).catch((error: unknown) => error);

    for (const error of [alone, aroundMethod]) {
      expect(error).toBeInstanceOf(FallbackExhaustedError);
      expect(error).toBeInstanceOf(AggregateError);
      expect(error).toMatchObject({ ...inOrder, cause: { message: 'primary' } });
    }
  });

  it('FB-03 an error that no level answers for stays what it is', async () => {
    const chain = new FallbackChain('rates').register(DEFAULT, () => 'fine', RangeError);
    const pipeline = new Pipeline('rates', [chain], new ManualClock());

    await expect(pipeline.execute(failWith('down'))).rejects.toThrow(new Error('down'));
  });

  it("FB-03 it says when to try again, where the primary's error does", async () => {
    const later = Object.assign(new Error('busy'), { headers: { 'retry-after': '7' } });
    const never = new RateLimitExceededError('used up', { retryAfterMs: Number.POSITIVE_INFINITY });
    const exhaustedAfter = (error: unknown) =>
      new Pipeline('rates', [new FallbackChain('rates').register(DEFAULT, failWith('default'))], clock)
        .execute(() => Promise.reject(error))
        .catch((exhausted: FallbackExhaustedError) => exhausted.retryAfterMs);
    const clock = new ManualClock();

    expect(await exhaustedAfter(later)).toBe(7_000);
    expect(await exhaustedAfter(new Error('down'))).toBeUndefined();
    expect(await exhaustedAfter(never)).toBeUndefined();
  });

  it('FB-04 a predicate sees the error and the call', async () => {
    const error = new Error('down');
    const seen: unknown[] = [];
    const chain = new FallbackChain('rates').register(
      DEFAULT,
      () => 'fallback',
      (thrown: unknown, call: CallInfo) => {
        seen.push(thrown, call.args);
        return true;
      },
    );
    const rate = new Pipeline('rates', [chain], new ManualClock()).wrap((_to: string) =>
      Promise.reject(error),
    );

    expect(await rate('USD')).toBe('fallback');
    chain.register(PRIMARY, () => Promise.reject(error));
    expect(await chain.execute('EUR')).toMatchObject({ value: 'fallback' });

    expect(seen).toEqual([error, ['USD'], error, ['EUR']]);
  });

  it('FB-04 a fallback sees the arguments and the error', async () => {
    const seen = jest.fn();
    const chain = new FallbackChain('rates').register(DEFAULT, seen);
    const pipeline = new Pipeline('rates', [chain], new ManualClock());
    const error = new Error('down');
    const rate = pipeline.wrap((_from: string, _to: string) => Promise.reject(error));

    await rate('EUR', 'USD');

    expect(seen).toHaveBeenCalledWith('EUR', 'USD', error);
  });

  it('FB-04 the error stands behind the declared parameters, however many were given', async () => {
    const seen = jest.fn();
    const chain = new FallbackChain('rates').register(DEFAULT, seen);
    const pipeline = new Pipeline('rates', [chain], new ManualClock());
    const error = new Error('down');
    const rate = pipeline.wrap((_from?: string, _to?: string) => Promise.reject(error));

    await rate('EUR');

    expect(seen).toHaveBeenCalledWith('EUR', undefined, error);
  });

  it('FB-04 of several handlers the one of the nearest error class answers', async () => {
    class Remote extends Error {}
    class RemoteTimeout extends Remote {}
    const chain = new FallbackChain('rates')
      .register(DEFAULT, () => 'Remote', Remote)
      .register(DEFAULT, () => 'any')
      .register(DEFAULT, () => 'TypeError', TypeError)
      .register(DEFAULT, () => 'Error', Error);
    const pipeline = new Pipeline('rates', [chain], new ManualClock());
    const answers = [new RemoteTimeout(), new Remote(), new TypeError(), new RangeError(), 'no error'].map(
      (error) => pipeline.execute(() => Promise.reject(error)),
    );

    expect(await Promise.all(answers)).toEqual(['Remote', 'Remote', 'TypeError', 'Error', 'any']);
  });

  it('FB-04 `on` is asked of the error of the primary, whatever levels in between fail with', async () => {
    class Network extends Error {}
    const options: FallbackOptions = {
      levels: [
        { level: REPLICA, use: () => Promise.reject(new TypeError('replica')) },
        { level: DEFAULT, use: () => 'default' },
      ],
      on: Network,
    };
    const pipeline = new Pipeline('rates', [new FallbackChain('rates', options)], new ManualClock());
    const alone = new FallbackChain('rates', options).register(PRIMARY, () => Promise.reject(new Network()));

    expect(await pipeline.execute(() => Promise.reject(new Network()))).toBe('default');
    expect(await alone.execute()).toMatchObject({ value: 'default', level: DEFAULT });
    await expect(pipeline.execute(() => Promise.reject(new TypeError('primary')))).rejects.toThrow('primary');
  });

  it('FB-03 in a chain by itself, too, an error that no level answers for stays what it is', async () => {
    const error = new Error('down');
    const chain = new FallbackChain('rates')
      .register(PRIMARY, () => Promise.reject(error))
      .cache(LOCAL_CACHE, {}, RangeError)
      .register(DEFAULT, () => 'default', RangeError);

    await expect(chain.execute()).rejects.toBe(error);
    expect(chain.stats()).toMatchObject({ exhaustedCalls: 0, levels: { local_cache: { failed: 0 } } });
  });

  it.each<[string, (id: string, ...more: unknown[]) => unknown, unknown[]]>([
    [
      'that declares it gets the error in its place',
      (id: string, error: unknown) => [id, error],
      ['a', 'down'],
    ],
    ['of any parameters gets all, and then the error', (...all: unknown[]) => all, ['a', 0, ['a'], 'down']],
  ])('FB-04 where the caller gave more than is declared, a handler %s', async (_how, handler, seen) => {
    const chain = new FallbackChain('rates').register(DEFAULT, handler);
    const rate = new Pipeline('rates', [chain], new ManualClock()).wrap((_id: string) =>
      Promise.reject('down'),
    );

    expect(await Promise.all(['a'].map(rate))).toEqual([seen]);
  });

  it('FB-05 it sits outside retry and breaker, and hides nothing from them', async () => {
    const clock = new ManualClock();
    const chain = new FallbackChain('rates', {}, { clock }).register(DEFAULT, () => 'fallback');
    const retry = new RetryPolicy('rates', { maxRetries: 2, baseDelay: 0, budget: false }, { clock });
    const breaker = new CircuitBreakerPolicy('rates', {}, { clock });
    const pipeline = new Pipeline('rates', [breaker, retry, chain], clock);

    expect(await pipeline.execute(failWith('down'))).toBe('fallback');

    expect(breaker.stats().totalFailures).toBe(3);
    expect(retry.stats()).toMatchObject({ totalRetries: 2, failedWithRetry: 1 });
    expect(chain.stats()).toMatchObject({ totalCalls: 1, degradedCalls: 1 });
  });

  it('FB-05 it answers for a total timeout of the calls inside it', async () => {
    const clock = new ManualClock();
    const chain = new FallbackChain('rates', {}, { clock }).register(DEFAULT, () => 'fallback');
    const timeout = new TimeoutPolicy('rates', { total: 100 }, { clock });
    const pipeline = new Pipeline('rates', [chain, timeout], clock);

    const call = pipeline.execute(() => new Promise(() => {}));
    await clock.advance(100);

    expect(await call).toBe('fallback');
  });

  it('does not answer for a call that is over: aborted by its caller, or past its deadline', async () => {
    const clock = new ManualClock();
    const last = jest.fn();
    const chain = new FallbackChain('rates', {}, { clock }).register(DEFAULT, last);
    const pipeline = new Pipeline('rates', [chain], clock);
    const caller = new AbortController();
    const never = () => new Promise(() => {});

    const aborted = pipeline.execute(never, { signal: caller.signal }).catch((error: unknown) => error);
    const late = pipeline.execute(never, { deadline: 100 }).catch((error: unknown) => error);
    caller.abort('gone');
    await clock.advance(100);

    expect(await aborted).toBe('gone');
    expect(await late).toBeInstanceOf(TimeoutExceededError);
    expect(last).not.toHaveBeenCalled();
  });

  it("ends with the caller's own reason when that aborts during a fallback, and tries no further level", async () => {
    const clock = new ManualClock();
    const last = jest.fn();
    const chain = new FallbackChain('rates', {}, { clock })
      .register(REPLICA, () => new Promise(() => {}))
      .register(DEFAULT, last);
    const caller = new AbortController();

    const call = new Pipeline('rates', [chain], clock)
      .execute(failWith('down'), { signal: caller.signal })
      .catch((error: unknown) => error);
    await clock.advance(0);
    caller.abort('gone');

    expect(await call).toBe('gone');
    expect(last).not.toHaveBeenCalled();
  });

  it('measures how long the method takes that it stands around', async () => {
    const clock = new ManualClock({ now: 1_000 });
    const chain = new FallbackChain('rates', {}, { clock }).register(DEFAULT, () => 'fallback');

    const call = new Pipeline('rates', [chain], clock).execute(
      () => new Promise((resolve) => clock.delay(500, () => resolve('fine'))),
    );
    await clock.advance(500);
    await call;

    expect(chain.stats().levels.primary).toMatchObject({ answered: 1, meanMs: 500 });
  });

  it('used as a policy it still has no primary of its own', async () => {
    const chain = new FallbackChain('rates').register(DEFAULT, () => 'fallback');
    const pipeline = new Pipeline('rates', [chain], new ManualClock());
    await pipeline.execute(failWith('down'));

    expect(await chain.execute()).toMatchObject({ value: 'fallback', level: DEFAULT });
    expect(chain.stats().levels).toMatchObject({ primary: { failed: 1 }, default: { answered: 2 } });
    expect(chain.describe()).toBe('default');
  });

  it('takes its levels as options, as other policies do', async () => {
    const single = new FallbackChain('rates', { use: () => 'default', on: RangeError });
    const several = new FallbackChain('rates', {
      levels: [
        { level: DEFAULT, use: () => 'default' },
        { level: REPLICA, use: () => 'replica' },
        { level: LOCAL_CACHE, ttl: '1m' },
      ],
    });

    expect(single.describe()).toBe('default');
    expect(several.describe()).toBe('replica → local_cache → default');
    expect(await several.execute()).toMatchObject({ value: 'replica' });
    await expect(
      new Pipeline('rates', [single], new ManualClock()).execute(failWith('down')),
    ).rejects.toThrow('down');
  });

  it('FB-03 a chain without levels has nothing to answer with', async () => {
    const chain = new FallbackChain();

    expect(chain.name).toBe('fallback');
    await expect(chain.execute()).rejects.toMatchObject({
      errors: [],
      message: 'All 0 levels of fallback "fallback" failed.',
    });
  });

  it('a chain by itself gives each level the arguments and the error of the level before', async () => {
    const primary = jest.fn((..._args: unknown[]) => failWith('primary')());
    const replica = jest.fn((..._args: unknown[]) => failWith('replica')());
    const last = jest.fn((..._args: unknown[]) => 'default');
    const chain = new FallbackChain('rates')
      .register(PRIMARY, primary)
      .register(REPLICA, replica)
      .register(DEFAULT, last);

    await chain.execute('EUR', 'USD');

    expect(primary).toHaveBeenCalledWith('EUR', 'USD');
    expect(replica).toHaveBeenCalledWith('EUR', 'USD', new Error('primary'));
    expect(last).toHaveBeenCalledWith('EUR', 'USD', new Error('replica'));
  });

  it('FB-04 around a method, too, a level sees the error of the level before', async () => {
    const last = jest.fn((..._args: unknown[]) => 'default');
    const chain = new FallbackChain('rates').register(REPLICA, failWith('replica')).register(DEFAULT, last);

    await new Pipeline('rates', [chain], new ManualClock()).execute(failWith('primary'));

    expect(last).toHaveBeenCalledWith(new Error('replica'));
  });

  it('FB-01 what the primary answers is not degraded, and nothing says so', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: string[] = [];
    events.listen(({ type }) => seen.push(type));
    const chain = new FallbackChain('rates', {}, { clock, events }).register(PRIMARY, () => 'fine');
    await chain.execute();
    await clock.advance(0);

    expect([chain.stats().degradedCalls, seen]).toEqual([0, []]);
  });

  it('FB-04 in a chain by itself a level that answers for other errors is passed over', async () => {
    const chain = new FallbackChain('rates')
      .register(PRIMARY, failWith('down'))
      .register(REPLICA, () => 'replica', RangeError)
      .register(BACKUP_SERVICE, () => 'backup', [RangeError, Error])
      .register(DEFAULT, () => 'default');

    expect(await chain.execute()).toMatchObject({ value: 'backup' });
    expect(chain.stats().levels.replica).toMatchObject({ answered: 0, failed: 0 });
  });

  it('FB-04 of handlers that are equally near the first answers', async () => {
    const chain = new FallbackChain('rates')
      .register(DEFAULT, () => 'first', Error)
      .register(DEFAULT, () => 'second', Error);

    expect(await new Pipeline('rates', [chain], new ManualClock()).execute(failWith('down'))).toBe('first');
  });

  it('a primary of its own does not run again in a pipeline, where the method is the primary', async () => {
    const primary = jest.fn();
    const chain = new FallbackChain('rates').register(PRIMARY, primary).register(DEFAULT, () => 'default');
    const pipeline = new Pipeline('rates', [chain], new ManualClock());

    expect(await pipeline.execute(failWith('down'))).toBe('default');
    expect(await pipeline.execute(() => 'fine')).toBe('fine');

    expect(primary).not.toHaveBeenCalled();
    expect(chain.stats().levels).toMatchObject({ primary: { answered: 1, failed: 1 } });
  });

  it.each(['primary', 'fallback'])(
    'PL-10 after a first value an error of the %s passes through',
    async (who) => {
      const last = jest.fn();
      const call = new Call(() => undefined, undefined, []);
      const failAfterValue = (message: string) => () => {
        call.emitted = true;
        return Promise.reject(new Error(message));
      };
      const chain = new FallbackChain('rates')
        .register(REPLICA, failAfterValue('replica'))
        .register(DEFAULT, last);

      const answer = chain.run(call, who === 'primary' ? failAfterValue('primary') : failWith('down'));

      await expect(answer).rejects.toThrow(new Error(who === 'primary' ? 'primary' : 'replica'));
      expect(last).not.toHaveBeenCalled();
      expect(chain.stats().exhaustedCalls).toBe(0);
    },
  );

  it('FB-07 a call knows which level answered, where it was not the primary', async () => {
    const chain = new FallbackChain('rates').register(BACKUP_SERVICE, () => 'backup');
    const [degraded, healthy] = [0, 1].map(() => new Call(() => undefined, undefined, [])) as [Call, Call];

    await chain.run(degraded.child(), failWith('down'));
    await chain.run(healthy.child(), () => 'fine');

    expect([degraded.fallbackLevel, healthy.fallbackLevel]).toEqual([BACKUP_SERVICE, undefined]);
  });

  it('OP-06 counts calls, and answers, failures, time and the last error of each level', async () => {
    const clock = new ManualClock({ now: 1_000 });
    const after = (ms: number, end: () => unknown) => () =>
      new Promise((resolve, reject) => {
        clock.delay(ms, () => void Promise.resolve().then(end).then(resolve, reject));
      });
    let backup: () => unknown = () => 'backup';
    const chain = new FallbackChain('rates', {}, { clock })
      .register(PRIMARY, after(100, failWith('down')))
      .register(REPLICA, () => Promise.reject('no error object'))
      .register(BACKUP_SERVICE, () => backup());
    const run = async () => {
      const answer = chain.execute().catch((error: unknown) => error);
      await clock.advance(200);
      await answer;
    };

    await run();
    backup = after(50, failWith('backup'));
    await run();

    expect(chain.stats()).toEqual({
      name: 'rates',
      totalCalls: 2,
      degradedCalls: 1,
      exhaustedCalls: 1,
      levels: {
        primary: { answered: 0, failed: 2, meanMs: 100, lastError: 'Error: down' },
        replica: { answered: 0, failed: 2, meanMs: 0, lastError: "'no error object'" },
        backup_service: { answered: 1, failed: 1, meanMs: 25, lastError: 'Error: backup' },
      },
    });
  });

  it('OP-06 around a method it counts the same', async () => {
    const clock = new ManualClock({ now: 1_000 });
    const chain = new FallbackChain('rates', {}, { clock }).register(DEFAULT, failWith('default'));
    const pipeline = new Pipeline('rates', [chain], clock);

    const call = pipeline.execute(
      () => new Promise((_, reject) => clock.delay(500, () => reject(new Error('down')))),
    );
    const ended = call.catch((error: unknown) => error);
    await clock.advance(500);
    await ended;

    expect(chain.stats()).toMatchObject({
      totalCalls: 1,
      degradedCalls: 0,
      exhaustedCalls: 1,
      levels: {
        primary: { answered: 0, failed: 1, meanMs: 500, lastError: 'Error: down' },
        default: { answered: 0, failed: 1 },
      },
    });
  });

  it('a reset forgets the numbers and what caches hold', async () => {
    const chain = new FallbackChain('rates').cache(LOCAL_CACHE);
    const pipeline = new Pipeline('rates', [chain], new ManualClock());
    await pipeline.execute(() => 'fine');
    await pipeline.execute(failWith('down'));

    chain.reset();

    const nothing = { answered: 0, failed: 0, meanMs: 0, lastError: undefined };
    expect(chain.stats()).toEqual({
      name: 'rates',
      totalCalls: 0,
      degradedCalls: 0,
      exhaustedCalls: 0,
      levels: { primary: nothing, local_cache: nothing },
    });
    await expect(pipeline.execute(failWith('down'))).rejects.toThrow(new Error('down'));
  });

  it('OP-04 says which level answered, that all failed, and that it was reset', async () => {
    const clock = new ManualClock();
    const events = new EventHub();
    const seen: unknown[] = [];
    events.listen(({ kind, policy, type, details }) => seen.push([kind, policy, type, details]));
    const answers = [() => 'default', failWith('default')];
    const chain = new FallbackChain('rates', {}, { clock, events }).register(DEFAULT, () =>
      answers.shift()?.(),
    );
    const pipeline = new Pipeline('rates', [chain], clock);

    await pipeline.execute(() => 'fine');
    await pipeline.execute(failWith('down'));
    await pipeline.execute(failWith('down')).catch(() => undefined);
    chain.reset();
    await clock.advance(0);

    expect(seen).toEqual([
      ['fallback', 'rates', 'degraded', { level: DEFAULT }],
      ['fallback', 'rates', 'exhausted', { error: new Error('down') }],
      ['fallback', 'rates', 'cleared', undefined],
    ]);
  });

  it.each<[string, FallbackOptions]>([
    ['"use" is the name of a method, "rates": a chain by itself has no class', { use: 'rates' }],
    ['"use" is the name of a method, "rates"', { levels: [{ level: DEFAULT, use: 'rates' }] }],
    ['Level "replica" needs "use"', { levels: [{ level: REPLICA }] }],
    ['"on" must be a matcher', { use: () => 1, on: { status: 7 } }],
    ['Exactly one of "use" and "levels" must be given', { on: Error }],
    ['Exactly one of "use" and "levels" must be given', { use: () => 1, levels: [] }],
    [
      'Level "default" is given twice',
      {
        levels: [
          { level: DEFAULT, use: () => 1 },
          { level: DEFAULT, use: () => 2 },
        ],
      },
    ],
    [
      'Level "distributed_cache" needs "use", a "store" or "shared"',
      { levels: [{ level: DISTRIBUTED_CACHE }] },
    ],
    ['"levels[0].ttl"', { levels: [{ level: LOCAL_CACHE, ttl: -1 }] }],
    ...[null, {}, { get: () => 1 }, { set: () => 1 }].map((store): [string, FallbackOptions] => [
      '"store" must have the methods get and set',
      { levels: [{ level: DISTRIBUTED_CACHE, store: store as never }] },
    ]),
  ])('PL-07 refuses options that cannot be: %s', (message, options) => {
    const build = () => new FallbackChain('rates', options);

    expect(build).toThrow(InvalidOptionsError);
    expect(build).toThrow('fallback "rates": ');
    expect(build).toThrow(message);
  });

  it.each<[FallbackOptions]>([
    [{ levels: [{ level: LOCAL_CACHE }] }],
    [{ levels: [{ level: DISTRIBUTED_CACHE, use: () => 1 }] }],
    [{ levels: [{ level: DISTRIBUTED_CACHE, store: new Map() }] }],
    [{ use: undefined, levels: undefined }],
  ])('takes %j', (options) => {
    expect(() => new FallbackChain('rates', options)).not.toThrow();
  });

  it('PL-07 refuses levels that are no list, before it looks what they contradict', () => {
    expect(() => new FallbackChain('rates', { levels: 5 } as object)).toThrow(InvalidOptionsError);
  });
});
