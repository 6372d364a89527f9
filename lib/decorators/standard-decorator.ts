import { propertyOf } from '../core/property.js';

/**
 * For what every decorator of ours is given as its second argument: a compiler that knows standard decorators only gives a
 * context there, and Nest cannot work with those.
 *
 * @throws TypeError
 */
export function refuseStandardDecorator(decorator: string, key: unknown): void {
  const kind = propertyOf(key, 'kind');
  if (typeof key !== 'object' || typeof kind !== 'string') return;
  const message = `${decorator} on the ${kind} ${String(propertyOf(key, 'name'))}: it was compiled as a standard decorator, which Nest cannot work with. Set "experimentalDecorators" and "emitDecoratorMetadata" to true in tsconfig.json.`;
  throw new TypeError(message);
}
