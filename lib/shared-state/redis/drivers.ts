import { describeValue } from '../../core/option-form.js';
import { propertyOf } from '../../core/property.js';
import { hashSlot } from './hash-slot.js';
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
  /** Where it is a cluster: which node has a key, `undefined` while that is not known. */
  readonly nodeOf?: ((key: string) => string | undefined) | undefined;
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
      const names = [keys].flat();
      return withFallback(
        () => client.evalsha(script.sha, names.length, ...names, ...args),
        () => client.eval(script.lua, names.length, ...names, ...args),
      );
    },
    nodeOf: nodeFinder(client),
  };
}

function nodeRedisDriver(client: NodeRedisLike): StoreDriver {
  return {
    run: (script, keys, args) => {
      const options = { keys: [keys].flat(), arguments: args.map(String) };
      return withFallback(
        () => client.evalSha(script.sha, options),
        () => client.eval(script.lua, options),
      );
    },
    nodeOf: nodeFinder(client),
  };
}

/**
 * Both clients of a cluster keep in `slots` who has which: `ioredis` addresses, `redis` a shard. Where the client puts a
 * prefix with braces before each key, all keys are on one node, and it does no harm that this takes it for several.
 */
function nodeFinder(client: IoredisLike | NodeRedisLike): StoreDriver['nodeOf'] {
  if (!Array.isArray(propertyOf(client, 'slots'))) return undefined;
  return (key) => {
    const owner = propertyOf(propertyOf(client, 'slots'), String(hashSlot(key)));
    const address = propertyOf(owner, '0') ?? propertyOf(propertyOf(owner, 'master'), 'address');
    return typeof address === 'string' ? address : undefined;
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
