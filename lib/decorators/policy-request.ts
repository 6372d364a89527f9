import type { OptionProblem } from '../core/errors.js';
import { checkOptions, defineOptions } from '../core/option-table.js';
import type { CommonOptions } from './decorator-types.js';
import type { DecoratedKind, PolicyRequest } from './method-record.js';

/** What a decorator's arguments ask for: at most one policy, and what they say beyond it. */
export interface ParsedRequest {
  readonly requests: readonly PolicyRequest[];
  readonly returns: CommonOptions['returns'];
  /** What is wrong with what all decorators take. */
  readonly mistakes: readonly OptionProblem[];
}

/** What all decorators take beside their policy's options. */
const commonTable = defineOptions<CommonOptions>(
  { name: 'name', kind: 'string', optional: true, sentence: 'Shares the policy with all who use the name.' },
  { name: 'enabled', kind: 'boolean', default: true, sentence: 'Whether the policy applies.' },
  {
    name: 'returns',
    kind: 'one-of',
    values: ['promise', 'observable'],
    optional: true,
    sentence: 'What the method returns, where its annotation does not say.',
  },
);

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
      mistakes: [],
    };
  }
  // Whatever was given stays as it is until the application starts and validates everything together.
  if (typeof options !== 'object' || options === null) {
    return { requests: [{ decorator, kind, name, options }], returns: undefined, mistakes: [] };
  }
  const { name: named, returns, ...others } = options as CommonOptions;
  const { enabled = true, rest } = splitEnabled(kind, others);
  const mistakes = checkOptions(commonTable, { name: name ?? named, enabled, returns }, decorator);
  const own = Object.keys(rest).length === 0 && name === undefined && named !== undefined ? undefined : rest;
  return {
    requests: [{ decorator, kind, name: name ?? named, options: own, disabled: !enabled }],
    returns,
    mistakes,
  };
}

/** Chaos is there without being enabled: with it alone, the option is the policy's own. */
function splitEnabled(
  kind: DecoratedKind,
  options: Pick<CommonOptions, 'enabled'>,
): { enabled?: boolean | undefined; rest: object } {
  if (kind === 'chaos') return { rest: options };
  const { enabled, ...rest } = options;
  return { enabled, rest };
}

/** The arguments of a decorator whose first string is its name. */
export function namedRequest(
  decorator: string,
  kind: DecoratedKind,
  first: string | object | undefined,
  second: object | undefined,
): ParsedRequest {
  if (typeof first === 'function' || typeof second === 'string' || typeof second === 'symbol') {
    throw new TypeError(`${decorator} needs parentheses: write ${decorator}().`);
  }
  return typeof first === 'string'
    ? requestOf(decorator, kind, first, second)
    : requestOf(decorator, kind, undefined, first === undefined ? {} : first);
}

function isPolicy(value: unknown): value is { name: string } {
  return (
    typeof value === 'object' && value !== null && 'kind' in value && 'stats' in value && 'name' in value
  );
}
