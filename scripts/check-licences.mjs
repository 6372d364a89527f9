// The licences of what a user installs with the library: its run-time dependencies and theirs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run.mjs';

const ALLOWED = new Set([
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'BlueOak-1.0.0',
  '0BSD',
]);

const read = (folder) => JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
const seen = new Map();

function visit(dependencies = {}) {
  for (const name of Object.keys(dependencies)) {
    if (seen.has(name)) continue;
    const { license, version, dependencies: further } = read(join('node_modules', name));
    seen.set(name, `${name} ${version}: ${license}`);
    if (!ALLOWED.has(license)) {
      console.error(
        `${name} ${version} is under "${license}", which is not among ${[...ALLOWED].join(', ')}.`,
      );
      process.exitCode = 1;
    }
    visit(further);
  }
}

visit(read('.').dependencies);
for (const line of seen.values()) console.log(line);
