import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { TimerEntry } from '../../lib/core/timer-entry.js';
import { ManualClock } from '../../lib/testing/manual-clock.js';
import { seededRandom } from '../../lib/testing/seeded-random.js';

class Entry extends TimerEntry {
  constructor(private readonly whenDue: () => void) {
    super();
  }

  onDue(): void {
    this.whenDue();
  }
}

describe('ManualClock', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('TO-09 is exact: runs what falls due in time order, first armed first, each at its own instant', async () => {
    const clock = new ManualClock();
    const ran: string[] = [];
    const entry = (name: string): Entry => new Entry(() => ran.push(`${name} at ${clock.now()}`));
    const moved = entry('moved');
    const taken = entry('taken back');

    clock.arm(entry('b'), 200);
    clock.arm(entry('a'), 100);
    clock.arm(entry('b, too'), 200);
    clock.delay(150.25, () => ran.push(`delay at ${clock.now()}`));
    clock.arm(moved, 50);
    clock.arm(moved, 300);
    clock.arm(taken, 100);
    clock.disarm(taken);
    clock.disarm(taken);
    expect(clock.pending).toBe(5);

    await clock.advance(199.9);
    expect(ran).toEqual(['a at 100', 'delay at 150.25']);
    await clock.advance(0.1);
    expect(ran.slice(2)).toEqual(['b at 200', 'b, too at 200']);
    await clock.advance(1_000);
    expect(ran.slice(4)).toEqual(['moved at 300']);
    expect(clock.now()).toBe(1_200);
    expect(clock.pending).toBe(0);
  });

  it('lets promise jobs settle between, and runs what they arm in the meantime', async () => {
    const clock = new ManualClock();
    const ran: number[] = [];
    const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.delay(ms, resolve));
    const loop = async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      for (let i = 0; i < 4; i++) {
        for (let job = 0; job < 50; job++) await Promise.resolve();
        await sleep(100);
        ran.push(clock.now());
      }
    };

    const done = loop();
    await clock.advance(350);
    expect(ran).toEqual([100, 200, 300]);
    await clock.advance(50);
    await done;
    expect(ran).toEqual([100, 200, 300, 400]);
  });

  it('settles with advance(0), runs what is overdue, and queues calls that are not awaited', async () => {
    const clock = new ManualClock({ now: 1_000 });
    const ran: number[] = [];
    clock.arm(new Entry(() => ran.push(clock.now())), 500);
    clock.arm(new Entry(() => ran.push(clock.now())), 1_030);

    await clock.advance(0);
    expect(ran).toEqual([1_000]);
    await Promise.all([clock.advance(20), clock.advance(20)]);
    expect(ran).toEqual([1_000, 1_030]);
    expect(clock.now()).toBe(1_040);
  });

  it('moves the wall clock along, and steps it without moving time', async () => {
    const clock = new ManualClock({ now: 5, wallTime: 1_000_000 });
    expect(new ManualClock().wallTime()).toBe(Date.UTC(2025, 0, 1));

    await clock.advance(10);
    expect(clock.wallTime()).toBe(1_000_010);
    clock.setWallTime(500);
    await clock.advance(10);
    expect(clock.wallTime()).toBe(510);
    expect(clock.now()).toBe(25);
  });

  it('takes back a delay, refuses to go back, and passes on what a timer throws', async () => {
    const clock = new ManualClock();
    const cancel = clock.delay(10, () => {
      throw new Error('must not run');
    });
    cancel();
    clock.delay(20, () => {
      throw new Error('broken');
    });

    await expect(clock.advance(-1)).rejects.toThrow(RangeError);
    await expect(clock.advance(Number.NaN)).rejects.toThrow('got NaN');
    await expect(clock.advance(30)).rejects.toThrow('broken');
    await clock.advance(10);
    expect(clock.now()).toBe(30);
  });

  it("works under a test framework's fake timers", async () => {
    jest.useFakeTimers();
    const clock = new ManualClock();
    let ran = false;
    clock.delay(10, () => (ran = true));

    await clock.advance(10);

    expect(ran).toBe(true);
  });
});

describe('seededRandom', () => {
  it('repeats its numbers by seed, in [0, 1), evenly', () => {
    const numbers = (seed: number): number[] => Array.from({ length: 10_000 }, seededRandom(seed));

    expect(numbers(1)).toEqual(numbers(1));
    expect(numbers(1)).not.toEqual(numbers(2));
    for (const seed of [0, 1, -7, 2 ** 33]) {
      const all = numbers(seed);
      expect(Math.min(...all)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...all)).toBeLessThan(1);
      for (let tenth = 0; tenth < 10; tenth++) {
        const share = all.filter((number) => Math.floor(number * 10) === tenth).length;
        expect(Math.abs(share - 1_000)).toBeLessThan(150);
      }
    }
  });
});
