// What a decorated method of an application costs, without and with the context of a request.
import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CircuitBreaker, ResilienceModule } from 'nestjs-breakwater';

async function serviceOf(requestContext) {
  class Service {
    async work() {
      return 42;
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Service.prototype, 'work');
  const decorated = CircuitBreaker('bench')(Service.prototype, 'work', descriptor) ?? descriptor;
  Object.defineProperty(Service.prototype, 'work', decorated);
  Injectable()(Service);
  class App {}
  Module({ imports: [ResilienceModule.forRoot({ requestContext })], providers: [Service] })(App);
  const app = await NestFactory.createApplicationContext(App, { logger: false });
  return app.get(Service);
}

const work = async () => 42;

export const rows = [
  {
    title: 'Decorated method of an application: a circuit breaker',
    target: 'no more than the policy alone, as long as `requestContext` is off',
    cases: async () => {
      const off = await serviceOf(false);
      return [
        { name: 'pass-through async wrapper', run: async () => await work() },
        { name: 'nestjs-breakwater', run: () => off.work() },
      ];
    },
  },
  {
    title: 'The same with `requestContext`, which AsyncLocalStorage makes dearer, like every await beside it',
    target: '',
    cases: async () => {
      const on = await serviceOf(true);
      return [
        { name: 'pass-through async wrapper', run: async () => await work() },
        { name: 'nestjs-breakwater', run: () => on.work() },
      ];
    },
  },
];
