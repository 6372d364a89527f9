// Programs that tests need beside Node: servers of Redis or Valkey and of PostgreSQL, and Chromium. What is missing is installed where
// that can be done, as root on Debian, in one go; where it cannot, the tests that need it are skipped by name.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const NEEDED = [
  { says: 'REDIS_URL', programs: ['redis-server', 'valkey-server'], package: 'redis-server' },
  // Debian keeps its programs in a folder of their own, out of the PATH.
  { programs: ['initdb'], folder: '/usr/lib/postgresql', package: 'postgresql' },
  { says: 'CHROMIUM_PATH', programs: ['chromium'], package: 'chromium' },
];

/** Whether a program can be run by its name. */
export function isThere(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

export function ensurePrograms() {
  const missing = NEEDED.filter(
    ({ says, programs, folder }) =>
      !(says !== undefined && process.env[says] !== undefined) &&
      !(folder !== undefined && existsSync(folder)) &&
      !programs.some(isThere),
  );
  if (missing.length === 0) return;
  const packages = missing.map((each) => each.package);
  if (process.getuid?.() !== 0 || !isThere('apt-get')) {
    console.log(`Not there, and not to be installed from here: ${packages.join(', ')}.`);
    return;
  }
  console.log(`Installing what tests talk to: apt-get install ${packages.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore', env });
  const { status } = spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env,
  });
  if (status !== 0) console.log('That failed; the tests that need it are skipped.');
}
