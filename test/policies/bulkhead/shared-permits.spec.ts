import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Priority, type CallOptions } from '../../../lib/core/call.js';
import { BulkheadFullError } from '../../../lib/core/errors.js';
import type { Fleet, SharedPermits, SharedState } from '../../../lib/core/shared-state.js';
import type { TimerEntry } from '../../../lib/core/timer-entry.js';
import { BulkheadPolicy, type BulkheadOptions } from '../../../lib/policies/bulkhead/index.js';
import { MemoryState, MemoryWorld } from '../../../lib/shared-state/memory-state.js';
import { ManualClock, seededRandom } from '../../../lib/testing/index.js';
import { loadOf } from '../../models/runs.js';
import { deferred } from '../deferred.js';

type Operation = keyof SharedPermits;

/** A clock whose event loop can stand still: time passes, and no timer runs. */
class StallingClock extends ManualClock {
  private stalledMs = 0;

  override now(): number {
    return super.now() + this.stalledMs;
  }

  override arm(entry: TimerEntry, dueAt: number): void {
    super.arm(entry, dueAt - this.stalledMs);
  }

  stall(ms: number): void {
    this.stalledMs += ms;
  }
}

/** The store as one instance sees it: it can be lost, before a request or after it. */
class Store {
  readonly asked: string[] = [];
  answers: 'yes' | 'no' | 'late' = 'yes';
  refuses: Operation | undefined;
  heard: (name: Operation) => void = () => {};
  private held: Promise<void> = Promise.resolve();
  readonly state: SharedState;

  constructor(state: MemoryState) {
    const { permits } = state;
    const through =
      <A extends unknown[], T>(name: Operation, call: (...args: A) => Promise<T>) =>
      async (...args: A): Promise<T> => {
        this.asked.push(name);
        this.heard(name);
        const { answers } = this;
        if (answers === 'no' || this.refuses === name) throw new Error('lost');
        await this.held;
        const answer = await call(...args);
        if (answers === 'late') throw new Error('no answer');
        return answer;
      };
    this.state = Object.assign(Object.create(state) as SharedState, {
      permits: {
        acquire: through('acquire', permits.acquire.bind(permits)),
        renew: through('renew', permits.renew.bind(permits)),
        release: through('release', permits.release.bind(permits)),
      },
    });
  }

  /** Keeps requests back until it is let go. */
  hold(): () => void {
    const gate = deferred();
    this.held = gate.promise as Promise<void>;
    return () => gate.resolve(undefined);
  }
}

interface Running {
  readonly result: Promise<unknown>;
  finish(): Promise<void>;
}

class Instance {
  readonly store: Store;
  readonly bulkhead: BulkheadPolicy;
  readonly started: string[] = [];
  readonly calls: Running[] = [];
  private readonly leaving: (() => Promise<void>)[] = [];

  constructor(
    readonly owner: string,
    world: MemoryWorld,
    size: number,
    private readonly clock: ManualClock,
    options: BulkheadOptions,
    random = () => 0.5,
  ) {
    this.store = new Store(new MemoryState(world, owner));
    const fleet: Fleet = {
      state: this.store.state,
      size,
      onLeave: (leave) => this.leaving.push(leave),
    };
    this.bulkhead = new BulkheadPolicy('reads', options, { clock, fleet, random });
  }

  get active(): number {
    return this.bulkhead.stats().activeCalls;
  }

  get held(): number {
    return this.bulkhead.stats().shared?.held as number;
  }

  get source(): string | undefined {
    return this.bulkhead.stats().shared?.source;
  }

  /** Begins a call whose method runs until it is settled by hand. */
  begin(name = 'call', options: CallOptions = {}): Running {
    const method = deferred();
    const run = () => {
      this.started.push(name);
      return method.promise;
    };
    const result = this.bulkhead.execute(run, options).catch((error: unknown) => error);
    const call = {
      result,
      finish: async () => {
        method.resolve(name);
        await this.clock.advance(0);
      },
    };
    this.calls.push(call);
    return call;
  }

  async beginMany(count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.begin();
    await this.clock.advance(0);
  }

  async leave(): Promise<void> {
    await Promise.all(this.leaving.map((leave) => leave()));
  }
}

function setUp(options: BulkheadOptions = {}, size = 2) {
  const clock = new StallingClock();
  const world = new MemoryWorld(clock);
  const given: BulkheadOptions = { maxConcurrent: 10, maxQueue: 0, shared: true, ...options };
  const instances = Array.from({ length: size }, (_, i) => new Instance(`${i}`, world, size, clock, given));
  const [first, second] = instances as [Instance, Instance];
  return { clock, world, instances, first, second };
}

/** What the store has lent, to all or to one. */
function lent(world: MemoryWorld, owner?: string): number {
  let sum = 0;
  for (const holders of world.holders.values()) {
    for (const [who, { count, expiresAt }] of holders) {
      if (expiresAt > world.nowUs() && (owner === undefined || who === owner)) sum += count;
    }
  }
  return sum;
}

describe('A bulkhead that instances share', () => {
  it('SS-02 BH-01 together they run what one alone would, and give back what they held', async () => {
    const { clock, world, first, second } = setUp();
    await first.beginMany(8);
    await second.beginMany(8);

    expect([first.active, second.active]).toEqual([8, 2]);
    expect(lent(world)).toBe(10);
    expect(second.bulkhead.stats()).toMatchObject({ rejectedBy: { full: 6 }, queuedCalls: 0 });
    expect(await second.calls[2]?.result).toMatchObject({
      constructor: BulkheadFullError,
      message: 'Bulkhead "reads" is full: 2 running, 0 waiting on this instance.',
    });

    for (const call of [...first.calls, ...second.calls]) await call.finish();
    await clock.advance(1_000);
    expect([first.held, second.held, lent(world)]).toEqual([0, 0, 0]);
    expect(clock.pending).toBe(0);
  });

  it("SS-06 without a fleet, or without `shared`, the limit is this instance's own", async () => {
    const clock = new ManualClock();
    const alone = new BulkheadPolicy('reads', { maxConcurrent: 1, maxQueue: 0, shared: true }, { clock });
    const { first, second } = setUp({ shared: false, maxConcurrent: 3 });
    await first.beginMany(3);
    await second.beginMany(3);

    expect(await alone.execute(() => 'at once')).toBe('at once');
    expect(alone.stats().shared).toBeUndefined();
    expect(new BulkheadPolicy('reads', { shared: true }).stats().shared).toBeUndefined();
    expect(alone.describe()).toBe('1 at once, 0 waiting for at most 30 s');
    expect([first.active, second.active, first.store.asked]).toEqual([3, 3, []]);
    expect(first.bulkhead.stats().shared).toBeUndefined();
  });

  it('borrows in blocks, a fourth of its share, and starts calls from them at once', async () => {
    const { clock, world, first } = setUp({ maxConcurrent: 40 });
    await first.beginMany(1);
    expect([first.held, lent(world)]).toEqual([5, 5]);

    for (let i = 0; i < 4; i++) first.begin();
    expect(first.active).toBe(5);
    await clock.advance(0);
    expect(first.store.asked).toEqual(['acquire']);
    expect(first.bulkhead.stats()).toMatchObject({ totalCalls: 5, waited: { count: 1 } });
    await first.beginMany(7);
    expect([first.held, first.active, first.store.asked]).toEqual([
      15,
      12,
      ['acquire', 'acquire', 'acquire'],
    ]);
    expect(first.bulkhead.describe()).toBe(
      '40 at once on all instances together, 0 waiting for at most 30 s',
    );
  });

  it('SS-02 what is idle goes back within a second, what is used stays', async () => {
    const { clock, world, first, second } = setUp({ maxConcurrent: 40 });
    await first.beginMany(10);
    for (const call of first.calls.slice(0, 7)) await call.finish();
    expect(first.held).toBe(10);

    await clock.advance(1_000);
    expect([first.held, lent(world)]).toEqual([3, 3]);
    await second.beginMany(37);
    expect(second.active).toBe(37);
    expect(lent(world)).toBe(40);
  });

  it('what is used now and then stays, without a question to the store', async () => {
    const { clock, first } = setUp();
    for (let i = 0; i < 40; i++) {
      first.begin();
      await first.calls[i]?.finish();
      await clock.advance(100);
    }
    expect(first.started).toHaveLength(40);
    expect(first.store.asked.filter((name) => name !== 'renew')).toEqual(['acquire']);
  });

  it('SS-02 who waits gets what another instance gives back', async () => {
    const { clock, first, second } = setUp({ maxQueue: 5 });
    await first.beginMany(10);
    second.begin('waiting');
    await clock.advance(300);
    expect(second.started).toEqual([]);

    await first.calls[0]?.finish();
    await clock.advance(1_060);
    expect(second.started).toEqual(['waiting']);
    expect([first.held, second.held]).toEqual([9, 1]);
  });

  it('a denial is remembered: newcomers are refused from memory, and the store is asked again 50 ms later', async () => {
    const { clock, first, second } = setUp();
    await first.beginMany(10);
    await second.beginMany(1);
    expect(second.store.asked).toEqual(['acquire']);

    await clock.advance(49);
    await second.beginMany(5);
    expect(second.store.asked).toEqual(['acquire']);
    await clock.advance(1);
    await second.beginMany(1);
    expect(second.store.asked).toEqual(['acquire', 'acquire']);
    expect(second.bulkhead.stats().rejectedBy.full).toBe(7);
  });

  it('less than was asked for is a denial, too', async () => {
    const { first, second } = setUp({ maxConcurrent: 40 });
    await first.beginMany(38);
    await second.beginMany(1);
    expect(second.held).toBe(2);
    await second.beginMany(5);
    expect([second.active, second.store.asked]).toEqual([2, ['acquire']]);
  });

  it('BH-05 while the store is asked more may wait; those for whom it has nothing go, the last of the lowest first', async () => {
    const { clock, first, second } = setUp({ maxQueue: 1 });
    await first.beginMany(8);
    const answer = second.store.hold();
    const calls = [
      second.begin('low', { priority: Priority.LOW }),
      second.begin('a'),
      second.begin('b'),
      second.begin('c'),
      second.begin('high', { priority: Priority.HIGH }),
    ];
    await clock.advance(0);
    expect(second.bulkhead.stats()).toMatchObject({ queuedCalls: 5, rejectedCalls: 0 });

    answer();
    await clock.advance(100);
    expect(second.started).toEqual(['high', 'a']);
    expect(second.bulkhead.stats()).toMatchObject({ queuedCalls: 1, rejectedBy: { full: 2, shed: 0 } });
    for (const at of [0, 3]) expect(await calls[at]?.result).toBeInstanceOf(BulkheadFullError);
    await calls[1]?.finish();
    expect(second.started).toEqual(['high', 'a', 'b']);
  });

  it.each([Priority.CRITICAL, Priority.BACKGROUND])(
    'BH-05 those for whom the store has nothing go, whatever their priority: %i',
    async (priority) => {
      const { clock, first, second } = setUp({ maxQueue: 1 });
      await first.beginMany(10);
      for (const name of ['stays', 'goes']) second.begin(name, { priority });
      await clock.advance(0);

      expect(second.bulkhead.stats()).toMatchObject({ queuedCalls: 1, rejectedBy: { full: 1 } });
      expect(await second.calls[1]?.result).toBeInstanceOf(BulkheadFullError);
    },
  );

  it('BH-01 no more than the limit and its places wait for an answer', async () => {
    const { clock, first } = setUp({ maxConcurrent: 4, maxQueue: 2 });
    const answer = first.store.hold();
    await first.beginMany(8);
    expect(first.bulkhead.stats()).toMatchObject({ queuedCalls: 6, rejectedBy: { full: 2 } });

    answer();
    await clock.advance(0);
    expect(first.bulkhead.stats()).toMatchObject({ activeCalls: 4, queuedCalls: 2, rejectedBy: { full: 2 } });
  });

  it('BH-03 who leaves before the answer is in never starts, and the permits go back', async () => {
    const { clock, world, first } = setUp();
    const answer = first.store.hold();
    const caller = new AbortController();
    const call = first.begin('gone', { signal: caller.signal });
    caller.abort(new Error('gone'));
    answer();
    await clock.advance(0);

    expect(await call.result).toMatchObject({ message: 'gone' });
    expect(first.started).toEqual([]);
    await clock.advance(1_000);
    expect([lent(world), clock.pending]).toEqual([0, 0]);
  });

  it('SS-02 what is held is renewed each third of a lease, for as long as calls run', async () => {
    const { clock, world, first, second } = setUp({ shared: { lease: '6s' } });
    await first.beginMany(10);
    first.store.asked.length = 0;
    await clock.advance(60_000);

    expect(first.store.asked).toEqual(Array.from({ length: 30 }, () => 'renew'));
    await second.beginMany(1);
    expect(second.active).toBe(0);
    expect(lent(world, '0')).toBe(10);
  });

  it('SS-02 an instance that has died keeps its permits for one lease', async () => {
    const { clock, first, second } = setUp({ shared: { lease: '6s' }, maxQueue: 20 });
    await first.beginMany(10);
    // Its event loop never turns again.
    first.store.answers = 'no';
    await second.beginMany(10);
    await clock.advance(5_900);
    expect(second.active).toBe(0);
    await clock.advance(200);
    expect(second.active).toBe(10);
  });

  it('SS-09 who is told that it holds less starts nothing new until that is true', async () => {
    const { clock, world, first, second } = setUp({ shared: { lease: '6s' } });
    await first.beginMany(6);
    // The store forgot everything, and another instance was faster.
    world.holders.clear();
    await second.beginMany(10);
    await clock.advance(2_000);
    expect([first.held, first.active, first.source]).toEqual([0, 6, 'store']);
    await first.beginMany(1);
    expect(first.active).toBe(6);

    for (const call of second.calls.slice(0, 8)) await call.finish();
    await clock.advance(1_200);
    expect(first.held).toBe(6);
    await first.calls[0]?.finish();
    first.begin();
    expect(first.active).toBe(6);
  });

  it('SS-09 a store that forgot is found out by the next question', async () => {
    const { clock, world, first } = setUp({ shared: { lease: '60s' } });
    await first.beginMany(5);
    world.holders.clear();
    await first.beginMany(2);

    expect(lent(world)).toBe(7);
    expect([first.held, first.active]).toEqual([7, 7]);
    await clock.advance(0);
    expect(first.store.asked).toContain('renew');
  });

  it('SS-09 an event loop that stood still for longer than a lease has lost what it held', async () => {
    const { clock, world, first, second } = setUp();
    await first.beginMany(6);
    clock.stall(5_001);
    await second.beginMany(10);
    expect(second.active).toBe(10);

    first.begin();
    expect([first.held, first.active]).toEqual([0, 6]);
    await clock.advance(0);
    expect([first.held, first.active, first.source]).toEqual([0, 6, 'store']);
    expect(lent(world)).toBe(10);
    for (const call of second.calls.slice(0, 8)) await call.finish();
    await clock.advance(1_100);
    expect([first.held, second.held]).toEqual([6, 2]);
  });

  it('SS-09 a waiter does not get the slot of a call that outlived its lease', async () => {
    const { clock, first, second } = setUp({ maxConcurrent: 1, maxQueue: 1 });
    await first.beginMany(2);
    clock.stall(5_001);
    await second.beginMany(1);
    await first.calls[0]?.finish();

    expect([first.active, second.active]).toEqual([0, 1]);
    await second.calls[0]?.finish();
    await clock.advance(1_100);
    expect(first.active).toBe(1);
  });

  it('SS-06 a lost store: what is held is kept until its lease ends, then this instance keeps to its share', async () => {
    const { clock, first } = setUp({ maxQueue: 20 });
    await first.beginMany(3);
    first.store.answers = 'no';
    await clock.advance(1);
    await first.beginMany(20);
    expect([first.active, first.held, first.source]).toEqual([3, 3, 'store']);

    await clock.advance(4_998);
    expect(first.active).toBe(3);
    await clock.advance(1);
    expect([first.active, first.held, first.source]).toEqual([5, 0, 'local-share']);
  });

  it('SS-06 who held nothing has its share at once; beyond its places nobody waits', async () => {
    const { first } = setUp({ maxQueue: 2 });
    first.store.answers = 'no';
    await first.beginMany(9);

    expect(first.bulkhead.stats()).toMatchObject({
      activeCalls: 5,
      queuedCalls: 2,
      rejectedBy: { full: 2 },
      shared: { held: 0, source: 'local-share' },
    });
    await first.calls[0]?.finish();
    first.begin();
    expect(first.active).toBe(5);
  });

  it('SS-09 a store that lets go but lends nothing is a lost one', async () => {
    const { clock, first } = setUp();
    first.store.refuses = 'acquire';
    await first.beginMany(1);
    const seen: unknown[] = [];
    first.store.heard = (name) => {
      if (name === 'acquire') seen.push([first.begin() && first.active, first.source]);
    };
    await clock.advance(900);
    expect(seen).toEqual([2, 3, 4, 5].map((active) => [active, 'local-share']));
  });

  it('SS-06 what is idle is kept while the store is lost', async () => {
    const { clock, first } = setUp();
    await first.beginMany(4);
    first.store.answers = 'no';
    await first.beginMany(1);
    for (const call of first.calls) await call.finish();
    await clock.advance(1_500);
    expect([first.held, first.active, first.source]).toEqual([4, 0, 'store']);
  });

  it('SS-06 with more instances than permits each lets one call in', async () => {
    const { instances } = setUp({ maxConcurrent: 2 }, 5);
    for (const instance of instances) {
      instance.store.answers = 'no';
      await instance.beginMany(3);
    }
    expect(instances.map(({ active }) => active)).toEqual([1, 1, 1, 1, 1]);
  });

  it('SS-07 when the store is back it is asked for what runs, and nothing starts beyond what it has', async () => {
    const { clock, world, first, second } = setUp();
    first.store.answers = 'no';
    await first.beginMany(5);
    await second.beginMany(7);
    first.store.answers = 'yes';
    await clock.advance(240);

    expect([first.held, first.active, first.source]).toEqual([3, 5, 'store']);
    expect(lent(world)).toBe(10);
    await first.calls[0]?.finish();
    await first.calls[1]?.finish();
    await first.beginMany(1);
    expect(first.active).toBe(3);
    await first.calls[2]?.finish();
    first.begin();
    expect(first.active).toBe(3);
  });

  it('SS-07 while the store is lost it is asked five times a second, and by nobody who has nothing to do', async () => {
    const { clock, first } = setUp();
    first.store.answers = 'no';
    const [call] = [first.begin()];
    await clock.advance(10_000);
    expect(first.store.asked.length).toBeGreaterThan(40);
    expect(first.store.asked.length).toBeLessThanOrEqual(51);

    await call?.finish();
    await clock.advance(5_000);
    expect(clock.pending).toBe(0);
    first.store.answers = 'yes';
    first.begin();
    await clock.advance(0);
    expect([first.held, first.source]).toEqual([1, 'store']);
  });

  it('SS-02 what an unanswered question brought is given up as soon as the store answers', async () => {
    const { clock, world, first, second } = setUp();
    first.store.answers = 'late';
    await first.beginMany(1);
    await first.calls[0]?.finish();
    expect([first.held, lent(world, '0')]).toEqual([0, 1]);

    first.store.answers = 'yes';
    await clock.advance(240);
    expect([lent(world), first.store.asked.at(-1)]).toEqual([0, 'renew']);
    expect(clock.pending).toBe(0);
    await second.beginMany(10);
    expect(second.active).toBe(10);
  });

  it('SS-02 a failed renewal keeps what is held, and a failed return is made good', async () => {
    const { clock, world, first } = setUp();
    await first.beginMany(4);
    first.store.answers = 'no';
    await first.calls[0]?.finish();
    await clock.advance(1_000);
    expect([first.held, lent(world)]).toEqual([3, 4]);

    first.store.answers = 'yes';
    await clock.advance(240);
    expect([first.held, lent(world)]).toEqual([3, 3]);
    first.store.answers = 'late';
    await clock.advance(2_000);
    expect([first.held, lent(world)]).toEqual([3, 3]);
  });

  it('SS-02 on leaving everything goes back; what still comes lives on the share', async () => {
    const { clock, world, first, second } = setUp({ key: ({ options }) => options.key, maxQueue: 20 });
    await first.beginMany(8);
    first.begin('a', { key: 'a' });
    const answer = second.store.hold();
    await first.leave();
    expect([lent(world), first.held, first.source]).toEqual([0, 0, 'local-share']);

    first.begin('b', { key: 'b' });
    expect(first.started).toContain('b');
    await first.beginMany(1);
    expect(first.bulkhead.stats().queuedCalls).toBe(1);
    for (const call of first.calls) await call.finish();
    expect(first.bulkhead.stats()).toMatchObject({ activeCalls: 0, queuedCalls: 0, keys: 0 });
    expect(clock.pending).toBe(0);

    // An answer that is under way is waited for.
    second.begin();
    const leaving = second.leave();
    answer();
    await leaving;
    expect([lent(world), second.source]).toEqual([0, 'local-share']);
  });

  it('SS-02 who has borrowed nothing leaves all the same, and starts its calls as before', async () => {
    const { first } = setUp({ shared: false });
    await first.leave();
    await first.beginMany(1);
    expect(first.started).toEqual(['call']);
  });

  it('SS-01 instances tell each other how many may run, where they share that', () => {
    const told: unknown[] = [];
    const state = new MemoryState(new MemoryWorld(new ManualClock()));
    const fleet: Fleet = { state, size: 1, declare: (...what) => told.push(what) };
    const shared = new BulkheadPolicy('reads', { maxConcurrent: 7, shared: true }, { fleet });
    new BulkheadPolicy('writes', { maxConcurrent: 7 }, { fleet });
    expect(told).toEqual([['bulkhead', 'reads', '7 at once']]);
    shared.update({ maxConcurrent: 8 });
    expect(told[1]).toEqual(['bulkhead', 'reads', '8 at once']);
  });

  it('SS-06 leaving a store that is lost waits for nothing', async () => {
    const { clock, first } = setUp();
    await first.beginMany(2);
    first.store.answers = 'no';
    await first.leave();
    expect([first.held, clock.pending]).toEqual([0, 0]);
  });

  it('BH-06 a raised limit is asked for at once, a lowered one gives back what is too much', async () => {
    const { clock, world, first } = setUp({ maxQueue: 20 });
    await first.beginMany(14);
    expect(first.active).toBe(10);
    first.bulkhead.update({ maxConcurrent: 12 });
    await clock.advance(60);
    expect([first.active, first.held]).toEqual([12, 12]);

    first.bulkhead.update({ maxConcurrent: 4 });
    for (const call of first.calls.slice(0, 9)) await call.finish();
    expect(first.active).toBe(4);
    await clock.advance(1_000);
    expect(lent(world)).toBe(4);
    first.bulkhead.update({ maxConcurrent: 0 });
    await expect(first.bulkhead.execute(() => 'in')).rejects.toThrow('is closed');
    for (const call of first.calls) await call.finish();
    await clock.advance(1_000);
    expect([lent(world), first.active]).toEqual([0, 0]);
  });

  it('BH-06 a lowered queue keeps who waits already', async () => {
    const { clock, first, second } = setUp({ maxQueue: 3 });
    await second.beginMany(10);
    await first.beginMany(3);
    first.bulkhead.update({ maxQueue: 1 });
    await clock.advance(200);
    expect(first.bulkhead.stats()).toMatchObject({ queuedCalls: 3, rejectedCalls: 0 });
  });

  it('BH-06 a queue that is lowered while the store is asked keeps who had a place, and nobody else', async () => {
    const { clock, first, second } = setUp({ maxQueue: 2 });
    await second.beginMany(10);
    const answer = first.store.hold();
    await first.beginMany(3);
    expect(first.bulkhead.stats().queuedCalls).toBe(3);

    first.bulkhead.update({ maxQueue: 0 });
    answer();
    await clock.advance(0);
    expect(first.bulkhead.stats()).toMatchObject({ queuedCalls: 2, rejectedBy: { full: 1 } });
  });

  it('BH-06 who has found a place is not refused for want of one later', async () => {
    const { clock, first, second } = setUp({ maxQueue: 3 });
    await second.beginMany(9);
    await first.beginMany(4);
    expect(first.bulkhead.stats()).toMatchObject({ activeCalls: 1, queuedCalls: 3 });
    first.bulkhead.update({ maxQueue: 1 });
    await clock.advance(200);
    expect(first.bulkhead.stats()).toMatchObject({ queuedCalls: 3, rejectedCalls: 0 });
  });

  it('`shared` can be changed while calls run', async () => {
    const { clock, world, first } = setUp({ shared: false });
    await first.beginMany(6);
    first.bulkhead.update({ shared: true });
    await clock.advance(0);
    expect([first.held, lent(world)]).toEqual([6, 6]);

    first.bulkhead.update({ shared: false });
    first.begin();
    expect(first.active).toBe(7);
    await clock.advance(0);
    expect([lent(world), clock.pending]).toEqual([0, 0]);
    first.bulkhead.update({ shared: { lease: '60s' } });
    first.store.asked.length = 0;
    await clock.advance(41_000);
    expect([first.held, lent(world)]).toEqual([7, 7]);
    expect(first.store.asked).toEqual(['renew', 'renew']);
  });

  it('SS-02 a lease that is changed while the store is asked is not the one that was asked for', async () => {
    const { clock, world, first } = setUp();
    const answer = first.store.hold();
    first.begin();
    first.bulkhead.update({ shared: { lease: '60s' } });
    answer();
    for (let i = 0; i < 20; i++) {
      await clock.advance(1_000);
      expect([first.held, lent(world)]).toEqual([1, 1]);
    }
  });

  it('PL-01 each call runs in its own asynchronous context, and the store is asked in none of theirs', async () => {
    const { clock, first } = setUp({ maxConcurrent: 2, maxQueue: 5 });
    const caller = new AsyncLocalStorage<string>();
    const askedIn: unknown[] = [];
    first.store.heard = () => askedIn.push(caller.getStore());
    const ranIn: unknown[] = [];
    const calls = ['A', 'B', 'C'].map((name) =>
      caller.run(name, () => first.bulkhead.execute(() => ranIn.push([name, caller.getStore()]))),
    );
    await clock.advance(5_000);
    await Promise.all(calls);

    expect(ranIn).toEqual(['A', 'B', 'C'].map((name) => [name, name]));
    expect(askedIn).toEqual([undefined, undefined, undefined]);
  });

  it('a reset keeps what is borrowed', async () => {
    const { first, world } = setUp();
    await first.beginMany(3);
    first.bulkhead.reset();
    expect([first.held, lent(world), first.bulkhead.stats().totalCalls]).toEqual([3, 3, 3]);
  });

  it('SS-08 each key has its own permits, and is forgotten when they are back', async () => {
    const { clock, world, first, second } = setUp({ maxConcurrent: 2, key: ({ options }) => options.key });
    for (const key of ['a', 'b', '', undefined]) {
      for (let i = 0; i < 3; i++) first.begin(`${key}`, { ...(key !== undefined && { key }) });
    }
    await clock.advance(0);
    expect(first.started.toSorted()).toEqual(['', '', 'a', 'a', 'b', 'b', 'undefined', 'undefined']);
    expect(first.bulkhead.stats()).toMatchObject({ keys: 3, shared: { held: 8, source: 'store' } });
    second.begin('a', { key: 'a' });
    await clock.advance(0);
    expect(second.started).toEqual([]);
    expect(second.bulkhead.stats().keys).toBe(0);

    for (const call of first.calls) await call.finish();
    expect(first.bulkhead.stats().keys).toBe(3);
    await clock.advance(1_000);
    expect(first.bulkhead.stats().keys).toBe(0);
    expect([lent(world), clock.pending]).toEqual([0, 0]);
  });

  it('SS-08 keys whose store is lost are forgotten after a lease', async () => {
    const { clock, first } = setUp({ key: ({ options }) => options.key });
    first.store.answers = 'no';
    for (let i = 0; i < 100; i++) first.begin('call', { key: `${i}` });
    await clock.advance(0);
    for (const call of first.calls) await call.finish();
    expect(first.bulkhead.stats()).toMatchObject({ keys: 100, shared: { source: 'local-share' } });
    await clock.advance(5_300);
    expect(first.bulkhead.stats().keys).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it.each<[BulkheadOptions['shared'], string]>([
    [{ lease: '999ms' }, '"shared.lease" must be'],
    [{ leese: '5s' } as never, 'did you mean "lease"?'],
    ['yes' as never, '"shared" must be'],
  ])('refuses `shared` of %j', (shared, message) => {
    expect(() => new BulkheadPolicy('reads', { shared })).toThrow(message);
  });
});

describe('Permits under random operations', () => {
  const LIMIT = 7;
  const which = fc.nat({ max: 30 });
  const instance = fc.nat({ max: 2 });
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('enter' as const), at: instance }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('settle' as const), which }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat({ max: 700 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  );
  const loss = fc.oneof(
    { weight: 10, arbitrary: step },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('store' as const),
        at: instance,
        answers: fc.constantFrom('yes' as const, 'no' as const, 'late' as const),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('stall' as const), ms: fc.nat({ max: 6_000 }) }) },
  );

  async function run(
    steps: readonly (typeof loss extends fc.Arbitrary<infer S> ? S : never)[],
    check: (world: MemoryWorld, instances: readonly Instance[]) => void,
  ) {
    const clock = new StallingClock();
    const world = new MemoryWorld(clock);
    const options: BulkheadOptions = { maxConcurrent: LIMIT, maxQueue: 2, maxWait: '2s', shared: true };
    const instances = [0, 1, 2].map((i) => new Instance(`${i}`, world, 3, clock, options, seededRandom(i)));
    const all = () => instances.flatMap(({ calls }) => calls);
    for (const next of steps) {
      if (next.do === 'enter') instances[next.at]?.begin();
      else if (next.do === 'settle') await all()[next.which % Math.max(1, all().length)]?.finish();
      else if (next.do === 'pass') await clock.advance(next.ms);
      else if (next.do === 'turn') await Promise.resolve();
      else if (next.do === 'stall') clock.stall(next.ms);
      else (instances[next.at] as Instance).store.answers = next.answers;
      expect(lent(world)).toBeLessThanOrEqual(LIMIT);
      check(world, instances);
    }
    for (const { store } of instances) store.answers = 'yes';
    for (const call of all()) await call.finish();
    // Who still waits starts, and ends at once.
    await clock.advance(2_500);
    for (const call of all()) await call.finish();
    await clock.advance(7_000);
    expect(lent(world)).toBe(0);
    expect(instances.map(({ held, active }) => [held, active])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    expect(instances.map(({ source }) => source)).toEqual(['store', 'store', 'store']);
    expect(clock.pending).toBe(0);
  }

  it('SS-02 BH-01 with a store that answers no call runs without a permit', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), (steps) =>
        run(steps, (world, instances) => {
          for (const { owner, active, held } of instances) {
            expect(active).toBeLessThanOrEqual(held);
            expect(held).toBeLessThanOrEqual(lent(world, owner));
          }
        }),
      ),
      { numRuns: loadOf(150) },
    );
  }, 60_000);

  it('SS-02 SS-09 with one that is lost, and stalls, at most the permits and the shares run, and all comes back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(loss, { maxLength: 80 }), (steps) =>
        run(steps, (_, instances) => {
          for (const { bulkhead } of instances) {
            const { activeCalls, queuedCalls } = bulkhead.stats();
            expect(activeCalls).toBeLessThanOrEqual(LIMIT);
            expect(queuedCalls).toBeLessThanOrEqual(LIMIT + 2);
          }
        }),
      ),
      { numRuns: loadOf(150) },
    );
  }, 60_000);
});

describe('a keyed limit that instances share', () => {
  it('BH-01 one that was forgotten late does not take away that of its key', async () => {
    const clock = new ManualClock();
    const lost = async () => {
      throw new Error('lost');
    };
    const state = Object.assign(new MemoryState(new MemoryWorld(clock)), {
      permits: { acquire: lost, renew: lost, release: lost },
    });
    const bulkhead = new BulkheadPolicy(
      'reads',
      { maxConcurrent: 1, maxQueue: 0, key: () => 'alice', shared: { lease: '1s' } },
      { clock, random: () => 0.6, fleet: { state, size: 1 } },
    );
    const first = deferred();
    const second = deferred();
    const ended = bulkhead.execute(() => first.promise);
    await clock.advance(1_020);
    first.resolve('done');
    await clock.advance(1);
    await ended;
    const running = bulkhead.execute(() => second.promise);
    await clock.advance(35);

    expect(bulkhead.stats()).toMatchObject({ activeCalls: 1, keys: 1 });
    const refused = bulkhead.execute(() => 'one too many').catch((error: unknown) => error);
    await clock.advance(5);
    expect(await refused).toBeInstanceOf(BulkheadFullError);
    second.resolve('done');
    await running;
  });
});
