import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import type { HistoryEvent } from '../histories/history.js';
import type { Orders } from './worker.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** A worker process, and what it can be told. */
export class Worker {
  private readonly waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>();
  private lastId = 0;

  constructor(
    readonly name: string,
    private readonly file: string,
    private readonly child: ChildProcess,
  ) {
    child.on('message', ({ id, value, error }: { id: number; value: never; error?: string }) => {
      const asked = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) asked?.resolve(value);
      else asked?.reject(new Error(`${name}: ${error}`));
    });
    child.on('exit', () => {
      for (const { reject } of this.waiting.values()) reject(new Error(`${name} has ended`));
      this.waiting.clear();
    });
  }

  tell<K extends keyof Orders>(order: K, ...args: Parameters<Orders[K]>): ReturnType<Orders[K]> {
    const id = ++this.lastId;
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.child.send({ id, order, args });
    return answer as ReturnType<Orders[K]>;
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Ends it at once, as `kill -9` does. */
  async kill(): Promise<void> {
    if (!this.isAlive) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  /** What it wrote down so far. */
  history(): HistoryEvent[] {
    if (!existsSync(this.file)) return [];
    const lines = readFileSync(this.file, 'utf8').split('\n');
    // The last one is empty, or cut off.
    return lines.slice(0, -1).map((line) => JSON.parse(line) as HistoryEvent);
  }
}

/** Worker processes, built from the sources as they are. */
export class WorkerFleet {
  readonly workers: Worker[] = [];
  private readonly folder: string;
  private started = 0;

  constructor() {
    mkdirSync(join(ROOT, '.tmp'), { recursive: true });
    this.folder = mkdtempSync(join(ROOT, '.tmp', 'workers-'));
  }

  /** @returns workers that run from now on. */
  async start(count: number): Promise<Worker[]> {
    const program = join(this.folder, 'worker.mjs');
    if (!existsSync(program)) {
      buildSync({
        entryPoints: [join(ROOT, 'test', 'redis', 'workers', 'worker.ts')],
        outfile: program,
        bundle: true,
        platform: 'node',
        format: 'esm',
        packages: 'external',
        logLevel: 'error',
      });
    }
    const begun = Array.from({ length: count }, () => {
      const name = `worker ${++this.started}`;
      const file = join(this.folder, `${this.started}.ndjson`);
      // Without what Jest's own processes are started with.
      const child = fork(program, [name, file], {
        execArgv: [],
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      return new Worker(name, file, child);
    });
    this.workers.push(...begun);
    return begun;
  }

  history(): HistoryEvent[] {
    return this.workers.flatMap((worker) => worker.history()).sort((a, b) => a.at - b.at);
  }

  async end(): Promise<void> {
    for (const worker of this.workers) await worker.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
