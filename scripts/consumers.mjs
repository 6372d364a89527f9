// Installs the packed build into applications, as its users would, and tests it there. An application is what one of the
// folders nest11 and nest12 under test/consumers has installed, one module format, and the sources that all of them share.
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureInstalled } from './install.mjs';
import { pack } from './pack.mjs';
import { output, root, run } from './run.mjs';
import { recordAs, recordStep } from './test-results.mjs';

const matrix = { nest11: ['cjs', 'esm'], nest12: ['esm'] };
const sources = join(root, 'test', 'consumers');
const workspace = join(root, '.tmp', 'consumers');

ensureInstalled();
const tarball = await pack();

let status = 0;
for (const [nest, formats] of Object.entries(matrix)) {
  const installation = install(nest);
  for (const format of formats) {
    console.log(`\nThe packed build in ${nest}-${format}`);
    const consumer = join(installation, format);
    rmSync(consumer, { recursive: true, force: true });
    for (const folder of ['shared', format]) cpSync(join(sources, folder), consumer, { recursive: true });
    status = check(consumer, `${nest}-${format}`) || status;
  }
}
process.exitCode = status;

/** The locked dependencies and the packed build, in a folder that the applications lie in. */
function install(nest) {
  const target = join(workspace, nest);
  mkdirSync(target, { recursive: true });
  for (const file of ['package.json', 'package-lock.json', '.npmrc'])
    cpSync(join(sources, nest, file), join(target, file));
  ensureInstalled(target);
  unpack(target);
  return target;
}

// Not npm install: that would write the tarball's hash, which changes with every build, into the lock file.
function unpack(installation) {
  const target = join(installation, 'node_modules', 'nestjs-breakwater');
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  output('tar', ['-xzf', tarball, '--strip-components=1', '-C', target]);

  const offered = readManifest(installation).dependencies;
  for (const [dependency, range] of Object.entries(readManifest(target).dependencies ?? {}))
    if (offered[dependency] !== range)
      throw new Error(
        `${installation}/package.json must list "${dependency}": "${range}", as the library does`,
      );
}

function check(consumer, name) {
  const bin = (...path) => join(consumer, '..', 'node_modules', ...path);
  const tsc = bin('typescript', 'bin', 'tsc');
  const isEsm = readManifest(consumer).type === 'module';
  const steps = [
    ...readdirSync(consumer)
      .filter((file) => /^tsconfig.*\.json$/.test(file))
      .map((project) => [project, [tsc, '--project', project]]),
    ['plain-node', ['plain-node.mjs']],
    ['run-app', ['run-app.mjs']],
  ];
  let failed = 0;
  for (const [title, args] of steps) {
    const passed = run(process.execPath, args, { cwd: consumer }) === 0;
    recordStep(`${name}-${title}`, passed);
    if (passed) continue;
    console.error(`${name}: ${title} failed`);
    failed = 1;
  }
  const nodeOptions = isEsm ? ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'] : [];
  const jest = [...nodeOptions, bin('jest', 'bin', 'jest.js'), ...recordAs(name)];
  return run(process.execPath, jest, { cwd: consumer }) === 0 ? failed : 1;
}

function readManifest(packageFolder) {
  return JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
}
