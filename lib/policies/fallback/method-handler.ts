import type { Call } from '../../core/call.js';
import { propertyOf } from '../../core/property.js';
import type { FallbackHandler } from './fallback.options.js';

const names = new WeakMap<FallbackHandler, string>();

/** The handler that is the method of that name, of the instance whose call failed. */
export function methodHandler(name: string): FallbackHandler {
  const handler: FallbackHandler = function (this: unknown, ...argsAndError: unknown[]) {
    return (this as Record<string, FallbackHandler>)[name]!(...argsAndError);
  };
  names.set(handler, name);
  return handler;
}

/** How many parameters a handler declares, when it is called on `self`. */
function declaredBy(handler: FallbackHandler, self: unknown): number {
  const name = names.get(handler);
  const target = name === undefined ? handler : propertyOf(self, name);
  return typeof target === 'function' ? target.length : 0;
}

/**
 * What a handler is called with. The error stands behind the parameters that the method declares, where that is known,
 * however many the caller gave; those beyond are for a handler that declares no parameter in the error's place.
 */
export function withError(handler: FallbackHandler, { self, args, invoke }: Call, error: unknown): unknown[] {
  const all = [...args];
  const { arity = all.length } = invoke;
  if (all.length > arity && declaredBy(handler, self) > arity) all.length = arity;
  while (all.length < arity) all.push(undefined);
  all.push(error);
  return all;
}
