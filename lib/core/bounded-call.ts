import type { Call, CallOptions, Next } from './call.js';
import type { Clock } from './clock.js';
import { TimeoutExceededError } from './errors.js';
import { follow, unfollow } from './signal-followers.js';
import { TimerEntry } from './timer-entry.js';

// The phases of a timer: running; due, with a turn of grace; it ended the call; nobody needs it any more.
const ARMED = 0;
const GRACED = 1;
const FIRED = 2;
const SETTLED = 3;

/** Ends a call when its time is up. Armed on the clock by whoever bounds the call. */
export abstract class CallTimer extends TimerEntry {
  private phase = ARMED;

  constructor(
    protected readonly call: Call,
    private readonly clock: Clock,
  ) {
    super();
  }

  /** Whether it ended the call. */
  get fired(): boolean {
    return this.phase === FIRED;
  }

  /** What the caller gets; `undefined` where the call may go on. */
  protected abstract reason(): TimeoutExceededError | undefined;

  onDue(): void {
    // One turn later: a method that has settled already, but was not yet heard, keeps its own outcome.
    queueMicrotask(() => {
      if (this.phase === SETTLED || this.call.abortKind !== undefined) return;
      if (!this.call.isHeard && this.phase === ARMED) {
        // Nothing waits inside: an outcome is on its way out, and has until the next tick.
        this.phase = GRACED;
        this.clock.arm(this, this.clock.now());
        return;
      }
      const reason = this.reason();
      if (reason === undefined) return;
      this.phase = FIRED;
      this.call.abort('timeout', reason);
    });
  }

  /** The bounded part is over: takes the timer back. */
  settle(): void {
    if (this.phase !== FIRED) this.phase = SETTLED;
    this.clock.disarm(this);
  }
}

class DeadlineTimer extends CallTimer {
  constructor(
    call: Call,
    clock: Clock,
    private readonly limitMs: number,
  ) {
    super(call, clock);
  }

  protected override reason(): TimeoutExceededError {
    return deadlineError(this.limitMs);
  }
}

function deadlineError(limitMs: number): TimeoutExceededError {
  return new TimeoutExceededError('The deadline of the call has passed.', undefined, 'deadline', limitMs);
}

/**
 * Runs a call that its caller bounds: follows the caller's signal and deadline for as long as the call takes, and no
 * longer. Only calls that come with one of the two pay for this frame.
 */
export async function runBounded(call: Call, clock: Clock, run: Next): Promise<unknown> {
  const { signal, deadline } = call.options;
  if (signal?.aborted) throw signal.reason;
  call.cancellable = true;
  let timer: CallTimer | undefined;
  if (deadline !== undefined) {
    const leftMs = deadline instanceof Date ? deadline.getTime() - clock.wallTime() : deadline;
    if (!(leftMs > 0)) throw deadlineError(leftMs);
    call.bound(clock.now() + leftMs);
    if (Number.isFinite(leftMs)) {
      timer = new DeadlineTimer(call, clock, leftMs);
      clock.arm(timer, call.deadline as number);
    }
  }
  if (signal !== undefined) follow(signal, call);
  try {
    return await run(call);
  } finally {
    if (signal !== undefined) unfollow(signal, call);
    timer?.settle();
  }
}

/** Whether {@link runBounded} has anything to do for these options. */
export function isBounded(options: CallOptions): boolean {
  return options.signal !== undefined || options.deadline !== undefined;
}
