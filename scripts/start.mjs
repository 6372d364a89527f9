// npm start: installs what is missing, builds what is stale, and runs the sample application.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureInstalled } from './install.mjs';
import { alone } from './alone.mjs';
import { changedAt, ensureBuilt } from './pack.mjs';
import { root, run } from './run.mjs';

const entry = join(root, 'dist', 'sample-app', 'main.js');

if (!existsSync(join(root, 'sample-app', 'main.ts'))) {
  console.error('There is no sample application in this checkout: sample-app/main.ts is missing.');
  process.exit(1);
}
ensureInstalled();
await alone('build', async () => {
  await ensureBuilt();
  buildSample();
});

// In this very process, so that signals reach the application without a hand between.
process.setSourceMapsEnabled(true);
if (process.env.npm_lifecycle_event) stopWithParent();
process.argv[1] = entry;
await import(pathToFileURL(entry).href);

function buildSample() {
  const inputs = ['sample-app', 'lib', 'tsconfig.json', 'nest-cli.json'].map((name) => join(root, name));
  if (changedAt(entry) > Math.max(...inputs.map(changedAt))) return;
  console.log('Building the sample application: nest build sample-app');
  const nest = join(root, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
  const status = run(process.execPath, [nest, 'build', 'sample-app']);
  if (status !== 0) process.exit(status);
}

/** A signal to npm ends the shell that npm put between us, and stops there: take the shell's end for the signal. */
function stopWithParent() {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 200);
  watch.unref();
}
