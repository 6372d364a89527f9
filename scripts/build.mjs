// Builds the library twice: dist/esm for import, dist/cjs for require.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, runBeside } from './run.mjs';

export async function build() {
  const dist = join(root, 'dist');
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  rmSync(join(dist, 'esm'), { recursive: true, force: true });
  rmSync(join(dist, 'cjs'), { recursive: true, force: true });
  // First, so that TypeScript and Node agree on what the files next to it are.
  mkdirSync(join(dist, 'cjs'), { recursive: true });
  writeFileSync(join(dist, 'cjs', 'package.json'), '{ "type": "commonjs" }\n');

  const codes = await Promise.all(
    ['lib/tsconfig.build.json', 'lib/tsconfig.cjs.json'].map((project) =>
      runBeside(process.execPath, [tsc, '--project', project]),
    ),
  );
  return Math.max(...codes);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await build();
