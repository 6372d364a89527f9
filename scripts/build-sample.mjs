// Makes dist/sample-app what sample-app/ says: installs, builds the library and the sample, each only if needed.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { alone } from './alone.mjs';
import { ensureInstalled } from './install.mjs';
import { changedAt, ensureBuilt } from './pack.mjs';
import { root, run } from './run.mjs';

const built = join(root, 'dist', 'sample-app');

/** The path of a built file of the sample; ends the process where it cannot be built. */
export async function sampleFile(name) {
  if (!existsSync(join(root, 'sample-app', 'main.ts'))) {
    console.error('There is no sample application in this checkout: sample-app/main.ts is missing.');
    process.exit(1);
  }
  ensureInstalled();
  await alone('build', async () => {
    await ensureBuilt();
    buildSample();
  });
  return join(built, name);
}

function buildSample() {
  const inputs = ['sample-app', 'lib', 'tsconfig.json', 'nest-cli.json'].map((name) => join(root, name));
  if (changedAt(join(built, 'main.js')) > Math.max(...inputs.map(changedAt))) return;
  console.log('Building the sample application: nest build sample-app');
  const nest = join(root, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
  const status = run(process.execPath, [nest, 'build', 'sample-app']);
  if (status !== 0) process.exit(status);
}
