import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SystemClock } from '../../lib/core/system-clock.js';
import { TimerEntry } from '../../lib/core/timer-entry.js';
import { TimerWheel, WHEEL_TICK_MS } from '../../lib/core/timer-wheel.js';
import { FakeHost } from './fake-host.js';

class Entry extends TimerEntry {
  readonly ranAt: number[] = [];

  constructor(
    private readonly host: FakeHost,
    private readonly whenDue: () => void = () => {},
    keepAlive = false,
  ) {
    super();
    this.keepAlive = keepAlive;
  }

  onDue(): void {
    this.ranAt.push(this.host.time);
    this.whenDue();
  }
}

const DAY_MS = 86_400_000;

function wheelAt(startsAt = 0): { host: FakeHost; wheel: TimerWheel } {
  const host = new FakeHost(startsAt);
  return { host, wheel: new TimerWheel(host) };
}

describe('TimerWheel', () => {
  it.each([0.001, 1, 7.999, 8, 8.001, 511, 512, 520, 521.5, 60_000, 2_097_152, 40 * DAY_MS, 300 * DAY_MS])(
    'TO-09 an entry due in %d ms runs once, never early and at most one tick late',
    (delayMs) => {
      const { host, wheel } = wheelAt(12_345.678);
      host.earlyMs = 0.9;
      const entry = new Entry(host);
      const dueAt = host.time + delayMs;

      wheel.arm(entry, dueAt);
      expect(entry.dueAt).toBe(dueAt);
      host.pass(delayMs + WHEEL_TICK_MS);
      host.pass(1_000);

      expect(entry.ranAt).toHaveLength(1);
      expect(entry.ranAt[0]).toBeGreaterThanOrEqual(dueAt);
      expect(entry.ranAt[0]).toBeLessThanOrEqual(dueAt + WHEEL_TICK_MS);
      expect(entry.dueAt).toBeNaN();
      expect(wheel.size).toBe(0);
    },
  );

  it.each([64, 4_096, 262_144])(
    'TO-09 an entry due at the very tick at which its slot of a higher level begins (%d) is no tick late',
    (tick) => {
      const { host, wheel } = wheelAt();
      const entry = new Entry(host);
      wheel.arm(entry, 2 * tick * 8);

      host.pass(2 * tick * 8);

      expect(entry.ranAt).toEqual([2 * tick * 8]);
    },
  );

  it('TO-06 an entry due beyond 2^31-1 ms does not run at once, and one due at Infinity never does', () => {
    const { host, wheel } = wheelAt();
    const far = new Entry(host);
    const never = new Entry(host);

    wheel.arm(far, 2 ** 31 + 5_000);
    wheel.arm(never, Number.POSITIVE_INFINITY);
    host.pass(2 ** 31);
    expect(far.ranAt).toEqual([]);
    host.pass(5_000 + WHEEL_TICK_MS);
    expect(far.ranAt).toHaveLength(1);
    host.pass(1_000 * DAY_MS);
    expect(never.ranAt).toEqual([]);
    expect(wheel.size).toBe(1);
  });

  it('serves thousands of entries with one native timer, which sleeps until one is due', () => {
    const { host, wheel } = wheelAt();
    const entries = Array.from({ length: 5_000 }, () => new Entry(host));

    for (const [i, entry] of entries.entries()) wheel.arm(entry, 60_000 + i / 1_000);
    expect(host.set).toBe(1);
    host.pass(59_000);
    expect(host.set).toBe(1);
    host.pass(2_000);

    expect(entries.every((entry) => entry.ranAt.length === 1)).toBe(true);
    expect(host.set).toBeLessThan(6);
    expect(host.timers).toEqual([]);
  });

  it('wakes once for one entry, though native timers count whole milliseconds', () => {
    const { host, wheel } = wheelAt(0.5);
    wheel.arm(new Entry(host), 100);
    host.pass(200);
    expect(host.set).toBe(1);
  });

  it('wakes earlier only for an earlier entry, and lets the native timer lapse when nothing is armed', () => {
    const { host, wheel } = wheelAt();
    const entry = new Entry(host);

    for (let call = 0; call < 1_000; call++) {
      wheel.arm(entry, host.time + 1_000);
      host.pass(0.5);
      wheel.disarm(entry);
    }
    expect(host.set).toBe(1);
    host.pass(1_000);
    expect(host.timers).toEqual([]);

    wheel.arm(entry, host.time + 10_000);
    wheel.arm(new Entry(host), host.time + 100);
    expect(host.timers.map((timer) => Math.round((timer.dueAt - host.time) / 10))).toEqual([10]);
    expect(entry.ranAt).toEqual([]);
  });

  it('RT-05 keeps the process alive while an entry wants that, and never for the others', () => {
    const { host, wheel } = wheelAt();
    const quiet = new Entry(host);
    const waits = [new Entry(host, undefined, true), new Entry(host, undefined, true)] as const;

    wheel.arm(quiet, 100);
    expect(host.keepsAlive).toBe(false);
    wheel.arm(waits[0], 50);
    wheel.arm(waits[1], 20_000);
    wheel.arm(waits[1], 30_000);
    expect(host.keepsAlive).toBe(true);
    host.pass(1_000);
    expect(host.keepsAlive).toBe(true);
    wheel.disarm(waits[1]);
    wheel.disarm(waits[1]);
    expect(host.keepsAlive).toBe(false);
    wheel.arm(waits[0], 2_000);
    expect(host.keepsAlive).toBe(true);
    host.pass(30_000);
    expect(host.keepsAlive).toBe(false);
    expect(wheel.size).toBe(0);
  });

  it('lets a callback disarm, arm and re-arm, even in the slot that is being worked off', () => {
    const { host, wheel } = wheelAt();
    const rearmed: Entry = new Entry(host, () => {
      if (rearmed.ranAt.length < 3) wheel.arm(rearmed, host.time + 512);
    });
    const cancelled = new Entry(host);
    const postponed = new Entry(host);
    const first = new Entry(host, () => {
      wheel.disarm(cancelled);
      wheel.arm(postponed, 2_000);
      wheel.arm(rearmed, 63 * 8);
    });
    const overdue: Entry = new Entry(host, () => {
      if (overdue.ranAt.length < 3) wheel.arm(overdue, host.time - 50);
    });

    for (const entry of [first, cancelled, postponed, overdue]) wheel.arm(entry, 4);
    host.pass(100);
    expect(first.ranAt).toEqual([8]);
    expect(overdue.ranAt).toHaveLength(3);
    expect(host.timers).toHaveLength(1);
    expect(wheel.size).toBe(2);
    host.pass(4_000);

    expect(cancelled.ranAt).toEqual([]);
    expect(postponed.ranAt).toEqual([2_000]);
    expect(rearmed.ranAt).toEqual([504, 1_016, 1_528]);
  });

  it('runs the others when one throws, and reports the error', () => {
    const { host, wheel } = wheelAt();
    const broken = new Entry(host, () => {
      throw new Error('broken');
    });
    const sound = new Entry(host);

    wheel.arm(broken, 1);
    wheel.arm(sound, 1);
    host.pass(20);

    expect(sound.ranAt).toHaveLength(1);
    expect(host.errors).toEqual([new Error('broken')]);
  });

  it('TO-09 behaves as a sorted list does, whatever is armed, disarmed and re-armed, also after stalls', () => {
    const delay = fc.oneof(
      fc.double({ min: -20, max: 200, noNaN: true }),
      fc.double({ min: 0, max: 6_000, noNaN: true }),
      fc.double({ min: 0, max: 4_000_000, noNaN: true }),
      fc.double({ min: 0, max: 2e10, noNaN: true }),
      fc.constantFrom(8, 512, 513, 32_768, 32_776, 2_097_152, 2 ** 31),
    );
    const id = fc.nat({ max: 19 });
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant('arm' as const), id, delay }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('disarm' as const), id }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('whenDue' as const), id, other: id, delay }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: delay.map(Math.abs) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('stall' as const), ms: delay.map(Math.abs) }) },
    );
    const start = fc.double({ min: 0, max: 1e7, noNaN: true });
    const early = fc.constantFrom(0, 0.4, 0.99);

    const property = fc.property(
      start,
      early,
      fc.array(step, { maxLength: 60 }),
      (startsAt, earlyMs, steps) => {
        const { host, wheel } = wheelAt(startsAt);
        host.earlyMs = earlyMs;
        const model = new Map<number, { dueAt: number; latest: number }>();
        const whenDue = new Map<number, () => void>();
        let stalledUntil = startsAt;
        const entries = Array.from({ length: 20 }, (_, i) => {
          const entry = new Entry(
            host,
            () => {
              const expected = model.get(i);
              if (expected === undefined) throw new Error('ran though it was not armed');
              if (host.time < expected.dueAt) throw new Error('ran early');
              if (host.time > Math.max(expected.latest, stalledUntil + WHEEL_TICK_MS))
                throw new Error('ran late');
              model.delete(i);
              whenDue.get(i)?.();
              whenDue.delete(i);
            },
            i % 5 === 0,
          );
          return entry;
        });
        const arm = (i: number, delayMs: number): void => {
          const dueAt = host.time + delayMs;
          model.set(i, { dueAt, latest: Math.max(dueAt, host.time) + WHEEL_TICK_MS });
          wheel.arm(entries[i] as Entry, dueAt);
        };

        for (const step of steps) {
          if (step.do === 'arm') arm(step.id, step.delay);
          if (step.do === 'disarm') {
            model.delete(step.id);
            wheel.disarm(entries[step.id] as Entry);
          }
          if (step.do === 'whenDue') {
            whenDue.set(step.id, () => {
              if (step.delay < 0) {
                model.delete(step.other);
                wheel.disarm(entries[step.other] as Entry);
              } else arm(step.other, step.delay);
            });
          }
          if (step.do === 'pass') host.pass(step.ms);
          if (step.do === 'stall') {
            host.stall(step.ms);
            stalledUntil = host.time;
          }

          expect(host.errors).toEqual([]);
          expect(wheel.size).toBe(model.size);
          expect(host.timers.length).toBeLessThanOrEqual(1);
          expect(host.keepsAlive).toBe([...model.keys()].some((i) => i % 5 === 0));
          for (const { latest } of model.values()) {
            expect(host.time).toBeLessThanOrEqual(Math.max(latest, stalledUntil + WHEEL_TICK_MS));
          }
        }
        host.pass(3e10);
        expect(host.errors).toEqual([]);
        expect(wheel.size).toBe(0);
        expect(host.timers).toEqual([]);
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});

describe('SystemClock', () => {
  it('TO-06 delays beyond 2^31-1 ms in legs, never early, and keeps the process alive for it', () => {
    const host = new FakeHost(0.5);
    host.earlyMs = 0.9;
    const clock = new SystemClock(host);
    const ranAt: number[] = [];

    clock.delay(2 ** 32, () => ranAt.push(clock.now()));
    const cancel = clock.delay(2 ** 31 + 10, () => ranAt.push(-1));
    host.pass(2 ** 31 + 1);
    expect(host.keepsAlive).toBe(true);
    cancel();
    host.pass(2 ** 32);

    expect(ranAt).toHaveLength(1);
    expect(ranAt[0]).toBeGreaterThanOrEqual(2 ** 32 + 0.5);
    expect(ranAt[0]).toBeLessThan(2 ** 32 + 3);
    expect(host.timers).toEqual([]);
  });

  it('TO-01 leaves nothing armed that would keep the process alive', () => {
    const host = new FakeHost();
    const clock = new SystemClock(host);
    const entry = new Entry(host);

    clock.arm(entry, clock.now() + 1_000);
    expect(clock.armedTimers).toBe(1);
    expect(host.keepsAlive).toBe(false);
    clock.disarm(entry);

    expect(clock.armedTimers).toBe(0);
  });
});
