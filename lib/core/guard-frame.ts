import type { Call, Next } from './call.js';
import type { Clock } from './clock.js';
import { settleGuard } from './execute.js';
import type { AnyGuard } from './policy.js';

/**
 * Composes neighbouring guards around the rest of a pipeline into one async function. Guards are entered in order and
 * settled in reverse, each with the permit that it issued. `nested` gives every run its own child call, so that ending
 * one attempt does not end the call around it.
 */
export function guardFrame(guards: readonly AnyGuard[], next: Next, clock: Clock, nested: boolean): Next {
  const count = guards.length;
  const peekers = guards.filter((guard) => guard.peek !== undefined);
  const peekerCount = peekers.length;

  return async function attempt(outer: Call): Promise<unknown> {
    const call = nested ? outer.child() : outer;
    const permits: unknown[] = new Array<unknown>(count);
    let entered = 0;
    let admitted = false;
    let timed = false;
    for (let i = 0; i < count; i++) if ((guards[i] as AnyGuard).timed) timed = true;
    let now = timed ? clock.now() : Number.NaN;
    let value: unknown;
    try {
      if (call.abortKind !== undefined) throw call.abortReason;
      for (let i = 0; i < peekerCount; i++) {
        const refusal = (peekers[i] as Required<AnyGuard>).peek(call, now);
        if (refusal !== undefined) throw refusal;
      }
      while (entered < count) {
        const permit = (guards[entered] as AnyGuard).enter(call, now);
        if (permit instanceof Promise) {
          permits[entered] = await permit;
          // Aborted between the grant and this turn: the permit is there, and nobody to use it.
          if (call.abortKind !== undefined) {
            entered++;
            throw call.abortReason;
          }
          if (timed) now = clock.now();
        } else {
          permits[entered] = permit;
        }
        entered++;
      }
      admitted = true;
      value = await next(call);
    } catch (error) {
      try {
        if (admitted) settleAll(guards, permits, call, false, error, now, timed ? clock.now() : now);
        else cancel(guards, permits, call, entered);
      } finally {
        if (nested) call.detach();
      }
      throw error;
    }
    try {
      settleAll(guards, permits, call, true, value, now, timed ? clock.now() : now);
    } finally {
      if (nested) call.detach();
    }
    return value;
  };
}

function cancel(guards: readonly AnyGuard[], permits: readonly unknown[], call: Call, entered: number): void {
  for (let i = entered - 1; i >= 0; i--) (guards[i] as AnyGuard).cancel(permits[i], call);
}

/** In reverse order. Only a user's matcher throws; then the guards further out still get their permits back. */
function settleAll(
  guards: readonly AnyGuard[],
  permits: readonly unknown[],
  call: Call,
  ok: boolean,
  result: unknown,
  startedAt: number,
  endedAt: number,
): void {
  let failure: { error: unknown } | undefined;
  for (let i = guards.length - 1; i >= 0; i--) {
    try {
      settleGuard(guards[i] as AnyGuard, permits[i], call, ok, result, startedAt, endedAt);
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== undefined) throw failure.error;
}
