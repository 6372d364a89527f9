import { spawnSync } from 'node:child_process';

function find(): string | undefined {
  const given = process.env['CHROMIUM_PATH'];
  if (given !== undefined) return given;
  const found = spawnSync('which', ['chromium'], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

/** The browser of `CHROMIUM_PATH`, else Chromium; `npm test` installs one where it can (scripts/programs.mjs). */
export const chromiumPath = find();
