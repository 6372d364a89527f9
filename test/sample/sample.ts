import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ADMIN_TOKEN = 'an-operator-in-a-test';

/** The answer to a request, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into bodies of every form
  readonly body: any;
}

/** A running sample application. */
export interface Sample {
  readonly url: string;
  readonly process: ChildProcess;
  /** What it has printed so far. */
  printed(): string;
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** As an operator. */
  operate(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Asks it to end; its exit code. */
  stop(): Promise<number | null>;
  /** Ends it as a power failure would. */
  kill(): Promise<void>;
}

/** A folder of its own for a test, and what removes it. */
export function temporaryFolder(name: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `breakwater-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Starts the sample as npm start does, with its data in memory unless the environment says where. */
export async function startSample(environment: Record<string, string> = {}): Promise<Sample> {
  const child = spawn(process.execPath, ['scripts/start.mjs'], {
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      PORT: '0',
      DATA_DIR: 'memory',
      READINESS_DELAY: '0',
      ADMIN_TOKEN,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  // With all that it printed.
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  const url = await new Promise<string>((resolve, reject) => {
    const note = (chunk: Buffer) => {
      printed += chunk.toString();
      const found = /The sample application runs on http:\/\/localhost:(\d+)/.exec(printed);
      if (found !== null) resolve(`http://127.0.0.1:${found[1]}`);
    };
    child.stdout.on('data', note);
    child.stderr.on('data', note);
    void ended.then((code) => reject(new Error(`The sample ended with ${code}: ${printed}`)));
  });

  async function ask(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(url + path, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && text !== '' ? JSON.parse(text) : text,
    };
  }

  function send(method: string, path: string, body: unknown, headers: Record<string, string>) {
    return ask(path, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  }

  return {
    url,
    process: child,
    printed: () => printed,
    get: (path, headers = {}) => ask(path, { headers }),
    post: (path, body, headers = {}) => send('POST', path, body, headers),
    operate: (method, path, body) => send(method, path, body, { authorization: `Bearer ${ADMIN_TOKEN}` }),
    stop: async () => {
      child.kill('SIGTERM');
      return ended;
    },
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Asks until the answer is as wanted; the last answer where it never is. */
export async function until<T>(
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
  forMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + forMs;
  for (;;) {
    const answer = await ask();
    if (wanted(answer) || Date.now() > deadline) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
