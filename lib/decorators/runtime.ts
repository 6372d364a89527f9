import type { ExecutionContext, Type } from '@nestjs/common';
import { sharedState, sharedSymbol } from '../core/identity.js';
import type { MethodRecord } from './method-record.js';

/**
 * The token of an application's runtime. Every decorated class asks for it by property injection, so its text is what a
 * user reads whose application lacks the module.
 */
export const RUNTIME_TOKEN = sharedSymbol(
  'ResilienceRuntime: add ResilienceModule.forRoot() to the imports of your root module',
);

/** The property by which an instance knows its runtime. */
export const RUNTIME_KEY = sharedSymbol('runtime-of-instance');

/** Runs one call of a decorated method. */
export type MethodRun = (self: unknown, args: unknown[]) => unknown;

/** What the instances of one class have in common within one application. */
export interface ClassBinding {
  readonly runtime: Runtime;
  /** Compiled pipelines by {@link MethodRecord.index}. */
  readonly runs: (MethodRun | undefined)[];
  /** Compiles the pipeline of a method at its first call. */
  compile(record: MethodRecord): MethodRun;
}

/** What decorators need of the application that they run in; `lib/module` provides it. */
export interface Runtime {
  /** Whether its application has been initialised; one whose start has failed never is. */
  readonly isInitialised: boolean;
  /** The binding of a class's instances. */
  bind(type: Type): ClassBinding;
  /** The error for the transport of a context: HTTP, RPC, WebSockets or GraphQL. Others pass unchanged. */
  translate(error: unknown, context: ExecutionContext): unknown;
  /**
   * Applies the request-keyed limits of a handler, each once: at once, or when its turn comes. Throws or rejects with the
   * refusal.
   *
   * @param isLast - Whether no other guard follows; else a limit that finds no key is put off until then.
   */
  limitRequest(context: ExecutionContext, isLast: boolean): Promise<void> | undefined;
  /** Runs what an interceptor protects, under the pipeline that it was made for. */
  intercept(spec: object, context: ExecutionContext, args: unknown[], run: () => unknown): Promise<unknown>;
  /** Writes the headers that an answer shall carry. */
  writeHeaders(context: ExecutionContext): void;
  /** Whether answers may carry headers of ours, so that the interceptor has something to do on success. */
  readonly hasHeaders: boolean;
}

/** What to do with a call on an instance that no application manages. @publicApi */
export type UnmanagedMode = 'passthrough' | 'warn' | 'throw';

const unmanaged = sharedState<{ mode: UnmanagedMode; warned: WeakSet<MethodRecord> }>('unmanaged', () => ({
  mode: 'passthrough',
  warned: new WeakSet(),
}));

/**
 * What happens when a decorated method is called on an instance that no application made, such as `new Service()` in a
 * unit test: run it unprotected (the default), the same with one warning per method, or throw. For the whole process.
 *
 * @publicApi
 */
export function configureUnmanaged(mode: UnmanagedMode): void {
  unmanaged.mode = mode;
}

/** Runs a method whose instance has no runtime. */
export function runUnmanaged(record: MethodRecord, self: unknown, args: unknown[]): unknown {
  if (unmanaged.mode !== 'passthrough') {
    const message = `${describeMethod(record)} was called on an instance that no application with ResilienceModule made; its policies do not apply.`;
    if (unmanaged.mode === 'throw') throw new Error(message);
    if (!unmanaged.warned.has(record)) {
      unmanaged.warned.add(record);
      process.emitWarning(message, 'ResilienceWarning');
    }
  }
  return record.original.apply(self, args);
}

/** `PaymentsService.charge`. */
export function describeMethod(record: Pick<MethodRecord, 'owner' | 'key'>): string {
  return `${record.owner.constructor.name}.${String(record.key)}`;
}

/**
 * Makes the instances of a class take the runtime that Nest's injector gives them: what it assigns becomes a hidden
 * property of the instance, which keys, JSON and comparisons do not see.
 */
export function acceptRuntime(prototype: object): void {
  if (Object.hasOwn(prototype, RUNTIME_KEY)) return;
  Object.defineProperty(prototype, RUNTIME_KEY, {
    configurable: true,
    enumerable: false,
    get: () => undefined,
    set(this: object, runtime: Runtime) {
      setBinding(this, runtime);
    },
  });
}

/** Ties an instance to a runtime. */
export function setBinding(instance: object, runtime: Runtime): void {
  Object.defineProperty(instance, RUNTIME_KEY, {
    configurable: true,
    enumerable: false,
    writable: true,
    value: runtime.bind(instance.constructor as Type),
  });
}

/** The binding of an instance, if it has one. */
export function bindingOf(instance: object): ClassBinding | undefined {
  return (instance as { [RUNTIME_KEY]?: ClassBinding })[RUNTIME_KEY];
}
