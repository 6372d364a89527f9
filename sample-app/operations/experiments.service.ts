import { Injectable } from '@nestjs/common';
import {
  ChaosService,
  Priority,
  type ExperimentOptions,
  type ExperimentReport,
  type GameDayReport,
} from 'nestjs-breakwater';
import { RouteResolverService } from '../routes/route-resolver.service.js';

const KNOWN = { tenant: 'acme', service: 'checkout', env: 'prod', version: 'v1' };

/** What is tried on the running application, to learn whether it holds. */
@Injectable()
export class ExperimentsService {
  private readonly experiments: Readonly<Record<string, Omit<ExperimentOptions, 'name' | 'steadyState'>>> = {
    'database-outage': {
      hypothesis: 'Nobody notices that the database is away. It ends as soon as somebody does.',
      faults: [{ target: 'RouteLookupService.find', fault: 'partition' }],
      abortWhen: [
        { metric: 'circuitBreakers.database.failureCount', above: 3 },
        // Between two looks it may have opened, and counts no failures any more.
        { metric: 'circuitBreakers.database.openings', above: 0 },
      ],
    },
    // The last of a game day: the circuit of the cache stays open for half a minute after it.
    'cache-outage': {
      hypothesis: 'Routes are found without the cache.',
      faults: [{ target: 'CacheService.*', fault: 'partition' }],
    },
  };

  constructor(
    private readonly chaos: ChaosService,
    private readonly resolver: RouteResolverService,
  ) {}

  get names(): readonly string[] {
    return Object.keys(this.experiments);
  }

  /** Runs one and waits for its end; `undefined` where there is none of that name. */
  async run(name: string): Promise<ExperimentReport | undefined> {
    if (!Object.hasOwn(this.experiments, name)) return undefined;
    return this.chaos.experiment(this.optionsOf(name)).run();
  }

  /** Plays all experiments, one after the other, and waits for the end. */
  playGameDay(participants: readonly string[]): Promise<GameDayReport> {
    const experiments = this.names.map((name) => this.optionsOf(name));
    return this.chaos
      .gameDay({
        name: 'outages',
        scenario: 'Each thing that routes are looked up in is away for a while, one after the other.',
        experiments,
        participants,
        runbook: [
          { note: 'Whoever is on call knows of it, and has the dashboard open.' },
          ...experiments.flatMap(({ name }) => [{ experiment: name }, { pause: '500ms' }]),
          { note: 'What surprised us?' },
        ],
        hours: 1,
        // What one experiment shows says nothing about the next one.
        continueAfterAbort: true,
      })
      .run();
  }

  /** The game days that there were, the latest last. */
  gameDays(): readonly GameDayReport[] {
    return this.chaos.gameDays();
  }

  private optionsOf(name: string): ExperimentOptions {
    return {
      name,
      steadyState: { name: 'routes are found', check: () => this.findsRoutes() },
      duration: '3s',
      checkInterval: '200ms',
      settle: '500ms',
      ...(this.experiments[name] as Omit<ExperimentOptions, 'name' | 'steadyState'>),
    };
  }

  private async findsRoutes(): Promise<boolean> {
    const { url } = await this.resolver.resolve(KNOWN, Priority.CRITICAL);
    return url !== '';
  }
}
