import {
  Inject,
  Module,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { Registry, collectDefaultMetrics, type RegistryContentType } from 'prom-client';
import { checkOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { unregistered } from '../../module/unregistered.js';
import { ResilienceService } from '../../module/resilience.service.js';
import { createMetricsController } from './metrics.controller.js';
import { METRICS_REGISTRY } from './metrics-registry.js';
import {
  prometheusTable,
  type PrometheusSettings,
  type ResiliencePrometheusOptions,
} from './prometheus.options.js';
import { registerResilienceMetrics } from './register-metrics.js';

/** Where this one is, the others of `collectDefaultMetrics` are too. */
const ANY_DEFAULT_METRIC = 'process_cpu_seconds_total';

/**
 * Serves the metrics of all policies at `/metrics`, in the format of Prometheus. Needs `ResilienceModule.forRoot()` beside
 * it, and the package `prom-client`.
 *
 * @example
 * @Module({ imports: [ResilienceModule.forRoot(), ResiliencePrometheusModule.register()] })
 * export class AppModule {}
 *
 * @publicApi
 */
@Module({ providers: [unregistered(METRICS_REGISTRY, 'ResiliencePrometheusModule')] })
export class ResiliencePrometheusModule implements OnApplicationBootstrap, OnApplicationShutdown {
  private unregister: (() => void) | undefined;

  constructor(
    @Inject(METRICS_REGISTRY) private readonly registry: Registry<RegistryContentType>,
    @Inject(ResilienceService) private readonly service: ResilienceService,
  ) {}

  /** @throws `InvalidOptionsError` naming every option that cannot be. */
  static register(options: ResiliencePrometheusOptions = {}): DynamicModule {
    refuseProblems(checkOptions(prometheusTable, options, 'ResiliencePrometheusModule.register'));
    const settings = resolveOptions(prometheusTable, options);
    return {
      module: ResiliencePrometheusModule,
      imports: [...settings.imports],
      controllers: [createMetricsController(settings)],
      providers: [{ provide: METRICS_REGISTRY, useFactory: () => registryOf(settings) }],
      exports: [METRICS_REGISTRY],
    };
  }

  /** Late: an application that fails to start leaves nothing in a registry that outlives it. */
  onApplicationBootstrap(): void {
    this.unregister = registerResilienceMetrics(this.service, this.registry);
  }

  onApplicationShutdown(): void {
    this.unregister?.();
  }
}

function registryOf({
  registry = new Registry(),
  defaultMetrics,
}: PrometheusSettings): Registry<RegistryContentType> {
  // They are of the process and not of an application: what is there already is left, also by those that close.
  const collected = registry.getSingleMetric(ANY_DEFAULT_METRIC) !== undefined;
  if (defaultMetrics && !collected) collectDefaultMetrics({ register: registry });
  return registry;
}
