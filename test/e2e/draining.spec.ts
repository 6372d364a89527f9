import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';

const run = promisify(execFile);

/** What draining-load.mjs prints. */
interface Seen {
  readonly servedBefore: number;
  readonly servedAfter: number;
  readonly failed: readonly (number | string)[];
  readonly connection: Readonly<Record<string, number>>;
  readonly ready: readonly { readonly status: number | string; readonly sentAfterMs: number }[];
  readonly live: readonly (number | string)[];
  readonly slowestMs: number;
}

/** The sample application as npm start runs it: installs, builds what is stale, runs. */
async function startSample(platform: string) {
  const sample = spawn(process.execPath, ['scripts/start.mjs'], {
    env: {
      ...process.env,
      PORT: '0',
      HTTP_ADAPTER: platform,
      // Longer than 200 requests take, on any machine.
      READINESS_DELAY: '8s',
      DATA_DIR: 'memory',
      NODE_OPTIONS: '',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const ended = new Promise<[code: number | null, signal: string | null]>((resolve) => {
    sample.once('close', (code, signal) => resolve([code, signal]));
  });
  const url = await new Promise<string>((resolve, reject) => {
    const note = (chunk: Buffer) => {
      printed += chunk.toString();
      const found = /The sample application runs on http:\/\/localhost:(\d+)/.exec(printed);
      if (found !== null) resolve(`http://127.0.0.1:${found[1]}`);
    };
    sample.stdout.on('data', note);
    sample.stderr.on('data', note);
    void ended.then(([code]) => reject(new Error(`The sample ended with ${code}: ${printed}`)));
  });
  return { sample, ended, url, printed: () => printed };
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
      const args = ['test/e2e/draining-load.mjs', JSON.stringify(load)];
      const { stdout } = await run(process.execPath, args, { maxBuffer: 100_000_000 });
      const seen = JSON.parse(stdout) as Seen;

      expect(seen.failed).toEqual([]);
      expect(seen.servedBefore).toBeGreaterThanOrEqual(1_000);
      expect(seen.servedAfter).toBeGreaterThanOrEqual(200);
      // Told to go elsewhere, every one of them.
      expect(seen.connection).toEqual({ close: 200 });
      // 503 within 100 ms of the signal, where the machine is not slower than that, and never 200 again; the last one
      // found nobody.
      const heardAfterMs = 100 + seen.slowestMs;
      const late = seen.ready.filter(({ sentAfterMs }) => sentAfterMs >= heardAfterMs);
      expect(late.length).toBeGreaterThan(0);
      const answers = late.map(({ status }) => status).filter((status) => typeof status === 'number');
      expect(new Set(answers)).toEqual(new Set([503]));
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
