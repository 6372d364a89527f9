import type { ModulesContainer } from '@nestjs/core';
import type { Injectable } from './call-graph.js';

/** What we read of Nest's record of a provider. */
interface WrapperLike {
  readonly metatype: unknown;
  readonly instance: unknown;
  /** Of a factory. */
  readonly inject?: unknown;
  isDependencyTreeStatic(): boolean;
  getCtorMetadata(): readonly (WrapperLike | undefined)[] | undefined;
  getPropertiesMetadata(): readonly { readonly key: unknown; readonly wrapper: WrapperLike }[] | undefined;
}

type Growing = Injectable & { dependencies: { key: string | undefined; injectable: Injectable }[] };

/** The providers and controllers of an application by class, each with what Nest's injector found for it. */
export function injectablesOf(modules: ModulesContainer): Map<object, Injectable> {
  const byType = new Map<object, Growing>();
  const wrappers = new Set<WrapperLike>();
  for (const module of modules.values()) {
    for (const collection of [module.providers, module.controllers, module.injectables])
      for (const entry of collection.values()) wrappers.add(entry);
  }
  for (const wrapper of wrappers) {
    const injectable = injectableOf(wrapper, byType);
    if (injectable === undefined) continue;
    const injected = [
      ...(wrapper.getCtorMetadata() ?? []).map((dependency) => ({ key: undefined, wrapper: dependency })),
      ...(wrapper.getPropertiesMetadata() ?? []),
    ];
    for (const { key, wrapper: dependency } of injected) {
      const found = dependency && injectableOf(dependency, byType);
      if (found === undefined) continue;
      injectable.dependencies.push({ key: typeof key === 'string' ? key : undefined, injectable: found });
    }
  }
  return byType;
}

function injectableOf(wrapper: WrapperLike, byType: Map<object, Growing>): Growing | undefined {
  const type = typeOf(wrapper);
  if (type === undefined) return undefined;
  let injectable = byType.get(type);
  if (injectable === undefined) {
    const instance = wrapper.isDependencyTreeStatic() ? (wrapper.instance as object | null) : null;
    injectable = { type, instance: instance ?? undefined, dependencies: [] };
    byType.set(type, injectable);
  }
  return injectable;
}

/** The class of what is injected: that of the object, as a token or a factory may stand for any. */
function typeOf({ metatype, instance, inject }: WrapperLike): object | undefined {
  if (typeof instance === 'object' && instance !== null) {
    const type: unknown = instance.constructor;
    return typeof type === 'function' && type !== Object ? type : undefined;
  }
  return typeof metatype === 'function' && !Array.isArray(inject) ? metatype : undefined;
}
