import 'reflect-metadata';
import { Inject } from '@nestjs/common';
import { registry, emptyRequests, recordOf, type AnyMethod, type MethodRecord } from './method-record.js';
import { RUNTIME_KEY, RUNTIME_TOKEN, acceptRuntime, runUnmanaged, type ClassBinding } from './runtime.js';

/**
 * The record of a method that one of our decorators stands on; the first of them puts the method interceptor in the
 * method's place. Refuses what cannot be protected, at import, naming it.
 */
export function markMethod(
  decorator: string,
  target: object,
  key: string | symbol,
  descriptor: PropertyDescriptor | undefined,
): { record: MethodRecord; descriptor: PropertyDescriptor } {
  const method = methodOf(decorator, target, key, descriptor);
  const known = recordOf(method);
  // Ours, but of another class or name: a method of its own.
  if (known?.owner === target && known.key === key)
    return { record: known, descriptor: descriptor as PropertyDescriptor };
  const record = createRecord(target, key, method);
  const records = registry.byOwner.get(target) ?? [];
  record.foreignWrapper = records.some((other) => other.key === key);
  registry.byInterceptor.set(record.interceptor, record);
  records.push(record);
  registry.byOwner.set(target, records);
  acceptRuntime(target);
  injectRuntime(target);
  return { record, descriptor: { ...descriptor, value: record.interceptor } };
}

function methodOf(
  decorator: string,
  target: object,
  key: string | symbol,
  descriptor: PropertyDescriptor | undefined,
): AnyMethod {
  const isStatic = typeof target === 'function';
  const name = `${isStatic ? target.name : target.constructor.name}.${String(key)}`;
  const refuse = (what: string) =>
    new TypeError(`${decorator} on ${name}: ${what}. It protects asynchronous instance methods only.`);
  if (isStatic) throw refuse('a static method has no instance, so nobody can tell its application');
  if (descriptor === undefined)
    throw refuse('this is a property; write it as a method, not as an arrow function');
  if (descriptor.get !== undefined || descriptor.set !== undefined)
    throw refuse('this is a getter or setter');
  const method: unknown = descriptor.value;
  if (typeof method !== 'function') throw refuse('this is not a method');
  const form = method.constructor.name;
  if (form === 'AsyncGeneratorFunction' || form === 'GeneratorFunction')
    throw refuse('generators are not supported yet');
  if (form !== 'AsyncFunction' && isSynchronous(target, key)) {
    throw refuse('it is synchronous, and a protected method returns a Promise or an Observable');
  }
  return method as AnyMethod;
}

const SYNCHRONOUS_TYPES: ReadonlySet<unknown> = new Set([
  String,
  Number,
  Boolean,
  Array,
  BigInt,
  Symbol,
  Date,
  Map,
  Set,
]);

/** Whether the declared return type, where the compiler left it, cannot be a promise. */
function isSynchronous(target: object, key: string | symbol): boolean {
  return SYNCHRONOUS_TYPES.has(Reflect.getMetadata('design:returntype', target, key));
}

function returnsObservable(target: object, key: string | symbol): boolean {
  const type = Reflect.getMetadata('design:returntype', target, key) as { name?: string } | undefined;
  return type?.name === 'Observable';
}

function createRecord(owner: object, key: string | symbol, original: AnyMethod): MethodRecord {
  const index = registry.count++;
  // A function expression, not an arrow: it has the instance's `this`, and passes on just the arguments that came.
  const interceptor: AnyMethod = function (this: unknown, ...args: unknown[]): unknown {
    const binding = (this as { [RUNTIME_KEY]?: ClassBinding } | undefined)?.[RUNTIME_KEY];
    if (binding === undefined) return runUnmanaged(record, this, args);
    const run = binding.runs[index] ?? binding.compile(record);
    return run(this, args);
  };
  const record: MethodRecord = {
    ...emptyRequests(),
    owner,
    key,
    original,
    interceptor,
    index,
    returns: returnsObservable(owner, key) ? 'observable' : undefined,
    foreignWrapper: false,
    signalIndex: registry.signals.get(owner)?.get(key),
    interceptorAttached: false,
    guardAttached: false,
  };
  disguise(interceptor, original);
  return record;
}

/** What others read of a method must be what they would read of the original. */
function disguise(interceptor: AnyMethod, original: AnyMethod): void {
  for (const property of Reflect.ownKeys(original)) {
    if (property === 'prototype' || property === 'arguments' || property === 'caller') continue;
    Object.defineProperty(
      interceptor,
      property,
      Object.getOwnPropertyDescriptor(original, property) as PropertyDescriptor,
    );
  }
  for (const key of Reflect.getOwnMetadataKeys(original) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, original), interceptor);
  }
}

/** Once per class: its instances get the runtime of the application that makes them, in every scope. */
function injectRuntime(prototype: object): void {
  const injected = registry.injected;
  if (injected.has(prototype)) return;
  injected.add(prototype);
  Inject(RUNTIME_TOKEN)(prototype, RUNTIME_KEY);
}

/** Runs `decorate` as a method decorator would, on a record's interceptor. */
export function attachToHandler(record: MethodRecord, decorate: MethodDecorator): void {
  decorate(record.owner, record.key, { value: record.interceptor });
}
