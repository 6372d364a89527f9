import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { freePort } from '../free-port.js';

const run = promisify(execFile);

/** What draining-load.mjs prints. */
interface Seen {
  readonly servedBefore: number;
  readonly servedAfter: number;
  readonly failed: readonly (number | string)[];
  readonly connection: Readonly<Record<string, number>>;
  readonly ready: readonly { readonly status: number | string; readonly sentAfterMs: number }[];
  readonly live: readonly (number | string)[];
}

/** The sample application as npm start runs it: installs, builds what is stale, runs. */
async function startSample(platform: string) {
  const port = await freePort();
  const sample = spawn(process.execPath, ['scripts/start.mjs'], {
    env: {
      ...process.env,
      PORT: String(port),
      HTTP_ADAPTER: platform,
      READINESS_DELAY: '3s',
      DATA_DIR: 'memory',
      NODE_OPTIONS: '',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const ended = new Promise<[code: number | null, signal: string | null]>((resolve) => {
    sample.once('exit', (code, signal) => resolve([code, signal]));
  });
  await new Promise<void>((resolve, reject) => {
    const note = (chunk: Buffer) => {
      printed += chunk.toString();
      if (printed.includes('The sample application runs')) resolve();
    };
    sample.stdout.on('data', note);
    sample.stderr.on('data', note);
    void ended.then(([code]) => reject(new Error(`The sample ended with ${code}: ${printed}`)));
  });
  return { sample, ended, url: `http://127.0.0.1:${port}`, printed: () => printed };
}

describe.each(['express', 'fastify'])('the built sample application on %s', (platform) => {
  it('DR-01 DR-03 loses no request of 50 keep-alive connections to a SIGTERM, and ends with 0', async () => {
    const { sample, ended, url, printed } = await startSample(platform);
    try {
      const load = {
        url,
        path: '/api/resilience/simple-protected',
        pid: sample.pid,
        connections: 50,
        warmUp: 1_000,
        afterwards: 4,
      };
      const { stdout } = await run(process.execPath, ['test/e2e/draining-load.mjs', JSON.stringify(load)]);
      const seen = JSON.parse(stdout) as Seen;

      expect(seen.failed).toEqual([]);
      expect(seen.servedBefore).toBeGreaterThanOrEqual(1_000);
      expect(seen.servedAfter).toBeGreaterThanOrEqual(200);
      // Told to go elsewhere, every one of them.
      expect(seen.connection).toEqual({ close: 200 });
      // 503 within 100 ms of the signal, and never 200 again; the last one found nobody.
      const late = seen.ready.filter(({ sentAfterMs }) => sentAfterMs >= 100).map(({ status }) => status);
      expect(late.length).toBeGreaterThan(10);
      expect(new Set(late.filter((status) => typeof status === 'number'))).toEqual(new Set([503]));
      const answered = seen.live.filter((status) => typeof status === 'number');
      expect(new Set(answered)).toEqual(new Set([200]));
      expect(answered.length).toBeGreaterThan(10);
      expect(await ended).toEqual([0, null]);
      expect(printed()).not.toMatch(/error/i);
    } finally {
      sample.kill('SIGKILL');
    }
  }, 240_000);
});
