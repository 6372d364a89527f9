import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { enableGracefulShutdown } from 'nestjs-breakwater';
import { diagnose } from 'nestjs-breakwater/doctor';
import { AppModule } from './app.module.js';

/** Serves on a free port, and says where: run-app.mjs asks there. */
async function main(): Promise<void> {
  // Nest would log every error that a handler throws; one that ends the start is thrown.
  const app = await NestFactory.create(AppModule, { logger: false, abortOnError: false });
  enableGracefulShutdown(app);
  await app.listen(0, '127.0.0.1');
  console.log(JSON.stringify({ url: await app.getUrl(), protectedMethods: diagnose(app).pipelines.length }));
}

void main();
