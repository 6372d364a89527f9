import { isBounded, runBounded } from './bounded-call.js';
import { Call, type CallInfo, type CallOptions, type Next } from './call.js';
import type { Clock } from './clock.js';

const NO_ARGS: readonly unknown[] = Object.freeze([]);

/** A call of a plain function, as opposed to one of a decorated method. */
export function callOf<T>(fn: (call: CallInfo) => T, options: CallOptions | undefined): Call {
  return new Call(fn, undefined, options?.args ?? NO_ARGS, options);
}

/** Runs a call through `run`, bounded by what its caller said. */
export function runCall(call: Call, clock: Clock, run: Next): unknown {
  return isBounded(call.options) ? runBounded(call, clock, run) : run(call);
}

/** Runs a plain function through `run`. */
export function execute<T>(
  run: Next,
  fn: (call: CallInfo) => T | PromiseLike<T>,
  options: CallOptions | undefined,
  clock: Clock,
): Promise<T> {
  return promised(runCall(callOf(fn, options), clock, run));
}

/** A pipeline's answer as a promise: it is one already, unless nothing had to be waited for. */
export function promised<T>(answer: unknown): Promise<T> {
  return (answer instanceof Promise ? answer : Promise.resolve(answer)) as Promise<T>;
}
