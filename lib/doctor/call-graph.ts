import { recordOf } from '../decorators/method-record.js';
import { usesOfThis } from './method-text.js';

/** A provider or controller, and what Nest's injector gave it. */
export interface Injectable {
  readonly type: object;
  /** One of its instances, where it is more than a placeholder. */
  readonly instance: object | undefined;
  /** By property, where it was injected into one. */
  readonly dependencies: readonly { readonly key: string | undefined; readonly injectable: Injectable }[];
}

/** A method of a class of the application. */
export interface Method {
  readonly injectable: Injectable;
  readonly key: string;
}

type AnyMethod = (...args: never) => unknown;

/**
 * Which method may call which, through the classes that were injected. It reads the text of methods: `this.gateway.charge()`
 * is a call of just that method, and whoever hands `this` on may call everything.
 */
export class CallGraph {
  private readonly known = new Map<object, Map<string, readonly Method[]>>();

  constructor(private readonly byType: ReadonlyMap<object, Injectable>) {}

  /** The method of that name, if the application has the class. */
  find(type: object, key: string): Method | undefined {
    const injectable = this.byType.get(type);
    return injectable && { injectable, key };
  }

  /** A method and all that it may call, directly or not. */
  reachableFrom(method: Method): Method[] {
    const seen = new Map<object, Set<string>>();
    const reached: Method[] = [];
    const open = [method];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const keys = seen.get(next.injectable.type) ?? new Set<string>();
      seen.set(next.injectable.type, keys);
      if (keys.has(next.key)) continue;
      keys.add(next.key);
      reached.push(next);
      open.push(...this.calledBy(next));
    }
    return reached;
  }

  /** What a method may call. */
  calledBy({ injectable, key }: Method): readonly Method[] {
    let byKey = this.known.get(injectable.type);
    if (byKey === undefined) this.known.set(injectable.type, (byKey = new Map()));
    let called = byKey.get(key);
    if (called === undefined) byKey.set(key, (called = read(injectable, key)));
    return called;
  }
}

function read(injectable: Injectable, key: string): Method[] {
  const method = methodOf(injectable.type, key);
  if (method === undefined) return [];
  const { members, isOpen } = usesOfThis(method);
  const called = members.flatMap(({ name, calls }): Method[] => {
    if (methodOf(injectable.type, name) !== undefined) return [{ injectable, key: name }];
    return dependenciesIn(injectable, name).flatMap((dependency) =>
      calls !== undefined && methodOf(dependency.type, calls) !== undefined
        ? [{ injectable: dependency, key: calls }]
        : methodsOf(dependency),
    );
  });
  if (!isOpen) return called;
  return [
    ...called,
    ...injectable.dependencies.flatMap(({ injectable: dependency }) => methodsOf(dependency)),
  ];
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

function methodsOf(injectable: Injectable): Method[] {
  const keys = new Set<string>();
  for (
    let link = prototypeOf(injectable.type);
    link !== null && link !== Object.prototype;
    link = Object.getPrototypeOf(link) as object | null
  ) {
    for (const key of Object.getOwnPropertyNames(link)) keys.add(key);
  }
  keys.delete('constructor');
  return [...keys]
    .filter((key) => methodOf(injectable.type, key) !== undefined)
    .map((key) => ({ injectable, key }));
}

/** The method, or what reads the property, as it was written, whatever decorators of ours have put in its place. */
function methodOf(type: object, key: string): AnyMethod | undefined {
  for (
    let link = prototypeOf(type);
    link !== null && link !== Object.prototype;
    link = Object.getPrototypeOf(link) as object | null
  ) {
    const found = Object.getOwnPropertyDescriptor(link, key);
    if (found === undefined) continue;
    // Only read, never called.
    // oxlint-disable-next-line typescript/unbound-method
    const method: unknown = found.value ?? found.get;
    if (typeof method !== 'function') return undefined;
    return recordOf(method)?.original ?? (method as AnyMethod);
  }
  return undefined;
}

function prototypeOf(type: object): object | null {
  return (type as { readonly prototype?: object }).prototype ?? null;
}
