import { recordOf } from '../decorators/method-record.js';
import { readMethod, type MethodText } from './method-text.js';

/** A provider or controller, and what Nest's injector gave it. */
export interface Injectable {
  readonly type: object;
  /** One of its instances, where it is more than a placeholder. */
  readonly instance: object | undefined;
  /** By property, where it was injected into one. */
  readonly dependencies: readonly { readonly key: string | undefined; readonly injectable: Injectable }[];
}

/** A method of a class of the application; the same object each time. */
export interface Method {
  readonly injectable: Injectable;
  readonly key: string;
}

type AnyMethod = (...args: never) => unknown;

const UNKNOWN: MethodText = { members: [], isOpen: false, swallowsErrors: false };

/**
 * Which method may call which, through the classes that were injected. It reads the text of methods: `this.gateway.charge()`
 * is a call of just that method, and whoever hands `this` on may call everything.
 */
export class CallGraph {
  private readonly methods = new Map<Injectable, Map<string, Method>>();
  private readonly texts = new Map<Method, MethodText>();
  private readonly calls = new Map<Method, readonly Method[]>();

  constructor(private readonly byType: ReadonlyMap<object, Injectable>) {}

  /** The method of that name, if the application has the class. */
  find(type: object, key: string): Method | undefined {
    const injectable = this.byType.get(type);
    return injectable && this.method(injectable, key);
  }

  /** What a method may call. */
  calledBy(method: Method): readonly Method[] {
    let called = this.calls.get(method);
    if (called === undefined) this.calls.set(method, (called = this.findCalls(method)));
    return called;
  }

  /** A method and all that it may call, directly or not. */
  reachableFrom(method: Method): ReadonlySet<Method> {
    const reached = new Set([method]);
    // A set that grows is walked to its end.
    for (const one of reached) for (const called of this.calledBy(one)) reached.add(called);
    return reached;
  }

  /** Whether errors of what it calls end in it: it catches them, or another method of its object does that for it. */
  swallowsErrors(method: Method): boolean {
    const { members, swallowsErrors } = this.textOf(method);
    return (
      swallowsErrors ||
      members.some(({ name }) => this.textOf(this.method(method.injectable, name)).swallowsErrors)
    );
  }

  private method(injectable: Injectable, key: string): Method {
    let byKey = this.methods.get(injectable);
    if (byKey === undefined) this.methods.set(injectable, (byKey = new Map<string, Method>()));
    let method = byKey.get(key);
    if (method === undefined) byKey.set(key, (method = { injectable, key }));
    return method;
  }

  private textOf(method: Method): MethodText {
    let text = this.texts.get(method);
    if (text === undefined) {
      const written = methodOf(method.injectable.type, method.key);
      text = written === undefined ? UNKNOWN : readMethod(written);
      this.texts.set(method, text);
    }
    return text;
  }

  private findCalls(method: Method): Method[] {
    const { injectable } = method;
    const { members, isOpen } = this.textOf(method);
    const called = members.flatMap(({ name, calls }): Method[] => {
      if (methodOf(injectable.type, name) !== undefined) return [this.method(injectable, name)];
      return dependenciesIn(injectable, name).flatMap((dependency) =>
        calls !== undefined && methodOf(dependency.type, calls) !== undefined
          ? [this.method(dependency, calls)]
          : this.methodsOf(dependency),
      );
    });
    if (!isOpen) return called;
    return [...called, ...injectable.dependencies.flatMap((one) => this.methodsOf(one.injectable))];
  }

  private methodsOf(injectable: Injectable): Method[] {
    return methodNames(injectable.type).map((key) => this.method(injectable, key));
  }
}

/** What a property holds; where there is no instance to look into, anything that was injected. */
function dependenciesIn({ instance, dependencies }: Injectable, name: string): Injectable[] {
  const value: unknown = instance && Object.getOwnPropertyDescriptor(instance, name)?.value;
  return dependencies
    .filter(({ key, injectable }) => {
      if (key !== undefined) return key === name;
      return instance === undefined || (isObject(value) && value.constructor === injectable.type);
    })
    .map(({ injectable }) => injectable);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function methodNames(type: object): string[] {
  const names = new Set<string>();
  for (const link of chainOf(type)) for (const name of Object.getOwnPropertyNames(link)) names.add(name);
  names.delete('constructor');
  return [...names].filter((name) => methodOf(type, name) !== undefined);
}

/** The method, or what reads the property, as it was written, whatever decorators of ours have put in its place. */
function methodOf(type: object, key: string): AnyMethod | undefined {
  for (const link of chainOf(type)) {
    const found = Object.getOwnPropertyDescriptor(link, key);
    if (found === undefined) continue;
    // oxlint-disable-next-line typescript/unbound-method -- it is read, and never called
    const method: unknown = found.value ?? found.get;
    if (typeof method !== 'function') return undefined;
    return recordOf(method)?.original ?? (method as AnyMethod);
  }
  return undefined;
}

/** The prototype of a class and those above it, `Object.prototype` excluded. */
function* chainOf(type: object): Generator<object> {
  let link = (type as { readonly prototype?: object | null }).prototype ?? null;
  for (; link !== null && link !== Object.prototype; link = Object.getPrototypeOf(link) as object | null)
    yield link;
}
