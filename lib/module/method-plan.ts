import type { Type } from '@nestjs/common';
import { parseDuration } from '../core/duration.js';
import type { OptionProblem } from '../core/errors.js';
import { describeValue } from '../core/option-form.js';
import { propertyOf } from '../core/property.js';
import { suggest } from '../core/suggest.js';
import { classRequestsOf, type MethodRecord, type PolicyRequest } from '../decorators/method-record.js';
import { httpKeyOf } from '../decorators/request-keys.js';
import { requestsOf, type ResilientOptions } from '../decorators/resilient.options.js';
import { orderProblems, type PipelinePolicy, type PipelineSlot } from '../pipeline/index.js';
import { hashesArguments } from '../policies/fallback/fallback.options.js';
import { FallbackChain, FallbackLevel, type FallbackOptions } from '../policies/fallback/index.js';
import type { HedgePolicy } from '../policies/hedge/index.js';
import { RateLimitPolicy } from '../policies/rate-limit/index.js';
import { RetryPolicy } from '../policies/retry/index.js';
import { hasOurGuard } from './handler-guards.js';
import {
  POLICY_KINDS,
  registerFallback,
  type NamedKind,
  type PolicyOptions,
  type PolicyTypes,
} from './policy-kinds.js';
import type { PolicyRegistry } from './policy-registry.js';

/** What a method asks for, once its class has had its say: the method's own wins, kind by kind. */
export interface MethodPlan {
  /** `PaymentsService.charge`. */
  readonly name: string;
  /** Outermost first. */
  readonly requests: readonly PolicyRequest[];
  readonly order: readonly PipelineSlot[] | undefined;
  readonly returns: 'promise' | 'observable';
  /** Whether requests come to it, so that a limit can be keyed by them. */
  readonly isHandler: boolean;
  /** Whether what comes are messages, which have no HTTP request. */
  readonly handlesMessages: boolean;
  /** Whether callers may say more than arguments, such as the key of a call. */
  readonly takesCallOptions: boolean;
  /** Whether the only argument of its calls is the context of a request. */
  readonly seesContext: boolean;
  /** What decorators have noticed already. */
  readonly mistakes: readonly OptionProblem[];
}

/** By what Nest knows a handler of HTTP requests: controllers, GraphQL resolvers of types and of fields. */
const REQUEST_METADATA = ['path', 'graphql:resolver_type', 'graphql:resolve_property'] as const;
/** And one of messages: WebSockets, microservices. */
const MESSAGE_METADATA = ['message', 'microservices:pattern'] as const;

/** The plan of a method for the instances of `type`, which may have inherited it. */
export function planMethod(type: Type, record: MethodRecord): MethodPlan {
  const byKind = new Map<NamedKind, PolicyRequest[]>();
  const layers = [...classRequestsOf(type.prototype as object), record];
  let order: readonly PipelineSlot[] | undefined;
  let { returns } = record;
  for (const layer of layers) {
    const kinds = new Set(layer.policies.map(({ kind }) => kind));
    for (const kind of kinds)
      byKind.set(
        kind,
        layer.policies.filter((request) => request.kind === kind),
      );
    order = layer.order ?? order;
    returns ??= layer.returns;
  }
  const name = methodName(type, record);
  const handler = handlerOf(type, record);
  return {
    name,
    requests: [...byKind.values()].flat().filter(isEnabled),
    order,
    returns: returns ?? 'promise',
    isHandler: handler !== undefined,
    handlesMessages: handler !== undefined && !hasAny(REQUEST_METADATA, handler),
    takesCallOptions: false,
    seesContext: false,
    mistakes: layers.flatMap(({ mistakes }) =>
      mistakes.map((mistake) => ({ ...mistake, where: `${mistake.where} on ${name}` })),
    ),
  };
}

/** The function that Nest calls with requests: the method, or what another decorator has put in its place, behind our guard. */
function handlerOf(type: Type, { interceptor, key }: MethodRecord): object | undefined {
  if (isHandler(interceptor)) return interceptor;
  const current = (type.prototype as Record<string | symbol, unknown>)[key];
  return typeof current === 'function' && isHandler(current) && hasOurGuard(current) ? current : undefined;
}

/** Whether requests come to a method. */
export function isHandler(method: object): boolean {
  return hasAny(REQUEST_METADATA, method) || hasAny(MESSAGE_METADATA, method);
}

function hasAny(keys: readonly string[], method: object): boolean {
  return keys.some((key) => Reflect.hasMetadata(key, method));
}

/** The plan of a function that belongs to no class: a handler behind an interceptor, a pipeline of the service. */
export function planFunction(
  name: string,
  policies: ResilientOptions,
  where: string,
  seesContext = false,
): MethodPlan {
  const { requests, mistakes } = requestsOf(where, policies);
  return {
    name,
    requests: requests.filter(isEnabled),
    order: propertyOf(policies, 'order') as PipelineSlot[] | undefined,
    returns: 'promise',
    isHandler: true,
    handlesMessages: false,
    takesCallOptions: !seesContext,
    seesContext,
    mistakes,
  };
}

/** The plan of an interceptor around a handler. */
export function planInterceptor(name: string, policies: ResilientOptions): MethodPlan {
  return planFunction(name, policies, 'ResilienceInterceptor.for', true);
}

function isEnabled({ disabled }: PolicyRequest): boolean {
  return disabled !== true;
}

/** `Class.method`; of a method that the class has overridden, which class's it is. */
function methodName(type: Type, record: MethodRecord): string {
  const name = `${type.name}.${String(record.key)}`;
  const reachable = (type.prototype as Record<string | symbol, unknown>)[record.key] === record.interceptor;
  return reachable || record.owner === type.prototype ? name : `${name} of ${record.owner.constructor.name}`;
}

/** Declares what a plan says about named policies; what is wrong with that, or with its options, comes back. */
export function declarePlan(
  plan: MethodPlan,
  type: Type | undefined,
  registry: PolicyRegistry,
): OptionProblem[] {
  const problems = [...plan.mistakes, ...orderProblems(plan.order, `@Resilient on ${plan.name}`)];
  for (const request of plan.requests) {
    const { kind, name, options, instance } = request;
    const where = placeOf(request, plan);
    if (instance !== undefined) {
      problems.push(...instanceProblems(request, where));
      continue;
    }
    problems.push(
      ...(name === undefined
        ? registry.problemsOf(kind, undefined, options === undefined ? {} : options, where)
        : registry.declare(kind, name, options, where)),
    );
    if (kind === 'fallback') {
      problems.push(
        ...fallbackMethodProblems(options, type, plan, where),
        ...primaryProblems(options, where),
      );
    }
  }
  problems.push(...ambiguousFallbacks(plan));
  return problems;
}

/** What can only be said once all plans have been declared: names that nobody describes, policies that do not fit. */
export function checkPlan(plan: MethodPlan, registry: PolicyRegistry): OptionProblem[] {
  const problems: OptionProblem[] = [];
  for (const request of plan.requests) {
    const { kind, name, instance } = request;
    const where = placeOf(request, plan);
    if (kind === 'fallback' && plan.seesContext)
      problems.push(...keylessCacheProblems(request, registry, where));
    if (instance !== undefined) continue;
    if (name !== undefined && request.options === undefined)
      problems.push(...registry.nameProblems(kind, name, where));
    if (kind !== 'retry') continue;
    const { budget } = registry.optionsOf('retry', name, name === undefined ? request.options : undefined);
    if (typeof budget === 'string') {
      problems.push(
        ...registry
          .nameProblems('retryBudget', budget, where)
          .map((problem) => ({ ...problem, option: 'budget' })),
      );
    }
  }
  problems.push(...backoffProblems(plan, registry), ...timeoutProblems(plan, registry));
  problems.push(
    ...requestKeyProblems(plan, registry),
    ...hedgeProblems(plan, registry),
    ...streamProblems(plan),
    ...keyProblems(plan, registry),
  );
  return problems;
}

/** The policies of a plan, made or found, outermost first within their kinds. */
export function policiesOf(plan: MethodPlan, registry: PolicyRegistry): PipelinePolicy[] {
  const policies: PipelinePolicy[] = [];
  const simple = plan.requests.filter(isSimpleFallback);
  // Hedges last: they share the budget of the method's retry.
  const requests = plan.requests.toSorted((a, b) => Number(a.kind === 'hedge') - Number(b.kind === 'hedge'));
  for (const request of requests) {
    if (!isSimpleFallback(request)) policies.push(policyOf(request, plan, policies, registry));
    else if (request === simple[0]) policies.push(mergedFallback(simple, plan, registry));
  }
  return policies;
}

/** Whether a request asks for a fallback of its own without levels: those of one method are one policy. */
function isSimpleFallback({ kind, name, instance, options }: PolicyRequest): boolean {
  return (
    kind === 'fallback' &&
    name === undefined &&
    instance === undefined &&
    propertyOf(options, 'levels') === undefined
  );
}

function mergedFallback(
  requests: readonly PolicyRequest[],
  plan: MethodPlan,
  registry: PolicyRegistry,
): FallbackChain {
  return registry.own('fallback', plan.name, (name) => {
    const chain = new FallbackChain(name, {}, registry.environment);
    for (const { options } of requests)
      registerFallback(chain, registry.optionsOf('fallback', undefined, options));
    return chain;
  });
}

function policyOf(
  request: PolicyRequest,
  plan: MethodPlan,
  made: readonly PipelinePolicy[],
  registry: PolicyRegistry,
): PipelinePolicy {
  const { kind, name, options, instance } = request;
  if (instance !== undefined) return instance as PipelinePolicy;
  if (name !== undefined) return registry.get(kind, name);
  if (kind === 'hedge') return ownHedge(options, plan, made, registry);
  return registry.own(kind, plan.name, (unique) =>
    createOwn(kind, unique, options, registry),
  ) as PipelinePolicy;
}

/** A hedge of one method draws on the budget of that method's retry, unless it was given one. */
function ownHedge(
  options: object | undefined,
  plan: MethodPlan,
  made: readonly PipelinePolicy[],
  registry: PolicyRegistry,
): HedgePolicy {
  const given = registry.optionsOf('hedge', undefined, options);
  const retry = made.find((policy): policy is RetryPolicy => policy instanceof RetryPolicy);
  const budget = given.budget ?? (retry === undefined ? undefined : (retry.budget ?? false));
  return registry.own('hedge', plan.name, (unique) =>
    POLICY_KINDS.hedge.create(
      unique,
      { ...given, ...(budget !== undefined && { budget }) },
      registry.environment,
    ),
  );
}

function createOwn<K extends NamedKind>(
  kind: K,
  name: string,
  options: object | undefined,
  registry: PolicyRegistry,
): PolicyTypes[K] {
  return POLICY_KINDS[kind].create(name, registry.optionsOf(kind, undefined, options), registry.environment);
}

/** Whether a policy limits requests, before the handler, and not calls. */
export function isRequestLimit(policy: PipelinePolicy): policy is RateLimitPolicy {
  return policy instanceof RateLimitPolicy && policy.requestKey !== undefined;
}

function placeOf({ decorator }: PolicyRequest, plan: MethodPlan): string {
  return `${decorator} on ${plan.name}`;
}

function instanceProblems({ kind, instance }: PolicyRequest, where: string): OptionProblem[] {
  const made = (instance as { kind?: unknown }).kind;
  if (made === kind) return [];
  return [
    {
      where,
      message: `This place takes a policy of kind "${kind}", got one of kind ${JSON.stringify(made)}.`,
    },
  ];
}

function fallbackMethodProblems(
  options: FallbackOptions | undefined,
  type: Type | undefined,
  plan: MethodPlan,
  where: string,
): OptionProblem[] {
  if (typeof options !== 'object') return [];
  const levels = Array.isArray(options.levels) ? options.levels : [];
  const names = [options.use, ...levels.map((step) => (step as { use?: unknown } | null)?.use)];
  return names.flatMap((name): OptionProblem[] => {
    if (typeof name !== 'string') return [];
    if (type === undefined) {
      const message = `"${name}" would be a method, and there is no class here; give a function.`;
      return [{ where, option: 'use', message }];
    }
    if (plan.name === `${type.name}.${name}`)
      return [{ where, option: 'use', message: `A method cannot be its own fallback.` }];
    if (typeof (type.prototype as Record<string, unknown>)[name] === 'function') return [];
    const meant = suggest(name, methodNames(type));
    const hint = meant === undefined ? '' : ` Did you mean "${meant}"?`;
    return [
      { where, option: 'use', message: `${type.name} has no method "${name}" to fall back to.${hint}` },
    ];
  });
}

/** A method is its own primary. A chain that is only named may have another, for those who execute it by itself. */
function primaryProblems(options: FallbackOptions | undefined, where: string): OptionProblem[] {
  const levels: unknown = propertyOf(options, 'levels');
  if (!Array.isArray(levels) || !levels.some((step) => propertyOf(step, 'level') === FallbackLevel.PRIMARY))
    return [];
  const message = `Level "${FallbackLevel.PRIMARY}" is the method itself, and its "use" would never run: leave it out, or make it a "${FallbackLevel.REPLICA}".`;
  return [{ where, option: 'levels', message }];
}

/** What of a request its answer depends on, its user perhaps, nobody can guess. */
function keylessCacheProblems(
  { name, instance, options }: PolicyRequest,
  registry: PolicyRegistry,
  where: string,
): OptionProblem[] {
  const hashes =
    instance === undefined
      ? hashesArguments(registry.optionsOf('fallback', name, name === undefined ? options : undefined))
      : (instance as FallbackChain).hashesArguments;
  if (!hashes) return [];
  const message =
    'A cache level around a handler needs "key": which parts of a request its answer depends on, such as its user, cannot be guessed. It sees the ExecutionContext.';
  return [{ where, option: 'levels', message }];
}

function methodNames(type: Type): string[] {
  const names: string[] = [];
  for (
    let link = type.prototype as object;
    link !== Object.prototype;
    link = Object.getPrototypeOf(link) as object
  ) {
    names.push(...Object.getOwnPropertyNames(link).filter((name) => name !== 'constructor'));
  }
  return names;
}

/** Two fallbacks for the same errors: nobody could tell which one answers. */
function ambiguousFallbacks(plan: MethodPlan): OptionProblem[] {
  const seen = new Map<unknown, PolicyRequest>();
  return plan.requests.filter(isSimpleFallback).flatMap((request): OptionProblem[] => {
    const on = propertyOf(request.options, 'on');
    const parts: readonly unknown[] = Array.isArray(on) ? on : [on];
    return parts.flatMap((part): OptionProblem[] => {
      if (!seen.has(part)) {
        seen.set(part, request);
        return [];
      }
      const errors =
        typeof part === 'function' ? part.name : part === undefined ? 'all errors' : describeValue(part);
      return [
        {
          where: placeOf(request, plan),
          option: 'on',
          message: `Two fallbacks answer for ${errors}; give each its own "on".`,
        },
      ];
    });
  });
}

/** The options of a plan's policies of one kind, each with its request; those that the user made tell none. */
function optionsIn<K extends NamedKind & PolicyRequest['kind']>(
  plan: MethodPlan,
  kind: K,
  registry: PolicyRegistry,
): (readonly [PolicyRequest, PolicyOptions[K]])[] {
  return plan.requests
    .filter((request) => request.kind === kind && request.instance === undefined)
    .map((request) => {
      const own = request.name === undefined ? request.options : undefined;
      return [request, registry.optionsOf(kind, request.name, own)];
    });
}

/** Two timeouts of one method: neither may bound an attempt beyond what the other leaves for all. */
function timeoutProblems(plan: MethodPlan, registry: PolicyRegistry): OptionProblem[] {
  const timeouts = optionsIn(plan, 'timeout', registry);
  return timeouts.flatMap(([request, { duration }]) =>
    timeouts.flatMap(([other, { total }]): OptionProblem[] => {
      const durationMs = duration === undefined ? undefined : parseDuration(duration);
      const totalMs = total === undefined ? undefined : parseDuration(total);
      if (request === other || durationMs === undefined || totalMs === undefined || durationMs <= totalMs)
        return [];
      const message = `"duration" of ${durationMs} ms, for one attempt, is above "total" of ${totalMs} ms, for all of them.`;
      return [{ where: placeOf(request, plan), option: 'duration', message }];
    }),
  );
}

/** Running a method twice at the same time must be harmless, and somebody must have said so. */
function hedgeProblems(plan: MethodPlan, registry: PolicyRegistry): OptionProblem[] {
  if (plan.requests.some(({ kind }) => kind === 'idempotency')) return [];
  return optionsIn(plan, 'hedge', registry).flatMap(([request, { idempotent }]): OptionProblem[] => {
    if (idempotent === true) return [];
    const message =
      'A hedge runs the method a second time beside the first: add @Idempotent, or say "idempotent: true" where that does no harm.';
    return [{ where: placeOf(request, plan), option: 'idempotent', message }];
  });
}

/** A limit by request, where none ever comes. */
function requestKeyProblems(plan: MethodPlan, registry: PolicyRegistry): OptionProblem[] {
  return optionsIn(plan, 'rateLimit', registry).flatMap(([request, { by }]): OptionProblem[] => {
    const found = requestKeyProblem(plan, by);
    return found === undefined ? [] : [{ where: placeOf(request, plan), option: 'by', message: found }];
  });
}

function requestKeyProblem(plan: MethodPlan, by: unknown): string | undefined {
  if (by === undefined) return undefined;
  if (!plan.isHandler)
    return `"by" needs a request, and ${plan.name} is no handler: nothing would ever limit it. Use "key", which sees the call.`;
  const written = plan.handlesMessages ? httpKeyOf(by) : undefined;
  if (written === undefined) return undefined;
  return `${written} looks at HTTP requests, and ${plan.name} gets messages: nothing would ever limit it. Give a function of the context, such as (context) => context.switchToRpc().getData().tenant.`;
}

/** Who can give no key of a call must say where it stands: else every call would be refused. */
function keyProblems(plan: MethodPlan, registry: PolicyRegistry): OptionProblem[] {
  if (plan.takesCallOptions) return [];
  const example = plan.seesContext
    ? "({ args: [context] }) => context.switchToHttp().getRequest().headers['idempotency-key']"
    : '({ args: [order] }) => order.id';
  return optionsIn(plan, 'idempotency', registry).flatMap(
    ([request, { key, onMissingKey }]): OptionProblem[] => {
      if (key !== undefined || onMissingKey === 'pass') return [];
      const message = `"key" is missing, so every call would be refused. Say what tells a repeated call from a new one, such as key: ${example}.`;
      return [{ where: placeOf(request, plan), option: 'key', message }];
    },
  );
}

/** What takes an answer from elsewhere cannot take back the values that a subscriber has seen. */
function streamProblems(plan: MethodPlan): OptionProblem[] {
  if (plan.returns !== 'observable') return [];
  return plan.requests
    .filter(({ kind }) => kind === 'hedge' || kind === 'idempotency')
    .map((request) => ({
      where: placeOf(request, plan),
      message: 'It cannot stand on a method that returns an Observable; return a Promise.',
    }));
}

/** A first back-off that is longer than the whole call may take never runs. */
function backoffProblems(plan: MethodPlan, registry: PolicyRegistry): OptionProblem[] {
  const totals = optionsIn(plan, 'timeout', registry).map(([, { total }]) => total);
  return optionsIn(plan, 'retry', registry).flatMap(([request, options]) => {
    const { baseDelay = '100ms', maxRetries = 3, maxElapsed, backoff } = options;
    const baseMs = parseDuration(baseDelay);
    if (baseMs === undefined || maxRetries === 0 || typeof backoff === 'function') return [];
    const bounds = [
      ['"maxElapsed"', maxElapsed] as const,
      ...totals.map((total) => ['the timeout\'s "total"', total] as const),
    ];
    return bounds.flatMap(([bound, given]): OptionProblem[] => {
      const boundMs = given === undefined ? undefined : parseDuration(given);
      if (boundMs === undefined || baseMs < boundMs) return [];
      const message = `"baseDelay" of ${baseMs} ms does not fit into ${bound} of ${boundMs} ms: no retry could ever run.`;
      return [{ where: placeOf(request, plan), option: 'baseDelay', message }];
    });
  });
}
