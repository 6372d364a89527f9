import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

describe('Vitest', () => {
  beforeAll(async () => {
    const pack = new URL('../../scripts/pack.mjs', import.meta.url).href;
    await run(
      process.execPath,
      ['-e', `import(${JSON.stringify(pack)}).then((scripts) => scripts.ensureBuilt())`],
      {
        cwd: ROOT,
      },
    );
  }, 240_000);

  it('TK-03 runs the matchers as Jest does', async () => {
    const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
    const env: NodeJS.ProcessEnv = { ...process.env, CI: 'true', NO_COLOR: '1' };
    // What Jest's own processes are told is not for others.
    delete env['NODE_OPTIONS'];
    delete env['VITEST'];
    const config = fileURLToPath(new URL('vitest.config.mjs', import.meta.url));
    const { stdout } = await run(process.execPath, [vitest, 'run', '--config', config], { cwd: ROOT, env });
    expect(stdout).toMatch(/Tests {2}1 passed/);
  }, 120_000);
});
