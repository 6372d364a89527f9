import { Module, type DynamicModule } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { checkOptions, refuseProblems, resolveOptions } from '../core/option-table.js';
import { unregistered } from '../module/unregistered.js';
import { createHealthController } from './health.controller.js';
import { HealthMonitor, healthMonitorProvider } from './health-monitor.js';
import {
  BulkheadHealthIndicator,
  CircuitBreakerHealthIndicator,
  DeepHealthIndicator,
  DrainingHealthIndicator,
  LivenessHealthIndicator,
  ReadinessHealthIndicator,
} from './indicators.js';
import {
  HEALTH_OPTIONS,
  healthTable,
  indicatorsTable,
  type HealthSettings,
  type ResilienceHealthOptions,
  type ResilienceIndicatorOptions,
} from './resilience-health.options.js';

const INDICATORS = [
  LivenessHealthIndicator,
  ReadinessHealthIndicator,
  DeepHealthIndicator,
  CircuitBreakerHealthIndicator,
  BulkheadHealthIndicator,
  DrainingHealthIndicator,
];

/**
 * Health on Terminus: runs the application's probes and, with `register`, mounts `/health`, `/health/live`,
 * `/health/ready`, `/health/deep` and `/health/resilience`. Needs `ResilienceModule.forRoot()` beside it.
 *
 * @example
 * @Module({ imports: [ResilienceModule.forRoot(), ResilienceHealthModule.register()] })
 * export class AppModule {}
 *
 * @publicApi
 */
@Module({ providers: [unregistered(HEALTH_OPTIONS, 'ResilienceHealthModule')] })
export class ResilienceHealthModule {
  /**
   * With the endpoints.
   *
   * @throws {@link InvalidOptionsError} naming every option that cannot be.
   */
  static register(options: ResilienceHealthOptions = {}): DynamicModule {
    refuseProblems(checkOptions(healthTable, options, 'ResilienceHealthModule.register'));
    const settings = resolveOptions(healthTable, options);
    const definition = definitionOf(settings);
    return {
      ...definition,
      imports: [...definition.imports, ...settings.imports],
      controllers: [createHealthController(settings)],
    };
  }

  /**
   * Only the indicators, for a Terminus controller of one's own.
   *
   * @throws {@link InvalidOptionsError} naming every option that cannot be.
   */
  static forIndicators(options: ResilienceIndicatorOptions = {}): DynamicModule {
    refuseProblems(checkOptions(indicatorsTable, options, 'ResilienceHealthModule.forIndicators'));
    return definitionOf(resolveOptions(healthTable, options));
  }
}

function definitionOf(settings: HealthSettings) {
  return {
    module: ResilienceHealthModule,
    // Terminus would log an error for each answer of an unready application, every few seconds.
    imports: [TerminusModule.forRoot({ logger: false })],
    providers: [healthMonitorProvider, ...INDICATORS, { provide: HEALTH_OPTIONS, useValue: settings }],
    exports: [HealthMonitor, ...INDICATORS, TerminusModule],
  };
}
