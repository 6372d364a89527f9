import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Call } from '../../../lib/core/call.js';
import { US_PER_MS } from '../../../lib/core/duration.js';
import { CircuitOpenError } from '../../../lib/core/errors.js';
import { EventHub, type PolicyEvent } from '../../../lib/core/events.js';
import { subjectOf, type SharedState, type StateKey } from '../../../lib/core/shared-state.js';
import {
  CircuitBreakerPolicy,
  type CircuitBreakerOptions,
} from '../../../lib/policies/circuit-breaker/index.js';
import { MemoryState, MemoryWorld } from '../../../lib/shared-state/memory-state.js';
import { StoreUnavailableError } from '../../../lib/shared-state/store-guard.js';
import { ManualClock, seededRandom } from '../../../lib/testing/index.js';
import { loadOf } from '../../models/runs.js';
import { deferred } from '../deferred.js';

type Question = 'sync' | 'probe' | 'settle';

/** One of several instances of an application, whose way to the store can break. */
class Instance {
  readonly clock: ManualClock;
  readonly events: PolicyEvent[] = [];
  readonly breaker: CircuitBreakerPolicy;
  /** How often the store was asked. */
  asked = 0;
  onAsk: ((subject: string) => void) | undefined;
  cut = false;
  /** What fails although the store is well, where it says how it does. */
  readonly failing = new Set<Question>();
  health: { lost: boolean } | undefined;
  /** How often each was asked. */
  readonly questions: Record<Question, number> = { sync: 0, probe: 0, settle: 0 };
  /** What the store has answered, and whose answer is under way until then. */
  readonly heldBack: Partial<Record<Question, Promise<unknown>>> = {};
  leave: (() => Promise<void>) | undefined;

  constructor(
    world: MemoryWorld,
    clock: ManualClock,
    number: number,
    size: number,
    options: CircuitBreakerOptions,
  ) {
    this.clock = clock;
    const { circuit } = new MemoryState(world, String(number));
    const through =
      <A extends unknown[], R>(question: Question, ask: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        this.asked++;
        this.questions[question]++;
        this.onAsk?.((args[0] as StateKey).subject);
        if (this.cut || this.failing.has(question)) throw new StoreUnavailableError('The store is lost.');
        const answer = ask(...args);
        await this.heldBack[question];
        return answer;
      };
    const healthOf = () => this.health;
    const state = {
      get health() {
        return healthOf();
      },
      circuit: {
        sync: through('sync', circuit.sync.bind(circuit)),
        probe: through('probe', circuit.probe.bind(circuit)),
        settle: through('settle', circuit.settle.bind(circuit)),
      },
    } as Partial<SharedState> as SharedState;
    const events = new EventHub();
    events.listen((event) => this.events.push(event));
    this.breaker = new CircuitBreakerPolicy('orders', options, {
      clock,
      random: seededRandom(number),
      events,
      fleet: {
        state,
        size,
        onLeave: (leave) => {
          this.leave = leave;
        },
      },
    });
  }

  ok = (key?: string) => this.breaker.execute(async () => 'fine', { ...(key !== undefined && { key }) });
  fail = (key?: string) =>
    this.breaker
      .execute(async () => Promise.reject(new Error('broken')), { ...(key !== undefined && { key }) })
      .catch((error: unknown) => error);

  async trip(): Promise<void> {
    for (let i = 0; i < 3; i++) await this.fail();
  }

  get state() {
    return this.breaker.state;
  }
}

const OPTIONS: CircuitBreakerOptions = {
  failureThreshold: 3,
  openDuration: '10s',
  successThreshold: 3,
  halfOpenMaxCalls: 2,
  shared: true,
};

async function fleetOf(size: number, options: CircuitBreakerOptions = {}) {
  const clock = new ManualClock();
  const world = new MemoryWorld(clock);
  const all = Array.from(
    { length: size },
    (_, number) => new Instance(world, clock, number, size, { ...OPTIONS, ...options }),
  );
  const states = () => all.map(({ state }) => state);
  // Everybody has spoken once.
  await clock.advance(1_200);
  return { clock, world, all: all as [Instance, Instance, ...Instance[]], states };
}

/** Until it is half-open for all. */
async function openForAll({ clock, all }: Awaited<ReturnType<typeof fleetOf>>): Promise<void> {
  for (const instance of all) await instance.trip();
  await clock.advance(700);
  expect(all.map(({ state }) => state)).toEqual(all.map(() => 'open'));
  await clock.advance(10_000);
  expect(all.map(({ state }) => state)).toEqual(all.map(() => 'half-open'));
}

describe('a circuit that instances share', () => {
  it('SS-05 one bad instance never opens it for the others under quorum', async () => {
    const { clock, all, states } = await fleetOf(3);
    for (let second = 0; second < 60; second++) {
      await all[0].trip();
      await clock.advance(1_000);
      expect(states().slice(1)).toEqual(['closed', 'closed']);
    }
    expect(all[0].state).not.toBe('closed');
    expect(all[0].breaker.stats().shared).toEqual({
      scope: 'quorum',
      openForAll: false,
      admittedPercent: 100,
    });
  });

  it('SS-05 two of four open it, and all see it within a second', async () => {
    const { clock, all, states } = await fleetOf(4);
    await all[0].trip();
    await clock.advance(0);
    await all[1].trip();
    await clock.advance(1_000);
    expect(states()).toEqual(['open', 'open', 'open', 'open']);
    await expect(all[3]?.ok()).rejects.toThrow(CircuitOpenError);
    expect(all[3]?.events.find(({ type }) => type === 'state-changed')?.details).toMatchObject({
      from: 'closed',
      to: 'open',
      reason: 'opened by all instances',
    });
  });

  it('SS-05 a third of many must say so', async () => {
    const { clock, all, states } = await fleetOf(9);
    await all[0].trip();
    await all[1].trip();
    await clock.advance(1_000);
    expect(states().filter((state) => state === 'open')).toHaveLength(2);
    await all[2]?.trip();
    await clock.advance(1_000);
    expect(states().filter((state) => state === 'open')).toHaveLength(9);
  });

  it('SS-05 with scope any one instance opens it for all', async () => {
    const { clock, all, states } = await fleetOf(3, { shared: { scope: 'any' } });
    await all[2]?.trip();
    await clock.advance(1_000);
    expect(states()).toEqual(['open', 'open', 'open']);
  });

  it('SS-05 failures that are spread over all instances open it together, those of one do not', async () => {
    const options = {
      failureThreshold: undefined as never,
      failureRatePercent: 50,
      minimumCalls: 12,
      window: { calls: 100 },
    };
    const spread = await fleetOf(4, options);
    for (const { fail, ok } of spread.all) for (const call of [fail, ok, fail]) await call();
    await spread.clock.advance(1_000);
    expect(spread.states()).toEqual(['open', 'open', 'open', 'open']);

    const one = await fleetOf(4, options);
    for (let i = 0; i < 8; i++) await one.all[0].fail();
    for (const { ok } of one.all.slice(1)) await ok();
    await one.clock.advance(2_000);
    expect(one.states()).toEqual(['closed', 'closed', 'closed', 'closed']);
  });

  it('SS-05 half-open, all instances together run no more probes than one would, and their successes close it for all', async () => {
    const fleet = await fleetOf(4);
    await openForAll(fleet);
    const running = deferred<string>();
    const results = fleet.all.flatMap(({ breaker }) =>
      [1, 2].map(() => breaker.execute(() => running.promise).catch((error: unknown) => error)),
    );
    await fleet.clock.advance(0);
    running.resolve('fine');
    const ended = await Promise.all(results);
    expect(ended.filter((one) => one === 'fine')).toHaveLength(2);
    expect(ended.filter((one) => one instanceof CircuitOpenError)).toHaveLength(6);
    expect(fleet.states()).toEqual(fleet.all.map(() => 'half-open'));

    await fleet.clock.advance(50);
    await fleet.all[1].ok();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(fleet.all.map(() => 'closed'));
  });

  it('SS-05 CB-06 no more calls wait for the store’s word than there are probes; the others are refused at once', async () => {
    const fleet = await fleetOf(2);
    await openForAll(fleet);
    const [{ breaker, questions, heldBack }] = fleet.all;
    const answer = deferred<void>();
    heldBack.probe = answer.promise;
    const running = deferred<string>();
    const refused: unknown[] = [];
    const calls = Array.from({ length: 200 }, () =>
      breaker.execute(() => running.promise).catch((error: unknown) => refused.push(error)),
    );
    await fleet.clock.advance(0);
    expect(questions.probe).toBe(2);
    expect(refused).toHaveLength(198);
    for (const error of refused) expect(error).toBeInstanceOf(CircuitOpenError);
    answer.resolve();
    running.resolve('fine');
    const ended = await Promise.all(calls);
    expect(ended.filter((one) => one === 'fine')).toHaveLength(2);
  });

  it('SS-05 that all probes are out is remembered for 50 ms', async () => {
    const fleet = await fleetOf(2, { successThreshold: 5 });
    await openForAll(fleet);
    const running = deferred<string>();
    const probes = [1, 2].map(() => fleet.all[0].breaker.execute(() => running.promise));
    await fleet.clock.advance(0);
    const [, { ok, questions }] = fleet.all;
    for (let i = 0; i < 100; i++) await expect(ok()).rejects.toThrow(CircuitOpenError);
    expect(questions.probe).toBe(1);
    running.resolve('fine');
    await Promise.all(probes);
    await fleet.clock.advance(49);
    await expect(ok()).rejects.toThrow(CircuitOpenError);
    await fleet.clock.advance(1);
    expect(await ok()).toBe('fine');
    expect(questions.probe).toBe(2);
  });

  it('SS-05 a probe of its own that has come back makes room at once', async () => {
    const fleet = await fleetOf(2, { successThreshold: 5 });
    await openForAll(fleet);
    const running = fleet.all.map(() => deferred<string>());
    const probes = fleet.all.map(({ breaker }, i) => breaker.execute(() => running[i]?.promise));
    await fleet.clock.advance(0);
    await expect(fleet.all[0].ok()).rejects.toThrow(CircuitOpenError);
    running[0]?.resolve('fine');
    await fleet.clock.advance(0);
    expect(await fleet.all[0].ok()).toBe('fine');
    running[1]?.resolve('fine');
    await Promise.all(probes);
  });

  it('SS-05 a question that fails lets nobody in while the store is well', async () => {
    const fleet = await fleetOf(2);
    await openForAll(fleet);
    const [one] = fleet.all;
    one.health = { lost: false };
    one.failing.add('probe');
    await expect(one.ok()).rejects.toThrow(CircuitOpenError);
    await expect(one.ok()).rejects.toThrow(CircuitOpenError);
    expect(one.questions.probe).toBe(1);
    one.failing.clear();
    await fleet.clock.advance(50);
    expect(await one.ok()).toBe('fine');
    one.failing.add('probe');
    one.health.lost = true;
    expect(await one.ok()).toBe('fine');
    expect(one.questions.probe).toBe(3);
  });

  it('SS-05 a report that fails leaves the probes to the store while that is well, until none has come through for 2 s', async () => {
    const fleet = await fleetOf(2);
    await openForAll(fleet);
    const [one, { breaker }] = fleet.all;
    one.health = { lost: false };
    one.failing.add('sync');
    const never = [1, 2].map(() => breaker.execute(() => new Promise(() => undefined)));
    await fleet.clock.advance(1_300);
    await expect(one.ok()).rejects.toThrow(CircuitOpenError);
    await fleet.clock.advance(1_500);
    expect(await one.ok()).toBe('fine');
    void never;
  });

  it('SS-05 how a probe ended is told again with the next report where it could not be told', async () => {
    const fleet = await fleetOf(2, { successThreshold: 1 });
    await openForAll(fleet);
    const [one] = fleet.all;
    one.health = { lost: false };
    one.failing.add('settle');
    await one.ok();
    await fleet.clock.advance(0);
    expect(fleet.states()).toEqual(['half-open', 'half-open']);
    one.failing.clear();
    await fleet.clock.advance(1_200);
    expect(fleet.states()).toEqual(['closed', 'closed']);
    expect(one.questions.settle).toBe(2);
  });

  it('SS-05 it is told four times at most, and no more once all have gone on or this instance has left', async () => {
    const untold = async () => {
      const fleet = await fleetOf(2, { successThreshold: 1, openDuration: '60s' });
      for (const instance of fleet.all) await instance.trip();
      await fleet.clock.advance(60_700);
      const [one, other] = fleet.all;
      one.health = { lost: false };
      one.failing.add('settle');
      await one.ok();
      await fleet.clock.advance(0);
      return { ...fleet, one, other };
    };
    const always = await untold();
    await always.clock.advance(20_000);
    expect(always.one.questions.settle).toBe(4);

    const closed = await untold();
    await closed.other.ok();
    await closed.clock.advance(20_000);
    expect(closed.states()).toEqual(['closed', 'closed']);
    // Its next report hears of the new version before anything is told again.
    expect(closed.one.questions.settle).toBe(1);

    const left = await untold();
    await left.one.leave?.();
    await left.clock.advance(20_000);
    expect(left.one.questions.settle).toBe(1);
    // That of the other instance.
    expect(left.clock.pending).toBe(1);
  });

  it('SS-05 the permit of a probe whose answer never came is given back', async () => {
    const fleet = await fleetOf(2, { halfOpenMaxCalls: 1 });
    await openForAll(fleet);
    const [one, other] = fleet.all;
    one.health = { lost: false };
    const late = Promise.reject(new StoreUnavailableError('The store has not answered in time.'));
    late.catch(() => undefined);
    one.heldBack.probe = late;
    await expect(one.ok()).rejects.toThrow(CircuitOpenError);
    await expect(other.ok()).rejects.toThrow(CircuitOpenError);
    await fleet.clock.advance(700);
    expect(await other.ok()).toBe('fine');
  });

  it('SS-05 a probe that failed opens the circuit of its instance at once, also where it could not be told', async () => {
    const fleet = await fleetOf(3);
    await openForAll(fleet);
    const [one] = fleet.all;
    one.health = { lost: false };
    one.failing.add('settle');
    await one.fail();
    await fleet.clock.advance(0);
    expect(fleet.states()).toEqual(['open', 'half-open', 'half-open']);
  });

  it('SS-05 after closing, calls come back by 10, 25, 50 and 100 of 100', async () => {
    const fleet = await fleetOf(2);
    await openForAll(fleet);
    for (let i = 0; i < 3; i++) await fleet.all[0].ok();
    await fleet.clock.advance(0);
    const [{ breaker }] = fleet.all;
    expect(breaker.state).toBe('closed');
    const passed: number[] = [];
    for (let step = 0; step < 4; step++) {
      const calls = Array.from({ length: 100 }, () => fleet.all[0].ok().catch((error: unknown) => error));
      const ended = await Promise.all(calls);
      passed.push(ended.filter((one) => one === 'fine').length);
      const refused = ended.find((one) => one instanceof CircuitOpenError);
      if (step === 1)
        expect(refused?.message).toBe('Circuit breaker "orders" closes again and lets 25 % of calls pass.');
      if (step === 1) expect(refused?.retryAfterMs).toBe(1_000);
      await fleet.clock.advance(1_000);
    }
    expect(passed).toEqual([10, 25, 50, 100]);
    expect(breaker.stats().shared?.admittedPercent).toBe(100);
  });

  it('CB-15 what is disabled or only metered lets all calls pass, also while it comes back by steps', async () => {
    for (const set of ['disable', 'meterOnly'] as const) {
      const fleet = await fleetOf(2, { successThreshold: 1 });
      await openForAll(fleet);
      const [{ breaker, ok }] = fleet.all;
      await ok();
      await fleet.clock.advance(0);
      expect(breaker.stats().shared?.admittedPercent).toBe(10);
      breaker[set]();
      expect(breaker.stats().shared?.admittedPercent).toBe(100);
      for (let i = 0; i < 20; i++) expect(await ok()).toBe('fine');
    }
  });

  it('SS-05 a probe that fails opens it anew: for all with scope any, under quorum for that instance until others agree', async () => {
    const any = await fleetOf(3, { shared: { scope: 'any' } });
    await openForAll(any);
    await any.all[0].fail();
    await any.clock.advance(1_000);
    expect(any.states()).toEqual(['open', 'open', 'open']);

    const quorum = await fleetOf(3);
    await openForAll(quorum);
    await quorum.all[0].fail();
    await quorum.clock.advance(1_000);
    expect(quorum.states()).toEqual(['open', 'half-open', 'half-open']);
    await quorum.all[1].fail();
    await quorum.clock.advance(1_000);
    expect(quorum.states()).toEqual(['open', 'open', 'open']);
    expect(quorum.all[2]?.breaker.stats()).toMatchObject({ openings: 2, shared: { openForAll: true } });
  });

  it('SS-05 the others close it without the one that is in trouble, which closes by its own probes', async () => {
    const fleet = await fleetOf(3);
    await openForAll(fleet);
    await fleet.all[0].fail();
    await fleet.clock.advance(0);
    for (let i = 0; i < 3; i++) await fleet.all[1].ok();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['open', 'closed', 'closed']);
    await fleet.clock.advance(20_000);
    for (let i = 0; i < 3; i++) await fleet.all[0].ok();
    expect(fleet.states()).toEqual(['closed', 'closed', 'closed']);
  });

  it('SS-05 a probe that never comes back opens it anew, and no instance probes beside the others', async () => {
    const fleet = await fleetOf(2, { shared: { scope: 'any' }, halfOpenMaxCalls: 1 });
    await openForAll(fleet);
    const hung = fleet.all[0].breaker.execute(() => new Promise(() => undefined)).catch(() => undefined);
    await fleet.clock.advance(10_500);
    await fleet.all[0].ok().catch(() => undefined);
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['open', 'open']);
    expect(fleet.all[1].breaker.stats().openings).toBe(2);
    await fleet.clock.advance(10_000);
    const probes = fleet.all.map(({ breaker }) =>
      breaker.execute(() => Promise.resolve('fine')).catch(() => 'refused'),
    );
    expect((await Promise.all(probes)).sort()).toEqual(['fine', 'refused']);
    void hung;
  });

  it('SS-05 rates decide over the probes of all together', async () => {
    const options = {
      failureThreshold: undefined as never,
      failureRatePercent: 50,
      minimumCalls: 4,
      window: { calls: 4 },
      halfOpenMaxCalls: 4,
    };
    const rated = await fleetOf(2, { ...options, shared: { scope: 'any' } });
    const open = async () => {
      for (let i = 0; i < 4; i++) await rated.all[0].fail();
      await rated.clock.advance(10_900);
    };
    await open();
    expect(rated.states()).toEqual(['half-open', 'half-open']);
    for (const call of [rated.all[0].ok, rated.all[1].fail, rated.all[0].ok]) await call();
    await rated.clock.advance(700);
    expect(rated.states()).toEqual(['half-open', 'half-open']);
    await rated.all[1].ok();
    await rated.clock.advance(700);
    expect(rated.states()).toEqual(['closed', 'closed']);

    await rated.clock.advance(5_000);
    await open();
    for (const call of [rated.all[0].ok, rated.all[1].fail, rated.all[0].ok, rated.all[1].fail]) await call();
    await rated.clock.advance(700);
    expect(rated.states()).toEqual(['open', 'open']);
  });

  it('SS-05 what an operator closes is closed for all, and what he forces is this instance’s own', async () => {
    const fleet = await fleetOf(3);
    fleet.all[2]?.breaker.forceOpen('maintenance');
    await openTwo(fleet);
    expect(fleet.states()).toEqual(['open', 'open', 'forced-open']);
    fleet.all[1].breaker.close();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['closed', 'closed', 'forced-open']);

    await openTwo(fleet);
    fleet.all[0].breaker.reset();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['closed', 'closed', 'forced-open']);
    fleet.all[2]?.breaker.close();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['closed', 'closed', 'closed']);
  });

  it('SS-07 without its store an open of all lasts until its own time, then this instance decides alone; later all agree again', async () => {
    const fleet = await fleetOf(2);
    await openForAll({
      ...fleet,
      clock: { advance: (ms: number) => fleet.clock.advance(ms) } as ManualClock,
    });
    for (const { fail } of fleet.all) await fail();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['open', 'open']);
    for (const instance of fleet.all) instance.cut = true;
    await fleet.clock.advance(8_000);
    expect(fleet.states()).toEqual(['open', 'open']);
    await fleet.clock.advance(2_000);
    for (let i = 0; i < 3; i++) await fleet.all[0].ok();
    expect(fleet.states()).toEqual(['closed', 'half-open']);
    await fleet.all[1].fail();
    expect(fleet.states()).toEqual(['closed', 'open']);
    await fleet.clock.advance(10_000);

    for (const instance of fleet.all) instance.cut = false;
    await fleet.clock.advance(2_000);
    expect(fleet.states()).toEqual(['half-open', 'half-open']);
    for (let i = 0; i < 3; i++) await fleet.all[0].ok();
    await fleet.clock.advance(15_000);
    for (let i = 0; i < 3; i++) await fleet.all[1].ok().catch(() => undefined);
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['closed', 'closed']);
  });

  it('SS-07 a probe whose store is lost while it runs is decided here', async () => {
    const fleet = await fleetOf(2, { successThreshold: 1 });
    await openForAll(fleet);
    const running = deferred<string>();
    const probe = fleet.all[0].breaker.execute(() => running.promise);
    await fleet.clock.advance(0);
    fleet.all[0].cut = true;
    running.resolve('fine');
    await probe;
    await fleet.clock.advance(0);
    expect(fleet.all[0].state).toBe('closed');
  });

  it('SS-09 a store that has forgotten everything does not close what is open, and opens again by new votes', async () => {
    const fleet = await fleetOf(2);
    for (const instance of fleet.all) await instance.trip();
    await fleet.clock.advance(1_000);
    fleet.world.circuits.clear();
    await fleet.clock.advance(2_000);
    expect(fleet.states()).toEqual(['open', 'open']);
    await fleet.clock.advance(8_000);
    expect(fleet.states()).toEqual(['half-open', 'half-open']);
    for (const instance of fleet.all) await instance.fail();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['open', 'open']);
    expect(fleet.all[0].breaker.stats().shared?.openForAll).toBe(true);
  });

  it('SS-09 a store that has forgotten everything and whose clock is behind wedges nothing', async () => {
    const fleet = await fleetOf(2);
    await fleet.clock.advance(120_000);
    for (const instance of fleet.all) await instance.trip();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['open', 'open']);
    promoteEmpty(fleet);
    await fleet.clock.advance(10_000);
    expect(fleet.states()).toEqual(['half-open', 'half-open']);
    for (let i = 0; i < 3; i++) expect(await fleet.all[0].ok()).toBe('fine');
    expect(fleet.states()).toEqual(['closed', 'half-open']);
    // Its versions are lower, and count.
    for (const instance of fleet.all) await instance.trip();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['open', 'open']);
    for (const { breaker } of fleet.all) expect(breaker.stats().shared?.openForAll).toBe(true);
  });

  it('SS-09 a probe’s answer says that the store has forgotten: the call is let in by this instance alone', async () => {
    const fleet = await fleetOf(2);
    await openForAll(fleet);
    promoteEmpty(fleet);
    expect(await fleet.all[0].ok()).toBe('fine');
  });

  it('SS-05 an answer that was overtaken by a newer one changes nothing, of a store that has forgotten neither', async () => {
    const closed = await fleetOf(2, { successThreshold: 1 });
    await openForAll(closed);
    const late = deferred<void>();
    closed.all[1].heldBack.probe = late.promise;
    const waiting = closed.all[1].ok().catch((error: unknown) => error);
    await closed.clock.advance(0);
    await closed.all[0].ok();
    await closed.clock.advance(1_000);
    expect(closed.states()).toEqual(['closed', 'closed']);
    late.resolve();
    await waiting;
    await closed.clock.advance(0);
    expect(closed.states()).toEqual(['closed', 'closed']);

    const forgotten = await fleetOf(2);
    await forgotten.clock.advance(120_000);
    await openForAll(forgotten);
    const [{ breaker, events, heldBack, ok }] = forgotten.all;
    const changes = () => events.filter(({ type }) => type === 'state-changed').length;
    const older = deferred<void>();
    heldBack.probe = older.promise;
    const probe = ok().catch((error: unknown) => error);
    await forgotten.clock.advance(0);
    const before = changes();
    promoteEmpty(forgotten);
    await forgotten.clock.advance(1_000);
    older.resolve();
    await probe;
    await forgotten.clock.advance(0);
    expect([breaker.state, changes()]).toEqual(['half-open', before]);
  });

  it('SS-06 a call that is aborted while it waits for its probe gives the permit back', async () => {
    const fleet = await fleetOf(2, { halfOpenMaxCalls: 1 });
    await openForAll(fleet);
    const abort = new AbortController();
    const given = fleet.all[0].breaker.execute(async () => 'fine', { signal: abort.signal });
    abort.abort(new Error('gone'));
    await expect(given).rejects.toThrow('gone');
    await fleet.clock.advance(0);
    expect(await fleet.all[1].ok()).toBe('fine');
  });

  it('SS-05 each key is a circuit of its own, and one that nobody calls says nothing', async () => {
    const fleet = await fleetOf(2, { key: () => undefined });
    for (const { fail } of fleet.all) for (let i = 0; i < 3; i++) await fail('a');
    await fleet.all[1].ok('b');
    await fleet.clock.advance(1_000);
    expect(fleet.all[1].breaker.stats().keys).toEqual({ count: 2, open: 1, notClosed: { a: 'open' } });
    await fleet.clock.advance(10_000);
    for (let i = 0; i < 3; i++) await fleet.all[0].ok('a');
    await fleet.clock.advance(70_000);
    const asked = fleet.all[1].asked;
    await fleet.clock.advance(60_000);
    // The circuit without a key goes on.
    expect((fleet.all[1].asked - asked) / 60).toBeCloseTo(2, 0);
    const before = fleet.all[1].asked;
    await fleet.all[1].ok('b');
    await fleet.clock.advance(0);
    expect(fleet.all[1].asked).toBe(before + 1);
  });

  it('SS-05 a reset closes each key for all, also while the store is being told of its opening', async () => {
    const { clock, all } = await fleetOf(2, { key: () => undefined, shared: { scope: 'any' } });
    await all[1].ok('a');
    await clock.advance(1_000);
    for (let i = 0; i < 3; i++) await all[0].fail('a');
    await clock.advance(600);
    expect(all[1].breaker.stats().keys?.notClosed).toEqual({ a: 'open' });
    all[0].onAsk = (subject) => {
      if (subject !== subjectOf('a')) return;
      all[0].onAsk = undefined;
      // While it waits for the answer.
      queueMicrotask(() => all[0].breaker.reset());
    };
    await clock.advance(2_000);
    expect(all[1].breaker.stats().keys?.notClosed).toEqual({});
  });

  it('SS-05 a reset closes each key for all, also where this instance has not heard of its opening', async () => {
    const { clock, all } = await fleetOf(2, { key: () => undefined, shared: { scope: 'any' } });
    for (const { ok } of all) await ok('a');
    await clock.advance(1_000);
    for (let i = 0; i < 3; i++) await all[0].fail('a');
    all[1].breaker.reset();
    await clock.advance(1_000);
    expect(all[0].breaker.stats().keys?.notClosed).toEqual({});
    await all[1].ok('a');
    await clock.advance(1_000);
    expect(all[1].breaker.stats().keys?.notClosed).toEqual({});
  });

  it('SS-05 a key that is reset has no vote any more', async () => {
    const { clock, all } = await fleetOf(2, { key: () => undefined, shared: { scope: 'any' } });
    for (const { ok } of all) await ok('a');
    await clock.advance(1_000);
    all[0].cut = true;
    for (let i = 0; i < 3; i++) await all[0].fail('a');
    await clock.advance(0);
    all[0].cut = false;
    all[0].breaker.reset();
    await clock.advance(2_000);
    expect(all[1].events.filter(({ type }) => type === 'state-changed')).toEqual([]);
  });

  it('CB-24 the overflow of one instance opens neither that of another nor a key of its name', async () => {
    const { clock, all } = await fleetOf(2, {
      key: () => undefined,
      maxKeys: 1,
      shared: { scope: 'any' },
    });
    const running = deferred<string>();
    const busy = all.map(({ breaker }) => breaker.execute(() => running.promise, { key: 'busy' }));
    for (const { ok } of all) await ok('beyond');
    for (const { breaker } of all) breaker.update({ openDuration: '20s' });
    for (let i = 0; i < 3; i++) await all[0].fail('beyond');
    await clock.advance(2_000);
    expect(all.map(({ breaker }) => breaker.stats().keys?.open)).toEqual([1, 0]);
    running.resolve('fine');
    await Promise.all(busy);
    await all[1].ok('(overflow)');
    await clock.advance(2_000);
    expect(all[1].breaker.stats().keys?.open).toBe(0);
  });

  it('CB-24 a key with the name of the overflow is shared as any other', async () => {
    const { clock, all } = await fleetOf(2, { key: () => undefined, shared: { scope: 'any' } });
    for (const { ok } of all) await ok('(overflow)');
    for (let i = 0; i < 3; i++) await all[0].fail('(overflow)');
    await clock.advance(2_000);
    expect(all[1].breaker.stats().keys?.notClosed).toEqual({ '(overflow)': 'open' });
  });

  it('SS-05 a call costs no question while all is well, and one that is shared no longer asks nothing', async () => {
    const { clock, all } = await fleetOf(2);
    const asked = all[0].asked;
    for (let i = 0; i < 1_000; i++) await all[0].ok();
    expect(all[0].asked).toBe(asked);
    all[0].breaker.update({ shared: false });
    await clock.advance(5_000);
    expect(all[0].asked).toBe(asked);
    expect(all[0].breaker.stats().shared).toBeUndefined();
    all[0].breaker.update({ shared: { scope: 'any' } });
    await clock.advance(5_000);
    expect(all[0].asked).toBeGreaterThan(asked + 5);
    await all[0].leave?.();
    const last = all[0].asked;
    await clock.advance(5_000);
    expect(all[0].asked).toBe(last);
  });

  it('HG-02 it is calm only when it lets all calls pass again', async () => {
    const fleet = await fleetOf(2, { successThreshold: 1 });
    const { breaker } = fleet.all[1];
    const calm = () => breaker.isCalm(new Call(() => 'fine', undefined, []));
    expect(calm()).toBe(true);
    await openForAll(fleet);
    await fleet.all[0].ok();
    await fleet.clock.advance(700);
    expect([breaker.state, calm()]).toEqual(['closed', false]);
    await fleet.clock.advance(5_000);
    expect(calm()).toBe(true);
  });

  it('CB-18 a refusal says whether it is open, or how many calls pass since it closed', async () => {
    const fleet = await fleetOf(2, { successThreshold: 1 });
    for (const instance of fleet.all) await instance.trip();
    await expect(fleet.all[1].ok()).rejects.toThrow('"orders" is open; it lets a probe in after 10 s.');
    await fleet.clock.advance(10_700);
    await fleet.all[0].ok();
    await fleet.clock.advance(700);
    await expect(fleet.all[1].ok()).rejects.toThrow('"orders" closes again and lets 10 % of calls pass.');
  });

  it('SS-05 what is reset is closed for all, its keys too', async () => {
    const fleet = await fleetOf(2, { key: () => undefined });
    for (const { fail } of fleet.all) for (let i = 0; i < 3; i++) await fail('a');
    await fleet.clock.advance(1_000);
    expect(fleet.all[1].breaker.stats().keys?.notClosed).toEqual({ a: 'open' });
    fleet.all[0].breaker.reset();
    await fleet.clock.advance(1_000);
    expect(fleet.all[1].breaker.stats().keys?.notClosed).toEqual({});
  });

  it('SS-05 what one instance forces open does not close the others', async () => {
    const fleet = await fleetOf(2);
    for (const instance of fleet.all) await instance.trip();
    await fleet.clock.advance(1_000);
    fleet.all[0].breaker.forceOpen();
    await fleet.clock.advance(1_000);
    expect(fleet.states()).toEqual(['forced-open', 'open']);
  });

  it('SS-05 an update of another option leaves it open for all', async () => {
    const fleet = await fleetOf(2);
    for (const instance of fleet.all) await instance.trip();
    await fleet.clock.advance(1_000);
    fleet.all[0].breaker.update({ openDuration: '20s' });
    expect(fleet.all[0].breaker.stats().shared?.openForAll).toBe(true);
  });

  it('SS-05 who has left says nothing more, for no key and under no other options', async () => {
    const { clock, all } = await fleetOf(2, { key: () => undefined });
    await all[0].ok('a');
    await all[0].leave?.();
    const { asked } = all[0];
    await clock.advance(5_000);
    expect(all[0].asked).toBe(asked);
    all[0].breaker.update({ shared: { scope: 'any' } });
    await all[0].ok('b');
    await clock.advance(5_000);
    expect(all[0].asked).toBe(asked);
  });

  it('SS-05 who has nothing to share leaves all the same', async () => {
    const { all } = await fleetOf(2, { key: () => undefined, shared: false });
    await all[0].ok('a');
    await expect(all[0].leave?.()).resolves.toBeUndefined();
  });

  it('SS-07 an instance whose store has come back before half-open shares its probes with the others', async () => {
    const fleet = await fleetOf(2, { halfOpenMaxCalls: 1 });
    for (const instance of fleet.all) await instance.trip();
    await fleet.clock.advance(1_000);
    fleet.all[0].cut = true;
    await fleet.clock.advance(2_000);
    fleet.all[0].cut = false;
    await fleet.clock.advance(7_500);
    expect(fleet.states()).toEqual(['half-open', 'half-open']);
    const running = deferred<string>();
    const probe = fleet.all[1].breaker.execute(() => running.promise);
    await fleet.clock.advance(0);
    await expect(fleet.all[0].ok()).rejects.toThrow(CircuitOpenError);
    running.resolve('fine');
    await probe;
  });

  it.each([
    ['', async () => undefined],
    [
      ' by one whose store was away meanwhile',
      async ({ clock, all }: Awaited<ReturnType<typeof fleetOf>>) => {
        all[0].cut = true;
        await clock.advance(2_000);
        all[0].cut = false;
        await clock.advance(2_000);
      },
    ],
  ])('SS-05 the probes are those of all from the first moment of half-open on%s', async (_who, meanwhile) => {
    const fleet = await fleetOf(2);
    const { clock, all } = fleet;
    for (const instance of all) await instance.trip();
    await clock.advance(1_000);
    await meanwhile(fleet);
    while (all[0].state === 'open') await clock.advance(1);
    const asked = all[0].questions.probe;
    await all[0].ok();

    expect(all[0].questions.probe).toBe(asked + 1);
  });

  it('SS-05 new settings do not let an instance decide what its probes mean for all', async () => {
    const fleet = await fleetOf(2, { successThreshold: 5 });
    await openForAll(fleet);
    const [first] = fleet.all;
    for (let i = 0; i < 3; i++) await first.ok();
    first.breaker.update({ successThreshold: 3 });
    expect(first.state).toBe('half-open');
  });

  it('SS-05 whatever happens, the probes of all stay within their number and every call ends', async () => {
    const step = fc.record({
      at: fc.integer({ min: 0, max: 3 }),
      do: fc.constantFrom('start', 'start', 'start', 'succeed', 'fail', 'cut', 'heal', 'wait', 'wait long'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 120 }), async (steps) => {
        const { clock, all } = await fleetOf(4, {
          failureThreshold: 2,
          openDuration: '2s',
          shared: { scope: 'any' },
        });
        const running: { ended: ReturnType<typeof deferred<string>>; probeAt: number }[] = [];
        const calls: Promise<unknown>[] = [];
        for (const { at, do: what } of steps) {
          const instance = all[at] as Instance;
          if (what === 'start') {
            const ended = deferred<string>();
            const call = instance.breaker.execute(() => {
              running.push({
                ended,
                probeAt: instance.state === 'half-open' ? clock.now() : Number.NEGATIVE_INFINITY,
              });
              return ended.promise.finally(() =>
                running.splice(
                  running.findIndex((one) => one.ended === ended),
                  1,
                ),
              );
            });
            calls.push(call.catch((error: unknown) => error));
          } else if (what === 'succeed') running.at(at)?.ended.resolve('fine');
          else if (what === 'fail') running.at(at)?.ended.reject(new Error('broken'));
          else if (what === 'cut') instance.cut = at === 3;
          else if (what === 'heal') instance.cut = false;
          await clock.advance(what === 'wait' ? 600 : what === 'wait long' ? 2_500 : 0);
          const wasCut = steps.some((one) => one.do === 'cut' && one.at === 3);
          // A probe that takes longer than its time is given up.
          const live = running.filter(({ probeAt }) => clock.now() - probeAt < 2_000);
          if (!wasCut) expect(live.length).toBeLessThanOrEqual(2);
        }
        while (running.length > 0) {
          running[0]?.ended.resolve('fine');
          await clock.advance(0);
        }
        await clock.advance(20_000);
        await Promise.all(calls);
      }),
      { numRuns: loadOf(100) },
    );
  });
});

/** A replica takes over that has heard of nothing and is a minute behind. */
function promoteEmpty({ clock, world }: Awaited<ReturnType<typeof fleetOf>>): void {
  world.circuits.clear();
  world.nowUs = () => Math.floor((clock.now() - 60_000) * US_PER_MS);
}

async function openTwo({ clock, all }: Awaited<ReturnType<typeof fleetOf>>): Promise<void> {
  await clock.advance(5_000);
  await all[0].trip();
  await all[1].trip();
  await clock.advance(1_000);
}
