import { sharedState } from './identity.js';

const own = sharedState('own-routes', () => new WeakSet<object>());

/**
 * Marks a controller of this package. What an application's interceptors apply to all handlers leaves these out: whoever
 * watches must not be refused, or answered by a fallback, because of what is to be seen.
 */
export function OwnRoutes(): ClassDecorator {
  return (type) => {
    own.add(type);
  };
}

/** Whether a controller is of this package. */
export function isOwnRoute(type: object): boolean {
  return own.has(type);
}
