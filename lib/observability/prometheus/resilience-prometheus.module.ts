import { Inject, Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { Registry, collectDefaultMetrics, type RegistryContentType } from 'prom-client';
import { checkOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { ResilienceService } from '../../module/resilience.service.js';
import { createMetricsController } from './metrics.controller.js';
import { METRICS_REGISTRY } from './metrics-registry.js';
import {
  prometheusTable,
  type PrometheusSettings,
  type ResiliencePrometheusOptions,
} from './prometheus.options.js';
import { registerResilienceMetrics } from './register-metrics.js';

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
@Module({})
export class ResiliencePrometheusModule implements OnApplicationShutdown {
  private readonly unregister: () => void;

  constructor(
    @Inject(METRICS_REGISTRY) registry: Registry<RegistryContentType>,
    @Inject(ResilienceService) service: ResilienceService,
  ) {
    this.unregister = registerResilienceMetrics(service, registry);
  }

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

  onApplicationShutdown(): void {
    this.unregister();
  }
}

function registryOf({
  registry = new Registry(),
  defaultMetrics,
}: PrometheusSettings): Registry<RegistryContentType> {
  if (defaultMetrics) collectDefaultMetrics({ register: registry });
  return registry;
}
