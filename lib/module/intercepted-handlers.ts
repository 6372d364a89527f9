import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { isHandler } from './method-plan.js';

/** A method that requests come to. */
type Handler = object & { readonly name: string };

/** A handler with one of the interceptors in front of it. */
export interface InterceptedHandler {
  readonly type: Type;
  readonly key: string;
  readonly handler: Handler;
  readonly interceptor: unknown;
}

/** Each handler with each interceptor in front of it, outermost first: global ones, those of its class, its own. */
export function* interceptedHandlers(modules: ModulesContainer): Generator<InterceptedHandler> {
  const everywhere = globalInterceptors(modules);
  for (const type of handlingClasses(modules)) {
    for (const [key, handler] of handlersOf(type)) {
      const interceptors = [...everywhere, ...interceptorsOn(type), ...interceptorsOn(handler)];
      for (const interceptor of interceptors) yield { type, key, handler, interceptor };
    }
  }
}

function globalInterceptors(modules: ModulesContainer): unknown[] {
  const providers = [...modules.values()].flatMap((module) => [...module.providers.values()]);
  return providers.filter(({ subtype }) => subtype === 'interceptor').map(({ metatype }) => metatype);
}

function handlingClasses(modules: ModulesContainer): Set<Type> {
  const wrappers = [...modules.values()].flatMap(({ controllers, providers }) => [
    ...controllers.values(),
    ...providers.values(),
  ]);
  return new Set(
    wrappers.flatMap(({ metatype, inject }) =>
      typeof metatype === 'function' && !Array.isArray(inject) ? [metatype as Type] : [],
    ),
  );
}

/** The methods of a class that requests come to, its own and inherited. */
function handlersOf(type: Type): Map<string, Handler> {
  const handlers = new Map<string, Handler>();
  for (
    let link = type.prototype as object | null;
    typeof link === 'object' && link !== null && link !== Object.prototype;
    link = Object.getPrototypeOf(link) as object | null
  ) {
    for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(link))) {
      if (typeof value === 'function' && key !== 'constructor' && !handlers.has(key) && isHandler(value))
        handlers.set(key, value as Handler);
    }
  }
  return handlers;
}

/** By Nest's own names: `@UseInterceptors()`. */
function interceptorsOn(target: object): unknown[] {
  return (Reflect.getMetadata('__interceptors__', target) as unknown[] | undefined) ?? [];
}
