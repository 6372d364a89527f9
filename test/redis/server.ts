import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.js';

/** A server of Redis or Valkey that a test talks to. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** The server's process, where it is ours: only then may it be stopped and killed. */
  readonly process: ChildProcess | undefined;
  stop(): Promise<void>;
}

/** `npm test` installs one where it can (scripts/programs.mjs). */
const PROGRAMS = ['redis-server', 'valkey-server'];

function onPath(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

const program = process.env['REDIS_URL'] === undefined ? PROGRAMS.find(onPath) : undefined;

/** Whether tests of a server can run: with `REDIS_URL`, or with a program to start. */
export const canRunRedis = process.env['REDIS_URL'] !== undefined || program !== undefined;
/** Whether a test can have a server of its own, to be stopped and killed. */
export const canOwnRedis = program !== undefined;

/** The server of `REDIS_URL`, else a private one. */
export async function startRedis(options: readonly string[] = []): Promise<RedisServer> {
  const given = process.env['REDIS_URL'];
  if (given !== undefined && options.length === 0) {
    return {
      url: given,
      port: Number(new URL(given).port || 6379),
      process: undefined,
      stop: async () => {},
    };
  }
  return startOwnRedis(options);
}

/** A private server, on a free port or on the one that another server has had. */
export async function startOwnRedis(
  options: readonly string[] = [],
  givenPort?: number,
): Promise<RedisServer> {
  const port = givenPort ?? (await freePort());
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-redis-'));
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
    // A replica is served at once.
    '--repl-diskless-sync-delay',
    '0',
  ];
  const server = spawn(program as string, [...args, ...options], { stdio: ['ignore', 'pipe', 'ignore'] });
  let printed = '';
  for await (const chunk of server.stdout) {
    printed += String(chunk);
    if (printed.includes('Ready to accept connections')) break;
  }
  if (!printed.includes('Ready to accept connections')) throw new Error(`${program} has ended: ${printed}`);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    process: server,
    stop: async () => {
      if (server.exitCode === null && server.signalCode === null) {
        server.kill('SIGCONT');
        server.kill('SIGKILL');
        await once(server, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
