import type { TimerEntry } from './timer-entry.js';
import { isLinked, linkBefore, TimerList, unlink } from './timer-list.js';

/** What the wheel needs of its surroundings; tests give it a host whose time they move. */
export interface TimerHost {
  /** Monotonic milliseconds, with fractions. */
  now(): number;
  setTimeout(callback: () => void, delayMs: number): NativeTimer;
  clearTimeout(timer: NativeTimer): void;
  /** What becomes of an error that an entry's `onDue` threw; by default it is uncaught, as from any timer. */
  reportError?(error: unknown): void;
}

/** The part of a Node.js timer that the wheel uses. */
export interface NativeTimer {
  ref(): unknown;
  unref(): unknown;
}

/** How late an entry may run at most, while the event loop is free. */
export const WHEEL_TICK_MS = 10;

// One slot is narrower than what we promise: a native timer wakes on a whole millisecond, up to one after the one that
// was asked for. A power of two makes the conversion exact, so that rounding cannot let an entry run early.
const SLOT_MS = 8;
const LEVELS = 5;
const BITS_PER_LEVEL = 6;
const SLOTS = 64;
const SLOT_MASK = 63;
/** How many ticks one slot of each level spans. */
const SPANS = [1, 64, 4_096, 262_144, 16_777_216] as const;
/** Beyond this a native timer of Node runs at once. */
export const LONGEST_SLEEP_MS = 2 ** 31 - 1;
const NOTHING_TO_WAIT_FOR = Number.POSITIVE_INFINITY;
const AWAKE = Number.NEGATIVE_INFINITY;

/**
 * Coarse timers, thousands at the price of one native timer: a hierarchical wheel (Varghese and Lauck, 1987) of five
 * levels with 64 slots each. Arming and disarming are O(1) and allocate nothing. The native timer sleeps until the
 * next occupied slot instead of ticking, and is left to lapse when the wheel has become empty.
 *
 * `current` is the last tick at which there was something to do. It lags behind the clock on purpose: reading that would
 * cost more than all else. A lag only puts an entry into a coarser slot than needed, from where it moves on in time.
 */
export class TimerWheel {
  private readonly slots: readonly TimerList[] = Array.from(
    { length: LEVELS * SLOTS },
    () => new TimerList(),
  );
  private readonly firing = new TimerList();
  private readonly cascading = new TimerList();
  private readonly onWake = (): void => this.wake();
  private current = 0;
  private wakeTick = NOTHING_TO_WAIT_FOR;
  private native: NativeTimer | undefined = undefined;
  private armed = 0;
  private armedKeepAlive = 0;

  constructor(private readonly host: TimerHost) {}

  /** How many entries are armed. */
  get size(): number {
    return this.armed;
  }

  /** See `Clock.arm`. An entry that is overdue runs at the next tick; one due at `Infinity` never runs. */
  arm(entry: TimerEntry, dueAt: number): void {
    if (isLinked(entry)) this.disarm(entry);
    const tick = tickAt(dueAt);
    if (tick < this.wakeTick) this.wakeEarlier(tick);
    entry.dueAt = dueAt;
    this.armed++;
    this.place(entry, tick);
    if (entry.keepAlive && this.armedKeepAlive++ === 0) this.native?.ref();
  }

  /** See `Clock.disarm`. */
  disarm(entry: TimerEntry): void {
    if (!isLinked(entry)) return;
    unlink(entry);
    entry.dueAt = Number.NaN;
    this.armed--;
    if (entry.keepAlive && --this.armedKeepAlive === 0) this.native?.unref();
  }

  /** Every level takes what is at most 64 of its slots ahead; exactly 64 ahead is the slot just worked off. */
  private place(entry: TimerEntry, dueTick: number): void {
    const ahead = dueTick - this.current;
    let slot: number;
    if (ahead <= SLOTS) slot = slotOf(0, ahead > 0 ? dueTick : this.current + 1);
    else if (ahead <= SPANS[2]) slot = slotOf(1, dueTick);
    else if (ahead <= SPANS[3]) slot = slotOf(2, dueTick);
    else if (ahead <= SPANS[4]) slot = slotOf(3, dueTick);
    // What is beyond the wheel's 99 days wraps around, to be placed again whenever its slot begins.
    else slot = slotOf(4, dueTick);
    linkBefore(this.slots[slot] as TimerList, entry);
  }

  private wakeEarlier(tick: number): void {
    if (this.native !== undefined) this.host.clearTimeout(this.native);
    this.sleepUntil(tick);
  }

  private sleepUntil(tick: number): void {
    const leftMs = Math.ceil(tick * SLOT_MS - this.host.now());
    const sleepMs = Math.min(Math.max(1, leftMs), LONGEST_SLEEP_MS);
    this.wakeTick = tick;
    this.native = this.host.setTimeout(this.onWake, sleepMs);
    if (this.armedKeepAlive === 0) this.native.unref();
  }

  private wake(): void {
    this.native = undefined;
    this.wakeTick = AWAKE;
    this.advanceTo(Math.floor(this.host.now() / SLOT_MS));
    this.wakeTick = NOTHING_TO_WAIT_FOR;
    if (this.armed > 0) this.sleepUntil(this.nextOccupied());
  }

  private advanceTo(target: number): void {
    for (let tick = this.nextOccupied(); tick <= target; tick = this.nextOccupied()) {
      this.current = tick - 1;
      this.cascade(tick);
      this.current = tick;
      this.fire(tick);
    }
  }

  /** Distributes the slots of the higher levels that begin at this tick among the lower ones. */
  private cascade(tick: number): void {
    for (let level = LEVELS - 1; level > 0; level--) {
      const span = SPANS[level] as number;
      if (tick % span !== 0) continue;
      this.cascading.takeAll(this.slots[slotOf(level, tick)] as TimerList);
      for (let entry = this.cascading.first(); entry !== undefined; entry = this.cascading.first()) {
        unlink(entry);
        this.place(entry, tickAt(entry.dueAt));
      }
    }
  }

  private fire(tick: number): void {
    // Off the wheel first: what a callback arms 64 ticks ahead belongs into this same slot.
    this.firing.takeAll(this.slots[slotOf(0, tick)] as TimerList);
    for (let entry = this.firing.first(); entry !== undefined; entry = this.firing.first()) {
      this.disarm(entry);
      try {
        entry.onDue();
      } catch (error) {
        this.report(error);
      }
    }
  }

  private report(error: unknown): void {
    if (this.host.reportError !== undefined) return this.host.reportError(error);
    queueMicrotask(() => {
      throw error;
    });
  }

  /** The next tick at which an entry is due or a slot of a higher level begins. */
  private nextOccupied(): number {
    let next = NOTHING_TO_WAIT_FOR;
    for (let level = 0; level < LEVELS; level++) {
      const span = SPANS[level] as number;
      const position = Math.floor(this.current / span);
      for (let ahead = 1; ahead <= SLOTS; ahead++) {
        const start = (position + ahead) * span;
        if (start >= next) break;
        if ((this.slots[slotOf(level, start)] as TimerList).isEmpty()) continue;
        next = start;
        break;
      }
    }
    return next;
  }
}

/** The slot of a level in which a tick lies. The bits that it is read from survive the cut to 32 of them. */
function slotOf(level: number, tick: number): number {
  return level * SLOTS + ((tick >> (level * BITS_PER_LEVEL)) & SLOT_MASK);
}

/** The first tick that is not before `dueAt`; what is out of range of the arithmetic lies past the end of time. */
function tickAt(dueAt: number): number {
  const tick = Math.ceil(dueAt / SLOT_MS);
  return tick <= Number.MAX_SAFE_INTEGER ? tick : Number.MAX_SAFE_INTEGER;
}
