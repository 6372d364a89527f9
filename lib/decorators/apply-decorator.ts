import { UseGuards, UseInterceptors, type Type } from '@nestjs/common';
import type { OptionProblem } from '../core/errors.js';
import { propertyOf } from '../core/property.js';
import { refuseStandardDecorator } from './standard-decorator.js';
import type { PipelineSlot } from '../pipeline/order.js';
import type { ResilienceDecorator } from './decorator-types.js';
import { attachToHandler, markMethod } from './method-interceptor.js';
import {
  classRequestsOf,
  emptyRequests,
  recordsOf,
  registry,
  type MethodRecord,
  type PolicyRequest,
  type Requests,
} from './method-record.js';
import { HandlerRateLimitGuard } from './rate-limit.guard.js';
import { ResilienceInterceptor } from './resilience.interceptor.js';

/** What one decorator says. */
export interface Statement {
  /** As a user wrote it: `@Retry`. */
  readonly decorator: string;
  /** Outermost first. */
  readonly requests: readonly PolicyRequest[];
  readonly mistakes: readonly OptionProblem[];
  readonly order?: readonly PipelineSlot[] | undefined;
  readonly returns?: 'promise' | 'observable' | undefined;
}

/** The decorator that records a statement about a method or a class. Options are validated at start, all together. */
export function decoratorOf(statement: Statement): ResilienceDecorator {
  const decorate = (target: object, key?: string | symbol, descriptor?: PropertyDescriptor) => {
    refuseStandardDecorator(statement.decorator, key);
    if (key === undefined) {
      decorateClass(statement, target as Type);
      return undefined;
    }
    const marked = markMethod(statement.decorator, target, key, descriptor);
    record(statement, marked.record);
    attach(statement, marked.record);
    const inherited = classRequestsOf(target);
    if (inherited.some(({ policies }) => policies.some(mayBeRequestKeyed))) attachGuard(marked.record);
    return marked.descriptor;
  };
  return decorate;
}

function decorateClass(statement: Statement, type: Type): void {
  const prototype = type.prototype as object;
  const requests = registry.classes.get(prototype) ?? emptyRequests();
  registry.classes.set(prototype, requests);
  record(statement, requests);
  for (const method of registry.byOwner.get(prototype) ?? []) attach(statement, method);
  if (statement.requests.some(mayBeRequestKeyed)) recordsOf(prototype).forEach(attachGuard);
}

function record(statement: Statement, requests: Requests): void {
  requests.policies.unshift(...statement.requests);
  requests.mistakes.push(...statement.mistakes);
  requests.order = statement.order ?? requests.order;
  requests.returns = statement.returns ?? requests.returns;
}

/**
 * On a handler, the interceptor does what needs the request: headers, and the transport's own errors. It costs what any
 * interceptor costs, so a method gets one only for a policy that runs inside the handler.
 */
function attach(statement: Statement, method: MethodRecord): void {
  const { requests } = statement;
  if (requests.some(mayBeRequestKeyed)) attachGuard(method);
  if (!method.interceptorAttached && !(requests.length > 0 && requests.every(isRequestKeyed))) {
    method.interceptorAttached = true;
    attachToHandler(method, UseInterceptors(ResilienceInterceptor));
  }
}

/** On the handler and never on its class, whose guards run before those of the handler. */
function attachGuard(method: MethodRecord): void {
  if (method.guardAttached) return;
  method.guardAttached = true;
  const guard = UseGuards(HandlerRateLimitGuard);
  attachToHandler(method, guard);
  const current: unknown = Object.getOwnPropertyDescriptor(method.owner, method.key)?.value;
  // Above a class, the function of another decorator stands in the method's place already.
  if (current !== method.interceptor && current !== method.original)
    guard(method.owner, method.key, { value: current });
}

function isRequestKeyed({ kind, options }: PolicyRequest): boolean {
  return kind === 'rateLimit' && propertyOf(options, 'by') !== undefined;
}

/** What a limit does not say itself, the configuration or its defaults may: also that it is keyed by the request. */
function mayBeRequestKeyed({ kind, disabled }: PolicyRequest): boolean {
  return kind === 'rateLimit' && disabled !== true;
}
