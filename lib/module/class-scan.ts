import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { recordsOf } from '../decorators/method-record.js';

/** A module as Nest's container has it. */
export type ModuleEntry = ModulesContainer extends Map<string, infer Entry> ? Entry : never;

/** A provider, controller or enhancer of an application. */
export interface ScannedProvider {
  /** The name of the module that has it. */
  readonly module: string;
  /** Its class, where it has one. */
  readonly metatype: unknown;
  /** Whether the application has just one instance of it, and not one per request or per use. */
  readonly isSingle: boolean;
  /** What it was made into, where that has happened already; of a class, perhaps no more than a placeholder. */
  readonly instance: unknown;
  /** Replaces the factory before it has run. */
  replaceFactory?: (wrap: (factory: AnyFunction) => AnyFunction) => void;
  /** Of a factory that is running: what it made, once that is there. */
  readonly made?: Promise<unknown>;
}

type AnyFunction = (...args: unknown[]) => unknown;

interface WrapperLike {
  metatype: unknown;
  readonly instance: unknown;
  readonly inject?: unknown;
  readonly isAlias?: boolean;
  readonly isTransient: boolean;
  isDependencyTreeStatic(): boolean;
  readonly settlementSignal?: { asPromise(): Promise<unknown> };
}

/** Everything that Nest's injector makes or holds for an application. */
export function* scanProviders(modules: ModulesContainer): Generator<ScannedProvider> {
  for (const module of modules.values()) yield* scanModule(module);
}

/** What one module has. */
export function* scanModule(module: ModuleEntry): Generator<ScannedProvider> {
  const collections = [module.providers, module.controllers, module.injectables];
  for (const collection of collections) {
    for (const entry of collection.values()) {
      const wrapper = entry as unknown as WrapperLike;
      // An alias is a factory to Nest; what it stands for is scanned under its own token.
      if (wrapper.isAlias === true) continue;
      const isFactory = Array.isArray(wrapper.inject) && typeof wrapper.metatype === 'function';
      yield {
        module: module.name,
        metatype: isFactory ? undefined : wrapper.metatype,
        isSingle: !wrapper.isTransient && wrapper.isDependencyTreeStatic(),
        instance: wrapper.instance,
        ...(isFactory && {
          replaceFactory: (wrap) => {
            wrapper.metatype = wrap(wrapper.metatype as AnyFunction);
          },
          made: wrapper.settlementSignal?.asPromise().then(() => wrapper.instance),
        }),
      };
    }
  }
}

/** The class of a provider, if any of its methods is decorated. */
export function decoratedClassOf(provider: ScannedProvider): Type | undefined {
  const { metatype, instance } = provider;
  if (typeof metatype === 'function' && hasDecoratedMethods(metatype.prototype)) return metatype as Type;
  if (isDecoratedInstance(instance)) return instance.constructor as Type;
  return undefined;
}

/** Whether an object is an instance of a class with decorated methods. */
export function isDecoratedInstance(instance: unknown): instance is object {
  return (
    typeof instance === 'object' && instance !== null && hasDecoratedMethods(Object.getPrototypeOf(instance))
  );
}

function hasDecoratedMethods(prototype: unknown): boolean {
  return typeof prototype === 'object' && prototype !== null && recordsOf(prototype).length > 0;
}
