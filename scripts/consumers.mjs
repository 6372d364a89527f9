// Installs the packed build into the applications under test/consumers, as their users would, and tests it there.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ensureInstalled } from './install.mjs';
import { pack } from './pack.mjs';
import { output, root, run } from './run.mjs';
import { recordAs } from './test-results.mjs';

const folder = join(root, 'test', 'consumers');

ensureInstalled();
const tarball = await pack();

let status = 0;
for (const name of readdirSync(folder)) {
  const consumer = join(folder, name);
  if (!existsSync(join(consumer, 'package-lock.json'))) continue;
  console.log(`\nThe packed build in ${relative(root, consumer)}`);
  ensureInstalled(consumer);
  unpack(consumer);
  status = check(consumer, name) || status;
}
process.exitCode = status;

// Not npm install: that would write the tarball's hash, which changes with every build, into the consumer's lock file.
function unpack(consumer) {
  const target = join(consumer, 'node_modules', 'nestjs-breakwater');
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  output('tar', ['-xzf', tarball, '--strip-components=1', '-C', target]);

  const offered = readManifest(consumer).dependencies;
  for (const [dependency, range] of Object.entries(readManifest(target).dependencies ?? {}))
    if (offered[dependency] !== range)
      throw new Error(`${consumer}/package.json must list "${dependency}": "${range}", as the library does`);
}

function check(consumer, name) {
  const bin = (...path) => join(consumer, 'node_modules', ...path);
  const steps = [
    ['types', [bin('typescript', 'bin', 'tsc'), '--project', 'tsconfig.json']],
    ['types, classic resolution', [bin('typescript', 'bin', 'tsc'), '--project', 'tsconfig.node10.json']],
    ['plain Node', ['plain-node.cjs']],
    ['Jest', [bin('jest', 'bin', 'jest.js'), ...recordAs(name)]],
  ];
  let failed = 0;
  for (const [title, args] of steps) {
    if (run(process.execPath, args, { cwd: consumer }) === 0) continue;
    console.error(`${name}: ${title} failed`);
    failed = 1;
  }
  return failed;
}

function readManifest(packageFolder) {
  return JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
}
