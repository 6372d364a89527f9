import { setTimeout as delay } from 'node:timers/promises';
import type { Narrator } from './narrator.js';
import type { SampleClient } from './sample-client.js';

/** A station of the tour. It leaves the sample as it found it. */
export interface Step {
  readonly title: string;
  run(sample: SampleClient, narrator: Narrator): Promise<void>;
}

/** What the database is asked for; with `fresh`, by a key that no cache knows. */
export function resolvePath(fresh?: string): string {
  const version = fresh ?? 'v1';
  return `/api/v1/routes/resolve?tenant=acme&service=checkout&env=prod&version=${version}`;
}

/** Asks every 20 ms until it is so. */
export async function until(isSo: () => Promise<boolean>, forMs: number): Promise<boolean> {
  const deadline = performance.now() + forMs;
  while (!(await isSo())) {
    if (performance.now() > deadline) return false;
    await delay(20);
  }
  return true;
}

export function milliseconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** How often each value is there: `100 × 200, 30 × 429`. */
export function tally(values: readonly (string | number)[]): string {
  const counts = new Map<string | number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, count]) => `${count} × ${value}`).join(', ') || 'none';
}
