import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { CircuitOpenError } from '../../../lib/core/errors.js';
import {
  CircuitBreakerPolicy,
  type CircuitBreakerOptions,
} from '../../../lib/policies/circuit-breaker/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred } from '../deferred.js';

const succeed = () => 'fine';
const fail = () => Promise.reject(new Error('down'));

function setUp(options: CircuitBreakerOptions) {
  const clock = new ManualClock();
  const breaker = new CircuitBreakerPolicy('tenants', { key: () => undefined, ...options }, { clock });
  const warnings = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const call = (key: string, fn: () => unknown = succeed) =>
    breaker.execute(fn, { key }).catch((error: unknown) => (error as Error).constructor.name);
  return { clock, breaker, warnings, call };
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe('A circuit breaker with keys', () => {
  it('CB-24 has one circuit for each key', async () => {
    const { call } = setUp({ failureThreshold: 1 });

    await call('a', fail);

    expect(await call('a')).toBe('CircuitOpenError');
    expect(await call('b')).toBe('fine');
  });

  it('CB-24 never keeps more than maxKeys, while idle ones make room', async () => {
    const { breaker, warnings, call } = setUp({ maxKeys: 10 });

    for (let i = 0; i < 1_000; i++) await call(`key ${i}`);

    expect(breaker.stats().keys?.count).toBe(10);
    expect(warnings).not.toHaveBeenCalled();
  });

  it('CB-24 finds the one idle circuit among many that are not, wherever it is', async () => {
    const { breaker, warnings, call } = setUp({ failureThreshold: 1, maxKeys: 100 });
    for (let i = 0; i < 100; i++) await call(`key ${i}`, i === 60 ? succeed : fail);

    expect(await call('new', fail)).toBe('Error');

    expect(warnings).not.toHaveBeenCalled();
    expect(Object.keys(breaker.stats().keys?.notClosed ?? {})).toContain('new');
  });

  it('CB-24 never evicts a circuit that is open, that has counted failures, or that has a call inside', async () => {
    const { breaker, call } = setUp({ failureThreshold: 2, maxKeys: 3, openDuration: '1h' });
    const running = deferred();
    await call('open', fail);
    await call('open', fail);
    await call('failing', fail);
    const inside = call('busy', () => running.promise);

    for (let i = 0; i < 50; i++) await call(`new ${i}`);
    running.reject(new Error('down'));
    await inside;
    await call('failing', fail);
    await call('busy', fail);

    expect(breaker.stats().keys?.notClosed).toEqual({ open: 'open', failing: 'open', busy: 'open' });
  });

  it('CB-24 when none can be evicted, new keys share one overflow state, with one warning', async () => {
    const { warnings, call } = setUp({ failureThreshold: 1, maxKeys: 2, openDuration: '1h' });
    await call('a', fail);
    await call('b', fail);

    await call('c', fail);

    expect(await call('d')).toBe('CircuitOpenError');
    expect(await call('e')).toBe('CircuitOpenError');
    expect(warnings).toHaveBeenCalledTimes(1);
    expect(String(warnings.mock.calls[0]?.[0])).toContain('"tenants"');
  });

  it('CB-24 a circuit makes room again when its last call has come back', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1, maxKeys: 1 });
    const running = deferred();
    const inside = call('busy', () => running.promise);
    await call('overflow');

    running.resolve('fine');
    await inside;
    await call('new', fail);

    expect(breaker.stats().keys?.notClosed).toEqual({ new: 'open' });
  });

  it('CB-24 a circuit makes room again when its failures have left the window', async () => {
    const { breaker, clock, call } = setUp({ failureThreshold: 2, window: { duration: 1_000 }, maxKeys: 1 });
    await call('failing', fail);
    await call('overflow');

    await clock.advance(999);
    await call('overflow');
    await clock.advance(1);
    await call('new', fail);
    await call('new', fail);

    expect(breaker.stats().keys?.notClosed).toEqual({ new: 'open' });
  });

  it('CB-24 a reset forgets all keys', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1 });
    await call('a', fail);

    breaker.reset();

    await expect(breaker.execute(succeed, { key: 'a' })).resolves.not.toBeInstanceOf(CircuitOpenError);
    expect(breaker.stats().keys?.count).toBe(1);
  });

  it('PL-08 a breaker without a key has no keys after an update either', () => {
    const { breaker } = setUp({ key: undefined });
    breaker.update({ failureThreshold: 2 });

    expect(breaker.stats()).not.toHaveProperty('keys');
  });

  it('PL-08 a key can be given to a breaker that was made without one', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1, key: undefined });

    breaker.update({ key: () => undefined });
    await call('a', fail);

    expect([await call('a'), await call('b')]).toEqual(['CircuitOpenError', 'fine']);
    expect(breaker.stats().keys).toEqual({ count: 2, open: 1, notClosed: { a: 'open' } });
  });

  it('CB-24 counts all keys that are open, and lists at most 100 that are not closed, the overflow among them', async () => {
    const many = setUp({ failureThreshold: 1, maxKeys: 200 });
    for (let i = 0; i < 150; i++) await many.call(`key ${i}`, fail);
    const few = setUp({ failureThreshold: 1, maxKeys: 1 });
    for (const key of ['a', 'b']) await few.call(key, fail);

    expect(Object.keys(many.breaker.stats().keys?.notClosed ?? {})).toHaveLength(100);
    expect(many.breaker.stats().keys).toMatchObject({ count: 150, open: 150 });
    many.breaker.forceOpen();
    expect(many.breaker.stats().keys?.open).toBe(150);
    many.breaker.disable();
    expect(many.breaker.stats().keys?.open).toBe(0);
    expect(few.breaker.stats().keys).toEqual({
      count: 1,
      open: 2,
      notClosed: { a: 'open', '(overflow)': 'open' },
    });
  });

  it('CB-24 a decision by hand holds for the overflow, and a reset forgets it', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1, maxKeys: 1 });
    for (const key of ['a', 'b']) await call(key, fail);

    breaker.close();
    const closed = breaker.stats().keys;
    await call('a', fail);
    await call('b', fail);
    breaker.reset();

    expect(closed).toEqual({ count: 1, open: 0, notClosed: {} });
    expect(breaker.stats().keys).toEqual({ count: 0, open: 0, notClosed: {} });
  });

  it('PL-08 more keys have room at once when maxKeys is raised', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1, maxKeys: 1 });
    for (const key of ['a', 'b']) await call(key, fail);

    breaker.update({ maxKeys: 2 });
    await call('c', fail);

    expect(breaker.stats().keys).toMatchObject({ count: 2, notClosed: { c: 'open' } });
  });

  it('CB-24 a key comes from the call, or else from the option', async () => {
    const { breaker } = setUp({ failureThreshold: 1, key: (call) => call.args[0] as string | undefined });
    await breaker.execute(fail, { args: ['a'] }).catch(() => undefined);
    await breaker.execute(fail, { args: ['a'], key: 'b' }).catch(() => undefined);
    await breaker.execute(fail, { args: [] }).catch(() => undefined);

    expect(breaker.stats()).toMatchObject({ state: 'open', keys: { notClosed: { a: 'open', b: 'open' } } });
  });

  it('CB-24 a full map is looked through again when the first of its circuits may be idle', async () => {
    const { breaker, clock, call } = setUp({ failureThreshold: 2, window: { duration: 1_000 }, maxKeys: 3 });
    for (const key of ['late', 'early', 'middle']) {
      // A window of 20 slices of 50 ms: failures of one slice leave together.
      if (key === 'late') await clock.advance(500);
      await call(key, fail);
    }
    await clock.advance(500);
    await call('late', fail).then(() => call('late'));
    await call('overflow');
    await clock.advance(500);

    await call('new', fail);
    await call('new', fail);

    expect(breaker.stats().keys?.notClosed).toMatchObject({ new: 'open' });
  });

  it('CB-24 a circuit that is closed by hand makes room', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1, maxKeys: 1, openDuration: '1h' });
    await call('a', fail);
    await call('overflow');

    breaker.close();
    await call('b', fail);

    expect(breaker.stats().keys?.notClosed).toEqual({ b: 'open' });
  });

  it('CB-24 a call that is ignored leaves its circuit idle', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1, maxKeys: 1, ignoreErrors: Error });
    await call('a', fail);
    breaker.update({ ignoreErrors: TypeError });

    await call('b', fail);

    expect(breaker.stats().keys?.notClosed).toEqual({ b: 'open' });
  });

  it('CB-24 a full map makes room at the instant at which the first of its circuits is idle, whatever comes back before', async () => {
    const { breaker, clock, call } = setUp({ failureThreshold: 2, window: { duration: 1_000 }, maxKeys: 2 });
    await call('a', fail);
    await clock.advance(500);
    await call('b', fail);
    await call('overflow', fail);
    await clock.advance(500);

    await call('new', fail);
    await call('new', fail);

    expect(breaker.stats().keys?.notClosed).toEqual({ new: 'open' });
  });

  it('CB-24 what is closed by hand makes room, though none was to be expected', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1, maxKeys: 1, openDuration: '1h' });
    await call('a', fail);
    await call('overflow', fail);

    breaker.close();
    await call('b', fail);

    expect(breaker.stats().keys?.notClosed).toEqual({ b: 'open' });
  });

  it('CB-24 lists nothing where all keys are closed', async () => {
    const { breaker, call } = setUp({});
    await call('a');

    expect(Object.keys(breaker.stats().keys?.notClosed ?? { none: 'closed' })).toEqual([]);
  });

  it('PL-08 a breaker whose key is taken away counts all calls together', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1 });
    await call('a');
    breaker.update({ key: undefined });
    await call('a', fail);

    expect(breaker.state).toBe('open');
    expect(await call('b')).toBe('CircuitOpenError');
  });

  it('CB-15 closed by hand, keys to come begin closed too; after a reset, in their initial state', async () => {
    const { breaker, call } = setUp({ initialState: 'forced-open' });
    const before = await call('a');
    breaker.close();

    const closed = [await call('a'), await call('b')];
    breaker.reset();

    expect([before, closed, await call('a'), await call('c')]).toEqual([
      'CircuitOpenError',
      ['fine', 'fine'],
      'CircuitOpenError',
      'CircuitOpenError',
    ]);
  });
});
