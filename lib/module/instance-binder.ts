import type { ModulesContainer } from '@nestjs/core';
import { RUNTIME_KEY, bindingOf, setBinding, type Runtime } from '../decorators/runtime.js';
import { isDecoratedInstance, scanProviders, type ScannedProvider } from './class-scan.js';

/**
 * Ties instances to the runtime that Nest's injector does not make itself: those of `useValue`, and what factories
 * return, in every scope. They are let go when the application closes.
 */
export class InstanceBinder {
  private readonly bound = new Set<WeakRef<object>>();
  private readonly refused: string[] = [];

  constructor(private readonly runtime: Runtime) {}

  /** Binds what is there, and arranges for what factories will make. */
  bindAll(modules: ModulesContainer): void {
    for (const provider of scanProviders(modules)) {
      this.bindProvider(provider);
      provider.replaceFactory?.((factory) => this.bindingFactory(factory));
      // Began before we could replace it: whoever waits for it needs more turns than this.
      void provider.made?.then((instance) => this.note(this.bind(instance)));
    }
  }

  /** Binds what has been made since; for factories that ran before the runtime existed. */
  bindMade(modules: ModulesContainer): void {
    for (const provider of scanProviders(modules)) this.bindProvider(provider);
  }

  /** Objects that belong to another application, which no second one may take. */
  get problems(): readonly string[] {
    return this.refused;
  }

  release(): void {
    for (const reference of this.bound) {
      const instance = reference.deref();
      if (instance !== undefined) delete (instance as { [RUNTIME_KEY]?: unknown })[RUNTIME_KEY];
    }
    this.bound.clear();
  }

  /** Instances of classes get their runtime injected. */
  private bindProvider({ metatype, instance }: ScannedProvider): void {
    if (typeof metatype !== 'function') this.note(this.bind(instance));
  }

  private note(problem: string | undefined): void {
    if (problem !== undefined) this.refused.push(problem);
  }

  /** Answers with what is wrong, where something is. */
  private bind(instance: unknown): string | undefined {
    if (!isDecoratedInstance(instance)) return undefined;
    const binding = bindingOf(instance);
    if (binding?.runtime === this.runtime) return undefined;
    const name = instance.constructor.name;
    if (binding !== undefined) {
      return `An instance of ${name} is shared with another application; its policies can belong to one only. Provide a new instance in each.`;
    }
    if (!Object.isExtensible(instance)) {
      return `An instance of ${name} is frozen, so it cannot be tied to the application's policies.`;
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
    return (...args) => {
      const made = factory(...args);
      return made instanceof Promise ? made.then(bind) : bind(made);
    };
  }
}
