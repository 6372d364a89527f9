import { Call, runMethod, type CallInfo, type CallOptions, type Invoke, type Next } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { callOf, runCall } from '../core/execute.js';
import { guardFrame } from '../core/guard-frame.js';
import type { AnyGuard, Driver, Policy } from '../core/policy.js';
import type { TimeoutPolicy } from '../policies/timeout/index.js';
import { DEFAULT_ORDER, type PipelineSlot } from './order.js';

/** One policy in its place. */
export type PipelineStep =
  | { readonly slot: PipelineSlot; readonly policy: Policy; readonly guard: AnyGuard }
  | { readonly slot: PipelineSlot; readonly policy: Policy; readonly driver: Driver };

/** A policy that can stand in a pipeline. @publicApi */
export type PipelinePolicy = Policy & (AnyGuard | Driver | TimeoutPolicy);

/** The steps of one policy: a timeout may bound single attempts, whole calls, or both. */
export function stepsOf(policy: PipelinePolicy): PipelineStep[] {
  if ('attempt' in policy) {
    const steps: PipelineStep[] = [];
    if (policy.totalMs !== undefined) steps.push({ slot: 'totalTimeout', policy, guard: policy.total });
    if (policy.boundsAttempts) steps.push({ slot: 'timeout', policy, guard: policy.attempt });
    return steps;
  }
  const slot = policy.kind as PipelineSlot;
  return 'run' in policy ? [{ slot, policy, driver: policy }] : [{ slot, policy, guard: policy }];
}

/**
 * The policies of a method, composed once into one function. Neighbouring guards share a frame; each driver has one of
 * its own; what is not there costs nothing.
 *
 * @publicApi
 */
export class Pipeline {
  /** Outermost first. */
  readonly steps: readonly PipelineStep[];
  /** Runs a call that its caller does not bound. */
  readonly run: Next;

  /**
   * @param policies - Several of one kind run in the order in which they are given.
   * @param order - Where each kind runs, outermost first.
   */
  constructor(
    readonly name: string,
    readonly policies: readonly PipelinePolicy[],
    private readonly clock: Clock,
    order: readonly PipelineSlot[] = DEFAULT_ORDER,
  ) {
    const steps = policies.flatMap(stepsOf);
    this.steps = order.flatMap((slot) => steps.filter((step) => step.slot === slot));
    this.run = compose(this.steps, clock);
  }

  /** Runs a function under all of the policies. */
  async execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    return (await runCall(callOf(fn, options), this.clock, this.run)) as T;
  }

  /** A function of the same parameters that runs under all of the policies. */
  wrap<A extends unknown[], T>(fn: (...args: A) => T | PromiseLike<T>): (...args: A) => Promise<T> {
    const { run } = this;
    const invoke: Invoke = (call) => fn.apply(call.self, call.args as A);
    invoke.arity = fn.length;
    return async function (this: unknown, ...args: A): Promise<T> {
      return (await run(new Call(invoke, this, args))) as T;
    };
  }

  /** What runs, outermost first, a policy a line. */
  describe(): string {
    const width = Math.max(0, ...this.steps.map(({ slot }) => slot.length));
    const lines = this.steps.map(({ slot, policy }) => {
      const does = policy.describe();
      return `  ${slot.padEnd(width)}  "${policy.name}"${does === '' ? '' : `: ${does}`}`;
    });
    return [this.name, ...(lines.length === 0 ? ['  (nothing)'] : lines)].join('\n');
  }
}

/** From the inside out: guards gather until a driver, or the end, closes their frame. */
function compose(steps: readonly PipelineStep[], clock: Clock): Next {
  let next: Next = runMethod;
  let guards: AnyGuard[] = [];
  const closeFrame = (nested: boolean) => {
    if (guards.length > 0) next = guardFrame(guards, next, clock, nested);
    guards = [];
  };
  for (const step of steps.toReversed()) {
    if ('guard' in step) {
      guards.unshift(step.guard);
      continue;
    }
    closeFrame(true);
    const { driver } = step;
    const rest = next;
    next = (call) => driver.run(call, rest);
  }
  closeFrame(false);
  return next;
}
