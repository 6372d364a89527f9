import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '../../../lib/testing/seeded-random.js';
import { monotonicMs } from '../histories/history.js';
import type { Instance } from './instance.js';
import { LEASE_MS } from './rules.js';

/** All workers ask for the same orders at the same time: a new one each so often. */
const ORDER_EVERY_MS = 60;

/** Calls of everything that is shared, more than the limits let through, until it is stopped. */
export class Load {
  private readonly random;
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly pending = new Set<Promise<unknown>>();
  private isOver = false;

  constructor(
    private readonly instance: Instance,
    seed: number,
  ) {
    this.random = seededRandom(seed);
    this.every(12, () => instance.take('exact'));
    this.every(6, () => instance.take('leased'));
    this.every(20, () => this.order());
    this.track(this.usePermits());
  }

  async stop(): Promise<void> {
    this.isOver = true;
    for (const timer of this.timers) clearInterval(timer);
    await Promise.all(this.pending);
  }

  private every(ms: number, call: () => Promise<unknown>): void {
    this.timers.push(setInterval(() => this.track(call()), ms));
  }

  private track(call: Promise<unknown>): void {
    this.pending.add(call);
    void call.finally(() => this.pending.delete(call));
  }

  /** An order of now or of a moment ago, sometimes with other arguments; some runs fail, some take longer than a beat. */
  private async order(): Promise<void> {
    const { random } = this;
    const ago = random() < 0.3 ? Math.floor(random() * 20) : 0;
    const key = `order-${Math.floor(monotonicMs() / ORDER_EVERY_MS) - ago}`;
    const fingerprint = random() < 0.1 ? 'other' : 'same';
    const runMs = random() < 0.05 ? LEASE_MS * 1.5 : random() * 20;
    const fails = random() < 0.1;
    await this.instance.order(key, fingerprint, async () => {
      await delay(runMs);
      if (fails) throw new Error('declined');
      return { by: process.pid, at: monotonicMs(), note: 'paid in full: 10 €\n|+' };
    });
  }

  private async usePermits(): Promise<void> {
    const { instance, random } = this;
    while (!this.isOver) {
      const choice = random();
      if (instance.holding() === 0 || choice < 0.4) await instance.acquire(1 + Math.floor(random() * 3));
      else if (choice < 0.7) await instance.renew();
      else await instance.release(1 + Math.floor(random() * instance.holding()));
      await delay(10 + random() * 30);
    }
  }
}
