import { Module, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ResilienceModule, type ResilienceModuleOptions } from 'nestjs-breakwater';

type ModuleParts = Pick<Parameters<typeof Module>[0], 'imports' | 'providers' | 'controllers'>;

/** A root module with ours in it. */
export function moduleOf(parts: ModuleParts, options?: ResilienceModuleOptions): Type {
  @Module({ ...parts, imports: [ResilienceModule.forRoot(options), ...(parts.imports ?? [])] })
  class AppModule {}
  return AppModule;
}

export type CreateApplication = (module: Type) => Promise<INestApplication>;

/** Every HTTP platform that Nest has. */
export const platforms: readonly (readonly [string, CreateApplication])[] = [
  ['Express', (module) => NestFactory.create(module, { logger: false, abortOnError: false })],
  [
    'Fastify',
    (module) => NestFactory.create(module, new FastifyAdapter(), { logger: false, abortOnError: false }),
  ],
];

/** Listens on any port; answers its address. */
export async function listen(app: INestApplication): Promise<string> {
  await app.listen(0, '127.0.0.1');
  return app.getUrl();
}
