import type { Clock } from '../../lib/core/clock.js';

/** A clock that a property sets by hand, without a turn of the event loop; for what needs no timer. */
export class SteppedClock implements Clock {
  constructor(public time = 0) {}

  now(): number {
    return this.time;
  }

  wallTime(): number {
    return this.time;
  }

  arm(): never {
    throw new Error('This needs no timer.');
  }

  disarm(): void {}

  delay(): never {
    throw new Error('This needs no timer.');
  }
}
