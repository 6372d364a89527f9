import type { NativeTimer, TimerHost } from '../../lib/core/timer-wheel.js';

class FakeTimer implements NativeTimer {
  keepsAlive = true;

  constructor(
    readonly dueAt: number,
    readonly callback: () => void,
  ) {}

  ref(): void {
    this.keepsAlive = true;
  }

  unref(): void {
    this.keepsAlive = false;
  }
}

/** A process whose time stands still until a test moves it, with native timers as Node has them. */
export class FakeHost implements TimerHost {
  readonly errors: unknown[] = [];
  timers: FakeTimer[] = [];
  /** How many native timers were ever set. */
  set = 0;
  time: number;
  /** How much too early native timers run; Node's do, by less than 1 ms. */
  earlyMs = 0;

  constructor(startsAt = 0) {
    this.time = startsAt;
  }

  now(): number {
    return this.time;
  }

  setTimeout(callback: () => void, delayMs: number): NativeTimer {
    if (!Number.isInteger(delayMs) || delayMs < 1 || delayMs > 2 ** 31 - 1)
      throw new Error(`Node would not wait for ${delayMs} ms`);
    this.set++;
    const timer = new FakeTimer(this.time + delayMs, callback);
    this.timers.push(timer);
    return timer;
  }

  clearTimeout(timer: NativeTimer): void {
    this.timers = this.timers.filter((other) => other !== timer);
  }

  reportError(error: unknown): void {
    this.errors.push(error);
  }

  get keepsAlive(): boolean {
    return this.timers.some((timer) => timer.keepsAlive);
  }

  /** Time passes with a free event loop. */
  pass(ms: number): void {
    const until = this.time + ms;
    for (let timer = this.nextBefore(until); timer !== undefined; timer = this.nextBefore(until)) {
      this.time = Math.max(this.time, timer.dueAt - this.earlyMs);
      this.clearTimeout(timer);
      timer.callback();
    }
    this.time = until;
  }

  /** Time passes while the event loop is blocked: nothing runs until the next {@link FakeHost.pass}. */
  stall(ms: number): void {
    this.time += ms;
  }

  private nextBefore(until: number): FakeTimer | undefined {
    const due = this.timers.filter((timer) => timer.dueAt - this.earlyMs <= until);
    return due.sort((a, b) => a.dueAt - b.dueAt)[0];
  }
}
