import type { Duration } from '../core/duration.js';
import type { FallbackHandler } from '../policies/fallback/index.js';
import { requestOf, type ParsedRequest } from './policy-request.js';

/** `'2s'` above a method is a timeout's duration, so its name goes through its options. */
export function timeoutRequest(
  decorator: string,
  first: Duration | object | undefined,
  second: object | undefined,
): ParsedRequest {
  const options =
    typeof first === 'object' || first === undefined ? (first ?? {}) : { ...second, duration: first };
  return requestOf(decorator, 'timeout', undefined, options);
}

/** A string above a method is a fallback's method, so its name goes through its options. */
export function fallbackRequest(
  decorator: string,
  first: string | FallbackHandler | object,
  second: object | undefined,
): ParsedRequest {
  return requestOf(
    decorator,
    'fallback',
    undefined,
    typeof first === 'object' ? first : { ...second, use: first },
  );
}
