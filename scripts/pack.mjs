import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build } from './build.mjs';
import { npm, output, root } from './run.mjs';

/** Builds the library if it is older than its sources; ends the process where that fails. */
export async function ensureBuilt() {
  const inputs = ['lib', 'package.json', 'tsconfig.json', 'package-lock.json'].map((name) =>
    join(root, name),
  );
  const outputs = ['esm', 'cjs'].map((name) => join(root, 'dist', name, 'index.js'));
  const built = Math.min(...outputs.map(changedAt));
  if (built > Math.max(...inputs.map(changedAt))) return;
  console.log('Building the library: npm run build');
  const status = await build();
  if (status !== 0) process.exit(status);
}

/** Packs the library as it would be published, and returns the path of the tarball. */
export async function pack() {
  await ensureBuilt();
  const folder = join(root, '.tmp', 'pack');
  mkdirSync(folder, { recursive: true });
  const [program, args] = npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder]);
  const packed = JSON.parse(output(program, args));
  // npm up to 11 answers with an array, later ones with an object by package name.
  const [{ filename }] = Object.values(packed);
  return join(folder, filename);
}

/** When a file, or the newest file of a folder, was last written; 0 where there is none. */
export function changedAt(path) {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return 0;
  if (!found.isDirectory()) return found.mtimeMs;
  // The folder's own time too: it moves when a file in it is deleted.
  return Math.max(found.mtimeMs, ...readdirSync(path).map((name) => changedAt(join(path, name))));
}
