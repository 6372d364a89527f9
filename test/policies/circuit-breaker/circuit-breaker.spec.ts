import { describe, expect, it, jest } from '@jest/globals';
import { Call } from '../../../lib/core/call.js';
import {
  BulkheadFullError,
  CircuitOpenError,
  DrainingError,
  InvalidOptionsError,
  RateLimitExceededError,
  TimeoutExceededError,
} from '../../../lib/core/errors.js';
import { EventHub, type PolicyEvent } from '../../../lib/core/events.js';
import type { Fleet } from '../../../lib/core/shared-state.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import {
  CircuitBreakerPolicy,
  type CircuitBreakerOptions,
} from '../../../lib/policies/circuit-breaker/index.js';
import type { Admission } from '../../../lib/policies/circuit-breaker/circuit.js';
import { TimeoutPolicy } from '../../../lib/policies/timeout/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred } from '../deferred.js';
import { placesOf } from '../../problems-of.js';

class NotOurs extends Error {}

const succeed = () => 'fine';
const fail = () => {
  throw new Error('down');
};
const ignore = () => {
  throw new NotOurs();
};

function setUp(options: CircuitBreakerOptions) {
  const clock = new ManualClock();
  const events = new EventHub();
  const seen: PolicyEvent[] = [];
  events.listen((event) => seen.push(event));
  const breaker = new CircuitBreakerPolicy('payments', options, { clock, events });
  /** What a call came to: `fine`, or the name of the error. */
  const call = (fn: () => unknown = succeed) =>
    breaker.execute(fn).catch((error: unknown) => (error as Error).constructor.name);
  return { clock, breaker, seen, call };
}

async function open({ call }: Pick<ReturnType<typeof setUp>, 'call'>, failures = 5) {
  for (let i = 0; i < failures; i++) await call(fail);
}

const changesTo = (events: readonly PolicyEvent[], state: string) =>
  events.filter(({ type, details }) => type === 'state-changed' && details?.['to'] === state);

describe('CircuitBreakerPolicy', () => {
  it('CB-01 an ignored probe returns its permit: three ignored ones, then three recorded ones close it', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000, ignoreErrors: NotOurs });
    await open({ call });
    await clock.advance(1_000);

    for (let i = 0; i < 3; i++) expect(await call(ignore)).toBe('NotOurs');
    expect(breaker.state).toBe('half-open');
    for (let i = 0; i < 3; i++) expect(await call()).toBe('fine');

    expect(breaker.state).toBe('closed');
  });

  it('CB-02 a result counts only in the state that admitted it: begun closed, finished in half-open, decides nothing', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000, successThreshold: 1 });
    const success = deferred();
    const failure = deferred();
    const early = [call(() => success.promise), call(() => failure.promise)];
    await open({ call });
    await clock.advance(1_000);

    success.resolve('fine');
    failure.reject(new Error('down'));
    await Promise.all(early);

    expect(breaker.state).toBe('half-open');
  });

  it('CB-02 a failure begun before a reset does not count after it', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1 });
    const late = deferred();
    const early = call(() => late.promise);

    breaker.reset();
    late.reject(new Error('down'));
    await early;

    expect(breaker.state).toBe('closed');
    expect(breaker.stats().failureCount).toBe(0);
  });

  it('CB-03 a late release and a doubled one never raise the permits above the maximum', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000, halfOpenMaxCalls: 1, successThreshold: 5 });
    await open({ call });
    await clock.advance(1_000);
    const settled = new Call(succeed, undefined, []);
    const probe = breaker.enter(settled) as Admission;
    breaker.settle(probe, settled, true, 'fine', Number.NaN, Number.NaN);
    breaker.settle(probe, settled, true, 'fine', Number.NaN, Number.NaN);
    breaker.cancel(probe, settled, new Error('refused'));

    const running = deferred();
    const second = call(() => running.promise);

    expect(await call()).toBe('CircuitOpenError');
    running.resolve('fine');
    expect(await second).toBe('fine');
  });

  it('CB-04 a probe that never settles is given up after halfOpenMaxDuration: it re-opens, and later probes again', async () => {
    const { breaker, clock, call } = setUp({
      openDuration: 1_000,
      halfOpenMaxCalls: 1,
      halfOpenMaxDuration: 400,
      successThreshold: 1,
    });
    await open({ call });
    await clock.advance(1_000);
    void call(() => new Promise(() => {}));

    await clock.advance(399);
    expect(breaker.state).toBe('half-open');
    await clock.advance(1);
    expect(breaker.state).toBe('open');
    expect(await call()).toBe('CircuitOpenError');
    await clock.advance(1_000);

    expect(breaker.state).toBe('half-open');
    expect(await call()).toBe('fine');
    expect(breaker.state).toBe('closed');
  });

  it('CB-04 what other probes answer after that decides nothing, nor does the late one itself', async () => {
    const { breaker, clock, call } = setUp({
      openDuration: 1_000,
      halfOpenMaxCalls: 2,
      halfOpenMaxDuration: 400,
      successThreshold: 1,
      ignoreErrors: NotOurs,
    });
    await open({ call });
    await clock.advance(1_000);
    const hung = deferred();
    const first = call(() => hung.promise);
    await clock.advance(100);
    const other = deferred();
    const second = call(() => other.promise);
    await clock.advance(300);

    other.resolve('fine');
    await second;
    expect(breaker.state).toBe('open');
    hung.reject(new NotOurs());
    await first;

    expect(breaker.state).toBe('open');
  });

  it('CB-04 a probe that ends ignored after that re-opens it all the same', async () => {
    const { breaker, clock, call } = setUp({
      openDuration: 1_000,
      halfOpenMaxDuration: 400,
      ignoreErrors: NotOurs,
    });
    await open({ call });
    await clock.advance(1_000);
    const hung = deferred();
    const probe = call(() => hung.promise);
    await clock.advance(400);

    hung.reject(new NotOurs());
    await probe;

    expect(breaker.stats()).toMatchObject({ state: 'open', retryAfterMs: 1_000 });
  });

  it('CB-05 a probe that its caller aborts is neither success nor failure', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000, halfOpenMaxCalls: 1, successThreshold: 1 });
    await open({ call });
    await clock.advance(1_000);
    const caller = new AbortController();

    const probe = breaker.execute(() => new Promise(() => {}), { signal: caller.signal });
    caller.abort(new Error('gone'));

    await expect(probe).rejects.toThrow('gone');
    expect(breaker.state).toBe('half-open');
    expect(await call()).toBe('fine');
    expect(breaker.state).toBe('closed');
  });

  it('CB-05 the expiry of a deadline is a failure', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000, halfOpenMaxDuration: 5_000 });
    await open({ call });
    await clock.advance(1_000);

    const probe = breaker
      .execute(() => new Promise(() => {}), { deadline: 50 })
      .catch((error: unknown) => error);
    await clock.advance(50);

    expect(await probe).toBeInstanceOf(TimeoutExceededError);
    expect(breaker.state).toBe('open');
  });

  it('CB-05 the expiry of a total timeout is a failure', async () => {
    const { breaker, clock } = setUp({ failureThreshold: 1 });
    const timeout = new TimeoutPolicy('payments', { total: 50 }, { clock });
    const pipeline = new Pipeline('payments', [timeout, breaker], clock);

    const call = pipeline.execute(() => new Promise(() => {})).catch((error: unknown) => error);
    await clock.advance(50);
    expect(await call).toBeInstanceOf(TimeoutExceededError);

    expect(breaker.state).toBe('open');
  });

  it('CB-06 of three half-open permits three probes run at once, and the fourth caller is rejected at once', async () => {
    const { clock, call } = setUp({ openDuration: 1_000, halfOpenMaxCalls: 3 });
    await open({ call });
    await clock.advance(1_000);
    const running = deferred();
    let started = 0;
    const probe = () => {
      started++;
      return running.promise;
    };

    const probes = [call(probe), call(probe), call(probe)];

    expect(await call(probe)).toBe('CircuitOpenError');
    expect(started).toBe(3);
    running.resolve('fine');
    expect(await Promise.all(probes)).toEqual(['fine', 'fine', 'fine']);
  });

  it('CB-06 re-entering half-open starts fresh', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000, halfOpenMaxCalls: 2, successThreshold: 2 });
    await open({ call });
    await clock.advance(1_000);
    const hung = deferred();
    void call(() => hung.promise);
    await call(fail);
    await clock.advance(1_000);

    const running = deferred();
    const probes = [call(() => running.promise), call(() => running.promise)];
    expect(await call()).toBe('CircuitOpenError');
    running.resolve('fine');
    await Promise.all(probes);

    expect(breaker.state).toBe('closed');
  });

  it('CB-07 threshold mode: permits come back, so that one permit is enough for three successes', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000, halfOpenMaxCalls: 1, successThreshold: 3 });
    await open({ call });
    await clock.advance(1_000);

    for (let i = 0; i < 2; i++) await call();
    expect(breaker.state).toBe('half-open');
    await call();

    expect(breaker.state).toBe('closed');
  });

  it('CB-07 threshold mode: one failure re-opens at once', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000, successThreshold: 3 });
    await open({ call });
    await clock.advance(1_000);

    await call();
    await call();
    await call(fail);

    expect(breaker.state).toBe('open');
  });

  it('CB-07 rate mode: min(minimumCalls, halfOpenMaxCalls) recorded probes decide', async () => {
    const { breaker, clock, call } = setUp({
      failureRatePercent: 50,
      window: { calls: 10 },
      minimumCalls: 4,
      halfOpenMaxCalls: 3,
      openDuration: 1_000,
    });
    await open({ call }, 4);
    await clock.advance(1_000);

    await call(fail);
    await call();
    expect(breaker.state).toBe('half-open');
    await call();

    expect(breaker.state).toBe('closed');
  });

  it('CB-07 rate mode: a rate of failed probes that equals the threshold re-opens', async () => {
    const { breaker, clock, call } = setUp({
      failureRatePercent: 50,
      window: { calls: 10 },
      minimumCalls: 2,
      openDuration: 1_000,
    });
    await open({ call }, 2);
    await clock.advance(1_000);

    await call();
    await call(fail);

    expect(breaker.state).toBe('open');
  });

  it('CB-08 a slow success counts as success and as slow, a slow failure as both', async () => {
    const { breaker, clock } = setUp({
      slowCallRatePercent: 100,
      slowCallDuration: 100,
      window: { calls: 10 },
    });
    const success = deferred();
    const failure = deferred();
    const calls = [breaker.execute(() => success.promise), breaker.execute(() => failure.promise)];

    await clock.advance(101);
    success.resolve('fine');
    failure.reject(new Error('down'));
    await Promise.allSettled(calls);

    expect(breaker.stats()).toMatchObject({ totalSuccesses: 1, totalFailures: 1, totalSlow: 2 });
  });

  it('CB-08 exactly the slow threshold is not slow', async () => {
    const { breaker, clock } = setUp({
      slowCallRatePercent: 50,
      slowCallDuration: 100,
      window: { calls: 1 },
      minimumCalls: 1,
    });
    const running = deferred();
    const call = breaker.execute(() => running.promise);

    await clock.advance(100);
    running.resolve('fine');
    await call;

    expect(breaker.stats()).toMatchObject({ totalSlow: 0, slowCallRatePercent: 0, state: 'closed' });
  });

  it.each([
    ['failures', { fast: fail, slow: undefined }],
    ['slow calls', { fast: undefined, slow: 'fine' }],
  ] as const)('CB-08 the rate of %s trips alone', async (_name, { fast, slow }) => {
    const { breaker, clock, call } = setUp({
      failureRatePercent: 50,
      slowCallRatePercent: 50,
      slowCallDuration: 100,
      window: { calls: 2 },
    });
    await call();
    const running = deferred();

    const last = call(fast ?? (() => running.promise));
    await clock.advance(101);
    running.resolve(slow);
    await last;

    expect(breaker.state).toBe('open');
  });

  it('CB-09 a rate equal to its threshold opens', async () => {
    const { breaker, call } = setUp({ failureRatePercent: 30, window: { calls: 10 } });
    for (let i = 0; i < 7; i++) await call();

    await call(fail);
    await call(fail);
    expect(breaker.state).toBe('closed');
    await call(fail);

    expect(breaker.state).toBe('open');
  });

  it('CB-09 below the minimum of calls the rate is undefined, and nothing opens', async () => {
    const { breaker, call } = setUp({ failureRatePercent: 1, window: { calls: 10 }, minimumCalls: 3 });

    await call(fail);
    await call(fail);

    expect(breaker.stats()).toMatchObject({ failureRatePercent: undefined, state: 'closed', calls: 2 });
  });

  it('CB-09 a breaker of consecutive failures has no rate', async () => {
    const { breaker, call } = setUp({ failureThreshold: 5 });
    await call();
    await call(fail);

    expect(breaker.stats()).toMatchObject({ failureRatePercent: undefined, failureCount: 1 });
  });

  it('CB-10 the call that completes the minimum may trip it, even where it succeeded', async () => {
    const { breaker, call } = setUp({ failureRatePercent: 50, window: { calls: 10 }, minimumCalls: 4 });
    for (let i = 0; i < 3; i++) await call(fail);
    expect(breaker.state).toBe('closed');

    await call();

    expect(breaker.state).toBe('open');
  });

  it('CB-11 a time window idle for longer than itself is empty at the next record', async () => {
    const { breaker, clock, call } = setUp({ failureThreshold: 2, window: { duration: 1_000 } });
    await call(fail);

    await clock.advance(1_001);
    await call(fail);

    expect(breaker.stats()).toMatchObject({ state: 'closed', calls: 1 });
  });

  it('CB-11 the boundary instant belongs to exactly one bucket', async () => {
    const { breaker, clock, call } = setUp({ failureThreshold: 5, window: { duration: 1_000 } });
    await clock.advance(50);
    await call(fail);

    await clock.advance(949);
    expect(breaker.stats().calls).toBe(1);
    await clock.advance(50);
    expect(breaker.stats().calls).toBe(1);
    await clock.advance(1);

    expect(breaker.stats().calls).toBe(0);
  });

  it.each([-3_600_000, 3_600_000])(
    'CB-12 a wall clock that steps by %d ms changes nothing',
    async (stepMs) => {
      const { breaker, clock, call } = setUp({
        failureThreshold: 2,
        window: { duration: 1_000 },
        openDuration: 1_000,
      });
      await call(fail);
      clock.setWallTime(clock.wallTime() + stepMs);
      expect(breaker.stats().calls).toBe(1);
      await call(fail);
      clock.setWallTime(clock.wallTime() + stepMs);

      expect(breaker.stats().retryAfterMs).toBe(1_000);
      await clock.advance(999);
      expect(breaker.state).toBe('open');
      await clock.advance(1);
      expect(breaker.state).toBe('half-open');
    },
  );

  it('CB-13 a failure that lands while open neither re-emits the opening nor lengthens the wait', async () => {
    const { breaker, clock, call, seen } = setUp({ openDuration: 1_000 });
    const late = deferred();
    const early = call(() => late.promise);
    await open({ call });

    await clock.advance(600);
    late.reject(new Error('down'));
    await early;

    expect(breaker.stats().retryAfterMs).toBe(400);
    await clock.advance(0);
    expect(changesTo(seen, 'open')).toHaveLength(1);
  });

  it('CB-14 reading the state computes it, as the next call does, and no timer is armed for that', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000 });
    await open({ call });

    expect(breaker.state).toBe('open');
    expect(clock.pending).toBe(0);
    await clock.advance(1_000);

    expect(breaker.state).toBe('half-open');
    expect(await call()).toBe('fine');
  });

  it('CB-14 opening for longer than 2^31 ms works', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 2 ** 32 });
    await open({ call });

    await clock.advance(2 ** 32 - 1);
    expect(await call()).toBe('CircuitOpenError');
    await clock.advance(1);

    expect(breaker.state).toBe('half-open');
  });

  it('CB-15 forced open it never changes on results or time, and its rejections are counted', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000 });
    const running = deferred();
    const early = call(() => running.promise);
    breaker.forceOpen('maintenance');

    running.resolve('fine');
    await early;
    await clock.advance(10_000);

    expect(await call()).toBe('CircuitOpenError');
    expect(breaker.stats()).toMatchObject({ state: 'forced-open', totalRejected: 1, reason: 'maintenance' });
  });

  it('CB-15 disabled it lets everything pass and never changes', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1 });
    breaker.disable();

    for (let i = 0; i < 10; i++) expect(await call(fail)).toBe('Error');

    expect(breaker.state).toBe('disabled');
  });

  it('CB-15 meter-only it admits all, and says once each time that a threshold is crossed', async () => {
    const { breaker, clock, call, seen } = setUp({ failureThreshold: 2 });
    breaker.meterOnly();

    for (let i = 0; i < 4; i++) expect(await call(fail)).toBe('Error');
    await call();
    for (let i = 0; i < 4; i++) await call(fail);
    breaker.meterOnly();
    for (let i = 0; i < 4; i++) await call(fail);
    await clock.advance(0);

    expect(breaker.state).toBe('meter-only');
    expect(seen.filter(({ type }) => type === 'threshold-crossed')).toHaveLength(3);
  });

  it('CB-15 a manual transition cancels what was pending: the wait, the probes, the count of openings', async () => {
    const { breaker, clock, call } = setUp({
      openDuration: (openings) => openings * 1_000,
      halfOpenMaxCalls: 1,
    });
    await open({ call });
    await clock.advance(1_000);
    const probe = deferred();
    const hung = call(() => probe.promise);
    breaker.close();

    probe.reject(new Error('down'));
    await hung;
    expect(breaker.state).toBe('closed');
    await open({ call });

    expect(breaker.stats()).toMatchObject({ state: 'open', retryAfterMs: 1_000, openings: 1 });
  });

  it('CB-15 what was decided for all keys holds for new keys too', async () => {
    const { breaker } = setUp({ key: () => undefined });
    breaker.forceOpen();

    await expect(breaker.execute(succeed, { key: 'new' })).rejects.toThrow(CircuitOpenError);
    breaker.close();

    await expect(breaker.execute(succeed, { key: 'newer' })).resolves.toBe('fine');
  });

  it('CB-15 an initial state of open waits like any opening', async () => {
    const { breaker, clock } = setUp({ initialState: 'open', openDuration: 1_000 });

    expect(breaker.stats()).toMatchObject({ state: 'open', retryAfterMs: 1_000 });
    await clock.advance(1_000);

    expect(breaker.state).toBe('half-open');
  });

  it('CB-16 one rejection is one event and one count, through execute and through a pipeline', async () => {
    const { breaker, clock, call, seen } = setUp({ openDuration: 1_000 });
    const pipeline = new Pipeline('payments', [breaker], clock);
    await open({ call });

    await call();
    await expect(pipeline.execute(succeed)).rejects.toThrow(CircuitOpenError);
    await clock.advance(0);

    expect(breaker.stats().totalRejected).toBe(2);
    expect(seen.filter(({ type }) => type === 'rejected')).toHaveLength(2);
  });

  it('CB-16 of callers that race for one half-open permit each loser is one rejection, and there is one transition', async () => {
    const { breaker, clock, call, seen } = setUp({ openDuration: 1_000, halfOpenMaxCalls: 1 });
    await open({ call });
    await clock.advance(1_000);
    const running = deferred();

    const winner = call(() => running.promise);
    const losers = await Promise.all([call(), call(), call()]);
    running.resolve('fine');
    await winner;
    await clock.advance(0);

    expect(losers).toEqual(['CircuitOpenError', 'CircuitOpenError', 'CircuitOpenError']);
    expect(breaker.stats().totalRejected).toBe(3);
    expect(seen.filter(({ type }) => type === 'rejected')).toHaveLength(3);
    expect(changesTo(seen, 'half-open')).toHaveLength(1);
  });

  it.each([null, undefined])('CB-17 recordResult sees %s', async (result) => {
    const { breaker, call } = setUp({ failureThreshold: 1, recordResult: (value) => value == null });

    await call(() => result);

    expect(breaker.state).toBe('open');
  });

  it('CB-17 a throwing matcher rejects the call with that error and returns the permit', async () => {
    let broken = true;
    const { breaker, clock, call } = setUp({
      openDuration: 1_000,
      halfOpenMaxCalls: 1,
      successThreshold: 1,
      recordResult: () => {
        if (broken) throw new RangeError('matcher');
        return false;
      },
    });
    await open({ call });
    await clock.advance(1_000);

    expect(await call()).toBe('RangeError');
    broken = false;
    expect(await call()).toBe('fine');

    expect(breaker.state).toBe('closed');
  });

  it('CB-17 a throwing listener changes nothing and is reported once', async () => {
    const clock = new ManualClock();
    const report = jest.fn();
    const events = new EventHub(report);
    events.listen(() => {
      throw new Error('listener');
    });
    const breaker = new CircuitBreakerPolicy('payments', { failureThreshold: 1 }, { clock, events });

    await expect(breaker.execute(fail)).rejects.toThrow('down');
    for (let i = 0; i < 3; i++) await expect(breaker.execute(succeed)).rejects.toThrow(CircuitOpenError);
    await clock.advance(0);

    expect(breaker.state).toBe('open');
    expect(report).toHaveBeenCalledTimes(1);
  });

  it('CB-18 each rejection is a fresh error with the wait that is left, and its stack does not grow', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000 });
    await open({ call });
    const reject = () => breaker.execute(succeed).catch((error: unknown) => error as CircuitOpenError);

    const first = (await reject()) as CircuitOpenError;
    await clock.advance(300);
    const second = (await reject()) as CircuitOpenError;

    expect(first).toBeInstanceOf(CircuitOpenError);
    expect(second).not.toBe(first);
    expect([first.retryAfterMs, second.retryAfterMs]).toEqual([1_000, 700]);
    expect(second.stack?.split('\n')).toHaveLength(1);
  });

  it('CB-18 forced open nobody knows how long to wait', async () => {
    const { breaker } = setUp({});
    breaker.forceOpen();

    const error = await breaker.execute(succeed).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(CircuitOpenError);
    expect((error as CircuitOpenError).retryAfterMs).toBeUndefined();
  });

  it('CB-19 openDuration as a function receives the count of consecutive openings, which closing resets', async () => {
    const asked: number[] = [];
    const { clock, call } = setUp({
      failureThreshold: 1,
      successThreshold: 1,
      halfOpenMaxDuration: 5_000,
      openDuration: (openings) => {
        asked.push(openings);
        return 1_000;
      },
    });
    // Its constructor and its stats may ask too; what counts is what each opening asks.
    const openedWith = async () => {
      asked.length = 0;
      await call(fail);
      return asked.at(-1);
    };

    const counts = [await openedWith()];
    await clock.advance(1_000);
    counts.push(await openedWith());
    await clock.advance(1_000);
    await call();
    counts.push(await openedWith());

    expect(counts).toEqual([1, 2, 1]);
  });

  it('CB-20 with recordErrors any other error counts as success, or as ignored where that is asked for', async () => {
    const success = setUp({ recordErrors: NotOurs });
    const ignored = setUp({ recordErrors: NotOurs, unmatchedErrors: 'ignore' });

    await success.call(fail);
    await ignored.call(fail);

    expect(success.breaker.stats()).toMatchObject({ totalSuccesses: 1, totalFailures: 0, totalIgnored: 0 });
    expect(ignored.breaker.stats()).toMatchObject({ totalSuccesses: 0, totalFailures: 0, totalIgnored: 1 });
  });

  it("CB-20 precedence: the caller's abort comes before everything", async () => {
    const { breaker } = setUp({ recordErrors: Error });
    const caller = new AbortController();

    const call = breaker.execute(() => new Promise(() => {}), { signal: caller.signal });
    caller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');

    expect(breaker.stats()).toMatchObject({ totalIgnored: 1, totalFailures: 0 });
  });

  it.each([
    [
      'a rejection that is recorded',
      new BulkheadFullError('full'),
      { recordErrors: BulkheadFullError },
      'totalFailures',
    ],
    [
      'a recorded rejection, though ignoreErrors names it',
      new BulkheadFullError('full'),
      { recordErrors: BulkheadFullError, ignoreErrors: BulkheadFullError },
      'totalFailures',
    ],
    [
      'ignoreErrors before recordErrors',
      new NotOurs(),
      { ignoreErrors: NotOurs, recordErrors: NotOurs },
      'totalIgnored',
    ],
    [
      'ignoreErrors before a timeout',
      new TimeoutExceededError('late'),
      { ignoreErrors: TimeoutExceededError },
      'totalIgnored',
    ],
    [
      'a timeout before recordErrors',
      new TimeoutExceededError('late'),
      { recordErrors: NotOurs },
      'totalFailures',
    ],
    [
      'recordErrors before the default',
      Object.assign(new Error(), { status: 404 }),
      { recordErrors: 404 },
      'totalFailures',
    ],
  ] as const)('CB-20 precedence: %s', async (_name, error, options, counted) => {
    const { breaker, call } = setUp(options);

    await call(() => Promise.reject(error));

    expect(breaker.stats()[counted]).toBe(1);
  });

  it.each([
    new BulkheadFullError(''),
    new RateLimitExceededError(''),
    new DrainingError(''),
    new CircuitOpenError(''),
  ])('CB-21 %p of our own is ignored', async (rejection) => {
    const { breaker, call } = setUp({ failureThreshold: 1 });

    await call(() => Promise.reject(rejection));

    expect(breaker.stats()).toMatchObject({ state: 'closed', totalIgnored: 1 });
  });

  it('CB-21 a timeout of our own is a failure', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1 });

    await call(() => Promise.reject(new TimeoutExceededError('late')));

    expect(breaker.state).toBe('open');
  });

  it('CB-22 without a window a success resets the count of consecutive failures', async () => {
    const { breaker, call } = setUp({ failureThreshold: 3 });

    for (const fn of [fail, fail, succeed, fail, fail]) await call(fn);
    expect(breaker.state).toBe('closed');
    await call(fail);

    expect(breaker.state).toBe('open');
  });

  it('CB-22 with a window it counts the failures inside it, and only once minimumCalls were seen', async () => {
    const { breaker, call } = setUp({ failureThreshold: 2, window: { calls: 10 }, minimumCalls: 4 });

    for (const fn of [fail, succeed, fail]) await call(fn);
    expect(breaker.state).toBe('closed');
    await call();

    expect(breaker.state).toBe('open');
  });

  it.each(['rejects', 'throws'])(
    'CB-26 a method that %s with undefined or null fails like any other',
    async (how) => {
      const { breaker } = setUp({ failureThreshold: 2 });
      for (const reason of [undefined, null]) {
        const call = breaker.execute(() => {
          if (how === 'rejects') return Promise.reject(reason);
          throw reason;
        });
        await expect(call.then(succeed, (error: unknown) => [error])).resolves.toEqual([reason]);
      }

      expect(breaker.state).toBe('open');
    },
  );

  it('CB-26 a method that returns synchronously succeeds like any other', async () => {
    const { breaker, call } = setUp({});

    expect(await call(() => 'fine')).toBe('fine');

    expect(breaker.stats().totalSuccesses).toBe(1);
  });

  it.each([400, 401, 403, 404, 409, 422])('CB-27 an error of status %d counts as success', async (status) => {
    const { breaker, call } = setUp({ failureThreshold: 1 });

    await call(() => Promise.reject(Object.assign(new Error(), { status })));

    expect(breaker.stats()).toMatchObject({ state: 'closed', totalSuccesses: 1 });
  });

  it.each([408, 425, 429, 500, 503])('CB-27 an error of status %d counts as failure', async (status) => {
    const { breaker, call } = setUp({ failureThreshold: 1 });

    await call(() => Promise.reject(Object.assign(new Error(), { status })));

    expect(breaker.state).toBe('open');
  });

  it('CB-28 stats and state compute half-open from the clock, with nobody calling', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000 });
    await open({ call });
    expect(breaker.stats()).toMatchObject({ state: 'open', retryAfterMs: 1_000 });

    await clock.advance(1_000);

    expect(breaker.state).toBe('half-open');
    expect(breaker.stats()).toMatchObject({ state: 'half-open', retryAfterMs: undefined });
  });

  it('CB-28 a breaker whose probe hangs is open again in its stats, with the wait that is left', async () => {
    const { breaker, clock, call } = setUp({ openDuration: 1_000, halfOpenMaxDuration: 500 });
    await open({ call });
    await clock.advance(1_000);
    void call(() => new Promise(() => {}));

    await clock.advance(700);

    expect(breaker.stats()).toMatchObject({ state: 'open', retryAfterMs: 800 });
  });

  it('goes on when its options change, even where time begins to matter in the middle of a call', async () => {
    const { breaker, clock, call } = setUp({ failureThreshold: 2, window: { calls: 10 } });
    const running = deferred();
    const early = call(() => running.promise);
    breaker.update({ window: { duration: 1_000 } });

    running.reject(new Error('down'));
    await early;
    expect(breaker.stats().failureCount).toBe(1);
    await clock.advance(1_000);
    await call(fail);

    expect(breaker.stats()).toMatchObject({ failureCount: 1, state: 'closed' });
  });

  it.each([
    ['returns "soon"', () => 'soon'],
    ['returns 0', () => 0],
    [
      'throws',
      () => {
        throw new Error('no idea');
      },
    ],
  ])('PL-07 an openDuration that %s for the first opening is refused', (_what, openDuration) => {
    expect(() => setUp({ openDuration })).toThrow(InvalidOptionsError);
    expect(() => setUp({ openDuration })).toThrow(/circuit breaker "payments": "openDuration" /);
  });

  it('CB-19 where openDuration returns no duration later, it opens for the default of 60 s, with one warning', async () => {
    const warnings = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    let answer: () => string = () => '1s';
    const { breaker, clock, call } = setUp({ failureThreshold: 1, openDuration: () => answer() });
    answer = () => 'soon';

    expect(await call(fail)).toBe('Error');

    expect(breaker.state).toBe('open');
    expect(breaker.stats()).toMatchObject({ retryAfterMs: 60_000, config: { openDurationMs: 60_000 } });
    answer = () => {
      throw new Error('no idea');
    };
    await clock.advance(60_000);
    expect(await call(fail)).toBe('Error');
    expect(breaker.state).toBe('open');
    expect(warnings).toHaveBeenCalledTimes(1);
    expect(warnings.mock.calls[0]?.[0]).toMatch(/^circuit breaker "payments": "openDuration" must return /);
    warnings.mockRestore();
  });

  it('OP-06 the numbers of a breaker', async () => {
    const { breaker, clock, call } = setUp({
      failureRatePercent: 50,
      slowCallRatePercent: 80,
      slowCallDuration: 100,
      window: { calls: 4 },
      minimumCalls: 3,
      ignoreErrors: NotOurs,
      openDuration: 1_000,
    });
    const times = [new Date(clock.wallTime()).toISOString()];
    await call();
    await call(ignore);
    const slow = deferred();
    const last = call(() => slow.promise);
    await clock.advance(101);
    slow.resolve('fine');
    await last;
    const closed = breaker.stats();
    await clock.advance(899);
    times.push(new Date(clock.wallTime()).toISOString());
    await call(fail);

    expect(closed).toEqual({
      name: 'payments',
      state: 'closed',
      totalCalls: 3,
      totalSuccesses: 2,
      totalFailures: 0,
      totalIgnored: 1,
      totalSlow: 1,
      totalRejected: 0,
      calls: 2,
      failureCount: 0,
      successCount: 2,
      failureRatePercent: undefined,
      slowCallRatePercent: undefined,
      openings: 0,
      retryAfterMs: undefined,
      lastFailureTime: undefined,
      lastOpenTime: undefined,
      lastStateChange: undefined,
      reason: undefined,
      config: {
        failureThreshold: undefined,
        minimumCalls: 3,
        windowMs: undefined,
        windowCalls: 4,
        openDurationMs: 1_000,
        successThreshold: 3,
      },
    });
    expect(breaker.stats()).toMatchObject({
      state: 'closed',
      calls: 3,
      failureCount: 1,
      successCount: 2,
      lastFailureTime: times[1],
      lastOpenTime: undefined,
    });
    expect(breaker.stats().failureRatePercent).toBeCloseTo(33.33, 1);
    expect(breaker.stats().slowCallRatePercent).toBeCloseTo(33.33, 1);
    await call(fail);
    expect(breaker.stats()).toMatchObject({
      state: 'open',
      openings: 1,
      reason: 'failure rate 50.0 %',
      lastOpenTime: times[1],
      lastStateChange: times[1],
      calls: 0,
    });
  });

  it('a reset closes it, and forgets numbers and times', async () => {
    const { breaker, clock, call, seen } = setUp({ ignoreErrors: NotOurs });
    await call(ignore);
    await open({ call });
    await call();

    breaker.reset();
    await clock.advance(0);

    expect(breaker.stats()).toMatchObject({
      state: 'closed',
      totalCalls: 0,
      totalSuccesses: 0,
      totalFailures: 0,
      totalIgnored: 0,
      totalSlow: 0,
      totalRejected: 0,
      openings: 0,
      lastFailureTime: undefined,
      lastOpenTime: undefined,
      reason: 'reset',
    });
    expect(seen.slice(-2).map(({ type }) => type)).toEqual(['cleared', 'state-changed']);
  });

  it('CB-15 a reset ends what was decided by hand, for keys to come too', async () => {
    const { breaker } = setUp({ key: () => undefined });
    breaker.forceOpen();

    breaker.reset();

    await expect(breaker.execute(succeed, { key: 'new' })).resolves.toBe('fine');
  });

  it.each([
    ['forceOpen', 'forced open'],
    ['disable', 'disabled'],
    ['meterOnly', 'meter only'],
    ['close', 'closed by hand'],
  ] as const)('CB-15 %s() says why in the stats, in words of its own or of the caller', (method, words) => {
    const { breaker } = setUp({});

    breaker[method]();
    const own = breaker.stats().reason;
    breaker[method]('by Ada');

    expect([own, breaker.stats().reason]).toEqual([words, 'by Ada']);
  });

  it('CB-15 what is decided by hand holds for keys that are known', async () => {
    const { breaker } = setUp({ key: () => undefined });
    await breaker.execute(succeed, { key: 'a' });

    for (const [decide, state] of [
      [() => breaker.forceOpen(), 'forced-open'],
      [() => breaker.disable(), 'disabled'],
      [() => breaker.meterOnly(), 'meter-only'],
    ] as const) {
      decide();
      expect(breaker.stats()).toMatchObject({ state, keys: { notClosed: { a: state } } });
    }
  });

  it('CB-15 forced open with an error, that is the cause of all refusals; with a text there is none', async () => {
    const { breaker } = setUp({});
    const why = new Error('chaos');
    const refusal = () => breaker.execute(succeed).catch((error: unknown) => error as Error);
    breaker.forceOpen(why);
    const caused = (await refusal()) as Error;
    breaker.forceOpen('maintenance');
    const plain = (await refusal()) as Error;

    expect([caused.cause, plain.cause]).toEqual([why, undefined]);
    expect(breaker.stats().reason).toBe('maintenance');
    breaker.forceOpen(why);
    expect(breaker.stats().reason).toBe('chaos');
  });

  it('CB-18 a refusal for other reasons than force has no cause', async () => {
    const { breaker, call } = setUp({ openDuration: 1_500 });
    breaker.forceOpen(new Error('chaos'));
    breaker.close();
    await open({ call });

    const refusal = (await breaker.execute(succeed).catch((error: unknown) => error)) as CircuitOpenError;

    expect(refusal.cause).toBeUndefined();
    expect(refusal.policy).toBe('payments');
    expect(refusal.message).toBe('Circuit breaker "payments" is open; it lets a probe in after 1.5 s.');
  });

  it.each([
    ['was forced open', (breaker: CircuitBreakerPolicy) => breaker.forceOpen(), undefined],
    ['(key "a") was forced open', (breaker: CircuitBreakerPolicy) => breaker.forceOpen(), 'a'],
  ])('CB-18 a refusal says that it %s', async (words, decide, key) => {
    const { breaker } = setUp({ key: () => undefined });
    decide(breaker);

    await expect(breaker.execute(succeed, { key })).rejects.toThrow(`Circuit breaker "payments" ${words}.`);
  });

  it('CB-06 a refusal says that the probes are out, and not when to come again', async () => {
    const { clock, breaker, call } = setUp({ openDuration: 1_000, halfOpenMaxCalls: 1 });
    await open({ call });
    await clock.advance(1_000);
    void call(() => new Promise(() => {}));

    await expect(breaker.execute(succeed)).rejects.toMatchObject({
      message: 'Circuit breaker "payments" is half-open and its probes are out.',
      retryAfterMs: undefined,
    });
  });

  it('OP-04 says what changed and why, under which key, and nothing where nothing changed', async () => {
    const { breaker, clock, seen } = setUp({ failureThreshold: 1, key: () => undefined });
    await breaker.execute(fail, { key: 'a' }).catch(() => undefined);
    const refusal: unknown = await breaker.execute(fail, { key: 'a' }).catch((error: unknown) => error);
    breaker.close();
    breaker.close();
    breaker.meterOnly();
    await breaker.execute(fail).catch(() => undefined);
    await clock.advance(0);

    expect(seen.map(({ kind, policy, type, details }) => [kind, policy, type, details])).toEqual([
      [
        'circuitBreaker',
        'payments',
        'state-changed',
        { from: 'closed', to: 'open', reason: '1 failures', key: 'a' },
      ],
      ['circuitBreaker', 'payments', 'rejected', { error: refusal, key: 'a' }],
      [
        'circuitBreaker',
        'payments',
        'state-changed',
        { from: 'open', to: 'closed', reason: 'closed by hand', key: 'a' },
      ],
      [
        'circuitBreaker',
        'payments',
        'state-changed',
        { from: 'closed', to: 'meter-only', reason: 'meter only' },
      ],
      [
        'circuitBreaker',
        'payments',
        'state-changed',
        { from: 'closed', to: 'meter-only', reason: 'meter only', key: 'a' },
      ],
      ['circuitBreaker', 'payments', 'threshold-crossed', { reason: '1 failures' }],
    ]);
  });

  it('HG-02 is calm only while it is closed', async () => {
    const { breaker, call } = setUp({ failureThreshold: 1 });
    const calm = () => breaker.isCalm(new Call(succeed, undefined, []));

    const before = calm();
    await call(fail);

    expect([before, calm()]).toEqual([true, false]);
  });

  it.each<[CircuitBreakerOptions, string[]]>([
    [{ failureRatePercent: 50, window: { calls: 5 }, minimumCalls: 6 }, ['minimumCalls']],
    [{ failureRatePercent: 50, window: { calls: 5 }, minimumCalls: 5 }, []],
    [{ failureRatePercent: 50, minimumCalls: 101 }, ['minimumCalls']],
    [{ slowCallRatePercent: 50, minimumCalls: 101 }, ['minimumCalls']],
    [{ failureRatePercent: 50, minimumCalls: 100 }, []],
    [{ failureThreshold: 5, minimumCalls: 101 }, []],
    [{ failureRatePercent: 50, window: { duration: 1_000 }, minimumCalls: 1_000 }, []],
    [{ failureThreshold: 6, window: { calls: 5 } }, ['failureThreshold']],
    [{ failureThreshold: 5, window: { calls: 5 } }, []],
    [{ failureThreshold: 6, window: { calls: 5 }, minimumCalls: 6 }, ['minimumCalls', 'failureThreshold']],
    [{ failureThreshold: 0, window: { calls: 5 }, minimumCalls: 6 }, ['failureThreshold']],
  ])('PL-07 of %j it refuses %j', (options, refused) => {
    expect(placesOf(() => setUp(options))).toEqual(
      refused.map((option) => ['circuit breaker "payments"', option]),
    );
  });

  it.each<[CircuitBreakerOptions, object]>([
    [{}, { failureThreshold: 5, minimumCalls: 0, windowCalls: undefined, windowMs: undefined }],
    [{ failureRatePercent: 50 }, { failureThreshold: undefined, minimumCalls: 100, windowCalls: 100 }],
    [
      { slowCallRatePercent: 50, window: { calls: 3 } },
      { failureThreshold: undefined, minimumCalls: 3 },
    ],
    [
      { failureRatePercent: 50, window: { duration: '2s' } },
      { minimumCalls: 100, windowMs: 2_000 },
    ],
    [
      { failureThreshold: 2, failureRatePercent: 50 },
      { failureThreshold: 2, minimumCalls: 100 },
    ],
    [
      { failureThreshold: 2, window: { calls: 7 } },
      { minimumCalls: 0, windowCalls: 7 },
    ],
  ])('from %j follows %j', (options, config) => {
    expect(setUp(options).breaker.stats().config).toMatchObject(config);
  });

  it('PL-08 a refused update leaves the old options in force', () => {
    const { breaker } = setUp({ failureThreshold: 3 });

    expect(() => breaker.update({ failureThreshold: 0 })).toThrow(
      'circuit breaker "payments": "failureThreshold"',
    );

    expect(breaker.stats().config.failureThreshold).toBe(3);
  });

  it.each([
    ['lets fewer probes in', { failureRatePercent: 50, minimumCalls: 5 }, { halfOpenMaxCalls: 2 }],
    ['needs fewer calls', { failureRatePercent: 50, minimumCalls: 5 }, { minimumCalls: 1 }],
    ['goes by a rate', { failureThreshold: 5, successThreshold: 5 }, { failureRatePercent: 50 }],
    ['needs fewer successes', { failureThreshold: 5, successThreshold: 5 }, { successThreshold: 2 }],
  ])(
    'PL-08 CB-07 half-open, an update that %s decides by the probes that were seen',
    async (_, options, update) => {
      const { breaker, clock, call } = setUp({
        window: { calls: 10 },
        halfOpenMaxCalls: 3,
        openDuration: 1_000,
        initialState: 'open',
        ...options,
      });
      await clock.advance(1_000);
      await call();
      await call();
      expect(breaker.state).toBe('half-open');

      breaker.update({ ...update, halfOpenMaxCalls: 2 });

      expect([breaker.state, await call()]).toEqual(['closed', 'fine']);
    },
  );

  it('CB-09 a rate that is not known is null in JSON', async () => {
    const { breaker, call } = setUp({ failureRatePercent: 60, minimumCalls: 2 });
    const rates = () => {
      const { failureRatePercent, slowCallRatePercent } = JSON.parse(JSON.stringify(breaker.stats()));
      return [failureRatePercent, slowCallRatePercent];
    };
    await call(fail);
    const before = rates();
    await call(succeed);

    expect([before, rates()]).toEqual([
      [null, null],
      [50, 0],
    ]);
  });

  it('CB-15 a reset goes back to the initial state', async () => {
    const { breaker, call } = setUp({ initialState: 'disabled', failureThreshold: 1 });
    breaker.close();
    await call(fail);
    expect(breaker.state).toBe('open');

    breaker.reset();

    expect([breaker.state, breaker.stats().reason]).toEqual(['disabled', 'reset']);
  });

  it('PL-08 an update keeps what a window holds as long as the window stays the same', async () => {
    const kept = async (options: CircuitBreakerOptions, update: CircuitBreakerOptions) => {
      const { breaker, call } = setUp({ failureThreshold: 5, ...options });
      await call(fail);
      breaker.update(update);
      return breaker.stats().failureCount;
    };

    expect(await kept({}, { failureThreshold: 4 })).toBe(1);
    expect(await kept({ window: { calls: 10 } }, { failureThreshold: 4 })).toBe(1);
    expect(await kept({ window: { calls: 10 } }, { window: { calls: 11 } })).toBe(0);
    expect(await kept({ window: { duration: 1_000 } }, { openDuration: 1 })).toBe(1);
    expect(await kept({ window: { duration: 1_000 } }, { window: { duration: 2_000 } })).toBe(0);
  });

  it('PL-08 an update holds for keys that are known', async () => {
    const { breaker } = setUp({ failureThreshold: 5, key: () => undefined });
    await breaker.execute(succeed, { key: 'a' });
    breaker.update({ failureThreshold: 1 });
    await breaker.execute(fail, { key: 'a' }).catch(() => undefined);

    expect(breaker.stats().keys?.notClosed).toEqual({ a: 'open' });
  });

  it('CB-07 rate mode: with a slow-call rate alone any failed probe re-opens', async () => {
    const { breaker, clock, call } = setUp({
      slowCallRatePercent: 100,
      slowCallDuration: 100,
      window: { calls: 2 },
      halfOpenMaxCalls: 2,
      openDuration: 1_000,
      initialState: 'open',
    });
    await clock.advance(1_000);
    await call(fail);
    await call();

    expect(breaker.stats()).toMatchObject({ state: 'open', reason: 'half-open probes failed' });
  });

  it.each([
    [2, 'open', 'half-open probes were slow'],
    [1, 'closed', 'probes succeeded'],
  ])('CB-08 with %d slow probes of two it is %s', async (slowProbes, state, reason) => {
    const { breaker, clock, call } = setUp({
      slowCallRatePercent: 100,
      slowCallDuration: 100,
      window: { calls: 2 },
      halfOpenMaxCalls: 2,
      openDuration: 1_000,
      initialState: 'open',
    });
    await clock.advance(1_000);
    for (let i = 0; i < 2; i++) {
      const running = deferred();
      const probe = call(() => running.promise);
      await clock.advance(i < slowProbes ? 101 : 100);
      running.resolve('fine');
      await probe;
    }

    expect(breaker.stats()).toMatchObject({ state, reason });
  });

  it('CB-08 says which rate opened it', async () => {
    const { breaker, clock, call } = setUp({
      slowCallRatePercent: 100,
      slowCallDuration: 100,
      window: { calls: 1 },
    });
    const running = deferred();
    const slow = call(() => running.promise);
    await clock.advance(101);
    running.resolve('fine');
    await slow;

    expect(breaker.stats().reason).toBe('slow-call rate 100.0 %');
  });

  it('CB-26 a call that was cancelled by a later guard was none', async () => {
    const { breaker, clock } = setUp({});
    const call = new Call(succeed, undefined, []);
    breaker.cancel(breaker.enter(call) as Admission, call, new BulkheadFullError('full'));
    await clock.advance(0);

    expect(breaker.stats()).toMatchObject({ totalCalls: 0, calls: 0 });
  });

  it('CB-22 a window of calls forgets the oldest', async () => {
    const { breaker, call } = setUp({ failureThreshold: 2, window: { calls: 3 } });

    for (const fn of [fail, succeed, succeed, fail]) await call(fn);

    expect(breaker.stats()).toMatchObject({ state: 'closed', calls: 3, failureCount: 1 });
  });

  it('CB-07 rate mode: permits and results together are bounded', async () => {
    const { clock, call } = setUp({
      failureRatePercent: 50,
      window: { calls: 10 },
      minimumCalls: 2,
      halfOpenMaxCalls: 5,
      openDuration: 1_000,
      initialState: 'open',
    });
    await clock.advance(1_000);
    const running = deferred();

    expect(await call()).toBe('fine');
    const second = call(() => running.promise);
    expect(await call()).toBe('CircuitOpenError');
    running.resolve('fine');
    expect(await second).toBe('fine');
    expect(await call()).toBe('fine');
  });

  it('CB-09 without any call there is no rate', () => {
    const { breaker } = setUp({ failureThreshold: 5, window: { calls: 10 } });

    expect(breaker.stats()).toMatchObject({ failureRatePercent: undefined, slowCallRatePercent: undefined });
  });

  it('CB-15 disabled it reports no crossing either, and counts nothing in its window', async () => {
    const { breaker, clock, call, seen } = setUp({ failureThreshold: 1, window: { calls: 10 } });
    breaker.disable();
    await call(fail);
    await clock.advance(0);

    expect(seen.filter(({ type }) => type === 'threshold-crossed')).toHaveLength(0);
    expect(breaker.stats().calls).toBe(0);
  });

  it('CB-19 the wait after a hung probe is that of one more opening', async () => {
    const { breaker, clock, call } = setUp({
      failureThreshold: 1,
      openDuration: (openings) => openings * 1_000,
      halfOpenMaxDuration: 500,
    });
    await call(fail);
    await clock.advance(1_000);
    void call(() => new Promise(() => {}));
    await clock.advance(500);

    expect(breaker.stats()).toMatchObject({ state: 'open', retryAfterMs: 2_000 });
    await clock.advance(1_999);
    expect(breaker.state).toBe('open');
    await clock.advance(1);
    expect(breaker.state).toBe('half-open');
  });

  it('OP-04 gives each transition its reason', async () => {
    const { clock, call, seen } = setUp({
      initialState: 'open',
      openDuration: 1_000,
      halfOpenMaxDuration: 500,
      successThreshold: 1,
    });
    await clock.advance(1_000);
    await call(fail);
    await clock.advance(1_000);
    void call(() => new Promise(() => {}));
    await clock.advance(500);
    expect(await call()).toBe('CircuitOpenError');
    await clock.advance(1_000);
    await call();
    await clock.advance(0);

    expect(
      seen.filter(({ type }) => type === 'state-changed').map(({ details }) => details?.['reason']),
    ).toEqual([
      'initial state',
      'the open duration is over',
      'a half-open probe failed',
      'the open duration is over',
      'a half-open probe did not settle in time',
      'the open duration is over',
      'probes succeeded',
    ]);
  });

  it('CB-17 a throwing matcher counts as ignored', async () => {
    const { breaker, call } = setUp({
      recordResult: () => {
        throw new RangeError('matcher');
      },
    });

    await call();

    expect(breaker.stats()).toMatchObject({ totalIgnored: 1, totalCalls: 1 });
  });

  it('CB-08 slow calls are counted only where their rate is asked for', async () => {
    const { breaker, clock } = setUp({ window: { duration: 120_000 }, slowCallDuration: 100 });
    const running = deferred();
    const call = breaker.execute(() => running.promise);
    await clock.advance(101);
    running.resolve('fine');
    await call;

    expect(breaker.stats().totalSlow).toBe(0);
  });

  it('OP-06 counts successes and failures together', async () => {
    const { breaker, call } = setUp({});
    await call();
    await call(fail);

    expect(breaker.stats()).toMatchObject({ totalCalls: 2, totalSuccesses: 1, totalFailures: 1 });
    expect(breaker.stats().lastOpenTime).toBeUndefined();
  });

  describe('CB-21 what a later guard refuses', () => {
    async function halfOpen(options: CircuitBreakerOptions) {
      const all = setUp({ openDuration: 1_000, halfOpenMaxCalls: 1, successThreshold: 1, ...options });
      await open(all);
      await all.clock.advance(1_000);
      const refused = new Call(succeed, undefined, []);
      return { ...all, refused, probe: all.breaker.enter(refused) as Admission };
    }

    it('gives the permit of a probe back where it does not count', async () => {
      const { breaker, call, refused, probe } = await halfOpen({});
      breaker.cancel(probe, refused, new BulkheadFullError('full'));

      expect(await call()).toBe('fine');
      expect(breaker.state).toBe('closed');
    });

    it('is a failed probe where it counts', async () => {
      const { breaker, refused, probe } = await halfOpen({ recordErrors: [Error, BulkheadFullError] });
      breaker.cancel(probe, refused, new BulkheadFullError('full'));

      expect(breaker.state).toBe('open');
    });

    it('gives the permit of a probe back where a matcher throws', async () => {
      const { breaker, call, refused, probe } = await halfOpen({
        recordErrors: (error) => {
          if (error instanceof BulkheadFullError) throw new Error('matcher');
          return true;
        },
      });
      expect(() => breaker.cancel(probe, refused, new BulkheadFullError('full'))).toThrow('matcher');

      expect(await call()).toBe('fine');
    });

    it('is nothing where it is no refusal, but a mistake in a function of that guard', async () => {
      const { breaker, call, refused, probe } = await halfOpen({});
      breaker.cancel(probe, refused, new TypeError('The key function is wrong.'));

      expect(breaker.state).toBe('half-open');
      expect(await call()).toBe('fine');
    });

    it('leaves a window of time with that', async () => {
      const { breaker, clock } = setUp({
        failureThreshold: 2,
        window: { duration: 1_000 },
        recordErrors: [BulkheadFullError],
      });
      const refused = new Call(succeed, undefined, []);
      breaker.cancel(breaker.enter(refused) as Admission, refused, new BulkheadFullError('full'));
      await clock.advance(1_000);

      expect(breaker.stats()).toMatchObject({ totalFailures: 1, failureCount: 0 });
    });
  });

  it('OP-06 says when it opened last, and not when it closed', async () => {
    const { breaker, clock, call } = setUp({ openDuration: '1h' });
    await open({ call });
    const openedAt = breaker.stats().lastOpenTime;
    await clock.advance(1_000);
    breaker.close();

    expect(openedAt).toBeDefined();
    expect(breaker.stats().lastOpenTime).toBe(openedAt);
    expect(breaker.stats().lastStateChange).not.toBe(openedAt);
  });

  it('CB-20 an error with a status below 400 is no answer of a dependency that is well', async () => {
    const { breaker, call } = setUp({ failureThreshold: 2 });
    const failWith = (status: number) => call(() => Promise.reject(Object.assign(new Error(), { status })));
    await failWith(404);
    await failWith(302);
    expect(breaker.stats()).toMatchObject({ totalSuccesses: 1, totalFailures: 1 });
  });

  it('refuses while it is open before the call waits for what stands around it', async () => {
    const { breaker, clock } = setUp({});
    const bulkhead = new BulkheadPolicy('one', { maxConcurrent: 1 }, { clock });
    const pipeline = new Pipeline('stock', [bulkhead, breaker], clock);
    const running = deferred<string>();
    const first = bulkhead.execute(() => running.promise);
    breaker.forceOpen();

    await expect(pipeline.execute(succeed)).rejects.toThrow(CircuitOpenError);
    running.resolve('fine');
    await first;
  });

  it('does without an environment, and without a fleet that it could share its state with', async () => {
    const bare = new CircuitBreakerPolicy('bare', { failureThreshold: 1, shared: true });
    await bare.execute(fail).catch(() => undefined);
    const unled = new CircuitBreakerPolicy('unled', { failureThreshold: 1 }, { fleet: {} as Fleet });
    await unled.execute(fail).catch(() => undefined);

    expect([bare.state, unled.state]).toEqual(['open', 'open']);
    expect(bare.stats()).not.toHaveProperty('shared');
  });
});
