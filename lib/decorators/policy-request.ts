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

function isPolicy(value: unknown): value is { name: string } {
  return (
    typeof value === 'object' && value !== null && 'kind' in value && 'stats' in value && 'name' in value
  );
}
