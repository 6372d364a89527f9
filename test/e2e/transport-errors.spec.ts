import { Controller, Injectable, UseFilters, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GraphQLModule, Query, Resolver } from '@nestjs/graphql';
import {
  ClientProxyFactory,
  MessagePattern,
  RpcException,
  Transport,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { describe, expect, it } from '@jest/globals';
import {
  CircuitBreaker,
  CircuitBreakerInterceptor,
  RateLimit,
  ResilienceExceptionFilter,
} from 'nestjs-breakwater';
import { ManualClock } from 'nestjs-breakwater/testing';
import { firstValueFrom } from 'rxjs';
import { io } from 'socket.io-client';
import type { AddressInfo, Server } from 'node:net';
import { ApolloTestDriver, queryOf } from './apollo.driver.js';
import { listen, moduleOf, platforms } from './platforms.js';

const OPEN = { initialState: 'open', openDuration: '1500ms' } as const;

@Injectable()
class Gateway {
  @CircuitBreaker('gateway', OPEN)
  async charge(): Promise<string> {
    return 'charged';
  }
}

function bodyOf(policy: string) {
  return {
    statusCode: 503,
    error: 'Service Unavailable',
    message: expect.stringContaining(`"${policy}" is open`),
    code: 'CIRCUIT_OPEN',
    policy,
    retryAfterMs: 1500,
  };
}

describe('errors of policies over microservices', () => {
  @Controller()
  class StockController {
    constructor(private readonly gateway: Gateway) {}

    @MessagePattern('decorated')
    @CircuitBreaker('decorated', OPEN)
    async decorated(): Promise<string> {
      return 'fine';
    }

    @MessagePattern('plain')
    async plain(): Promise<string> {
      return this.gateway.charge();
    }

    @MessagePattern('intercepted')
    @UseInterceptors(CircuitBreakerInterceptor.for(OPEN))
    async intercepted(): Promise<string> {
      return 'fine';
    }

    @MessagePattern('limited')
    @RateLimit('limited', { limit: 1, window: '1m', by: () => 'all' })
    async limited(): Promise<string> {
      return 'fine';
    }

    @MessagePattern('own')
    @CircuitBreaker()
    async own(): Promise<string> {
      throw new RpcException({ mine: true });
    }
  }

  const failureOf = async (client: ReturnType<typeof ClientProxyFactory.create>, pattern: string) =>
    firstValueFrom(client.send(pattern, {})).then(
      (value: unknown) => ({ value }),
      (error: unknown) => error,
    );

  it('the client gets the body, whoever is decorated', async () => {
    const app = await NestFactory.createMicroservice<MicroserviceOptions>(
      moduleOf({ controllers: [StockController], providers: [Gateway] }, { clock: new ManualClock() }),
      { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 }, logger: false },
    );
    await app.listen();
    const { port } = app.unwrap<Server>().address() as AddressInfo;
    const client = ClientProxyFactory.create({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port },
    });
    expect(await failureOf(client, 'decorated')).toEqual(bodyOf('decorated'));
    expect(await failureOf(client, 'plain')).toEqual(bodyOf('gateway'));
    expect(await failureOf(client, 'intercepted')).toEqual(bodyOf('StockController.intercepted'));
    expect(await failureOf(client, 'limited')).toEqual({ value: 'fine' });
    expect(await failureOf(client, 'limited')).toMatchObject({ code: 'RATE_LIMITED', statusCode: 429 });
    expect(await failureOf(client, 'own')).toEqual({ mine: true });
    await client.close();
    await app.close();
  });

  it('a hybrid application tells the client of a decorated handler', async () => {
    const app = await NestFactory.create(
      moduleOf({ controllers: [StockController], providers: [Gateway] }, { clock: new ManualClock() }),
      { logger: false, abortOnError: false },
    );
    const microservice = app.connectMicroservice<MicroserviceOptions>(
      { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } },
      { inheritAppConfig: true },
    );
    await app.startAllMicroservices();
    const { port } = microservice.unwrap<Server>().address() as AddressInfo;
    const client = ClientProxyFactory.create({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port },
    });
    expect(await failureOf(client, 'decorated')).toEqual(bodyOf('decorated'));
    expect(await failureOf(client, 'plain')).toEqual(bodyOf('gateway'));
    await client.close();
    await app.close();
  });
});

describe('errors of policies over WebSockets', () => {
  @WebSocketGateway()
  class ChatGateway {
    constructor(private readonly gateway: Gateway) {}

    @SubscribeMessage('decorated')
    @CircuitBreaker('decorated', OPEN)
    async decorated(): Promise<string> {
      return 'fine';
    }

    // Nest knows no global filters for gateways.
    @UseFilters(ResilienceExceptionFilter)
    @SubscribeMessage('plain')
    async plain(): Promise<string> {
      return this.gateway.charge();
    }
  }

  it('the client gets an exception with the body, whoever is decorated', async () => {
    const app = await NestFactory.create(
      moduleOf({ providers: [ChatGateway, Gateway] }, { clock: new ManualClock() }),
      { logger: false, abortOnError: false },
    );
    const socket = io(await listen(app), { transports: ['websocket'] });
    const answerTo = async (message: string) => {
      const answer = new Promise((resolve) => socket.once('exception', resolve));
      socket.emit(message, {});
      return answer;
    };
    expect(await answerTo('decorated')).toMatchObject(bodyOf('decorated'));
    expect(await answerTo('plain')).toMatchObject(bodyOf('gateway'));
    socket.close();
    await app.close();
  });
});

describe.each(platforms)('errors of policies over GraphQL on %s', (_platform, create) => {
  @Resolver()
  class BooksResolver {
    constructor(private readonly gateway: Gateway) {}

    @Query(() => String)
    @CircuitBreaker('decorated', OPEN)
    async decorated(): Promise<string> {
      return 'fine';
    }

    @Query(() => String)
    async plain(): Promise<string> {
      return this.gateway.charge();
    }

    @Query(() => String)
    @RateLimit('limited', { limit: 1, window: '1m', by: () => 'all' })
    async limited(): Promise<string> {
      return 'fine';
    }
  }

  it('the error carries code, policy and retryAfterMs, whoever is decorated', async () => {
    const graphql = GraphQLModule.forRoot({ driver: ApolloTestDriver, autoSchemaFile: true });
    const app = await create(
      moduleOf({ imports: [graphql], providers: [BooksResolver, Gateway] }, { clock: new ManualClock() }),
    );
    const url = await listen(app);
    const extensionsOf = async (query: string) => (await queryOf(url, query)).errors?.[0]?.extensions;
    const expected = { code: 'CIRCUIT_OPEN', retryAfterMs: 1500 };
    expect(await extensionsOf('{ decorated }')).toMatchObject({ ...expected, policy: 'decorated' });
    expect(await extensionsOf('{ plain }')).toMatchObject({ ...expected, policy: 'gateway' });
    expect(await extensionsOf('{ limited }')).toBeUndefined();
    expect(await extensionsOf('{ limited }')).toMatchObject({ code: 'RATE_LIMITED', policy: 'limited' });
    await app.close();
  });
});
