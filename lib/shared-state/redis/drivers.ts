import { describeValue } from '../../core/option-form.js';
import { propertyOf } from '../../core/property.js';
import type { Script } from './script.js';

export type ScriptArgument = string | number;
export type ScriptReply = readonly (string | number | null)[];

/** How a store is reached. Structural: it needs no package of a client. */
export interface StoreDriver {
  /** Runs a script with its key, or its keys. */
  run(
    script: Script,
    keys: string | readonly string[],
    args: readonly ScriptArgument[],
  ): Promise<ScriptReply>;
}

/** What we use of `ioredis`: a `Redis` or a `Cluster`. @publicApi */
export interface IoredisLike {
  evalsha(sha: string, keys: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
  eval(lua: string, keys: number, ...keysAndArgs: (string | number)[]): Promise<unknown>;
}

/** What we use of `redis` (node-redis): a client, a pool or a cluster. @publicApi */
export interface NodeRedisLike {
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  eval(lua: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

/** The driver of a client, by what it can do. @throws TypeError where it is neither of the two. */
export function driverOf(client: IoredisLike | NodeRedisLike): StoreDriver {
  if (typeof propertyOf(client, 'evalsha') === 'function') return ioredisDriver(client as IoredisLike);
  if (typeof propertyOf(client, 'evalSha') === 'function') return nodeRedisDriver(client as NodeRedisLike);
  throw new TypeError(
    `redisState: it takes a client of "ioredis" or "redis" (standalone or cluster), got ${describeValue(client)}.`,
  );
}

function ioredisDriver(client: IoredisLike): StoreDriver {
  return {
    run: (script, keys, args) => {
      const count = typeof keys === 'string' ? 1 : keys.length;
      const rest = typeof keys === 'string' ? [keys, ...args] : [...keys, ...args];
      return withFallback(
        () => client.evalsha(script.sha, count, ...rest),
        () => client.eval(script.lua, count, ...rest),
      );
    },
  };
}

function nodeRedisDriver(client: NodeRedisLike): StoreDriver {
  return {
    run: (script, keys, args) => {
      const options = { keys: typeof keys === 'string' ? [keys] : [...keys], arguments: args.map(String) };
      return withFallback(
        () => client.evalSha(script.sha, options),
        () => client.eval(script.lua, options),
      );
    },
  };
}

/** By its name; in full where the server does not know it (any more). */
async function withFallback(
  known: () => Promise<unknown>,
  whole: () => Promise<unknown>,
): Promise<ScriptReply> {
  try {
    return (await known()) as ScriptReply;
  } catch (error) {
    if (!String(propertyOf(error, 'message')).startsWith('NOSCRIPT')) throw error;
    return (await whole()) as ScriptReply;
  }
}
