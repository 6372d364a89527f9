import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import {
  IdempotencyConflictError,
  IdempotencyMismatchError,
  IdempotencyPolicy,
  IdempotencyUnavailableError,
  type IdempotencyOptions,
} from 'nestjs-breakwater';
import { RedisState, redisState } from 'nestjs-breakwater/redis';
import { BEGIN } from '../../lib/shared-state/redis/scripts.js';
import { driverOf, type StoreDriver } from '../../lib/shared-state/redis/drivers.js';
import { ManualClock } from '../../lib/testing/index.js';
import { deferred } from '../policies/deferred.js';
import { canOwnRedis, canRunRedis, startRedis } from './server.js';
import { withRedis } from './with-redis.js';

const once = { idempotencyKey: 'order 1' };
const errorOf = (call: Promise<unknown>) => call.catch((error: unknown) => error);

(canRunRedis ? describe : describe.skip)('idempotency that instances share', () => {
  const redis = withRedis();
  let app: string;

  beforeEach(() => {
    app = `test-${randomUUID()}`;
  });

  const instance = (options: IdempotencyOptions = {}) =>
    new IdempotencyPolicy(
      'orders',
      { shared: true, ...options },
      { fleet: { state: redisState(redis.client, { app, timeout: '5s' }), size: 2 } },
    );

  it('SS-03 a key runs on one instance at a time, and its outcome is what all of them answer', async () => {
    const [one, two] = [instance(), instance()];
    const gate = deferred<object>();
    let runs = 0;
    const work = () => {
      runs++;
      return gate.promise;
    };
    const first = one.execute(work, once);
    let refused = await errorOf(two.execute(async () => 'not yet', once));
    // The first may not have reached the store yet, and then it is the first that is refused.
    while (!(refused instanceof IdempotencyConflictError) && runs === 0) {
      refused = await errorOf(two.execute(async () => 'not yet', once));
    }
    gate.resolve({ receipt: 7, lines: [1, 2], note: 'ä|+\n' });
    const answers = [
      await first.catch(() => two.execute(work, once)),
      await two.execute(work, once),
      await instance().execute(work, once),
    ].map((answer) => JSON.stringify(answer));
    expect(new Set(answers).size).toBe(1);
    expect(runs).toBeLessThanOrEqual(1);
  });

  it('SS-03 other arguments under the same key never run', async () => {
    await instance().execute(async () => 'charged', { ...once, args: [1] });
    let ran = false;
    const other = instance().execute(
      async () => {
        ran = true;
      },
      { ...once, args: [2] },
    );
    await expect(other).rejects.toThrow(IdempotencyMismatchError);
    expect(ran).toBe(false);
  });

  it('SS-03 what failed may be tried elsewhere, unless its error is kept', async () => {
    const declined = () =>
      Promise.reject(Object.assign(new Error('declined'), { code: 'DECLINED', status: 402 }));
    await expect(instance().execute(declined, once)).rejects.toThrow('declined');
    expect(await instance().execute(async () => 'charged', once)).toBe('charged');

    const other = { idempotencyKey: 'order 2' };
    const storeErrors = { code: 'DECLINED' };
    await expect(instance({ storeErrors }).execute(declined, other)).rejects.toThrow('declined');
    const replayed = await errorOf(instance({ storeErrors }).execute(async () => 'charged', other));
    expect(replayed).toBeInstanceOf(Error);
    expect(replayed).toMatchObject({ message: 'declined', code: 'DECLINED', status: 402 });
  });

  it('SS-03 an outcome may be nothing, may have a codec, and is not run again where it is too large', async () => {
    await instance().execute(async () => undefined, { idempotencyKey: 'nothing' });
    expect(await instance().execute(async () => 'again', { idempotencyKey: 'nothing' })).toBeUndefined();

    const codec = { encode: (value: unknown) => String(value), decode: (text: string) => new Date(text) };
    const when = new Date('2026-01-02T03:04:05.000Z');
    const coded = () =>
      instance({ shared: { codec: { ...codec, encode: (v) => (v as Date).toISOString() } } });
    await coded().execute(async () => when, { idempotencyKey: 'date' });
    expect(await coded().execute(async () => new Date(0), { idempotencyKey: 'date' })).toEqual(when);

    const large = 'x'.repeat(70_000);
    expect(await instance().execute(async () => large, { idempotencyKey: 'large' })).toBe(large);
    await expect(instance().execute(async () => 'again', { idempotencyKey: 'large' })).rejects.toThrow(
      'too large to be kept for another instance',
    );
  });

  it('ID-02 a beginning that was answered too late leaves its key to nobody', async () => {
    const real = driverOf(redis.client);
    const held: (() => void)[] = [];
    let isSlow = false;
    const slow: Pick<StoreDriver, 'run' | 'nodeOf'> = {
      nodeOf: real.nodeOf,
      run: async (script, keys, args) => {
        const reply = await real.run(script, keys, args);
        if (isSlow && script === BEGIN) await new Promise<void>((resolve) => held.push(resolve));
        return reply;
      },
    };
    const clock = new ManualClock({ now: 1 });
    const environment = (driver: typeof slow) => ({
      clock,
      fleet: { state: new RedisState(driver, { app, timeout: '5s', clock }), size: 1 },
    });
    const policy = new IdempotencyPolicy('orders', { shared: true }, environment(slow));
    await policy.execute(async () => 'warm', { idempotencyKey: 'warm' });
    isSlow = true;
    const refused = errorOf(policy.execute(async () => 'ran', once));
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(5_000);
    expect(await refused).toBeInstanceOf(IdempotencyUnavailableError);

    isSlow = false;
    held[0]?.();
    let again: unknown;
    do {
      again = await errorOf(policy.execute(async () => 'ran', once));
    } while (again instanceof IdempotencyConflictError);
    expect(again).toBe('ran');
  });

  it('refuses a codec that is none', () => {
    const build = () => new IdempotencyPolicy('orders', { shared: { codec: {} as never } });
    expect(build).toThrow('"shared.codec" must have the functions "encode" and "decode"');
  });
});

(canOwnRedis ? describe : describe.skip)('idempotency whose store is lost', () => {
  const setUp = async () => {
    const server = await startRedis();
    const client = new Redis(server.url);
    const states: RedisState[] = [];
    const instance = () => {
      // Long enough for a busy machine while the server runs.
      const state = redisState(client, { app: 'shop', timeout: '3s' });
      states.push(state);
      return new IdempotencyPolicy('orders', { shared: true }, { fleet: { state, size: 2 } });
    };
    const end = async () => {
      for (const state of states) await state.close();
      client.disconnect();
      await server.stop();
    };
    return { server, instance, end };
  };

  it('SS-06 refuses what it cannot know, and runs nothing', async () => {
    const { server, instance, end } = await setUp();
    server.process?.kill('SIGSTOP');
    let ran = false;
    const policy = instance();
    for (let i = 0; i < 3; i++) {
      const call = policy.execute(async () => {
        ran = true;
      }, once);
      await expect(call).rejects.toThrow(IdempotencyUnavailableError);
    }
    expect(ran).toBe(false);
    await end();
  });

  it('SS-06 answers what it did, and tells the store of it when that is back', async () => {
    const { server, instance, end } = await setUp();
    const policy = instance();
    const answer = await policy.execute(async () => {
      server.process?.kill('SIGSTOP');
      return 'charged';
    }, once);
    expect(answer).toBe('charged');
    expect(policy.stats()).toMatchObject({ totalRuns: 1, totalStoreFailures: 1 });
    server.process?.kill('SIGCONT');
    const other = instance();
    let replayed = await errorOf(other.execute(async () => 'again', once));
    while (replayed instanceof IdempotencyConflictError || replayed instanceof IdempotencyUnavailableError) {
      replayed = await errorOf(other.execute(async () => 'again', once));
    }
    expect(replayed).toBe('charged');
    await end();
  });
});
