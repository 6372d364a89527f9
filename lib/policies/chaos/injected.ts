import { causes } from '../../core/classify.js';
import { ChaosInjectedError } from '../../core/errors.js';
import { sharedState } from '../../core/identity.js';
import { isObject } from '../../core/property.js';

// Not a property: an error of the user's may be frozen, and keeps the keys that it has.
const injected = sharedState('chaos-injected', () => new WeakSet<object>());

/** Notes that chaos throws this error, of whatever class it is. */
export function markInjected<E extends object>(error: E): E {
  injected.add(error);
  return error;
}

/**
 * Whether chaos is behind an error: it was injected, of whatever class it is, or one of its causes was.
 *
 * @example
 * if (!isChaosInjected(error)) alarm(error);
 *
 * @publicApi
 */
export function isChaosInjected(error: unknown): boolean {
  return causes(error).some(
    (link) => link instanceof ChaosInjectedError || (isObject(link) && injected.has(link)),
  );
}
