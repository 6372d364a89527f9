import 'reflect-metadata';
import { EventEmitter } from 'node:events';
import { Agent, get } from 'node:http';
import { Controller, Get, Injectable, Module, type OnModuleDestroy } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  DrainingService,
  ResilienceHealthModule,
  ResilienceModule,
  enableGracefulShutdown,
  type OnDrain,
  type ShutdownProcess,
} from 'nestjs-breakwater';

const steps: string[] = [];

@Injectable()
class Pool implements OnModuleDestroy, OnDrain {
  isOpen = true;

  onDrain(): void {
    steps.push('consumer stopped');
  }

  onModuleDestroy(): void {
    this.isOpen = false;
    steps.push('pool closed');
  }
}

@Controller()
class WorkController {
  constructor(private readonly pool: Pool) {}

  @Get('work')
  async work(): Promise<string> {
    await new Promise((resolve) => setImmediate(resolve));
    if (!this.pool.isOpen) throw new Error('The pool is closed.');
    return 'done';
  }
}

@Module({
  imports: [
    ResilienceModule.forRoot({ draining: { readinessDelay: '5s' } }),
    ResilienceHealthModule.register(),
  ],
  controllers: [WorkController],
  providers: [Pool],
})
class AppModule {}

/** A process whose signals the test sends. */
class FakeProcess extends EventEmitter implements ShutdownProcess {
  exited: (code: number) => void = () => undefined;
  readonly code = new Promise<number>((resolve) => (this.exited = resolve));

  exit(code: number): void {
    this.exited(code);
  }
}

interface Answer {
  readonly status: number | string;
  readonly connection: string | undefined;
}

describe('draining with the packed build', () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });

  afterEach(() => agent.destroy());

  it('DR-01 DR-03 loses no request of 50 keep-alive connections to a SIGTERM', async () => {
    const app = await NestFactory.create(AppModule, { logger: false });
    const host = new FakeProcess();
    app.enableShutdownHooks(['SIGUSR2']);
    enableGracefulShutdown(app, host);
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    const ask = (path: string, options: object = { agent }) =>
      new Promise<Answer>((resolve) => {
        get(`${url}${path}`, options, (response) => {
          response.resume();
          const { statusCode, headers } = response;
          response.once('end', () =>
            resolve({ status: statusCode as number, connection: headers.connection }),
          );
        }).once('error', (error: Error & { code?: string }) =>
          resolve({ status: error.code ?? error.message, connection: undefined }),
        );
      });
    const before: Answer[] = [];
    const after: Answer[] = [];
    let signalled = false;
    const user = async () => {
      while (after.length < 150) {
        const sentAfter = signalled;
        const answer = await ask('/work');
        (sentAfter ? after : before).push(answer);
        if (before.length >= 500 && !signalled) {
          signalled = true;
          host.emit('SIGTERM', 'SIGTERM');
        }
      }
    };

    const users = Array.from({ length: 50 }, user);
    while (!signalled) await new Promise((resolve) => setImmediate(resolve));
    const [ready, live] = await Promise.all([ask('/health/ready', {}), ask('/health/live', {})]);
    await Promise.all(users);

    expect([ready.status, live.status]).toEqual([503, 200]);
    expect(new Set(before.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(after.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(after.map(({ connection }) => connection))).toEqual(new Set(['close']));
    expect(steps).toEqual([]);
    expect(await host.code).toBe(0);
    expect(steps).toEqual(['consumer stopped', 'pool closed']);
    expect(app.get(DrainingService).stats()).toMatchObject({ phase: 'closed', cutOffRequests: 0 });
    // Nest's own listener of enableShutdownHooks() closes nothing beside ours.
    expect([process.listenerCount('SIGUSR2'), host.listenerCount('SIGTERM')]).toEqual([0, 0]);
  });
});
