import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';

const run = promisify(execFile);

describe('npm run demo', () => {
  it('sees what it expects at each of its steps, and ends with 0', async () => {
    const environment = { ...process.env, NODE_OPTIONS: '', SAMPLE_URL: '', DATABASE_URL: '' };
    const { stdout } = await run(process.execPath, ['scripts/sample.mjs', 'demo'], {
      env: environment,
    }).catch((error: Error & { stdout: string }) => error);

    // First, because it names what went wrong.
    expect(stdout.split('\n').filter((line) => line.includes('✗'))).toEqual([]);
    const titles = [...stdout.matchAll(/^(\d+)\/(\d+) {2}(.+)$/gm)];
    expect(titles).toHaveLength(12);
    expect(stdout).toMatch(
      /the first answer of the replica within 10\.0 s\n\s+seen:\s+from replica after \d/,
    );
    expect(stdout).toMatch(/^\d+ as expected, 0 not/m);
  }, 400_000);
});
