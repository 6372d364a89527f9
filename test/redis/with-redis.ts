import { afterAll, beforeAll } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from './server.js';

/** A server and a client of it, from before the first test of a block until after its last. */
export function withRedis(): { readonly client: Redis } {
  let server: RedisServer | undefined;
  let client: Redis | undefined;

  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.url);
  });

  afterAll(async () => {
    client?.disconnect();
    await server?.stop();
  });

  return {
    get client() {
      return client as Redis;
    },
  };
}
