import { Logger, type OnModuleDestroy } from '@nestjs/common';
import { Redis } from 'ioredis';

/** The connection to Redis or Valkey, where there is one. */
export class RedisConnection implements OnModuleDestroy {
  readonly client: Redis | undefined;

  constructor(url: string | undefined) {
    if (url === undefined) return;
    this.client = new Redis(url, {
      // A server that is away fails calls at once, instead of keeping them until it is back.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      connectTimeout: 2_000,
    });
    const log = new Logger('Redis');
    let last = '';
    this.client.on('error', ({ message }: Error) => {
      if (message !== last) log.warn(message);
      last = message;
    });
    this.client.on('ready', () => (last = ''));
  }

  /** Until it can be asked; false where it is not there. */
  async ready(): Promise<boolean> {
    const { client } = this;
    if (client === undefined) return false;
    if (client.status === 'ready') return true;
    return new Promise((resolve) => {
      client.once('ready', () => resolve(true));
      client.once('error', () => resolve(false));
    });
  }

  onModuleDestroy(): void {
    this.client?.disconnect();
  }
}
