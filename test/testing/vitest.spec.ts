import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { buildSync } from 'esbuild';

describe('resilienceMatchers in Vitest', () => {
  it('TK-04 say what is so, and fail with what was expected and what was found', () => {
    const outfile = join('.tmp', 'vitest', 'assertions.mjs');
    buildSync({
      entryPoints: ['test/testing/vitest-assertions.ts'],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
    });

    const said = execFileSync(process.execPath, [outfile], { encoding: 'utf8' }).trimEnd().split('\n');

    expect(said).toEqual([
      expect.stringContaining('"payments" to be closed'),
      expect.stringContaining('not "payments" to be open'),
      expect.stringContaining('toBeOpen'),
    ]);
  });
});
