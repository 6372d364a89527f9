import type { ModulesContainer } from '@nestjs/core';
import { RUNTIME_KEY, bindingOf, setBinding, type Runtime } from '../decorators/runtime.js';
import {
  isDecoratedInstance,
  scanModule,
  scanProviders,
  type ModuleEntry,
  type ScannedProvider,
} from './class-scan.js';

/**
 * Ties instances to the runtime that Nest's injector does not make itself: those of `useValue`, and what factories
 * return, in every scope. They are let go when the application closes.
 */
export class InstanceBinder {
  private readonly bound = new Set<WeakRef<object>>();
  private readonly refused: string[] = [];
  private readonly bindingFactories = new WeakSet<object>();
  private unwatch: (() => void) | undefined;

  constructor(private readonly runtime: Runtime) {}

  /** Binds what is there, and arranges for what factories will make. */
  bindAll(modules: ModulesContainer): void {
    for (const provider of scanProviders(modules)) {
      this.note(this.bindProvider(provider));
      this.bindProducts(provider);
      // Began before we could replace it: whoever waits for it needs more turns than this.
      void provider.made?.then((instance) => this.note(this.bind(instance)));
    }
  }

  /** Binds what has been made since; for factories that ran before the runtime existed. */
  bindMade(modules: ModulesContainer): void {
    for (const provider of scanProviders(modules)) this.note(this.bindProvider(provider));
  }

  /**
   * Binds what the modules bring that are loaded from now on. Nest tells nobody of a lazy module; its providers come one by
   * one, and before any of them is made.
   *
   * @param onModule - Runs as a module arrives, before Nest looks at its providers.
   */
  watch(modules: ModulesContainer, onModule: () => void): void {
    const set = modules.set.bind(modules);
    modules.set = (token, module) => {
      onModule();
      this.watchModule(module);
      return set(token, module);
    };
    this.unwatch = () => {
      modules.set = set;
    };
  }

  /** Objects that belong to another application, which no second one may take. */
  get problems(): readonly string[] {
    const taken = this.boundInstances().filter((instance) => !this.isOurs(instance));
    // Another application that started meanwhile could not know that this one would come so far.
    return [...this.refused, ...taken.map(sharedProblem)];
  }

  release(): void {
    this.unwatch?.();
    for (const instance of this.boundInstances()) {
      // One that has passed to another application stays with it.
      if (this.isOurs(instance)) delete (instance as { [RUNTIME_KEY]?: unknown })[RUNTIME_KEY];
    }
    this.bound.clear();
  }

  private boundInstances(): object[] {
    return [...this.bound].flatMap((reference) => reference.deref() ?? []);
  }

  private isOurs(instance: object): boolean {
    return bindingOf(instance)?.runtime === this.runtime;
  }

  /** Instances of classes get their runtime injected. */
  private bindProvider({ metatype, instance }: ScannedProvider): string | undefined {
    return typeof metatype === 'function' ? undefined : this.bind(instance);
  }

  private watchModule(module: ModuleEntry): void {
    const addProvider = module.addProvider.bind(module) as (...args: unknown[]) => never;
    module.addProvider = (...args: unknown[]) => {
      const token = addProvider(...args);
      for (const provider of scanModule(module)) {
        const problem = this.bindProvider(provider);
        if (problem !== undefined) throw new Error(problem);
        this.bindProducts(provider);
      }
      return token;
    };
  }

  private bindProducts(provider: ScannedProvider): void {
    provider.replaceFactory?.((factory) =>
      this.bindingFactories.has(factory) ? factory : this.bindingFactory(factory),
    );
  }

  private note(problem: string | undefined): void {
    if (problem !== undefined) this.refused.push(problem);
  }

  /** Answers with what is wrong, where something is. */
  private bind(instance: unknown): string | undefined {
    if (!isDecoratedInstance(instance)) return undefined;
    if (this.isOurs(instance)) return undefined;
    // The start of the other one has failed, or has yet to come so far: then it will miss what it had bound.
    if (bindingOf(instance)?.runtime.isInitialised === true) return sharedProblem(instance);
    if (!Object.isExtensible(instance)) {
      return `An instance of ${instance.constructor.name} is frozen, so it cannot be tied to the application's policies.`;
    }
    setBinding(instance, this.runtime);
    this.bound.add(new WeakRef(instance));
    return undefined;
  }

  private bindingFactory(factory: (...args: unknown[]) => unknown): (...args: unknown[]) => unknown {
    const bind = <T>(made: T): T => {
      const problem = this.bind(made);
      if (problem !== undefined) throw new Error(problem);
      return made;
    };
    const binding = (...args: unknown[]) => {
      const made = factory(...args);
      return made instanceof Promise ? made.then(bind) : bind(made);
    };
    this.bindingFactories.add(binding);
    return binding;
  }
}

function sharedProblem(instance: object): string {
  return `An instance of ${instance.constructor.name} is shared with another application; its policies can belong to one only. Provide a new instance in each.`;
}
