import { Body, Controller, Get, Injectable, Param, ParseIntPipe, Post, Scope } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Command, CommandBus, CommandHandler, CqrsModule, type ICommandHandler } from '@nestjs/cqrs';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { GraphQLModule, Query, Resolver } from '@nestjs/graphql';
import {
  ClientProxyFactory,
  EventPattern,
  MessagePattern,
  Payload,
  Transport,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { Cron, Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { MessageBody, SubscribeMessage, WebSocketGateway, WebSocketServer } from '@nestjs/websockets';
import { describe, expect, it, jest } from '@jest/globals';
import { CircuitBreaker } from 'nestjs-breakwater';
import { firstValueFrom } from 'rxjs';
import { io } from 'socket.io-client';
import type { AddressInfo, Server } from 'node:net';
import { ApolloTestDriver, queryOf } from './apollo.driver.js';
import { callsOf } from './counted.js';
import { listen, moduleOf, platforms } from './platforms.js';

/** The port of a microservice on TCP, which was asked to take any. */
function portOf(microservice: { unwrap<T>(): T }): number {
  return (microservice.unwrap<Server>().address() as AddressInfo).port;
}

async function send(port: number, pattern: string, data: unknown): Promise<unknown> {
  const client = ClientProxyFactory.create({
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port },
  });
  try {
    return await firstValueFrom(client.send(pattern, data));
  } finally {
    await client.close();
  }
}

describe.each(platforms)('controllers on %s', (_platform, create) => {
  @Controller('orders')
  class OrdersController {
    @Get(':id')
    @CircuitBreaker()
    async find(@Param('id', ParseIntPipe) id: number): Promise<{ id: number }> {
      return { id };
    }

    @CircuitBreaker()
    @Post()
    async place(@Body() order: { sku: string }): Promise<{ placed: string }> {
      return { placed: order.sku };
    }
  }

  @Controller({ path: 'carts', scope: Scope.REQUEST })
  class CartsController {
    @Get()
    @CircuitBreaker()
    async all(): Promise<string[]> {
      return ['cart'];
    }
  }

  it('PL-02 handlers, whichever decorator comes first', async () => {
    const app = await create(moduleOf({ controllers: [OrdersController] }));
    const url = await listen(app);
    expect(await (await fetch(`${url}/orders/7`)).json()).toEqual({ id: 7 });
    const placed = await fetch(`${url}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sku: 'A1' }),
    });
    expect([placed.status, await placed.json()]).toEqual([201, { placed: 'A1' }]);
    expect(callsOf(app, 'OrdersController.find')).toBe(1);
    expect(callsOf(app, 'OrdersController.place')).toBe(1);
    await app.close();
  });

  it("PL-02 a pipe's refusal is no call", async () => {
    const app = await create(moduleOf({ controllers: [OrdersController] }));
    const url = await listen(app);
    expect((await fetch(`${url}/orders/seven`)).status).toBe(400);
    await fetch(`${url}/orders/7`);
    expect(callsOf(app, 'OrdersController.find')).toBe(1);
    await app.close();
  });

  it('PL-02 request-scoped controllers', async () => {
    const app = await create(moduleOf({ controllers: [CartsController] }));
    const url = await listen(app);
    await fetch(`${url}/carts`);
    expect(await (await fetch(`${url}/carts`)).json()).toEqual(['cart']);
    expect(callsOf(app, 'CartsController.all')).toBe(2);
    await app.close();
  });

  it('PL-02 controllers that inherit their handlers', async () => {
    abstract class CrudController {
      @Get()
      @CircuitBreaker()
      async list(): Promise<string> {
        return this.constructor.name;
      }
    }
    @Controller('cats')
    class CatsController extends CrudController {}
    @Controller('dogs')
    class DogsController extends CrudController {}
    const app = await create(moduleOf({ controllers: [CatsController, DogsController] }));
    const url = await listen(app);
    expect(await (await fetch(`${url}/cats`)).text()).toBe('CatsController');
    expect(await (await fetch(`${url}/dogs`)).text()).toBe('DogsController');
    expect(callsOf(app, 'CatsController.list')).toBe(1);
    expect(callsOf(app, 'DogsController.list')).toBe(1);
    await app.close();
  });

  it('PL-02 GraphQL queries', async () => {
    @Resolver()
    class BooksResolver {
      @Query(() => String)
      @CircuitBreaker()
      async title(): Promise<string> {
        return 'Release It!';
      }
    }
    const graphql = GraphQLModule.forRoot({ driver: ApolloTestDriver, autoSchemaFile: true });
    const app = await create(moduleOf({ imports: [graphql], providers: [BooksResolver] }));
    const answer = await queryOf(await listen(app), '{ title }');
    expect(answer).toEqual({ data: { title: 'Release It!' } });
    expect(callsOf(app, 'BooksResolver.title')).toBe(1);
    await app.close();
  });
});

describe('microservices', () => {
  @Controller()
  class StockController {
    readonly events: string[] = [];

    @MessagePattern('stock')
    @CircuitBreaker()
    async stock(@Payload() sku: string): Promise<string> {
      return `12 of ${sku}`;
    }

    @EventPattern('sold')
    @CircuitBreaker()
    async sold(@Payload() sku: string): Promise<void> {
      this.events.push(sku);
    }
  }

  it('PL-02 message handlers of a microservice', async () => {
    const app = await NestFactory.createMicroservice<MicroserviceOptions>(
      moduleOf({ controllers: [StockController] }),
      { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 }, logger: false },
    );
    await app.listen();
    expect(await send(portOf(app), 'stock', 'A1')).toBe('12 of A1');
    expect(callsOf(app, 'StockController.stock')).toBe(1);
    await app.close();
  });

  it('PL-02 message handlers of a hybrid application', async () => {
    const app = await NestFactory.create(moduleOf({ controllers: [StockController] }), { logger: false });
    const microservice = app.connectMicroservice<MicroserviceOptions>({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: 0 },
    });
    await app.startAllMicroservices();
    expect(await send(portOf(microservice), 'stock', 'B2')).toBe('12 of B2');
    expect(callsOf(app, 'StockController.stock')).toBe(1);
    await app.close();
  });

  it('PL-02 event handlers of a microservice', async () => {
    const app = await NestFactory.createMicroservice<MicroserviceOptions>(
      moduleOf({ controllers: [StockController] }),
      { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 }, logger: false },
    );
    await app.listen();
    const client = ClientProxyFactory.create({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: portOf(app) },
    });
    await firstValueFrom(client.emit('sold', 'A1'), { defaultValue: undefined });
    // What follows on the same connection is handled after it.
    await firstValueFrom(client.send('stock', 'A1'));
    expect(app.get(StockController).events).toEqual(['A1']);
    expect(callsOf(app, 'StockController.sold')).toBe(1);
    await client.close();
    await app.close();
  });
});

describe('gateways', () => {
  it('PL-02 gateways', async () => {
    @WebSocketGateway()
    class ChatGateway {
      @WebSocketServer() readonly server: unknown;

      @SubscribeMessage('say')
      @CircuitBreaker()
      async say(@MessageBody() text: string): Promise<{ event: string; data: string }> {
        return { event: 'said', data: text };
      }
    }
    const app = await NestFactory.create(moduleOf({ providers: [ChatGateway] }), { logger: false });
    const socket = io(await listen(app), { transports: ['websocket'] });
    const said = new Promise((resolve) => socket.once('said', resolve));
    socket.emit('say', 'hello');
    expect(await said).toBe('hello');
    expect(callsOf(app, 'ChatGateway.say')).toBe(1);
    socket.close();
    await app.close();
  });
});

describe('schedules, events and commands', () => {
  it('PL-02 @Cron', async () => {
    @Injectable()
    class NightlyJob {
      @Cron('0 0 3 * * *', { name: 'nightly' })
      @CircuitBreaker()
      async run(): Promise<void> {}
    }
    const module = moduleOf({ imports: [ScheduleModule.forRoot()], providers: [NightlyJob] });
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    await app.get(SchedulerRegistry).getCronJob('nightly').fireOnTick();
    expect(callsOf(app, 'NightlyJob.run')).toBe(1);
    await app.close();
  });

  it('PL-02 @Interval', async () => {
    @Injectable()
    class Poller {
      @Interval('poll', 60_000)
      @CircuitBreaker()
      async poll(): Promise<void> {}
    }
    const started = jest.spyOn(globalThis, 'setInterval');
    const module = moduleOf({ imports: [ScheduleModule.forRoot()], providers: [Poller] });
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    const tick = started.mock.calls.find(([, ms]) => ms === 60_000)?.[0] as () => unknown;
    started.mockRestore();
    await tick();
    expect(callsOf(app, 'Poller.poll')).toBe(1);
    await app.close();
  });

  it('PL-02 @OnEvent', async () => {
    @Injectable()
    class Mailer {
      readonly mails: string[] = [];
      @CircuitBreaker('upper')
      @OnEvent('order.placed')
      async above(order: string): Promise<void> {
        this.mails.push(`above ${order}`);
      }
      @OnEvent('order.placed')
      @CircuitBreaker('lower')
      async below(order: string): Promise<void> {
        this.mails.push(`below ${order}`);
      }
    }
    const module = moduleOf({ imports: [EventEmitterModule.forRoot()], providers: [Mailer] });
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    await app.get(EventEmitter2).emitAsync('order.placed', 'A1');
    expect(app.get(Mailer).mails.toSorted()).toEqual(['above A1', 'below A1']);
    expect([callsOf(app, 'upper'), callsOf(app, 'lower')]).toEqual([1, 1]);
    await app.close();
  });

  it('PL-02 CQRS command handlers', async () => {
    class PlaceOrder extends Command<string> {
      constructor(readonly sku: string) {
        super();
      }
    }
    @CommandHandler(PlaceOrder)
    class PlaceOrderHandler implements ICommandHandler<PlaceOrder> {
      @CircuitBreaker()
      async execute({ sku }: PlaceOrder): Promise<string> {
        return `placed ${sku}`;
      }
    }
    const module = moduleOf({ imports: [CqrsModule.forRoot()], providers: [PlaceOrderHandler] });
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    expect(await app.get(CommandBus).execute(new PlaceOrder('A1'))).toBe('placed A1');
    expect(callsOf(app, 'PlaceOrderHandler.execute')).toBe(1);
    await app.close();
  });
});
