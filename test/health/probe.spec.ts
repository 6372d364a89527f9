import { describe, expect, it } from '@jest/globals';
import { InvalidOptionsError } from '../../lib/core/errors.js';
import { Probe } from '../../lib/health/index.js';
import { TimeoutPolicy } from '../../lib/policies/timeout/index.js';
import { ManualClock } from '../../lib/testing/index.js';

const fail = () => {
  throw new Error('refused');
};

describe('Probe', () => {
  it('HL-02 a failed result is unhealthy at once, the status only after graceFailures in a row', async () => {
    const probe = new Probe({ kind: 'readiness', graceFailures: 3 }, { clock: new ManualClock() });
    await probe.check(() => undefined);

    const first = await probe.check(fail);
    await probe.check(fail);
    const beforeTheThird = probe.isHealthy();
    await probe.check(fail);

    expect(first).toMatchObject({ healthy: false, error: 'refused' });
    expect(beforeTheThird).toBe(true);
    expect(probe.isHealthy()).toBe(false);
    expect(probe.status).toBe('down');
  });

  it('HL-02 one success makes it healthy again, and begins the count anew', async () => {
    const probe = new Probe({ kind: 'deep', graceFailures: 2 }, { clock: new ManualClock() });
    await probe.check(fail);
    await probe.check(fail);

    await probe.check(() => undefined);
    await probe.check(fail);

    expect(probe.status).toBe('up');
  });

  it('HL-02 before its first success it is starting', async () => {
    const probe = new Probe({ kind: 'readiness' }, { clock: new ManualClock() });
    const untouched = probe.status;
    await probe.check(fail);

    expect(untouched).toBe('starting');
    expect(probe.status).toBe('starting');
    expect(probe.isHealthy()).toBe(false);
  });

  it('HL-03 a check that hangs fails at its timeout, its signal aborts, and no second one begins meanwhile', async () => {
    const clock = new ManualClock();
    const probe = new Probe({ kind: 'deep', timeout: '1s' }, { clock });
    let release!: () => void;
    let runs = 0;
    let aborted = false;
    const hang = (signal: AbortSignal) => {
      runs++;
      signal.addEventListener('abort', () => (aborted = true));
      return new Promise<void>((resolve) => (release = resolve));
    };

    const first = probe.check(hang);
    await clock.advance(1_000);
    const second = await probe.check(hang);

    expect(await first).toMatchObject({ healthy: false, error: 'No answer within 1 s.', latencyMs: 1_000 });
    expect(aborted).toBe(true);
    expect(second).toMatchObject({ healthy: false, error: 'An earlier check has not come back yet.' });
    expect(runs).toBe(1);

    release();
    await clock.advance(0);
    expect(await probe.check(() => ({ version: 15 }))).toMatchObject({
      healthy: true,
      details: { version: 15 },
    });
    expect(clock.pending).toBe(0);
  });

  it('HL-03 a timeout within the check is the check’s own news, and does not keep the next one away', async () => {
    const clock = new ManualClock();
    const inner = new TimeoutPolicy('inner', '20ms', { clock });
    const probe = new Probe({ kind: 'deep', name: 'inner', timeout: '5s' }, { clock });
    const never = new Promise<void>(() => undefined);

    const answer = probe.check(() => inner.execute(() => never));
    await clock.advance(20);

    expect(await answer).toMatchObject({
      healthy: false,
      error: 'The attempt took longer than the 20 ms of timeout "inner".',
      latencyMs: 20,
    });
    expect(await probe.check(() => undefined)).toMatchObject({ healthy: true });
  });

  it('HL-03 a check that passes on the reason of its signal has timed out like any other', async () => {
    const clock = new ManualClock();
    const probe = new Probe({ kind: 'deep', timeout: '1s' }, { clock });
    const obedient = (signal: AbortSignal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });

    const answer = probe.check(obedient);
    await clock.advance(1_000);

    expect(await answer).toMatchObject({ healthy: false, error: 'No answer within 1 s.' });
    expect(await probe.check(() => undefined)).toMatchObject({ healthy: true });
  });

  it('HL-03 who asks while a check runs shares its answer', async () => {
    const probe = new Probe({ kind: 'deep' }, { clock: new ManualClock() });
    let runs = 0;
    const check = async () => void runs++;

    const answers = await Promise.all([probe.check(check), probe.check(check)]);

    expect(runs).toBe(1);
    expect(answers[0]).toBe(answers[1]);
  });

  it('HL-05 measures latency and fails above maxLatency, and not at it', async () => {
    const clock = new ManualClock();
    const probe = new Probe({ kind: 'deep', maxLatency: 100 }, { clock });
    const taking = (ms: number) => () => new Promise<void>((resolve) => void clock.delay(ms, resolve));

    const atTheLimit = probe.check(taking(100));
    await clock.advance(100);
    const above = probe.check(taking(101));
    await clock.advance(101);

    expect(await atTheLimit).toMatchObject({ healthy: true, latencyMs: 100 });
    expect(await above).toMatchObject({
      healthy: false,
      latencyMs: 101,
      error: 'It took 101 ms, more than 100 ms.',
    });
  });

  it('HL-02 details are bounded in depth and size, and taken as they were', async () => {
    const probe = new Probe({ kind: 'deep' }, { clock: new ManualClock() });
    const deep = { a: { b: { c: { d: { e: { f: { g: 1 } } } } } } };
    const given = {
      count: 1,
      deep,
      text: 'x'.repeat(10_000),
      rows: Array(10_000).fill({ id: 1, name: 'n' }),
    };

    const { details } = await probe.check(() => given);
    given.count = 2;

    expect(details).toMatchObject({ count: 1, deep: { a: { b: { c: { d: { e: '…' } } } } } });
    expect(JSON.stringify(details).length).toBeLessThan(10_000);
  });

  it.each([
    [new AggregateError([new Error('::1 refused'), 'reset']), '::1 refused; reset'],
    [new AggregateError([new Error('eu down')], 'No region'), 'No region: eu down'],
    [new Error(''), 'The check failed without saying why.'],
    [Object.create(null), 'The check failed without saying why.'],
    ['text', 'text'],
  ])('HL-02 says why it failed, whatever was thrown: %#', async (thrown, error) => {
    const probe = new Probe({ kind: 'deep' }, { clock: new ManualClock() });
    expect(await probe.check(() => Promise.reject(thrown))).toMatchObject({ healthy: false, error });
  });

  it('takes false for a failure', async () => {
    const probe = new Probe({ kind: 'deep' }, { clock: new ManualClock() });

    expect((await probe.check(() => false)).healthy).toBe(false);
  });

  it('refuses options that cannot be, all at once', () => {
    const make = () => new Probe({ kind: 'deep', graceFailures: 0, timeout: '-1s' });

    expect(make).toThrow(InvalidOptionsError);
    expect(make).toThrow(
      /"timeout" must be a duration.*got "-1s"[\s\S]*"graceFailures" must be an integer of at least 1, got 0/,
    );
  });
});
