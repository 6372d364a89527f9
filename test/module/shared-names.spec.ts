import {
  Controller,
  Injectable,
  Post,
  UseInterceptors,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  CircuitBreaker,
  Fallback,
  FallbackLevel,
  InvalidOptionsError,
  RateLimit,
  ResilienceInterceptor,
  ResilienceModule,
} from 'nestjs-breakwater';
import { systemClock } from '../../lib/core/system-clock.js';
import { MemoryState, MemoryWorld } from '../../lib/shared-state/memory-state.js';

const shared = { shared: true } as const;
const apps: INestApplication[] = [];

async function start(types: readonly Type[], sharedState: boolean | undefined = true) {
  const state = new MemoryState(new MemoryWorld(systemClock));
  const module = Test.createTestingModule({
    imports: [ResilienceModule.forRoot({ ...(sharedState && { sharedState: state }) })],
    providers: [...types],
    controllers: types.filter((type) => Reflect.hasMetadata('path', type)),
  });
  const app = (await module.compile()).createNestApplication({ logger: false });
  apps.push(app);
  return app;
}

/** What is wrong with the names of an application. */
async function problemsOf(types: readonly Type[], sharedState?: boolean): Promise<string[]> {
  try {
    await (await start(types, sharedState)).init();
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    return error.problems.map(({ where, message }) => `${where}: ${message}`);
  }
  return [];
}

function refusal(where: string, name: string): string {
  return `${where}: It is shared, and "${name}" is what another one would be called too, so that instances could take one for the other: give each a name.`;
}

/** Two controllers of one name. */
function controllers(...decorators: MethodDecorator[]): Type[] {
  return ['v1', 'v2'].map((path) => {
    @Controller(path)
    class Users {
      @Post()
      create(): string {
        return path;
      }
    }
    const create = Object.getOwnPropertyDescriptor(Users.prototype, 'create') as PropertyDescriptor;
    for (const decorate of decorators) decorate(Users.prototype, 'create', create);
    return Users;
  });
}

function services(decorate: () => MethodDecorator): Type[] {
  return [1, 2].map((number) => {
    @Injectable()
    class Service {
      @decorate()
      async run(): Promise<number> {
        return number;
      }
    }
    return Service;
  });
}

describe('names that are made up for shared policies', () => {
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  it('CB-23 classes of one name cannot share by it', async () => {
    expect(await problemsOf(services(() => CircuitBreaker(shared)))).toEqual([
      refusal('@CircuitBreaker on Service.run', 'Service.run'),
    ]);
    const cache = { levels: [{ level: FallbackLevel.DISTRIBUTED_CACHE, shared: true }] };
    expect(await problemsOf(services(() => Fallback(cache)))).toEqual([
      refusal('@Fallback on Service.run', 'Service.run'),
    ]);
  });

  it('CB-23 nor can two of a kind on one method', async () => {
    @Injectable()
    class Service {
      @RateLimit({ capacity: 2, ...shared })
      @RateLimit({ capacity: 9, ...shared })
      async run(): Promise<void> {}
    }
    expect(await problemsOf([Service])).toEqual([refusal('@RateLimit on Service.run', 'Service.run')]);
  });

  it('CB-23 what has a name, is not shared, or has nothing to share by, may be called alike', async () => {
    expect(await problemsOf(services(() => CircuitBreaker('orders', shared)))).toEqual([]);
    expect(await problemsOf(services(() => CircuitBreaker()))).toEqual([]);
    expect(
      await problemsOf(
        services(() => CircuitBreaker(shared)),
        false,
      ),
    ).toEqual([]);
  });

  it('CB-23 handlers of one name behind interceptors are refused at the start', async () => {
    const interceptor = ResilienceInterceptor.for({
      bulkhead: { maxConcurrent: 5, ...shared },
      timeout: '1s',
    });
    expect(await problemsOf(controllers(UseInterceptors(interceptor)))).toEqual([
      refusal('ResilienceInterceptor.for bulkhead on Users.create', 'Users.create'),
    ]);
  });

  it('CB-23 or at their first request, where nobody knows of the interceptor before', async () => {
    const Interceptor = ResilienceInterceptor.for({ bulkhead: { maxConcurrent: 5, ...shared } });
    const app = await start([...controllers(), Interceptor]);
    app.useGlobalInterceptors(app.get(Interceptor));
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    const post = async (path: string) => (await fetch(`${url}/${path}`, { method: 'POST' })).status;
    expect([await post('v2'), await post('v1'), await post('v2'), await post('v1')]).toEqual([
      201, 500, 201, 500,
    ]);
  });
});
