import { resolvePath, tally, type Step } from '../step.js';

interface Report {
  readonly state: string;
  readonly reason?: string;
  readonly validated?: boolean;
  readonly durationMs?: number;
  readonly observations: readonly { readonly phase: string }[];
}

/** Two experiments: one whose hypothesis holds, and one that ends itself. */
export const chaosStep: Step = {
  title: 'Experiments of chaos, and a roll-back',
  async run(sample, narrator) {
    await sample.reset('circuitBreakers', 'database');
    await sample.reset('circuitBreakers', 'redis');
    narrator.say('"Routes are found without the cache": it is cut off for 3 s.');
    const cache = await experiment('cache-outage');
    narrator.check(
      'completed, the hypothesis holds',
      `${cache.state}, validated: ${String(cache.validated)}; looks: ${tally(cache.observations.map(({ phase }) => phase))}`,
      cache.state === 'completed' && cache.validated === true,
    );

    // So that the cache hides the outage from those who ask for a known route.
    await sample.reset('circuitBreakers', 'redis');
    await sample.operate('DELETE', '/operations/cache');
    await sample.get(resolvePath());
    narrator.say('"Nobody notices that the database is away", under traffic.');
    let over = false;
    const statuses: number[] = [];
    const traffic = (async () => {
      while (!over) statuses.push((await sample.get(resolvePath(`chaos-${statuses.length}`))).status);
    })();
    const database = await experiment('database-outage');
    over = true;
    await traffic;
    narrator.check(
      'aborted by its metrics: the circuit counts failures, or has opened',
      `${database.state} after ${Math.round(database.durationMs ?? 0)} ms: ${database.reason ?? ''}`,
      database.state === 'aborted' && (database.reason ?? '').includes('circuitBreakers.database'),
    );
    const { body } = await sample.operate('GET', '/resilience/chaos');
    const faults = (body['faults'] as readonly unknown[]).length;
    await sample.reset('circuitBreakers', 'database');
    const healthy = await sample.get(resolvePath('chaos-after'));
    narrator.check(
      'its faults are rolled back: the database answers again',
      `${faults} faults active; the answer for a route that there is not: ${healthy.status}`,
      faults === 0 && healthy.status === 404,
    );
    async function experiment(name: string): Promise<Report> {
      const report = await sample.operate('POST', `/operations/experiments/${name}`);
      return report.body as unknown as Report;
    }
  },
};
