import type { ExecutionContext, Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { Call, type CallOptions, type Invoke } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { clockOf } from '../core/environment.js';
import {
  InvalidOptionsError,
  RateLimitExceededError,
  ResilienceError,
  type OptionProblem,
} from '../core/errors.js';
import { EventHub } from '../core/events.js';
import { runCall } from '../core/execute.js';
import { refuseProblems } from '../core/option-table.js';
import { recordOf, recordsOf, type MethodRecord } from '../decorators/method-record.js';
import { requestsOf, type ResilientOptions } from '../decorators/policy.decorators.js';
import type { ClassBinding, MethodRun, Runtime } from '../decorators/runtime.js';
import { Pipeline, completeOrder } from '../pipeline/index.js';
import type { RateLimitPolicy } from '../policies/rate-limit/index.js';
import { decoratedClassOf, scanProviders } from './class-scan.js';
import { isTranslatable, responseOf, translateFor, type HeaderWriter } from './error-translation.js';
import { FeaturePolicies } from './feature-policies.js';
import {
  checkPlan,
  declarePlan,
  isRequestLimit,
  planMethod,
  policiesOf,
  type MethodPlan,
} from './method-plan.js';
import { createMethodRun } from './method-run.js';
import { PolicyRegistry } from './policy-registry.js';
import { RequestContext } from './request-context.js';
import { moduleProblems, type ResilienceModuleOptions } from './resilience.options.js';
import { writeErrorHeaders, writeLimitHeaders, type LimitInForce } from './response-headers.js';

/** A method as it runs in this application. */
interface CompiledMethod {
  readonly plan: MethodPlan;
  readonly pipeline: Pipeline;
  readonly run: MethodRun;
  /** Limits that a guard applies, once per request. */
  readonly requestLimits: readonly RateLimitPolicy[];
  /** Limits that run in the pipeline. */
  readonly limits: readonly RateLimitPolicy[];
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
    const { run } = this.runtime.compiled(this, record);
    this.runs[record.index] = run;
    return run;
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
  readonly context: RequestContext | undefined;
  readonly warnings: string[] = [];
  private readonly bindings = new Map<Type, Binding>();
  private readonly intercepted = new WeakMap<object, Map<unknown, Pipeline>>();
  /** Requests whose limits have been applied, so that a global guard and a handler's own do so once. */
  private readonly limited = new WeakSet<object>();
  private readonly features = new WeakSet<FeaturePolicies>();
  private readonly headerStyle: 'standard' | 'legacy' | 'both' | 'none';

  /** @throws {@link InvalidOptionsError} with every problem of the application. */
  constructor(
    private readonly options: ResilienceModuleOptions,
    private readonly modules: ModulesContainer,
    private readonly headers: HeaderWriter,
  ) {
    this.clock = clockOf(options);
    this.context = options.requestContext === true ? new RequestContext() : undefined;
    this.headerStyle = options.http?.rateLimitHeaders ?? 'standard';
    this.policies = new PolicyRegistry(options.defaults ?? {}, options.maxPolicies ?? 10_000, {
      clock: this.clock,
      random: options.random,
      events: this.events,
      stackTraces: options.stackTraces,
    });
    this.checkApplication();
    this.policies.createConfigured();
  }

  /** Takes the policies of a module that was loaded after the start. @throws {@link InvalidOptionsError} */
  addFeature(feature: FeaturePolicies): void {
    refuseProblems(this.takeFeature(feature));
  }

  /** Whether clients are told about errors of policies in their transport's own way. */
  get translates(): boolean {
    return this.options.http?.translateErrors !== false;
  }

  get hasHeaders(): boolean {
    return this.headerStyle !== 'none';
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
    // Classes that came after the start (lazy modules, factories) are looked at here.
    const problems = declarePlan(plan, type, this.policies);
    refuseProblems(problems.length > 0 ? problems : checkPlan(plan, this.policies));
    const policies = this.options.enabled === false ? [] : policiesOf(plan, this.policies);
    const requestLimits = policies.filter(isRequestLimit);
    const inside = policies.filter((policy) => !isRequestLimit(policy));
    const pipeline = new Pipeline(
      plan.name,
      inside,
      this.clock,
      completeOrder(plan.order ?? this.options.order),
    );
    const compiled: CompiledMethod = {
      plan,
      pipeline,
      run: createMethodRun(record, plan, pipeline, this.clock, this.context),
      requestLimits,
      limits: inside.filter((policy): policy is RateLimitPolicy => policy.kind === 'rateLimit'),
    };
    binding.methods.set(record, compiled);
    return compiled;
  }

  /** Compiles again at the next call: an update may have changed what a pipeline is made of. */
  recompile(): void {
    for (const binding of this.bindings.values()) {
      for (const [record, method] of binding.methods) {
        const order = completeOrder(method.plan.order ?? this.options.order);
        const pipeline = new Pipeline(method.plan.name, method.pipeline.policies, this.clock, order);
        const run = createMethodRun(record, method.plan, pipeline, this.clock, this.context);
        binding.methods.set(record, { ...method, pipeline, run });
        if (binding.runs[record.index] !== undefined) binding.runs[record.index] = run;
      }
    }
  }

  /** What runs around a method, a policy a line, outermost first. */
  describe(type: Type, method: string | symbol): string {
    const record = recordsOf(type.prototype as object).find(({ key }) => key === method);
    if (record === undefined)
      throw new Error(`${type.name}.${String(method)} carries no decorator of this package.`);
    const { pipeline, requestLimits } = this.compiled(this.bind(type), record);
    const guards = requestLimits.map(
      (policy) => `  (guard) rateLimit  "${policy.name}": ${policy.describe()}`,
    );
    const [head, ...lines] = pipeline.describe().split('\n');
    return [head, ...guards, ...lines].join('\n');
  }

  limitRequest(context: ExecutionContext): void {
    const record = recordOf(context.getHandler());
    if (record === undefined) return;
    const { requestLimits } = this.compiled(this.bind(context.getClass()), record);
    if (requestLimits.length === 0 || this.limited.has(context)) return;
    this.limited.add(context);
    const response = responseOf(context);
    const applied: LimitInForce[] = [];
    for (const policy of requestLimits) {
      const { by, skip } = policy.requestKey as {
        by: (c: object) => string | undefined;
        skip?: (c: object) => boolean;
      };
      if (skip?.(context) === true) continue;
      const key = by(context);
      if (key === undefined) continue;
      const decision = policy.decide(key, policy.costOf(new Call(nothing, undefined, [context])));
      if (!decision.allowed) throw policy.refusal(decision);
      applied.push({ policy, decision });
    }
    if (response !== undefined) writeLimitHeaders(this.headers, response, this.headerStyle, applied);
  }

  writeHeaders(context: ExecutionContext): void {
    const response = responseOf(context);
    const record = recordOf(context.getHandler());
    if (response === undefined || record === undefined) return;
    const { limits } = this.compiled(this.bind(context.getClass()), record);
    if (limits.length === 0) return;
    const applied = limits.map((policy) => ({ policy, decision: policy.look() }));
    writeLimitHeaders(this.headers, response, this.headerStyle, applied);
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
    writeErrorHeaders(this.headers, response, this.headerStyle, error, limit);
  }

  async intercept(
    spec: ResilientOptions,
    context: ExecutionContext,
    args: unknown[],
    run: () => unknown,
  ): Promise<unknown> {
    const pipeline = this.interceptorPipeline(spec, context);
    const call = new Call(run, undefined, args, this.nestedOptions());
    try {
      return await runCall(call, this.clock, pipeline.run);
    } finally {
      if (call.fallbackLevel !== undefined) this.markDegraded(call.fallbackLevel, responseOf(context));
    }
  }

  /** The pipeline of plain functions under a name. */
  pipeline(name: string, policies: ResilientOptions, where: string): Pipeline {
    const plan: MethodPlan = {
      name,
      requests: requestsOf(where, policies),
      order: policies.order,
      returns: 'promise',
    };
    const problems = declarePlan(plan, Object as unknown as Type, this.policies);
    refuseProblems(problems.length > 0 ? problems : checkPlan(plan, this.policies));
    const made = this.options.enabled === false ? [] : policiesOf(plan, this.policies);
    return new Pipeline(name, made, this.clock, completeOrder(policies.order ?? this.options.order));
  }

  private interceptorPipeline(spec: ResilientOptions, context: ExecutionContext): Pipeline {
    const handler = context.getHandler();
    let bySpec = this.intercepted.get(spec);
    if (bySpec === undefined) this.intercepted.set(spec, (bySpec = new Map()));
    let pipeline = bySpec.get(handler);
    if (pipeline === undefined) {
      const name = `${context.getClass().name}.${handler.name}`;
      pipeline = this.pipeline(name, spec, 'ResilienceInterceptor.for');
      bySpec.set(handler, pipeline);
    }
    return pipeline;
  }

  private nestedOptions(): CallOptions | undefined {
    const outer = this.context?.call;
    if (outer === undefined || outer.deadline === undefined) return undefined;
    return { deadline: outer.deadline - this.clock.now() };
  }

  private markDegraded(level: string, response: unknown): void {
    if (response === undefined) return;
    this.headers.setHeader(response, 'X-Degraded-Mode', 'true');
    this.headers.setHeader(response, 'X-Degraded-Level', level);
  }

  /** Looks at every decorated class before anything is made. */
  private checkApplication(): void {
    const problems: OptionProblem[] = [
      ...moduleProblems(this.options),
      ...this.policies.configure(this.options, 'ResilienceModule.forRoot'),
    ];
    for (const { instance } of scanProviders(this.modules)) {
      if (instance instanceof FeaturePolicies) problems.push(...this.takeFeature(instance));
    }
    const plans: MethodPlan[] = [];
    for (const type of this.decoratedClasses()) {
      for (const record of recordsOf(type.prototype as object)) {
        const plan = planMethod(type, record);
        plans.push(plan);
        problems.push(...declarePlan(plan, type, this.policies));
        if (record.foreignWrapper) {
          this.warnings.push(
            `${plan.name}: another decorator replaced the method between two of ours, which makes two pipelines. Put ours next to each other.`,
          );
        }
      }
    }
    for (const plan of plans) problems.push(...checkPlan(plan, this.policies));
    if (problems.length > 0) throw new InvalidOptionsError(problems);
  }

  private takeFeature(feature: FeaturePolicies): OptionProblem[] {
    if (this.features.has(feature)) return [];
    this.features.add(feature);
    const problems = feature.problems();
    return problems.length > 0
      ? problems
      : this.policies.configure(feature.policies, 'ResilienceModule.forFeature');
  }

  private decoratedClasses(): Set<Type> {
    const types = new Set<Type>();
    for (const provider of scanProviders(this.modules)) {
      const type = decoratedClassOf(provider);
      if (type !== undefined) types.add(type);
    }
    return types;
  }
}

const nothing: Invoke = () => undefined;
