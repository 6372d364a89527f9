import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { enableGracefulShutdown } from 'nestjs-breakwater';
import { AppModule } from './app.module.js';
import { greeting } from './greeting.js';
import { serveOpenApi } from './operations/open-api.js';
import { readSettings, type Settings } from './settings/settings.js';
import { strictValidation } from './validation/strict-validation.js';

const settings = settingsOrExit();
const { port, platform } = settings;
const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await createOrExit();
app.useGlobalPipes(strictValidation());
serveOpenApi(app);
// SIGTERM and Ctrl+C: readiness turns down, what is under way finishes, then the application closes.
enableGracefulShutdown(app);
try {
  await app.listen(port);
} catch (error) {
  if ((error as { code?: string }).code !== 'EADDRINUSE') throw error;
  await app.close();
  exitWith(`Port ${port} is taken. Choose another one: PORT=3001 npm start`);
}
const { port: actual } = app.getHttpServer().address() as AddressInfo;
console.log(greeting(`http://localhost:${actual}`, settings));

function settingsOrExit(): Settings {
  try {
    return readSettings(process.env);
  } catch (error) {
    return exitWith((error as Error).message);
  }
}

/** A database that cannot be had is no bug of this program: one line says it. */
async function createOrExit(): Promise<INestApplication> {
  try {
    return await NestFactory.create(AppModule.register(settings), adapter, {
      logger: ['error', 'warn'],
      abortOnError: false,
    });
  } catch (error) {
    const { message, cause } = error as Error;
    return exitWith(cause instanceof Error ? `${message} ${cause.message}` : message);
  }
}

function exitWith(message: string): never {
  console.error(message);
  process.exit(1);
}
