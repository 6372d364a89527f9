import type {
  FactoryProvider,
  OnApplicationBootstrap,
  OnApplicationShutdown,
  OnModuleInit,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { Clock } from '../core/clock.js';
import { InvalidOptionsError, type OptionProblem } from '../core/errors.js';
import { sharedState } from '../core/identity.js';
import { problemsThrownBy } from '../core/option-table.js';
import { answerOf } from '../core/property.js';
import { CallbackTimer } from '../core/timer-entry.js';
import { RUNTIME_TOKEN } from '../decorators/runtime.js';
import { scanProviders } from '../module/class-scan.js';
import type { ResilienceRuntime } from '../module/resilience.runtime.js';
import { probeName, probesOf } from './health-probe.decorator.js';
import type { ProbeKind, ProbeOptions } from './probe.options.js';
import { Probe, type ProbeCheck, type ProbeResult } from './probe.js';
import { HEALTH_OPTIONS, type GivenProbe, type HealthSettings } from './resilience-health.options.js';

/** What answers call things that are no probes. */
const RESERVED_NAMES = ['process', 'startup', 'circuitBreakers', 'bulkheads', 'draining'];

/** The monitor of each application. */
const monitors = sharedState('health-monitors', () => new WeakMap<ResilienceRuntime, HealthMonitor>());

/** A probe and what it asks. */
export interface MonitoredProbe {
  readonly probe: Probe;
  readonly check: ProbeCheck;
}

/**
 * Runs all probes of the application in the background, each on its own interval, from the start of the application to
 * its end. Whoever answers a health request reads results here, and waits for nothing.
 */
export class HealthMonitor implements OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown {
  private readonly probes: MonitoredProbe[] = [];
  private readonly timers = new Set<CallbackTimer>();
  private readonly given: GivenProbe[] = [];
  private declared = false;
  private running = false;

  constructor(
    private readonly runtime: ResilienceRuntime,
    private readonly modules: ModulesContainer,
  ) {}

  /** Probes that need nothing injected, to be declared with the others. */
  give(probes: readonly GivenProbe[]): void {
    this.given.push(...probes);
  }

  /**
   * Nest calls this and what follows for each module that has the monitor; the first time counts.
   *
   * @throws {@link InvalidOptionsError} with everything that is wrong with any probe.
   */
  onModuleInit(): void {
    if (this.declared) return;
    this.declared = true;
    const problems: OptionProblem[] = [];
    const seen = new Set<object>();
    const names = new Set<string>(RESERVED_NAMES);
    for (const { check, ...options } of this.given) {
      this.declare(options, check, `probe ${JSON.stringify(options.name)}`, names, problems);
    }
    for (const { instance, isSingle } of scanProviders(this.modules)) {
      if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue;
      seen.add(instance);
      for (const { key, options } of probesOf(Object.getPrototypeOf(instance) as object | null)) {
        const name = probeName(instance, key);
        const where = `@HealthProbe on ${name}`;
        if (!isSingle) {
          const message = 'It needs a provider with one instance: this one has one per request or per use.';
          problems.push({ where, message });
          continue;
        }
        const check: ProbeCheck = (signal) => (instance as Record<string | symbol, ProbeCheck>)[key]!(signal);
        this.declare({ name, ...options }, check, where, names, problems);
      }
    }
    if (problems.length > 0) throw new InvalidOptionsError(problems);
  }

  onApplicationBootstrap(): void {
    if (this.running) return;
    this.running = true;
    for (const monitored of this.probes) this.run(monitored);
  }

  onApplicationShutdown(): void {
    if (!this.running) return;
    this.running = false;
    for (const timer of this.timers) this.runtime.clock.disarm(timer);
    this.timers.clear();
    // Checks that go on measuring between their runs.
    for (const { check } of this.probes) answerOf(check, 'stop');
  }

  /** Adds a probe of one's own; it runs from now on, or from the start of the application. */
  add(probe: Probe, check: ProbeCheck): void {
    const monitored = { probe, check };
    this.probes.push(monitored);
    if (this.running) this.run(monitored);
  }

  /** The probes of a kind. */
  ofKind(kind: ProbeKind): readonly MonitoredProbe[] {
    return this.probes.filter(({ probe }) => probe.settings.kind === kind);
  }

  /** Whether every probe that readiness needs has answered, one way or the other. */
  get hasStarted(): boolean {
    return this.ofKind('readiness').every(
      ({ probe }) => probe.last !== undefined || !probe.settings.critical,
    );
  }

  /** Checks all probes of a kind now, and waits for their answers. */
  async checkNow(kind: ProbeKind): Promise<readonly ProbeResult[]> {
    return Promise.all(this.ofKind(kind).map(({ probe, check }) => probe.check(check)));
  }

  private declare(
    options: ProbeOptions,
    check: ProbeCheck,
    where: string,
    names: Set<string>,
    problems: OptionProblem[],
  ): void {
    const name = options.name as string;
    if (names.has(name)) {
      const message = `"name" must be one that nothing else in a health answer has, got ${JSON.stringify(name)}.`;
      problems.push({ where, option: 'name', message });
    }
    names.add(name);
    const add = () => this.add(new Probe(options, { clock: this.runtime.clock }, where), check);
    problems.push(...problemsThrownBy(add));
  }

  private run(monitored: MonitoredProbe): void {
    const { probe, check } = monitored;
    const again = () => {
      if (!this.running) return;
      const timer = new CallbackTimer(() => {
        this.timers.delete(timer);
        this.run(monitored);
      });
      this.timers.add(timer);
      const { clock } = this.runtime as { clock: Clock };
      clock.arm(timer, clock.now() + probe.settings.interval);
    };
    // A check never rejects.
    void probe.check(check).then(again);
  }
}

/** The application's one {@link HealthMonitor}: however many modules ask for it, each probe runs once. */
export const healthMonitorProvider: FactoryProvider<HealthMonitor> = {
  provide: HealthMonitor,
  inject: [RUNTIME_TOKEN, ModulesContainer, HEALTH_OPTIONS],
  useFactory: (runtime: ResilienceRuntime, modules: ModulesContainer, { probes }: HealthSettings) => {
    const monitor = monitors.get(runtime) ?? new HealthMonitor(runtime, modules);
    monitors.set(runtime, monitor);
    monitor.give(probes);
    return monitor;
  },
};
