import { Call, runMethod, type CallInfo, type CallOptions, type Invoke, type Next } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { execute, promised } from '../core/execute.js';
import { attemptFrame } from '../core/attempt-frame.js';
import { compositionRound } from '../core/composition.js';
import type { AnyGuard, Driver, Inside, Policy, Repeater } from '../core/policy.js';
import type { TimeoutPolicy } from '../policies/timeout/index.js';
import { refuseProblems } from '../core/option-table.js';
import { completeOrder, orderProblems, type PipelineSlot } from './order.js';

/** One policy in its place. */
export type PipelineStep = { readonly slot: PipelineSlot; readonly policy: Policy } & (
  { readonly guard: AnyGuard } | { readonly repeater: Repeater } | { readonly driver: Driver }
);

/** A policy that can stand in a pipeline. @publicApi */
export type PipelinePolicy = Policy & (AnyGuard | Repeater | Driver | TimeoutPolicy);

/** The steps of one policy: a timeout may bound single attempts, whole calls, or both. */
function stepsOf(policy: PipelinePolicy): PipelineStep[] {
  if ('boundsAttempts' in policy) {
    const steps: PipelineStep[] = [];
    if (policy.totalMs !== undefined) steps.push({ slot: 'totalTimeout', policy, guard: policy.total });
    if (policy.boundsAttempts) steps.push({ slot: 'timeout', policy, guard: policy.attempt });
    return steps;
  }
  const slot = policy.kind as PipelineSlot;
  if ('run' in policy) return policy.isOff === true ? [] : [{ slot, policy, driver: policy }];
  if ('delayAfter' in policy) return [{ slot, policy, repeater: policy }];
  return [{ slot, policy, guard: policy }];
}

/**
 * The policies of a method, composed into one function. Neighbouring guards share a frame with the retry right around
 * them; each driver has one of its own; what is not there costs nothing.
 *
 * @publicApi
 */
export class Pipeline {
  private readonly order: readonly PipelineSlot[];
  private composed!: Next;
  private ordered!: readonly PipelineStep[];
  private round!: number;

  /**
   * @param policies - Several of one kind run in the order in which they are given.
   * @param order - Where each kind runs, outermost first; kinds that it does not name stay where they are.
   * @throws {@link InvalidOptionsError} where the order names what is no kind, or one twice.
   */
  constructor(
    readonly name: string,
    readonly policies: readonly PipelinePolicy[],
    private readonly clock: Clock,
    order?: readonly PipelineSlot[],
    /** What joins for a while, such as an injected fault; asked at each composition. */
    private readonly guests: () => readonly PipelinePolicy[] = () => [],
    /** What stands around all of it, such as a measurement. */
    private readonly around: (inside: Next) => Next = (inside) => inside,
  ) {
    refuseProblems(orderProblems(order, `pipeline "${name}"`));
    this.order = completeOrder(order);
    this.compose();
  }

  /** What runs, outermost first. */
  get steps(): readonly PipelineStep[] {
    if (this.round !== compositionRound()) this.compose();
    return this.ordered;
  }

  /** Runs a call that its caller does not bound. */
  readonly run: Next = (call) => {
    if (this.round !== compositionRound()) this.compose();
    return this.composed(call);
  };

  /** Runs a function under all of the policies. */
  execute<T>(fn: (call: CallInfo) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    return execute(this.run, fn, options, this.clock);
  }

  /** A function of the same parameters that runs under all of the policies. */
  wrap<A extends unknown[], T>(fn: (...args: A) => T | PromiseLike<T>): (...args: A) => Promise<T> {
    const { run } = this;
    const invoke: Invoke = (call) => fn.apply(call.self, call.args as A);
    invoke.arity = fn.length;
    return function (this: unknown, ...args: A): Promise<T> {
      return promised<T>(run(new Call(invoke, this, args)));
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

  /** An update of a policy may change what it takes part in. */
  private compose(): void {
    const steps = [...this.policies, ...this.guests()].flatMap(stepsOf);
    this.ordered = this.order.flatMap((slot) => steps.filter((step) => step.slot === slot));
    this.composed = this.around(compose(this.ordered, this.clock));
    this.round = compositionRound();
  }
}

function insideOf(steps: readonly PipelineStep[]): Inside {
  const guards = steps.flatMap((step) => ('guard' in step && step.guard.isCalm ? [step.guard] : []));
  return { isCalm: (call) => guards.every((guard) => guard.isCalm?.(call) === true) };
}

/** From the inside out: guards gather until a retry, a driver or the end closes their frame. */
function compose(steps: readonly PipelineStep[], clock: Clock): Next {
  let next: Next = runMethod;
  let guards: AnyGuard[] = [];
  const closeFrame = (enclosed: boolean, repeater?: Repeater) => {
    if (guards.length > 0 || repeater !== undefined) {
      next = attemptFrame({ guards, next, clock, enclosed, repeater });
    }
    guards = [];
  };
  for (let i = steps.length - 1; i >= 0; i--) {
    const step = steps[i] as PipelineStep;
    if ('guard' in step) guards.unshift(step.guard);
    else if ('repeater' in step) closeFrame(i > 0, step.repeater);
    else {
      closeFrame(true);
      const { driver } = step;
      const rest = next;
      const inside = insideOf(steps.slice(i + 1));
      const policies = steps.map((one) => one.policy);
      next = (call) => driver.run(call, rest, inside, policies);
    }
  }
  closeFrame(false);
  return next === runMethod ? attemptFrame({ guards, clock }) : next;
}
