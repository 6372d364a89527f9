import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { npm, root, run } from './run.mjs';

/** Installs the locked dependencies of a folder unless they are there; ends the process where that fails. */
export function ensureInstalled(folder = root) {
  const reason = whyInstall(folder);
  if (!reason) return;
  const where = relative(root, folder) || 'the repository';
  console.log(`Installing the locked dependencies of ${where} (${reason}): npm ci`);
  // Explicit, because npm can be configured, or told by NODE_ENV, to leave out what a build and a test need.
  const [program, args] = npm(['ci', '--include=dev', '--ignore-scripts=false', '--no-audit', '--no-fund']);
  const status = run(program, args, { cwd: folder });
  if (status !== 0) {
    console.error(`npm ci failed in ${where}. It needs the npm registry, or a warm npm cache.`);
    process.exit(status);
  }
}

/** What is not in step with the lock file, or undefined. npm notes what it installed in a lock file of its own. */
function whyInstall(folder) {
  const noted = join(folder, 'node_modules', '.package-lock.json');
  if (!existsSync(noted)) return 'none are installed';
  const locked = packagesOf(join(folder, 'package-lock.json'));
  const installed = packagesOf(noted);
  for (const [path, { version, optional, peer, devOptional }] of Object.entries(locked)) {
    if (path === '' || optional || devOptional || peer) continue;
    if (installed[path]?.version !== version) return `${path.replace(/^.*node_modules\//, '')} has changed`;
  }
  return undefined;
}

function packagesOf(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
}
