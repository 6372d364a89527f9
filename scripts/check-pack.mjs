// What a user would install: is it complete, does every entry point resolve, with its types, from ESM and from CommonJS?
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pack } from './pack.mjs';
import { output, root, run } from './run.mjs';

const tarball = await pack();
const bin = (name, ...path) => join(root, 'node_modules', name, ...path);

console.log('\npublint');
let status = run(process.execPath, [bin('publint', 'src', 'cli.js'), 'run', tarball, '--strict']);

console.log('\nattw');
status = run(process.execPath, [bin('@arethetypeswrong', 'cli', 'dist', 'index.js'), tarball]) || status;

// A user's CommonJS Jest can run neither of these, and no other check looks inside the files.
for (const file of readdirSync(join(root, 'dist', 'cjs'), { recursive: true })) {
  if (!file.endsWith('.js')) continue;
  const code = readFileSync(join(root, 'dist', 'cjs', file), 'utf8').replace(
    /\/\*[\s\S]*?\*\/|\/\/.*$/gm,
    '',
  );
  for (const forbidden of ['import(', 'import.meta'])
    if (code.includes(forbidden)) {
      console.error(`dist/cjs/${file} contains ${forbidden}`);
      status = 1;
    }
}

// The dashboard reads these when an application starts.
const packed = new Set(output('tar', ['-tzf', tarball]).split('\n'));
const assets = readdirSync(join(root, 'lib', 'observability', 'dashboard', 'assets'));
for (const format of ['esm', 'cjs'])
  for (const name of [...assets, 'uPlot.iife.min.js', 'uPlot.min.css', 'uPlot.LICENSE']) {
    const path = `package/dist/${format}/observability/dashboard/assets/${name}`;
    if (packed.has(path)) continue;
    console.error(`${path} is missing`);
    status = 1;
  }
process.exitCode = status;
