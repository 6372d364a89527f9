import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { INestApplication } from '@nestjs/common';
import { NestFactory, type AbstractHttpAdapter } from '@nestjs/core';
import { describeValue } from '../core/option-form.js';
import { propertyOf } from '../core/property.js';
import { suggest } from '../core/suggest.js';

/** An application that could not be made; its message says why. */
export class LoadError extends Error {
  override readonly name = 'LoadError';
}

type RootModule = Parameters<typeof NestFactory.create>[0];
type Exports = Readonly<Record<string, unknown>>;

const PLATFORMS = [
  ['@nestjs/platform-express', 'ExpressAdapter'],
  ['@nestjs/platform-fastify', 'FastifyAdapter'],
] as const;

const TYPESCRIPT_HINT =
  'Node.js by itself does not run TypeScript with decorators. Name the built file (dist/app.module.js), or bring the loader that you run the application with: NODE_OPTIONS="--import <loader>".';

/**
 * Makes an application of what a file exports. Constructors and factories run; life-cycle hooks do not, and nothing
 * listens.
 *
 * @throws {@link LoadError}
 */
export async function loadApplication(path: string, name: string): Promise<INestApplication> {
  const file = resolve(path);
  if (!existsSync(file)) throw new LoadError(`There is no file ${file}.`);
  const module = await rootModuleOf(await importFile(file), name, path);
  const adapter = await createAdapter(file);
  try {
    return await NestFactory.create(module, adapter, { logger: false, abortOnError: false });
  } catch (cause) {
    throw new LoadError(`${name} of ${path} does not start: ${messageOf(cause)}`, { cause });
  }
}

async function importFile(file: string): Promise<Exports> {
  try {
    return (await import(pathToFileURL(file).href)) as Exports;
  } catch (cause) {
    const hint = /\.[cm]?tsx?$/.test(file) ? ` ${TYPESCRIPT_HINT}` : '';
    throw new LoadError(`${file} cannot be loaded: ${messageOf(cause)}${hint}`, { cause });
  }
}

/** Of a CommonJS file the exports may all be in `default`. */
async function rootModuleOf(exports: Exports, name: string, path: string): Promise<RootModule> {
  const found = await (exports[name] ?? propertyOf(exports['default'], name));
  if (typeof found === 'function' || (typeof found === 'object' && found !== null))
    return found as RootModule;
  if (found !== undefined)
    throw new LoadError(
      `"${name}" of ${path} is no module: it must be a class or a dynamic module, got ${describeValue(found)}.`,
    );
  const known = [...new Set([...Object.keys(exports), ...Object.keys((exports['default'] as object) ?? {})])];
  const near = suggest(name, known);
  const hint =
    near !== undefined
      ? `Did you mean --export ${near}?`
      : known.length === 0
        ? 'It exports nothing.'
        : `It exports ${known.join(', ')}: say which with --export.`;
  throw new LoadError(`${path} does not export "${name}". ${hint}`);
}

/** The HTTP platform that the application itself has, so that what is injected from it is there. */
async function createAdapter(file: string): Promise<AbstractHttpAdapter> {
  const { resolve: find } = createRequire(file);
  for (const [platform, adapter] of PLATFORMS) {
    let path: string;
    try {
      path = find(platform);
    } catch {
      continue;
    }
    const exports = (await import(pathToFileURL(path).href)) as Record<string, new () => AbstractHttpAdapter>;
    return new (exports[adapter] as new () => AbstractHttpAdapter)();
  }
  const platforms = PLATFORMS.map(([platform]) => platform).join(' nor ');
  throw new LoadError(`Neither ${platforms} is installed beside ${file}; install the one that you use.`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : describeValue(error);
}
