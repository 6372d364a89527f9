import type { ExecutionContext, Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { throwError } from 'rxjs';
import { Call, type CallOptions, type Invoke } from '../core/call.js';
import { CallDurations } from '../core/call-durations.js';
import type { Clock } from '../core/clock.js';
import { clockOf } from '../core/environment.js';
import { InvalidOptionsError, RateLimitExceededError, type ResilienceError } from '../core/errors.js';
import { EventHub } from '../core/events.js';
import { runCall } from '../core/execute.js';
import { refuseProblems } from '../core/option-table.js';
import { recordOfHandler, recordsOf, type MethodRecord } from '../decorators/method-record.js';
import type { ResilientOptions } from '../decorators/resilient.options.js';
import type { ClassBinding, MethodRun, Runtime } from '../decorators/runtime.js';
import type { Pipeline } from '../pipeline/index.js';
import { FaultInjector } from '../policies/chaos/fault-injector.js';
import type { RateLimitPolicy } from '../policies/rate-limit/index.js';
import { ApplicationCheck } from './application-check.js';
import { isTranslatable, responseOf, translateFor } from './error-translation.js';
import { chaosModuleProblems, type ChaosModuleOptions } from './chaos-module.options.js';
import type { FeaturePolicies } from './feature-policies.js';
import { planFunction, planInterceptor, planMethod, type MethodPlan } from './method-plan.js';
import { createMethodRun } from './method-run.js';
import type { NamedKind, PolicyTypes } from './policy-kinds.js';
import { PolicyRegistry, contradictions } from './policy-registry.js';
import { protect, type Protection } from './protection.js';
import { RequestContext } from './request-context.js';
import { SharedFleet } from './shared-fleet.js';
import { takeRequestLimits, type TakenLimits } from './request-limits.js';
import { moduleProblems, type ResilienceModuleOptions } from './resilience.options.js';
import { ResponseHeaders, type HeaderWriter } from './response-headers.js';

/** A method as it runs in this application. */
interface CompiledMethod extends Protection {
  readonly plan: MethodPlan;
  readonly run: MethodRun;
}

/** A decorated method of the application, and what runs around it. */
export interface ProtectedMethod {
  readonly type: Type;
  readonly key: string | symbol;
  readonly protection: Protection;
}

/** The decorated methods of one class in one application. */
class Binding implements ClassBinding {
  readonly runs: (MethodRun | undefined)[] = [];
  readonly methods = new Map<MethodRecord, CompiledMethod>();

  constructor(
    readonly runtime: ResilienceRuntime,
    readonly type: Type,
  ) {}

  compile(record: MethodRecord): MethodRun {
    try {
      const { run } = this.runtime.compiled(this, record);
      this.runs[record.index] = run;
      return run;
    } catch (error) {
      // Of a class that came after the start: its callers wait for an answer, and look for an error there.
      const fails = record.returns === 'observable' ? throwError(() => error) : undefined;
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- it is what was caught
      return () => fails ?? Promise.reject(error);
    }
  }
}

/**
 * One application's policies and pipelines. Made once per application, before the first provider that needs it; with it
 * every decorated class that the application knows is checked, and all problems are reported together.
 */
export class ResilienceRuntime implements Runtime {
  readonly clock: Clock;
  readonly events = new EventHub();
  readonly policies: PolicyRegistry;
  /** Brings faults into the pipelines. */
  readonly faults: FaultInjector;
  readonly context: RequestContext | undefined;
  /** The instances that share state. */
  readonly fleet: SharedFleet | undefined;
  /** Whether the application's start has come so far that no other one can be meant by what is bound to this. */
  isInitialised = false;
  /** How long calls take, where the options ask for it. */
  readonly durations: CallDurations | undefined;
  private readonly bindings = new Map<Type, Binding>();
  /** By what an interceptor was made with, the class and the handler: an inherited handler is one in each class. */
  private readonly intercepted = new WeakMap<object, Map<Type, Map<unknown, Protection>>>();
  /** Of requests that a guard has limited, the limits that it put off: a global guard and a handler's own apply each once. */
  private readonly putOff = new WeakMap<object, readonly RateLimitPolicy[]>();
  private readonly headers: ResponseHeaders;
  private readonly check: ApplicationCheck;
  private readonly functions = new Map<string, { policies: ResilientOptions; pipeline: Pipeline }>();

  /** @throws {@link InvalidOptionsError} with every problem of the application. */
  constructor(
    private readonly options: ResilienceModuleOptions,
    modules: ModulesContainer,
    writer: HeaderWriter,
  ) {
    this.clock = clockOf(options);
    const { requestContext = false } = options;
    this.context =
      requestContext === false
        ? undefined
        : new RequestContext(this.clock, requestContext === true ? {} : requestContext);
    this.durations = options.callDurations === true ? new CallDurations(this.clock) : undefined;
    this.headers = new ResponseHeaders(writer, options.http?.rateLimitHeaders ?? 'standard');
    const { sharedState } = options;
    // What is no store is refused below, with everything else.
    this.fleet =
      typeof sharedState?.take === 'function'
        ? new SharedFleet(sharedState, this.clock, this.events)
        : undefined;
    this.policies = new PolicyRegistry(options.defaults ?? {}, options.maxPolicies ?? 10_000, {
      clock: this.clock,
      random: options.random,
      events: this.events,
      stackTraces: options.stackTraces,
      fleet: this.fleet,
      allowChaosInProduction: options.chaos?.allowInProduction,
    });
    this.faults = new FaultInjector(this.policies.environment, () =>
      this.policies.all('circuitBreaker').values(),
    );
    this.check = new ApplicationCheck(modules, this.policies);
    const mistakes = moduleProblems(options);
    refuseProblems([
      ...mistakes,
      // What the table refuses is said once.
      ...(mistakes.length > 0
        ? []
        : chaosModuleProblems(options.chaos, 'ResilienceModule.forRoot', this.policies.environment)),
      ...this.policies.configure(options, 'ResilienceModule.forRoot'),
      ...this.check.problems(),
    ]);
    this.policies.createConfigured();
    for (const type of this.check.classes()) this.compileAll(type);
  }

  /** What works, but hardly as it was meant. */
  get warnings(): readonly string[] {
    return this.check.warnings;
  }

  /** The policy that a provider stands for. Names of other applications in the process take no place here. */
  injectable<K extends NamedKind>(kind: K, name: string, token: symbol): PolicyTypes[K] {
    return this.policies.isDescribed(kind, name) || this.check.asksFor(token)
      ? this.policies.get(kind, name)
      : this.policies.reserve(kind, name);
  }

  /** Looks at the classes that factories have made since. @throws {@link InvalidOptionsError} */
  checkMade(): void {
    refuseProblems(this.check.problems());
  }

  /** Takes the policies of a module that was loaded after the start. @throws {@link InvalidOptionsError} */
  addFeature(feature: FeaturePolicies): void {
    this.check.addFeature(feature);
  }

  /** What the module says of chaos. */
  get chaos(): ChaosModuleOptions {
    return this.options.chaos ?? {};
  }

  /** Whether clients are told about errors of policies in their transport's own way. */
  get translates(): boolean {
    return this.options.http?.translateErrors !== false;
  }

  get hasHeaders(): boolean {
    return this.headers.showLimits;
  }

  bind(type: Type): Binding {
    let binding = this.bindings.get(type);
    if (binding === undefined) {
      binding = new Binding(this, type);
      this.bindings.set(type, binding);
    }
    return binding;
  }

  /** A method's pipeline, composed at its first use. @throws {@link InvalidOptionsError} */
  compiled(binding: Binding, record: MethodRecord): CompiledMethod {
    const known = binding.methods.get(record);
    if (known !== undefined) return known;
    const { type } = binding;
    const plan = planMethod(type, record);
    // Classes that came after the start (lazy modules, moduleRef.create) are looked at here.
    this.check.refuse(plan, type, [type, record]);
    const protection = this.protect(plan);
    const run = createMethodRun(record, plan, protection.pipeline, this.clock, this.context);
    const compiled: CompiledMethod = { ...protection, plan, run };
    binding.methods.set(record, compiled);
    return compiled;
  }

  /** @internal The methods that decorators protect, as instances of the application's classes have them. */
  protectedMethods(): ProtectedMethod[] {
    return [...this.check.classes()].flatMap((type) => {
      const keys = new Set(recordsOf(type.prototype as object).map(({ key }) => key));
      return [...keys].flatMap((key) => {
        const record = recordOfMethod(type, key);
        return record === undefined ? [] : { type, key, protection: this.compiled(this.bind(type), record) };
      });
    });
  }

  /** @internal The pipelines of plain functions. */
  functionPipelines(): Pipeline[] {
    return [...this.functions.values()].map(({ pipeline }) => pipeline);
  }

  /** What runs around a method, a policy a line, outermost first. */
  describe(type: Type, method: string | symbol): string {
    const record = recordOfMethod(type, method);
    if (record === undefined)
      throw new Error(`${type.name}.${String(method)} carries no decorator of this package.`);
    const { pipeline, requestLimits } = this.compiled(this.bind(type), record);
    const guards = requestLimits.map(
      (policy) => `  (guard) rateLimit  "${policy.name}": ${policy.describe()}`,
    );
    const [head, ...lines] = pipeline.describe().split('\n');
    return [head, ...guards, ...lines].join('\n');
  }

  limitRequest(context: ExecutionContext, isLast: boolean): Promise<void> | undefined {
    const record = recordIn(context);
    if (record === undefined) return undefined;
    const limits =
      this.putOff.get(context) ?? this.compiled(this.bind(context.getClass()), record).requestLimits;
    if (limits.length === 0) return undefined;
    const taken = takeRequestLimits(limits, context, this.clock, isLast);
    const note = ({ applied, putOff }: TakenLimits) => {
      this.putOff.set(context, putOff);
      this.headers.writeLimits(responseOf(context), applied);
    };
    if (taken instanceof Promise) return taken.then(note);
    note(taken);
    return undefined;
  }

  writeHeaders(context: ExecutionContext): void {
    const record = recordIn(context);
    if (record === undefined) return;
    this.writeLimits(this.compiled(this.bind(context.getClass()), record).limits, context);
  }

  translate(error: unknown, context: ExecutionContext): unknown {
    if (!isTranslatable(error) || !this.translates) return error;
    const type = context.getType<string>();
    if (type === 'http') this.writeErrorHeaders(error, responseOf(context));
    return translateFor(type, error);
  }

  /** The headers that an error asks for, on a response that has not begun. */
  writeErrorHeaders(error: ResilienceError, response: unknown): void {
    const limit =
      error instanceof RateLimitExceededError && error.policy !== undefined
        ? this.policies.find('rateLimit', error.policy)
        : undefined;
    this.headers.writeError(response, error, limit);
  }

  async intercept(
    spec: ResilientOptions,
    context: ExecutionContext,
    args: unknown[],
    run: () => unknown,
  ): Promise<unknown> {
    const { pipeline, requestLimits, limits } = this.handlerProtection(
      spec,
      context.getClass(),
      context.getHandler(),
    );
    const response = responseOf(context);
    if (requestLimits.length > 0) {
      const { applied } = await takeRequestLimits(requestLimits, context, this.clock, true);
      this.headers.writeLimits(response, applied);
    }
    const { context: requests } = this;
    const invoke: Invoke = requests === undefined ? run : (inner) => requests.inside(inner, run);
    const call = new Call(invoke, undefined, args, this.nestedOptions());
    const value = await runCall(call, this.clock, pipeline.run);
    if (call.fallbackLevel !== undefined) this.headers.writeDegraded(response, call.fallbackLevel);
    this.writeLimits(limits, context);
    return value;
  }

  /** The pipeline of plain functions under a name, made at first use. @throws {@link InvalidOptionsError} */
  pipeline(name: string, policies: ResilientOptions): Pipeline {
    const where = `ResilienceService.pipeline("${name}")`;
    const known = this.functions.get(name);
    if (known !== undefined) {
      refuseProblems(
        contradictions({ options: known.policies, where: 'its first use' }, policies, where, true),
      );
      return known.pipeline;
    }
    this.policies.checkRoom(this.functions.size, where);
    const { pipeline, requestLimits } = this.protectFunction(planFunction(name, policies, where), [
      'function',
      name,
    ]);
    if (requestLimits.length > 0) {
      const message = '"by" needs a request, and a plain function has none; use "key".';
      throw new InvalidOptionsError([{ where, option: 'by', message }]);
    }
    this.functions.set(name, { policies, pipeline });
    return pipeline;
  }

  /** @internal What an interceptor runs around a handler, composed at its first use. @throws {@link InvalidOptionsError} */
  handlerProtection(spec: ResilientOptions, type: Type, handler: { readonly name: string }): Protection {
    let byClass = this.intercepted.get(spec);
    if (byClass === undefined) this.intercepted.set(spec, (byClass = new Map()));
    let byHandler = byClass.get(type);
    if (byHandler === undefined) byClass.set(type, (byHandler = new Map()));
    let protection = byHandler.get(handler);
    if (protection === undefined) {
      const name = `${type.name}.${handler.name}`;
      protection = this.protectFunction(planInterceptor(name, spec), [spec, type, handler]);
      byHandler.set(handler, protection);
    }
    return protection;
  }

  private protectFunction(plan: MethodPlan, owner: readonly unknown[]): Protection {
    this.check.refuse(plan, undefined, owner);
    return this.protect(plan);
  }

  private protect(plan: MethodPlan): Protection {
    return protect(plan, this.policies, this.clock, this.options, this.faults, this.durations);
  }

  /** The methods of a class that can be called from outside: their policies show before the first call. */
  private compileAll(type: Type): void {
    const prototype = type.prototype as Record<string | symbol, unknown>;
    for (const record of recordsOf(prototype)) {
      // What another decorator has put in the method's place calls it.
      const own = (record.owner as Record<string | symbol, unknown>)[record.key];
      if (prototype[record.key] === own) this.compiled(this.bind(type), record);
    }
  }

  private writeLimits(limits: readonly RateLimitPolicy[], context: ExecutionContext): void {
    if (limits.length === 0) return;
    const applied = limits.map((policy) => ({ policy, decision: policy.look() }));
    this.headers.writeLimits(responseOf(context), applied);
  }

  private nestedOptions(): CallOptions | undefined {
    const deadline = this.context?.deadline;
    return deadline === undefined ? undefined : { deadline: deadline - this.clock.now() };
  }
}

function recordIn(context: ExecutionContext): MethodRecord | undefined {
  return recordOfHandler(context.getClass().prototype as object, context.getHandler());
}

/** The record of a method as instances of the class have it. */
function recordOfMethod(type: Type, method: string | symbol): MethodRecord | undefined {
  const records = recordsOf(type.prototype as object).filter(({ key }) => key === method);
  const current = (type.prototype as Record<string | symbol, unknown>)[method];
  return records.find(({ interceptor }) => interceptor === current) ?? records[0];
}
