import { Injectable } from '@nestjs/common';
import { ChaosService, Priority, type ExperimentOptions, type ExperimentReport } from 'nestjs-breakwater';
import { RouteResolverService } from '../routes/route-resolver.service.js';

const KNOWN = { tenant: 'acme', service: 'checkout', env: 'prod', version: 'v1' };

/** What is tried on the running application, to learn whether it holds. */
@Injectable()
export class ExperimentsService {
  private readonly experiments: Readonly<Record<string, Omit<ExperimentOptions, 'name' | 'steadyState'>>> = {
    'cache-outage': {
      hypothesis: 'Routes are found without the cache.',
      faults: [{ target: 'CacheService.*', fault: 'partition' }],
    },
    'database-outage': {
      hypothesis: 'Nobody notices that the database is away. It ends as soon as somebody does.',
      faults: [{ target: 'RouteLookupService.find', fault: 'partition' }],
      abortWhen: [
        { metric: 'circuitBreakers.database.failureCount', above: 3 },
        // Between two looks it may have opened, and counts no failures any more.
        { metric: 'circuitBreakers.database.openings', above: 0 },
      ],
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
    const options = Object.hasOwn(this.experiments, name) ? this.experiments[name] : undefined;
    if (options === undefined) return undefined;
    return this.chaos
      .experiment({
        name,
        steadyState: { name: 'routes are found', check: () => this.findsRoutes() },
        duration: '3s',
        checkInterval: '200ms',
        settle: '500ms',
        ...options,
      })
      .run();
  }

  private async findsRoutes(): Promise<boolean> {
    const { url } = await this.resolver.resolve(KNOWN, Priority.CRITICAL);
    return url !== '';
  }
}
