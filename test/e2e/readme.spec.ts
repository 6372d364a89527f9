import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const run = promisify(execFile);

/** Each command of the README's console blocks, with what it is said to print. */
function commands(): { command: string; output: string }[] {
  const readme = readFileSync('README.md', 'utf8');
  const blocks = [...readme.matchAll(/```console\n([\s\S]*?)```/g)].map(([, block]) => block as string);
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .filter((text) => text.trim() !== '')
      .map((text) => {
        const [command, ...output] = text.split('\n');
        return { command: command as string, output: output.join('\n').trim() };
      }),
  );
}

describe('README', () => {
  let sample: ChildProcess;
  let port: string;

  // As npm start does it: installs, builds what is stale, runs.
  beforeAll(async () => {
    sample = spawn(process.execPath, ['scripts/start.mjs'], {
      env: { ...process.env, PORT: '0', DATA_DIR: 'memory', NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    port = await new Promise<string>((resolve, reject) => {
      let printed = '';
      sample.stdout?.on('data', (chunk: Buffer) => {
        printed += chunk.toString();
        const found = /The sample application runs on http:\/\/localhost:(\d+)/.exec(printed)?.[1];
        if (found !== undefined) resolve(found);
      });
      sample.once('exit', (code) => reject(new Error(`The sample ended with ${code}: ${printed}`)));
    });
  }, 240_000);

  afterAll(async () => {
    const ended = new Promise<number | null>((resolve) => sample.once('exit', resolve));
    sample.kill('SIGTERM');
    await ended;
  });

  it('has commands to try', () => {
    expect(commands().length).toBeGreaterThan(8);
  });

  it.each(commands())('prints what it says: $command', async ({ command, output }) => {
    const here = command.replaceAll('localhost:3000', `localhost:${port}`);

    const { stdout } = await run('bash', ['-c', here]);

    expect(stdout.replaceAll('\r', '').trim()).toBe(output);
  });
});
