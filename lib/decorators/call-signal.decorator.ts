import { registry } from './method-record.js';

/**
 * Marks the parameter that receives the call's `AbortSignal`, which aborts when the attempt times out or the caller
 * gives up. A caller may pass a signal of its own in that place; the call then follows it. Costs nothing to methods that
 * do not ask.
 *
 * @example
 * @Timeout('2s')
 * async search(query: string, @CallSignal() signal?: AbortSignal): Promise<Hit[]> {
 *   return fetch(url(query), { signal }).then((response) => response.json());
 * }
 *
 * @publicApi
 */
export function CallSignal(): ParameterDecorator {
  return (target, key, index) => {
    if (key === undefined || typeof target === 'function') {
      throw new TypeError('@CallSignal belongs on a parameter of an instance method.');
    }
    const ofClass = registry.signals.get(target) ?? new Map<string | symbol, number>();
    if (ofClass.has(key)) {
      throw new TypeError(
        `@CallSignal on ${target.constructor.name}.${String(key)}: one parameter is enough.`,
      );
    }
    ofClass.set(key, index);
    registry.signals.set(target, ofClass);
  };
}
