// A process of its own that does what the test tells it over IPC, and writes down what happens. Arguments: its name and
// the file of its history.
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Instance, type InstanceOptions } from './instance.js';
import { Load } from './load.js';
import { Recorder } from './recorder.js';

const [name, file] = process.argv.slice(2) as [string, string];
const recorder = new Recorder(name, file);
let instance: Instance;
let load: Load | undefined;

for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
  process.on(event, (error: unknown) => recorder.record({ kind: 'unhandled', error: String(error) }));
}

/** What a worker can be told. */
const orders = {
  async open(options: InstanceOptions): Promise<void> {
    instance = await Instance.open(options, recorder);
  },
  async startLoad(seed: number): Promise<void> {
    load = new Load(instance, seed);
  },
  async stopLoad(): Promise<void> {
    await load?.stop();
  },
  acquire: (want: number, leaseMs?: number): Promise<number> => instance.acquire(want, leaseMs),
  renew: (): Promise<number> => instance.renew(),
  release: (count: number): Promise<void> => instance.release(count),
  async holding(): Promise<number> {
    return instance.holding();
  },
  async degraded(): Promise<boolean> {
    return instance.degraded;
  },
  take: (limit: 'exact' | 'leased'): Promise<void> => instance.take(limit),
  /** Runs an order that takes `ms`. */
  order: (key: string, fingerprint: string, ms: number): Promise<string> =>
    instance.order(key, fingerprint, async () => {
      await delay(ms);
      return `${key} by ${name}`;
    }),
  /** Runs an order during which this process's event loop stands still, until there is that file. */
  stalledOrder: (key: string, fingerprint: string, file: string): Promise<string> =>
    instance.order(key, fingerprint, async () => {
      const never = new Int32Array(new SharedArrayBuffer(4));
      while (!existsSync(file)) Atomics.wait(never, 0, 0, 10);
      return `${key} by ${name}`;
    }),
  async joinCircuit(scope: 'quorum' | 'any'): Promise<void> {
    instance.joinCircuit(scope);
  },
  callInside: (ok: boolean, ms: number): Promise<string> => instance.callInside(ok, ms),
  async circuitState(): Promise<string> {
    return instance.circuitState;
  },
  /** Stops this process's event loop for so long. */
  async stall(ms: number): Promise<void> {
    const until = performance.now() + ms;
    while (performance.now() < until);
  },
  close: (): Promise<void> => instance.close(),
};

export type Orders = typeof orders;

process.on('message', ({ id, order, args }: { id: number; order: keyof Orders; args: never[] }) => {
  (orders[order] as (...given: never[]) => Promise<unknown>)(...args).then(
    (value) => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  );
});
process.once('disconnect', () => process.exit());
