import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { formatWithOptions } from 'node:util';
import { afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
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

  it('that are left out say why', () => {
    const ignored = pages()
      .flatMap(codeBlocks)
      .filter(({ words }) => words.includes('ignore'));

    expect(ignored.filter(({ words }) => words.length < 2)).toEqual([]);
  });
});
