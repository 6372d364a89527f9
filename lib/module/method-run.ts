import { Observable, isObservable } from 'rxjs';
import { Call, type CallOptions, type Invoke } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { runCall } from '../core/execute.js';
import { describeMethod, type MethodRun } from '../decorators/runtime.js';
import type { MethodRecord } from '../decorators/method-record.js';
import type { Pipeline } from '../pipeline/index.js';
import type { MethodPlan } from './method-plan.js';
import type { RequestContext } from './request-context.js';
import { runObservable } from './observable-call.js';

/** What takes the place of a method's plain call, made for just what this method needs. */
export function createMethodRun(
  record: MethodRecord,
  plan: MethodPlan,
  pipeline: Pipeline,
  clock: Clock,
  context: RequestContext | undefined,
): MethodRun {
  const { signalIndex } = record;
  const method = signalIndex === undefined ? plainInvoke(record) : signalInvoke(record, signalIndex);
  if (plan.returns === 'observable') {
    return (self, args) =>
      new Observable((subscriber) =>
        runObservable(pipeline, clock, callOf(method, self, args), subscriber, context),
      );
  }
  const invoke =
    context === undefined ? checked(method, record) : inContext(checked(method, record), context);
  const { run } = pipeline;
  if (context !== undefined) return (self, args) => runInContext(context, callOf(invoke, self, args));
  if (signalIndex === undefined) return (self, args) => run(new Call(invoke, self, args));
  return (self, args) => runCall(callOf(invoke, self, args), clock, run);

  function callOf(target: Invoke, self: unknown, args: unknown[]): Call {
    return new Call(target, self, args, optionsOf(args));
  }

  /** What the caller said: through its own signal in the signal's place, and through the call around it. */
  function optionsOf(args: unknown[]): CallOptions | undefined {
    const given = signalIndex === undefined ? undefined : args[signalIndex];
    const signal = given instanceof AbortSignal ? given : undefined;
    const deadline = context?.deadline;
    if (deadline === undefined) return signal && { signal };
    return { signal, deadline: deadline - clock.now() };
  }

  async function runInContext(requests: RequestContext, call: Call): Promise<unknown> {
    const value = await runCall(call, clock, run);
    if (call.fallbackLevel !== undefined) requests.markDegraded(call.fallbackLevel);
    return value;
  }
}

/** How many parameters are declared. A function's own length stops at the first default, what the compiler notes does not. */
function arityOf({ owner, key, original }: MethodRecord): number {
  const types: unknown = Reflect.getMetadata('design:paramtypes', owner, key);
  return Math.max(original.length, Array.isArray(types) ? types.length : 0);
}

function plainInvoke(record: MethodRecord): Invoke {
  const { original } = record;
  const invoke: Invoke = (call) => original.apply(call.self, call.args as unknown[]);
  invoke.arity = arityOf(record);
  return invoke;
}

/** The signal goes into the parameter that was declared for it, and nowhere else. */
function signalInvoke(record: MethodRecord, index: number): Invoke {
  const { original } = record;
  const invoke: Invoke = (call) => {
    const args = [...call.args];
    while (args.length < index) args.push(undefined);
    args[index] = call.signal;
    return original.apply(call.self, args);
  };
  invoke.arity = arityOf(record);
  return invoke;
}

function inContext(method: Invoke, context: RequestContext): Invoke {
  const invoke: Invoke = (call) => context.inside(call, () => method(call));
  invoke.arity = method.arity;
  return invoke;
}

/** An observable would pass the promise path unnoticed, unprotected from its subscription on. */
function checked(method: Invoke, record: MethodRecord): Invoke {
  const invoke: Invoke = (call) => {
    const result = method(call);
    if (!(result instanceof Promise) && isObservable(result)) {
      throw new TypeError(
        `${describeMethod(record)} returned an Observable, but is not known to: annotate its return type, or give its decorator returns: 'observable'.`,
      );
    }
    return result;
  };
  invoke.arity = method.arity;
  return invoke;
}
