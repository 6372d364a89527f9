import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { SampleClient } from './sample-client.js';

/** A sample of our own. */
export interface Launched {
  readonly client: SampleClient;
  readonly process: ChildProcess;
  /** Its exit code, once it has ended. */
  readonly ended: Promise<number | null>;
  stop(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

/** Starts a sample on a free port, with its data in memory. */
export async function launch(environment: Readonly<Record<string, string>> = {}): Promise<Launched> {
  const token = randomBytes(12).toString('hex');
  const child = spawn(process.execPath, ['--enable-source-maps', MAIN], {
    env: {
      ...process.env,
      PORT: '0',
      DATA_DIR: 'memory',
      READINESS_DELAY: '0',
      ADMIN_TOKEN: token,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('exit', resolve);
  });
  // However we go, it does not stay behind.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  void ended.then(() => process.off('exit', kill));
  const url = await new Promise<string>((resolve, reject) => {
    let printed = '';
    child.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      const found = /runs on http:\/\/localhost:(\d+)/.exec(printed);
      if (found !== null) resolve(`http://127.0.0.1:${found[1]}`);
    });
    void ended.then((code) => reject(new Error(`The sample ended with ${code} before it ran.`)));
  });
  return {
    client: new SampleClient(url, token),
    process: child,
    ended,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
