import type { Duration } from '../core/duration.js';
import type { FallbackHandler } from '../policies/fallback/index.js';
import type { CommonOptions } from './decorator-types.js';
import type { DecoratedKind, PolicyRequest } from './method-record.js';

/** What a decorator's arguments ask for: at most one policy, and what they say beyond it. */
export interface ParsedRequest {
  readonly requests: readonly PolicyRequest[];
  readonly returns: CommonOptions['returns'];
}

/** A policy, by name, by options, by both, or made by the user. */
export function requestOf(
  decorator: string,
  kind: DecoratedKind,
  name: string | undefined,
  options: object | undefined,
): ParsedRequest {
  if (isPolicy(options)) {
    return {
      requests: [{ decorator, kind, name: options.name, options: undefined, instance: options }],
      returns: undefined,
    };
  }
  // Whatever was given stays as it is until the application starts and validates everything together.
  if (typeof options !== 'object' || options === null) {
    return { requests: [{ decorator, kind, name, options }], returns: undefined };
  }
  const { name: named, enabled = true, returns, ...rest } = options as CommonOptions;
  const own = Object.keys(rest).length === 0 && name === undefined && named !== undefined ? undefined : rest;
  return { requests: [{ decorator, kind, name: name ?? named, options: own, disabled: !enabled }], returns };
}

/** The arguments of a decorator whose first string is its name. */
export function namedRequest(
  decorator: string,
  kind: DecoratedKind,
  first: string | object | undefined,
  second: object | undefined,
): ParsedRequest {
  return typeof first === 'string'
    ? requestOf(decorator, kind, first, second)
    : requestOf(decorator, kind, undefined, first ?? {});
}

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

function isPolicy(value: unknown): value is { name: string } {
  return (
    typeof value === 'object' && value !== null && 'kind' in value && 'stats' in value && 'name' in value
  );
}
