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

  constructor(readonly call: Call) {
    super();
  }

  abstract onAbort(): void;

  /** Who waits; set in the turn in which the guard answers. */
  listen(listener: PermitListener): void {
    this.listener = listener;
  }

  grant(permit: P): void {
    void NEXT_TURN.then(() => this.listener?.granted(permit));
  }

  refuse(reason: unknown): void {
    void NEXT_TURN.then(() => this.listener?.refused(reason));
  }

  /** The permit, for who has nothing else to do meanwhile. */
  asPromise(): Promise<P> {
    return new Promise((resolve, reject) => {
      this.listen({ granted: resolve, refused: reject });
    });
  }
}
