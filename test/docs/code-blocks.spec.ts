import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { formatWithOptions } from 'node:util';
import { afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Module, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { ResilienceModule, ResilienceService } from '../../lib/index.js';
import { diagnose, type Finding } from '../../lib/doctor/index.js';
import { codeBlocks, pages, type CodeBlock } from './pages.js';

const FOLDER = join('.tmp', 'docs');

/**
 * Where a block is written: one folder per page, so that blocks whose fence names a file (` ```ts app.module.ts `) can be
 * imported by the others of their page.
 */
function fileOf({ page, line, words }: CodeBlock): string {
  const name = words.find((word) => word.endsWith('.ts')) ?? `line-${line}.ts`;
  return join(FOLDER, page, name);
}

/** What a block says that it prints: the comments behind its `console.log(…)`, in their order. */
function promised(code: string): string[] {
  return [...code.matchAll(/^\s*console\.log\(.*\);(?: \/\/ (.*))?$/gm)].map(([, text = '']) => text);
}

/** Pages whose examples are copied as a whole: the doctor must have nothing against them. */
const TO_BE_COPIED: ReadonlySet<string> = new Set([
  'README.md',
  'docs/getting-started.md',
  'docs/recipes.md',
]);

/** A store is what the reader has. */
function isOfPage({ code }: Finding): boolean {
  return code !== 'shared-without-store';
}

function isClass(value: unknown): value is Type {
  return typeof value === 'function' && String(value).startsWith('class');
}

function isModule(type: Type): boolean {
  return ['imports', 'providers', 'controllers'].some((part) => Reflect.hasMetadata(part, type));
}

/** Whether it is a module that has our module. */
function hasOurs(type: Type): boolean {
  const imports = (Reflect.getMetadata('imports', type) ?? []) as (Type | { readonly module?: Type })[];
  return imports.some((one) => 'module' in one && one.module === ResilienceModule);
}

/** A root module around the classes of a block that has none. */
function moduleOf(classes: readonly Type[]): Type {
  const isController = (type: Type) => Reflect.hasMetadata('path', type);
  @Module({
    imports: [ResilienceModule.forRoot()],
    controllers: classes.filter(isController),
    providers: classes.filter((type) => !isController(type)),
  })
  class PageModule {}
  return PageModule;
}

const blocks = pages()
  .flatMap(codeBlocks)
  .filter(({ words }) => !words.includes('ignore'));

describe('blocks of TypeScript', () => {
  beforeAll(() => {
    rmSync(FOLDER, { recursive: true, force: true });
    for (const block of blocks) {
      const file = fileOf(block);
      mkdirSync(join(file, '..'), { recursive: true });
      // The lines of the file are the lines of the page, so that the compiler names the right ones.
      writeFileSync(file, '\n'.repeat(block.line - 1) + block.code);
    }
    writeFileSync(
      join(FOLDER, 'tsconfig.json'),
      JSON.stringify({
        extends: '../../tsconfig.json',
        compilerOptions: { moduleDetection: 'force' },
        include: ['**/*.ts'],
        exclude: [],
      }),
    );
  });

  it('compile against the library', () => {
    const tsc = resolve('node_modules', 'typescript', 'bin', 'tsc');
    const { stdout } = spawnSync(process.execPath, [tsc, '--project', FOLDER, '--pretty', 'false'], {
      encoding: 'utf8',
    });

    // What is wrong in the library itself is npm run typecheck's to say.
    const ofBlocks = stdout.replaceAll(/^lib\/.*\n(\s.*\n)*/gm, '');
    const inPages = ofBlocks.replaceAll(/^\.tmp\/docs\/(.*\.md)\/[^(]+\((\d+),\d+\)/gm, '$1:$2');
    expect(inPages).toBe('');
  }, 240_000);

  describe('that run', () => {
    afterEach(() => {
      jest.restoreAllMocks();
    });

    const running = blocks.filter(({ words }) => words.includes('run'));

    it.each(running)('$page:$line prints what it says', async (block) => {
      const printed: string[] = [];
      jest.spyOn(console, 'log').mockImplementation((...values: unknown[]) => {
        printed.push(formatWithOptions({ breakLength: Infinity }, ...values));
      });

      await import(resolve(fileOf(block)));

      expect(printed).toEqual(promised(block.code));
    });
  });

  describe('with classes', () => {
    // Not those that would connect or listen as soon as they are loaded, nor those that leave something out.
    const withClasses = blocks.filter(
      ({ code }) =>
        /^export class/m.test(code) && !/ioredis|NestFactory|readFileSync|declare class/.test(code),
    );

    it.each(withClasses)('$page:$line ask for policies that an application starts with', async (block) => {
      const exported = Object.values((await import(resolve(fileOf(block)))) as Record<string, unknown>);
      const classes = exported.filter(isClass);
      const root = classes.find(hasOurs) ?? moduleOf(classes.filter((type) => !isModule(type)));

      const module = await Test.createTestingModule({ imports: [root] })
        .useMocker(() => ({}))
        .compile();

      if (TO_BE_COPIED.has(block.page)) expect(diagnose(module).findings.filter(isOfPage)).toEqual([]);
      await module.close();
    });
  });

  it('of the README print the pipeline that it shows', async () => {
    const [block] = blocks.filter(({ page }) => page === 'README.md') as [CodeBlock];
    const { RatesService } = (await import(resolve(fileOf(block)))) as { RatesService: Type };
    const module = await Test.createTestingModule({ imports: [moduleOf([RatesService])] }).compile();

    const printed = module.get(ResilienceService).describe(RatesService, 'rates');

    expect(readFileSync('README.md', 'utf8')).toContain(`\`\`\`\n${printed}\n\`\`\``);
    await module.close();
  });

  it('that are left out say why', () => {
    const ignored = pages()
      .flatMap(codeBlocks)
      .filter(({ words }) => words.includes('ignore'));

    expect(ignored.filter(({ words }) => words.length < 2)).toEqual([]);
  });
});
