import { getHeapStatistics } from 'node:v8';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { suggest } from '../core/suggest.js';
import { DrainingService } from '../draining/draining.service.js';
import { ResilienceService } from '../module/resilience.service.js';
import { isOpen } from '../policies/circuit-breaker/circuit-state.js';
import { HealthMonitor } from './health-monitor.js';
import { LoopDelay } from './loop-delay.js';
import { indicate, type IndicatedStatus } from './indicator-result.js';
import type { Probe } from './probe.js';
import { HEALTH_OPTIONS, type HealthSettings } from './resilience-health.options.js';

/**
 * Whether the process itself works: its event loop and its heap, and the application's own liveness probes. Knows of no
 * dependency, so that none can have the process restarted.
 *
 * @publicApi
 */
@Injectable()
export class LivenessHealthIndicator implements OnApplicationShutdown {
  private readonly delay = new LoopDelay();

  constructor(
    @Inject(HealthIndicatorService) private readonly indicator: HealthIndicatorService,
    @Inject(HealthMonitor) private readonly monitor: HealthMonitor,
    @Inject(HEALTH_OPTIONS) private readonly settings: HealthSettings,
  ) {}

  /** The process, and each liveness probe under its name. */
  async check(key = 'process'): Promise<HealthIndicatorResult> {
    const eventLoopDelayMs = Math.round(this.delay.worstMs());
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    const heapPercent = Math.round((used * 1000) / limit) / 10;
    const { maxEventLoopDelay, maxHeapPercent } = this.settings;
    const down = eventLoopDelayMs > maxEventLoopDelay || heapPercent > maxHeapPercent;
    const own = { eventLoopDelayMs, heapPercent, uptimeSeconds: Math.round(process.uptime()) };
    const result = indicate(this.indicator, key, down ? 'down' : 'up', own);
    for (const { probe } of this.monitor.ofKind('liveness')) {
      // Before its first answer nobody can say that the process is broken.
      Object.assign(result, describeProbe(this.indicator, probe, probe.status === 'down' ? 'down' : 'up'));
    }
    return result;
  }

  onApplicationShutdown(): void {
    this.delay.stop();
  }
}

/** Whether the application can serve traffic: its readiness probes, by their last results. @publicApi */
@Injectable()
export class ReadinessHealthIndicator {
  constructor(
    @Inject(HealthIndicatorService) private readonly indicator: HealthIndicatorService,
    @Inject(HealthMonitor) private readonly monitor: HealthMonitor,
  ) {}

  /** Each readiness probe under its name. */
  async check(): Promise<HealthIndicatorResult> {
    return describeProbes(
      this.indicator,
      this.monitor.ofKind('readiness').map(({ probe }) => probe),
    );
  }
}

/** Whether dependencies answer, and how fast. @publicApi */
@Injectable()
export class DeepHealthIndicator {
  constructor(
    @Inject(HealthIndicatorService) private readonly indicator: HealthIndicatorService,
    @Inject(HealthMonitor) private readonly monitor: HealthMonitor,
  ) {}

  /** Each deep probe under its name, by its last result; with `fresh` every one is asked now. */
  async check(options: { fresh?: boolean } = {}): Promise<HealthIndicatorResult> {
    if (options.fresh === true) await this.monitor.checkNow('deep');
    return describeProbes(
      this.indicator,
      this.monitor.ofKind('deep').map(({ probe }) => probe),
    );
  }
}

/**
 * The application's circuit breakers: degraded while any is open, for all calls or for a key. It is named, and its open
 * keys are counted.
 *
 * @publicApi
 */
@Injectable()
export class CircuitBreakerHealthIndicator {
  constructor(
    @Inject(HealthIndicatorService) private readonly indicator: HealthIndicatorService,
    @Inject(ResilienceService) private readonly resilience: ResilienceService,
  ) {}

  /**
   * @param options - `names`: only these; `whenOpen`: what an open one means, by default `degraded`.
   */
  async check(
    key = 'circuitBreakers',
    options: { names?: readonly string[]; whenOpen?: IndicatedStatus } = {},
  ): Promise<HealthIndicatorResult> {
    const { names, whenOpen = 'degraded' } = options;
    const all = named(this.resilience.stats().circuitBreakers, names);
    // A number of keys, and never a key: this is answered to whoever asks, and a key may be a person.
    const openKeys = Object.fromEntries(
      all.flatMap(({ name, keys }) => {
        const { open = 0 } = keys ?? {};
        return open === 0 ? [] : [[name, open] as const];
      }),
    );
    const open = all
      .filter(({ name, state }) => isOpen(state) || Object.hasOwn(openKeys, name))
      .map(({ name }) => name);
    const states = Object.fromEntries(all.map(({ name, state }) => [name, state]));
    return indicate(this.indicator, key, open.length === 0 ? 'up' : whenOpen, { open, openKeys, states });
  }
}

/** The application's bulkheads: degraded while any has neither a slot nor a place to wait. @publicApi */
@Injectable()
export class BulkheadHealthIndicator {
  constructor(
    @Inject(HealthIndicatorService) private readonly indicator: HealthIndicatorService,
    @Inject(ResilienceService) private readonly resilience: ResilienceService,
  ) {}

  async check(
    key = 'bulkheads',
    options: { names?: readonly string[]; whenFull?: IndicatedStatus } = {},
  ): Promise<HealthIndicatorResult> {
    const { names, whenFull = 'degraded' } = options;
    const all = named(this.resilience.stats().bulkheads, names);
    const full = all
      .filter((one) => one.availableSlots === 0 && one.queuedCalls >= one.maxQueue)
      .map(({ name }) => name);
    const utilization = Object.fromEntries(
      all.map(({ name, utilizationPercent }) => [name, utilizationPercent]),
    );
    return indicate(this.indicator, key, full.length === 0 ? 'up' : whenFull, { full, utilization });
  }
}

/** Whether the application is draining: down from the moment it takes no new traffic. @publicApi */
@Injectable()
export class DrainingHealthIndicator {
  constructor(
    @Inject(HealthIndicatorService) private readonly indicator: HealthIndicatorService,
    @Inject(DrainingService) private readonly draining: DrainingService,
  ) {}

  async check(key = 'draining'): Promise<HealthIndicatorResult> {
    const { isDraining, inFlight } = this.draining;
    const message = isDraining
      ? 'The application is draining and wants no new traffic.'
      : 'The application takes traffic.';
    return indicate(this.indicator, key, isDraining ? 'down' : 'up', { inFlightRequests: inFlight, message });
  }
}

/** The policies of these names, or all. A name that nobody has would hide what it was meant to show. */
function named<T>(all: Readonly<Record<string, T>>, names: readonly string[] | undefined): T[] {
  if (names === undefined) return Object.values(all);
  return names.map((name) => {
    if (Object.hasOwn(all, name)) return all[name] as T;
    const meant = suggest(name, Object.keys(all));
    throw new Error(
      `There is no "${name}" to look at.${meant === undefined ? '' : ` Did you mean "${meant}"?`}`,
    );
  });
}

function describeProbes(indicator: HealthIndicatorService, probes: readonly Probe[]): HealthIndicatorResult {
  const results = probes.map((probe) => {
    const failed = probe.settings.critical ? 'down' : 'degraded';
    return describeProbe(indicator, probe, probe.isHealthy() ? 'up' : failed);
  });
  return Object.assign({}, ...results) as HealthIndicatorResult;
}

function describeProbe(
  indicator: HealthIndicatorService,
  probe: Probe,
  status: IndicatedStatus,
): HealthIndicatorResult {
  const { last, ageMs } = probe;
  return indicate(indicator, probe.name, status, {
    kind: probe.settings.kind,
    probeStatus: probe.status,
    critical: probe.settings.critical,
    ...(last && {
      healthy: last.healthy,
      latencyMs: Math.round(last.latencyMs * 10) / 10,
      timestamp: last.timestamp,
      ageMs: Math.round(ageMs as number),
      details: last.details,
      error: last.error,
    }),
  });
}
