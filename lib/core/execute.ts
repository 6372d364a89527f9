import {
  Call,
  isBounded,
  runBounded,
  runMethod,
  type CallInfo,
  type CallOptions,
  type Next,
} from './call.js';
import type { Clock } from './clock.js';
import type { Driver, Guard } from './policy.js';

const NO_ARGS: readonly unknown[] = Object.freeze([]);

/** A call of a plain function, as opposed to one of a decorated method. */
export function callOf<T>(fn: (call: CallInfo) => T, options: CallOptions | undefined): Call {
  return new Call(fn, undefined, options?.args ?? NO_ARGS, options);
}

/** Runs a call through `run`, bounded by what its caller said. */
export function runCall(call: Call, clock: Clock, run: Next): unknown {
  return isBounded(call.options) ? runBounded(call, clock, run) : run(call);
}

/** Runs `fn` under one guard alone: the same steps as a whole frame of guards, without its lists. */
export async function executeGuarded<T, P>(
  guard: Guard<P>,
  fn: (call: CallInfo) => T | PromiseLike<T>,
  options: CallOptions | undefined,
  clock: Clock,
): Promise<T> {
  const call = callOf(fn, options);
  if (isBounded(call.options))
    return (await runBounded(call, clock, (c) => runGuarded(guard, c, clock))) as T;
  return (await runGuarded(guard, call, clock)) as T;
}

async function runGuarded<P>(guard: Guard<P>, call: Call, clock: Clock): Promise<unknown> {
  const { timed } = guard;
  let now = timed ? clock.now() : Number.NaN;
  const entering = guard.enter(call, now);
  let permit: P;
  if (entering instanceof Promise) {
    permit = await entering;
    // Aborted between the grant and this turn: the permit is there, and nobody to use it.
    if (call.abortKind !== undefined) {
      guard.cancel(permit, call);
      throw call.abortReason;
    }
    if (timed) now = clock.now();
  } else {
    permit = entering;
  }
  let value: unknown;
  try {
    value = await runMethod(call);
  } catch (error) {
    settleGuard(guard, permit, call, false, error, now, timed ? clock.now() : now);
    throw error;
  }
  settleGuard(guard, permit, call, true, value, now, timed ? clock.now() : now);
  return value;
}

/** Gives a permit back: at once, or when the method that outlived its attempt settles. */
export function settleGuard<P>(
  guard: Guard<P>,
  permit: P,
  call: Call,
  ok: boolean,
  result: unknown,
  startedAt: number,
  endedAt: number,
): void {
  if (guard.settlesWithMethod === true && call.hasOrphans) {
    call.whenOrphansSettle(() => guard.settle(permit, call, ok, result, startedAt, endedAt));
  } else {
    guard.settle(permit, call, ok, result, startedAt, endedAt);
  }
}

/** Runs `fn` under one driver alone. */
export async function executeDriven<T>(
  driver: Driver,
  fn: (call: CallInfo) => T | PromiseLike<T>,
  options: CallOptions | undefined,
  clock: Clock,
): Promise<T> {
  const call = callOf(fn, options);
  return (await runCall(call, clock, (c) => driver.run(c, runMethod))) as T;
}
