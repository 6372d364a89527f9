import type { AsyncResource } from 'node:async_hooks';
import { captureContext, runInContext } from './async-context.js';
import type { AbortListener, Call } from './call.js';
import { TimerEntry } from './timer-entry.js';

/** Told, in a turn of its own, how the wait for a permit ended. */
export interface PermitListener {
  granted(permit: unknown): void;
  refused(reason: unknown): void;
}

const NEXT_TURN = Promise.resolve();

/**
 * What a guard answers with where a call must wait for its permit: its own timer and abort listener, and no promise,
 * since thousands may wait. It ends once, with `grant` or `refuse`; the turn of its own keeps a chain of calls that
 * follow each other from nesting.
 */
export abstract class PermitWait<P> extends TimerEntry implements AbortListener {
  private listener: PermitListener | undefined = undefined;
  private context: AsyncResource | undefined = undefined;

  constructor(readonly call: Call) {
    super();
  }

  abstract onAbort(): void;

  /** Who waits; set in the turn in which the guard answers. */
  listen(listener: PermitListener): void {
    this.listener = listener;
    this.context = captureContext();
  }

  grant(permit: P): void {
    this.tell((listener) => listener.granted(permit));
  }

  refuse(reason: unknown): void {
    this.tell((listener) => listener.refused(reason));
  }

  /** Refuses with what is made in the context of who waits, so that whoever watches knows whose refusal it is. */
  refuseWith(make: () => unknown): void {
    runInContext(this.context, () => this.refuse(make()));
  }

  /** The permit, for who has nothing else to do meanwhile. */
  asPromise(): Promise<P> {
    return new Promise((resolve, reject) => {
      this.listen({ granted: resolve, refused: reject });
    });
  }

  /** In the context of who waits, and not of who let go of the permit. */
  private tell(how: (listener: PermitListener) => void): void {
    void NEXT_TURN.then(() => {
      const { listener } = this;
      if (listener !== undefined) runInContext(this.context, () => how(listener));
    });
  }
}
