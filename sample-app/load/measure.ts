import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import autocannon, { type Instance, type Options } from 'autocannon';
import { launch } from '../tour/launch.js';
import type { LiveView } from './live-view.js';
import { CONNECTIONS, PATIENCE_SECONDS, PHASES, REQUESTS_PER_SECOND, type Phase } from './scenario.js';

const PATH = '/prices/tea';

/** What clients and the dependency saw of one run. */
export interface Measurement {
  readonly name: string;
  readonly requests: number;
  readonly answered: number;
  readonly degraded: number;
  /** How long answers took, and errors until they came; ascending. */
  readonly durationsMs: readonly number[];
  /** Requests that reached the dependency. */
  readonly dependencyRequests: number;
}

/** Puts one sample under load while its dependency goes through all phases. */
export async function measure(name: string, resilience: 'on' | 'off', view: LiveView): Promise<Measurement> {
  view.begin(name);
  const { client, stop } = await launch({ RESILIENCE: resilience });
  try {
    await client.get(PATH);
    const before = await dependencyRequests();
    const seconds = PHASES.reduce((sum, phase) => sum + phase.seconds, 0);
    const durationsMs: number[] = [];
    let answered = 0;
    let failed = 0;
    const load = startLoad({
      url: client.url + PATH,
      connections: CONNECTIONS,
      overallRate: REQUESTS_PER_SECOND,
      duration: seconds,
      timeout: PATIENCE_SECONDS,
    });
    const over = once(load, 'done');
    load.on('response', (_, status, __, tookMs) => {
      durationsMs.push(tookMs);
      if (status === 200) answered++;
      else failed++;
    });
    load.on('reqError', () => {
      durationsMs.push(PATIENCE_SECONDS * 1_000);
      failed++;
    });
    const numbers = () => ({ answered, failed, durationsMs });
    for (const phase of PHASES) {
      await client.upstream('primary', faultsOf(phase));
      for (let second = 0; second < phase.seconds; second++) {
        await delay(1_000);
        view.show(phase.name, numbers());
      }
    }
    await over;
    view.end(numbers());
    const { fallbacks } = (await client.operate('GET', '/resilience')).body as unknown as Overview;
    return {
      name,
      requests: answered + failed,
      answered,
      degraded: fallbacks['PricesService.price']?.degradedCalls ?? 0,
      durationsMs: durationsMs.toSorted((one, other) => one - other),
      dependencyRequests: (await dependencyRequests()) - before,
    };
  } finally {
    await stop();
  }

  async function dependencyRequests(): Promise<number> {
    const { body } = await client.get('/upstream');
    return (body['counts'] as { requests: number }).requests;
  }
}

/** With a callback it gives the running load, not a promise of its end. */
function startLoad(options: Options): Instance {
  return autocannon(options, () => undefined);
}

interface Overview {
  readonly fallbacks: Readonly<Record<string, { readonly degradedCalls: number }>>;
}

function faultsOf({ failurePercent, latencyMs }: Phase) {
  return { failurePercent, latencyMs };
}
