import { describe, expect, it, jest } from '@jest/globals';
import { InvalidOptionsError } from '../../../lib/core/errors.js';
import type { ChaosMonkeyOptions } from '../../../lib/policies/chaos/index.js';
import { CHAOS_FAULTS } from '../../../lib/policies/chaos/fault.js';
import { FaultInjector } from '../../../lib/policies/chaos/fault-injector.js';
import { ChaosMonkey } from '../../../lib/policies/chaos/monkey.js';
import { ManualClock, seededRandom } from '../../../lib/testing/index.js';
import { placesOf } from '../../problems-of.js';

function setUp(options: ChaosMonkeyOptions = {}, seed = 1) {
  const clock = new ManualClock();
  const processEnv: Record<string, string> = {};
  const environment = { clock, random: seededRandom(seed), processEnv };
  const injector = new FaultInjector(environment);
  for (const name of ['Payments.charge', 'Payments.refund', 'Shop.search'])
    injector.join({ name, policies: [] });
  const monkey = new ChaosMonkey(injector, options, environment);
  return { clock, injector, monkey, processEnv };
}

describe('ChaosMonkey', () => {
  it('CH-03 is off by default', async () => {
    const { clock, injector, monkey } = setUp();
    monkey.begin();

    await clock.advance(3_600_000);

    expect(monkey.stats()).toEqual({ enabled: false, totalTurns: 0, totalFaults: 0, activeFaults: 0 });
    expect([injector.active(), clock.pending]).toEqual([[], 0]);
  });

  it('CH-03 starts a fault at 1 % of its turns', async () => {
    // Long faults would take turns away, short ones do not.
    const { clock, monkey } = setUp({ interval: 10, minDuration: 1, maxDuration: 1 });
    monkey.enable();
    const turns = 20_000;

    await clock.advance(turns * 10);

    const { totalTurns, totalFaults } = monkey.stats();
    expect(totalTurns).toBe(turns);
    expect(Math.abs(totalFaults - turns * 0.01)).toBeLessThanOrEqual(3 * Math.sqrt(turns * 0.01 * 0.99));
    monkey.disable();
    expect(clock.pending).toBe(0);
  });

  it('CH-03 picks any fault, any target, and any time from 10 to 60 s', async () => {
    const { clock, injector, monkey } = setUp({ probabilityPercent: 100 });
    monkey.enable();
    const faults = new Set<string>();
    const targets = new Set<string>();
    const durations: number[] = [];
    for (let i = 0; i < 600; i++) {
      await clock.advance(10_000);
      for (const { id, fault, targets: hit, remainingMs, startedAt } of injector.active()) {
        if (Date.parse(startedAt) !== clock.wallTime()) continue;
        expect(id).toMatch(/^fault-/);
        faults.add(fault);
        hit.forEach((name) => targets.add(name));
        durations.push(remainingMs);
      }
    }

    expect([...faults].toSorted()).toEqual([
      'circuit-open',
      'error',
      'latency',
      'partition',
      'resource-exhausted',
      'service-unavailable',
      'timeout',
    ]);
    expect([...targets].toSorted()).toEqual(['Payments.charge', 'Payments.refund', 'Shop.search']);
    expect(Math.min(...durations)).toBeGreaterThanOrEqual(10_000);
    expect(Math.max(...durations)).toBeLessThanOrEqual(60_000);
    expect(Math.max(...durations) - Math.min(...durations)).toBeGreaterThan(40_000);
  });

  it('CH-03 never has more faults than it may, and takes them along when it goes', async () => {
    const { clock, injector, monkey } = setUp({ probabilityPercent: 100, interval: '1s', maxActive: 2 });
    monkey.enable();
    let most = 0;
    for (let i = 0; i < 100; i++) {
      await clock.advance(1_000);
      most = Math.max(most, injector.active().length);
    }

    monkey.disable();

    expect(most).toBe(2);
    expect([injector.active(), clock.pending]).toEqual([[], 0]);
    await clock.advance(60_000);
    expect(injector.active()).toEqual([]);
  });

  it('CH-03 keeps to the targets and faults that it was given', async () => {
    const { clock, injector, monkey } = setUp({
      probabilityPercent: 100,
      targets: ['Payments.*'],
      faults: ['latency'],
    });
    monkey.enable({ interval: '1m' });
    const seen = new Set<string>();
    for (let i = 0; i < 50; i++) {
      await clock.advance(60_000);
      for (const { fault, targets } of injector.active()) seen.add(`${fault} ${targets.join()}`);
    }

    expect([...seen].toSorted()).toEqual(['latency Payments.charge', 'latency Payments.refund']);
  });

  it('CH-03 a target that nothing answers to is refused, and where more may come yet a warning', () => {
    const { monkey, clock } = setUp();
    const later = setUp({ enabled: true, targets: ['Paymets.charge', '*', 'Shop.*'] });
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    later.monkey.begin();
    const warnings = warn.mock.calls.map(([warning]) => warning);
    warn.mockRestore();

    expect(() => monkey.enable({ targets: ['Nothing.*'] })).toThrow(
      'chaos monkey: Nothing that is protected answers to pipeline "Nothing.*". There are "Payments.charge"',
    );
    expect(placesOf(() => monkey.enable({ targets: ['Nothing.*'] }))).toEqual([['chaos monkey', 'targets']]);
    expect([monkey.enabled, clock.pending]).toEqual([false, 0]);
    expect(warnings).toEqual([
      expect.stringMatching(/pipeline "Paymets\.charge"\. Did you mean "Payments\.charge"/),
    ]);
    expect(later.monkey.enabled).toBe(true);
  });

  it('CH-03 does not come where nothing may begin any more, and says so', () => {
    const { monkey, injector } = setUp();
    injector.close();
    expect(placesOf(() => monkey.enable())).toEqual([['chaos monkey', 'enabled']]);
  });

  it('CH-03 everything may be its target before there is anything', () => {
    const environment = { clock: new ManualClock() };
    const monkey = new ChaosMonkey(new FaultInjector(environment), { targets: ['*'] }, environment);
    monkey.enable();
    expect(monkey.enabled).toBe(true);
  });

  it('CH-03 faults that others clear are gone', async () => {
    const { clock, injector, monkey } = setUp({ probabilityPercent: 100 });
    monkey.enable();
    await clock.advance(10_000);

    expect(injector.clear()).toBe(1);

    expect(monkey.stats()).toMatchObject({ enabled: true, totalFaults: 1, activeFaults: 0 });
  });

  it('CH-01 goes where production begins, with a warning, and is refused there', async () => {
    const { clock, injector, monkey, processEnv } = setUp({ probabilityPercent: 100 });
    monkey.enable();
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    processEnv['NODE_ENV'] = 'production';

    await clock.advance(10_000);
    const warnings = warn.mock.calls.map(([warning]) => warning);
    warn.mockRestore();

    expect(monkey.stats()).toMatchObject({ enabled: false, totalFaults: 0 });
    expect(warnings).toEqual([expect.stringContaining('NODE_ENV=production')]);
    expect(placesOf(() => monkey.enable())).toEqual([['chaos monkey', 'enabled']]);
    expect([injector.active(), clock.pending]).toEqual([[], 0]);
  });

  it('CH-03 refuses faults that last longer than it may inject, and survives all that it takes', async () => {
    expect(() => setUp({ maxDuration: '31m' })).toThrow(
      'chaos monkey: "maxDuration" must be at most 30 min, as its faults have a blast radius of "moderate", got 31 min.',
    );
    const { monkey } = setUp();
    expect(() => monkey.enable({ maxDuration: '1h' })).toThrow(InvalidOptionsError);
    expect(monkey.enabled).toBe(false);

    for (const fault of CHAOS_FAULTS) {
      for (const ratePercent of [0.1, 100]) {
        const longest = { probabilityPercent: 100, minDuration: '30m', maxDuration: '30m' };
        const taken = setUp({ ...longest, ratePercent, faults: [fault] });
        taken.monkey.enable();
        await taken.clock.advance(10_000);
        expect(taken.monkey.stats()).toMatchObject({ enabled: true, activeFaults: 1 });
      }
    }
  });

  it('names what is wrong with its options', () => {
    expect(() => setUp({ minDuration: '2m', faults: [] })).toThrow(
      /"minDuration" of 2 min is above "maxDuration" of 1 min.*\n.*"faults" must name at least one/,
    );
  });
});
