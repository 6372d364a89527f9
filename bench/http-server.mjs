// One Nest application with one handler in several dresses; a process of its own, which says its port.
import 'reflect-metadata';
import { Controller, Get, Injectable, Module, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { CircuitBreaker, RateLimit, ResilienceModule, ResilienceService, byHeader } from 'nestjs-breakwater';

const [platform] = process.argv.slice(2);

/** What any interceptor costs: Nest's own frame around a handler. */
class EmptyInterceptor {
  intercept(_context, next) {
    return next.handle();
  }
}
Injectable()(EmptyInterceptor);

class Handlers {
  bare() {
    return 'ok';
  }
  async limited() {
    return 'ok';
  }
  async empty() {
    return 'ok';
  }
  async broken() {
    return 'ok';
  }
  async plain() {
    return this.plainBreaker.execute(async () => 'ok');
  }
}
const decorate = (name, ...decorators) => {
  let descriptor = Object.getOwnPropertyDescriptor(Handlers.prototype, name);
  for (const one of decorators) descriptor = one(Handlers.prototype, name, descriptor) ?? descriptor;
  Object.defineProperty(Handlers.prototype, name, descriptor);
};
decorate('bare', Get('bare'));
decorate(
  'limited',
  RateLimit('keyed', { capacity: 1e9, refillPerSecond: 1e6, maxKeys: 100_000, by: byHeader('x-key') }),
  Get('limited'),
);
decorate('empty', UseInterceptors(EmptyInterceptor), Get('empty'));
decorate('broken', CircuitBreaker('handler'), Get('broken'));
decorate('plain', Get('plain'));
Object.defineProperty(Handlers.prototype, 'plainBreaker', { value: undefined, writable: true });
Controller()(Handlers);

class App {}
Module({
  imports: [ResilienceModule.forRoot({ http: { rateLimitHeaders: 'none' } })],
  controllers: [Handlers],
})(App);

const adapter = platform === 'Fastify' ? [new FastifyAdapter()] : [];
const app = await NestFactory.create(App, ...adapter, { logger: false });
Handlers.prototype.plainBreaker = app.get(ResilienceService).circuitBreaker('plain');
await app.listen(0, '127.0.0.1');
process.send(Number(new URL(await app.getUrl()).port));
process.on('disconnect', () => process.exit(0));
