/**
 * A timer that is its own list node, so that arming one allocates nothing. Subclass it, implement `onDue`, and hand it
 * to {@link Clock.arm}. The fields belong to the clock.
 */
export abstract class TimerEntry {
  /** When it falls due, on the scale of `Clock.now()`; `NaN` while it is not armed. */
  dueAt = Number.NaN;
  /** Whether the process must stay alive until it has run. Set before arming. */
  keepAlive = false;
  /** @internal */ previous: TimerEntry | undefined = undefined;
  /** @internal */ next: TimerEntry | undefined = undefined;

  /** Called once, from a timer's callback; must not throw. */
  abstract onDue(): void;
}

/** A timer that calls a function. */
export class CallbackTimer extends TimerEntry {
  constructor(private readonly due: () => void) {
    super();
  }

  onDue(): void {
    this.due();
  }
}
