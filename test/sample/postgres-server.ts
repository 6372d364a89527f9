import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.js';

/** A server of PostgreSQL that a test talks to, stops and kills. */
export interface PostgresServer {
  readonly url: string;
  /** Ends it as a power failure would. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Another server that follows this one. */
  replica(): Promise<PostgresServer>;
  remove(): Promise<void>;
}

/** Debian keeps its programs out of the PATH; `npm test` installs them where it can (scripts/programs.mjs). */
const programs = findPrograms();
/** Whether tests of a server can run. */
export const canRunPostgres = programs !== undefined;

function findPrograms(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const folders = existsSync(debian)
    ? readdirSync(debian)
        .toSorted((one, other) => Number(other) - Number(one))
        .map((version) => join(debian, version, 'bin'))
    : [];
  const path = (process.env['PATH'] ?? '').split(':');
  return [...folders, ...path].find((folder) =>
    ['initdb', 'postgres', 'pg_basebackup'].every((name) => existsSync(join(folder, name))),
  );
}

/** PostgreSQL refuses to run as root: then it runs as whom its package has made, or as nobody. */
function owner(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const idOf = (flag: string, name: string) =>
    Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  for (const name of ['postgres', 'nobody']) {
    try {
      return { uid: idOf('-u', name), gid: idOf('-g', name) };
    } catch {
      // The next one.
    }
  }
  return undefined;
}

function ownFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-postgres-'));
  const user = owner();
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  return folder;
}

function program(name: string, args: readonly string[]): void {
  execFileSync(join(programs as string, name), [...args], { stdio: 'ignore', cwd: tmpdir(), ...owner() });
}

/** A new server with an empty database, on a free port. */
export async function startPostgres(): Promise<PostgresServer> {
  const folder = ownFolder();
  program('initdb', [
    '-D',
    join(folder, 'data'),
    '-U',
    'sample',
    '--auth',
    'trust',
    '--no-sync',
    '-E',
    'UTF8',
  ]);
  return serve(folder);
}

async function serve(folder: string): Promise<PostgresServer> {
  const port = await freePort();
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`,
    'fsync=off',
  ];
  const args = ['-D', join(folder, 'data'), ...settings.flatMap((setting) => ['-c', setting])];
  let server: ChildProcess | undefined;

  async function start(): Promise<void> {
    const started = spawn(join(programs as string, 'postgres'), args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: tmpdir(),
      ...owner(),
    });
    server = started;
    let printed = '';
    await new Promise<void>((resolve, reject) => {
      started.stderr.on('data', (chunk: Buffer) => {
        printed += chunk.toString();
        if (printed.includes('ready to accept')) resolve();
      });
      started.once('close', (code) => reject(new Error(`postgres ended with ${code}: ${printed}`)));
    });
  }

  /** Until its children have gone as well, which hear of it a moment later and answer until then: all hold one pipe. */
  async function kill(): Promise<void> {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const closed = once(server, 'close');
    server.kill('SIGKILL');
    await closed;
  }

  await start();
  return {
    url: `postgres://sample@127.0.0.1:${port}/postgres`,
    kill,
    start,
    replica: async () => {
      const copy = ownFolder();
      const source = `host=127.0.0.1 port=${port} user=sample`;
      program('pg_basebackup', ['-D', join(copy, 'data'), '-d', source, '-R', '-X', 'stream', '-c', 'fast']);
      return serve(copy);
    },
    remove: async () => {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
