import { describe, expect, it, jest } from '@jest/globals';
import {
  IdempotencyConflictError,
  IdempotencyMismatchError,
  IdempotencyUnavailableError,
  InvalidOptionsError,
} from '../../../lib/core/errors.js';
import { IdempotencyPolicy, type IdempotencyOptions } from '../../../lib/policies/idempotency/index.js';
import { MemoryState, MemoryWorld } from '../../../lib/shared-state/memory-state.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred } from '../deferred.js';

const under = (idempotencyKey: string, ...args: unknown[]) => ({ idempotencyKey, args });

/** Two instances of one application, whose store a test can lose. */
function setUp(options: IdempotencyOptions = { shared: true }) {
  const clock = new ManualClock();
  const world = new MemoryWorld(clock);
  const [first, second] = ['one', 'two'].map((owner) => {
    const state = new MemoryState(world, owner);
    const once = new IdempotencyPolicy('orders', options, { clock, fleet: { state, size: 2 } });
    return { state, once };
  }) as [Instance, Instance];
  return { clock, first, second };
}

interface Instance {
  readonly state: MemoryState;
  readonly once: IdempotencyPolicy;
}

const failWith = (error: unknown) => () => Promise.reject(error);
const errorOf = (call: Promise<unknown>) =>
  call.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );

describe('Idempotency that instances share', () => {
  it.each([['a receipt'], [undefined], [null], [0], [''], [{ total: 7 }]])(
    'ID-01 what another instance returned, %p, is replayed',
    async (value) => {
      const { first, second } = setUp();
      await first.once.execute(() => value, under('k1'));

      expect(await second.once.execute(() => 'run again', under('k1'))).toEqual(value);
      expect(second.once.stats()).toMatchObject({ totalRuns: 0, totalReplays: 1, records: undefined });
    },
  );

  it('ID-01 without `shared`, or without a store to share, each instance is alone', async () => {
    const { first, second } = setUp({});
    const alone = new IdempotencyPolicy('orders', { shared: true }, { clock: new ManualClock() });
    await first.once.execute(() => 'first', under('k1'));

    expect(await second.once.execute(() => 'second', under('k1'))).toBe('second');
    expect(await alone.execute(() => 'third', under('k1'))).toBe('third');
    expect([first.once.stats().records, alone.stats().records]).toEqual([1, 1]);
  });

  it('ID-01 `shared` can be said later; what runs is settled where it began', async () => {
    const { first, second } = setUp({});
    const [early, late] = [deferred<string>(), deferred<string>()];
    const before = first.once.execute(() => early.promise, under('k1'));
    first.once.update({ shared: true });
    second.once.update({ shared: true });
    await first.once.execute(() => 'first', under('k2'));
    expect(await second.once.execute(() => 'again', under('k2'))).toBe('first');
    expect(first.once.stats().records).toBeUndefined();

    early.resolve('early');
    expect(await before).toBe('early');
    expect(await second.once.execute(() => 'own', under('k1'))).toBe('own');
    const within = first.once.execute(() => late.promise, under('k3'));
    first.once.update({ shared: false });
    late.resolve('late');
    await within;
    expect(await second.once.execute(() => 'again', under('k3'))).toBe('late');
    await first.once.execute(() => 'mine', under('k4'));
    expect(await second.once.execute(() => 'theirs', under('k4'))).toBe('theirs');
    expect(first.once.stats()).toMatchObject({ records: 1, totalLost: 0, totalStoreFailures: 0 });
  });

  it('ID-01 another codec is in force from the next outcome on', async () => {
    const { first, second } = setUp();
    const codec = { encode: (value: unknown) => `<${String(value)}>`, decode: (text: string) => text };
    first.once.update({ shared: { codec } });
    second.once.update({ shared: { codec } });
    await first.once.execute(() => 1, under('k1'));

    expect(await second.once.execute(() => 2, under('k1'))).toBe('<1>');
  });

  it('ID-02 ID-03 what runs elsewhere is a conflict, and other arguments a mismatch', async () => {
    const { first, second } = setUp({ shared: true, lease: '30s' });
    const work = deferred<string>();
    const running = first.once.execute(() => work.promise, under('k1', 10));

    expect(await errorOf(second.once.execute(() => 'beside', under('k1', 10)))).toMatchObject({
      constructor: IdempotencyConflictError,
      retryAfterMs: 30_000,
    });
    work.resolve('receipt');
    await running;
    await expect(second.once.execute(() => 'other', under('k1', 11))).rejects.toThrow(
      IdempotencyMismatchError,
    );
  });

  it('ID-04 a failure frees the key for another instance; a declared one is replayed there', async () => {
    const { first, second } = setUp();
    await errorOf(first.once.execute(failWith(new Error('declined')), under('k1')));
    const declaring = setUp({ shared: true, storeErrors: () => true });
    const declined = Object.assign(new RangeError('declined'), { status: 402 });
    await errorOf(declaring.first.once.execute(failWith(declined), under('k1')));
    await errorOf(declaring.first.once.execute(failWith('a string'), under('k2')));

    expect(await second.once.execute(() => 'second', under('k1'))).toBe('second');
    const replayed = await errorOf(declaring.second.once.execute(() => 'again', under('k1')));
    expect(replayed).toBeInstanceOf(Error);
    expect(replayed).toMatchObject({ name: 'RangeError', message: 'declined', status: 402 });
    expect(await errorOf(declaring.second.once.execute(() => 'again', under('k2')))).toBe('a string');
  });

  it('ID-06 a run that is alive keeps its lease with the store, however long it takes', async () => {
    const { clock, first, second } = setUp({ shared: true, lease: '30s' });
    const slow = deferred<string>();
    const running = first.once.execute(() => slow.promise, under('k1'));
    await clock.advance(300_000);

    await expect(second.once.execute(() => 'beside', under('k1'))).rejects.toThrow(IdempotencyConflictError);
    slow.resolve('receipt');
    expect(await running).toBe('receipt');
  });

  it('ID-01 what is too large to be kept is known to have been done', async () => {
    const { first, second } = setUp();
    // One byte is for the kind, two are for the quotes of JSON.
    await first.once.execute(() => 'x'.repeat(64 * 1024 - 3), under('fits'));
    await first.once.execute(() => 'x'.repeat(64 * 1024 - 2), under('does not'));

    expect(await second.once.execute(() => 'again', under('fits'))).toHaveLength(64 * 1024 - 3);
    expect(await errorOf(second.once.execute(() => 'again', under('does not')))).toMatchObject({
      constructor: IdempotencyConflictError,
      message: expect.stringContaining('too large to be kept for another instance'),
      policy: 'orders',
    });
  });

  it('ID-01 what cannot be written down is known to have been done, also after the lease', async () => {
    const { first, second, clock } = setUp();
    const circular: { self?: unknown } = {};
    circular.self = circular;
    const cases: [string, unknown][] = [
      ['big', { id: 10n }],
      ['circular', circular],
    ];
    for (const [key, result] of cases)
      expect(await first.once.execute(() => result, under(key))).toBe(result);
    await clock.advance(300_000);

    for (const [key] of cases)
      expect(await errorOf(second.once.execute(() => 'again', under(key)))).toMatchObject({
        constructor: IdempotencyConflictError,
        message:
          'This call has been made; what came of it cannot be written down, and was not kept for another instance.',
      });
  });

  it('while the store is lost nothing begins', async () => {
    const { first } = setUp();
    const lost = new Error('connection lost');
    first.state.once.begin = failWith(lost);
    let ran = false;

    const refusal = await errorOf(first.once.execute(() => (ran = true), under('k1')));

    expect(refusal).toMatchObject({
      constructor: IdempotencyUnavailableError,
      policy: 'orders',
      cause: lost,
    });
    expect(ran).toBe(false);
  });

  it.each([
    [4, [250, 750, 1_750, 3_750]],
    [9, [250, 750, 1_750, 3_750]],
  ])(
    'ID-07 what the store did not hear, %d times, it is told again, ever later',
    async (losses, expected) => {
      const { clock, first, second } = setUp({ shared: true, lease: '1h' });
      const complete = first.state.once.complete.bind(first.state.once);
      const toldAt: number[] = [];
      first.state.once.complete = (...outcome) => {
        toldAt.push(clock.now());
        return toldAt.length <= losses ? Promise.reject(new Error('lost')) : complete(...outcome);
      };

      expect(await first.once.execute(() => 'receipt', under('k1'))).toBe('receipt');
      await clock.advance(60_000);

      expect(toldAt).toEqual([0, ...expected]);
      expect(first.once.stats().totalStoreFailures).toBe(1);
      expect(clock.pending).toBe(0);
      const next = await errorOf(second.once.execute(() => 'again', under('k1')));
      if (losses === 4) expect(next).toEqual({ value: 'receipt' });
      else expect(next).toBeInstanceOf(IdempotencyConflictError);
    },
  );

  it('ID-07 that a run failed is told again, too, so that its key is free', async () => {
    const { clock, first, second } = setUp();
    const fail = jest.spyOn(first.state.once, 'fail').mockRejectedValueOnce(new Error('lost'));
    await errorOf(first.once.execute(failWith(new Error('declined')), under('k1')));
    await clock.advance(250);

    expect(fail).toHaveBeenCalledTimes(2);
    expect(await second.once.execute(() => 'again', under('k1'))).toBe('again');
    expect(clock.pending).toBe(0);
  });

  it('ID-07 an instance that leaves tells what the store has not heard yet', async () => {
    const clock = new ManualClock();
    const state = new MemoryState(new MemoryWorld(clock));
    const leaving: (() => Promise<void>)[] = [];
    const fleet = { state, size: 1, onLeave: (leave: () => Promise<void>) => leaving.push(leave) };
    const once = new IdempotencyPolicy('orders', { shared: true }, { clock, fleet });
    const complete = jest.spyOn(state.once, 'complete').mockRejectedValueOnce(new Error('reset'));
    await once.execute(() => 'receipt', under('k1'));
    await Promise.all(leaving.map((leave) => leave()));

    expect(complete).toHaveBeenCalledTimes(2);
    expect(await once.execute(() => 'again', under('k1'))).toBe('receipt');
    expect(clock.pending).toBe(0);
    complete.mockRejectedValue(new Error('lost for good'));
    await once.execute(() => 'unheard', under('k2'));
    await Promise.all(leaving.map((leave) => leave()));
    expect(clock.pending).toBe(0);
  });

  it('a reset and an update leave alone what is shared', async () => {
    const { first, second } = setUp();
    await first.once.execute(() => 'receipt', under('k1'));

    first.once.reset();
    first.once.update({ maxRecords: 1 });

    expect(first.once.stats()).toMatchObject({ totalRuns: 0, records: undefined, evicted: undefined });
    expect(await second.once.execute(() => 'again', under('k1'))).toBe('receipt');
  });

  it('without an environment it is alone, and works', async () => {
    const once = new IdempotencyPolicy('orders');
    await once.execute(() => 'receipt', under('k1'));

    expect(await once.execute(() => 'again', under('k1'))).toBe('receipt');
    once.update({ ttl: '1m' });
    once.reset();
    expect(once.stats()).toMatchObject({ records: 0 });
  });

  it('PL-08 outcomes are kept elsewhere once they are shared, or no longer', async () => {
    const { first, second } = setUp({});
    await first.once.execute(() => 'own', under('k1'));
    first.once.update({ ttl: '2h' });
    expect(await first.once.execute(() => 'again', under('k1'))).toBe('own');

    for (const { once } of [first, second]) once.update({ shared: true });
    expect(await first.once.execute(() => 'for all', under('k1'))).toBe('for all');
    expect(await second.once.execute(() => 'again', under('k1'))).toBe('for all');
    second.once.update({ shared: false });

    expect(await second.once.execute(() => 'alone', under('k1'))).toBe('alone');
    expect(second.once.stats()).toMatchObject({ records: 1 });
    expect(second.once.configuration).toMatchObject({ shared: false, ttlMs: 3_600_000 });
  });

  it('PL-08 with nothing to share them by, an update keeps outcomes', async () => {
    const alone = [undefined, { clock: new ManualClock() }].map(
      (environment) => new IdempotencyPolicy('orders', { shared: true }, environment),
    );
    for (const once of alone) {
      await once.execute(() => 'receipt', under('k1'));
      once.update({ ttl: '1m' });

      expect(await once.execute(() => 'again', under('k1'))).toBe('receipt');
    }
  });

  it('ID-04 an error without a name is replayed as an Error', async () => {
    const { first, second } = setUp({ shared: true, storeErrors: () => true });
    const nameless = Object.assign(new Error('declined'), { name: undefined });
    await errorOf(first.once.execute(failWith(nameless), under('k1')));

    expect(await errorOf(second.once.execute(() => 'again', under('k1')))).toMatchObject({
      name: 'Error',
      message: 'declined',
    });
  });

  it('SS-06 the store hears how long the call has left', async () => {
    const { first, clock } = setUp();
    const begin = jest.spyOn(first.state.once, 'begin');
    await clock.advance(1_000);
    await first.once.execute(() => 'receipt', { ...under('k1'), deadline: 100 });
    await first.once.execute(() => 'receipt', under('k2'));

    expect(begin.mock.calls.map((args) => args[3])).toEqual([100, undefined]);
  });

  it('keeps its records apart from those of other policies', async () => {
    const { first } = setUp();
    const begin = jest.spyOn(first.state.once, 'begin');
    await first.once.execute(() => 'receipt', under('k1'));

    expect(begin.mock.calls[0]?.[0]).toEqual({ kind: 'idempotency', policy: 'orders', subject: 'k1' });
  });

  it('a codec turns results into text and back', async () => {
    const codec = {
      encode: (value: unknown) => (value as Date).toISOString(),
      decode: (text: string) => new Date(text),
    };
    const { first, second } = setUp({ shared: { codec } });
    await first.once.execute(() => new Date(0), under('k1'));

    expect(await second.once.execute(() => 'again', under('k1'))).toEqual(new Date(0));
  });

  it.each([{}, { encode: () => '' }, { decode: () => '' }, { encode: 1, decode: () => '' }])(
    'PL-07 %j is no codec',
    (codec) => {
      const build = () => setUp({ shared: { codec: codec as never } });

      expect(build).toThrow(InvalidOptionsError);
      expect(build).toThrow('"shared.codec" must have the functions "encode" and "decode"');
    },
  );
});
