import {
  Controller,
  Get,
  Inject,
  Query,
  UseGuards,
  UseInterceptors,
  VERSION_NEUTRAL,
  applyDecorators,
  type Type,
} from '@nestjs/common';
import {
  HealthCheck,
  HealthCheckService,
  HealthIndicatorService,
  type HealthCheckResult,
} from '@nestjs/terminus';
import { OwnRoutes } from '../core/own-routes.js';
import { DrainingService } from '../draining/draining.service.js';
import { ResilienceService } from '../module/resilience.service.js';
import {
  BulkheadHealthIndicator,
  CircuitBreakerHealthIndicator,
  DeepHealthIndicator,
  DrainingHealthIndicator,
  LivenessHealthIndicator,
  ReadinessHealthIndicator,
} from './indicators.js';
import { HealthMonitor } from './health-monitor.js';
import { indicate, jsonReady } from './indicator-result.js';
import { WholeAnswers } from './whole-answers.js';
import { HEALTH_OPTIONS, type HealthSettings } from './resilience-health.options.js';

/** The controller that answers below `path`, through Terminus. Whoever probes knows of no version. */
export function createHealthController({ path, guards, decorators }: HealthSettings): Type {
  @OwnRoutes()
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(...guards)
  @UseInterceptors(WholeAnswers)
  @applyDecorators(...decorators)
  class HealthController {
    constructor(
      @Inject(HealthCheckService) private readonly health: HealthCheckService,
      @Inject(HealthIndicatorService) private readonly indicator: HealthIndicatorService,
      @Inject(HealthMonitor) private readonly monitor: HealthMonitor,
      @Inject(LivenessHealthIndicator) private readonly liveness: LivenessHealthIndicator,
      @Inject(ReadinessHealthIndicator) private readonly readiness: ReadinessHealthIndicator,
      @Inject(DeepHealthIndicator) private readonly deep: DeepHealthIndicator,
      @Inject(CircuitBreakerHealthIndicator) private readonly breakers: CircuitBreakerHealthIndicator,
      @Inject(BulkheadHealthIndicator) private readonly bulkheads: BulkheadHealthIndicator,
      @Inject(DrainingHealthIndicator) private readonly drainingState: DrainingHealthIndicator,
      @Inject(DrainingService) private readonly draining: DrainingService,
      @Inject(ResilienceService) private readonly resilience: ResilienceService,
      @Inject(HEALTH_OPTIONS) private readonly settings: HealthSettings,
    ) {
      for (const route of ['', 'live', 'ready', 'startup', 'deep', 'resilience'])
        draining.alwaysServeExactly(`${path}/${route}`);
    }

    /** Everything that is known, by the last results. */
    @Get()
    @HealthCheck()
    all(): Promise<HealthCheckResult> {
      return this.health.check([
        () => this.liveness.check(),
        () => this.readiness.check(),
        () => this.deep.check(),
        ...this.breakerChecks(),
        () => this.bulkheads.check(),
        () => this.drainingState.check(),
      ]);
    }

    /** For `livenessProbe`: the process alone. */
    @Get('live')
    @HealthCheck()
    live(): Promise<HealthCheckResult> {
      return this.health.check([() => this.liveness.check()]);
    }

    /** For `startupProbe`: 503 until all that readiness needs has answered once, well or not. */
    @Get('startup')
    @HealthCheck()
    startup(): Promise<HealthCheckResult> {
      const started = this.monitor.hasStarted;
      return this.health.check([
        () => indicate(this.indicator, 'startup', started ? 'up' : 'down', { started }),
      ]);
    }

    /** For `readinessProbe`. */
    @Get('ready')
    @HealthCheck()
    ready(): Promise<HealthCheckResult> {
      return this.health.check([
        () => this.readiness.check(),
        ...this.breakerChecks(),
        () => this.drainingState.check(),
      ]);
    }

    /** Dependencies, by their last results; `?fresh=true` asks them now. */
    @Get('deep')
    @HealthCheck()
    dependencies(@Query('fresh') fresh?: string): Promise<HealthCheckResult> {
      return this.health.check([() => this.deep.check({ fresh: fresh === 'true' })]);
    }

    /** The numbers of all policies. */
    @Get('resilience')
    numbers(): Record<string, unknown> {
      return jsonReady({ ...this.resilience.stats(), draining: this.draining.stats() });
    }

    private breakerChecks() {
      const { openBreakers } = this.settings;
      if (openBreakers === 'ignore') return [];
      const whenOpen = openBreakers === 'unready' ? 'down' : 'degraded';
      return [() => this.breakers.check('circuitBreakers', { whenOpen })] as const;
    }
  }
  return HealthController;
}
