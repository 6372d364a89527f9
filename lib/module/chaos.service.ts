import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { RUNTIME_TOKEN } from '../decorators/runtime.js';
import type { OnDrain } from '../draining/on-drain.js';
import type {
  ActiveFault,
  ChaosMonkeyStats,
  Experiment,
  ExperimentOptions,
  ExperimentReport,
  ExperimentStats,
  FaultOptions,
  GameDay,
  GameDayOptions,
  GameDayReport,
} from '../policies/chaos/index.js';
import { Laboratory } from '../policies/chaos/laboratory.js';
import { ChaosMonkey } from '../policies/chaos/monkey.js';
import type { ResilienceRuntime } from './resilience.runtime.js';
import { ResilienceService } from './resilience.service.js';

/** The numbers of chaos in an application. @publicApi */
export interface ChaosServiceStats extends ExperimentStats {
  readonly activeFaults: number;
  readonly chaosMonkeyEnabled: boolean;
  readonly monkey: ChaosMonkeyStats;
}

/**
 * Chaos in a running application: faults that come and go, the chaos monkey, experiments and game days. All of it ends
 * when the application closes. With `NODE_ENV=production` everything here refuses to begin, unless
 * `forRoot({ chaos: { allowInProduction: true } })` and the environment variable `RESILIENCE_CHAOS=allow` both say so.
 *
 * @example
 * const fault = chaos.start({ target: 'PaymentsService.charge', error: 503, ratePercent: 20, duration: '1m' });
 * fault.stop();
 *
 * @example
 * const report = await chaos
 *   .experiment({
 *     name: 'slow gateway',
 *     hypothesis: 'Orders go on while the gateway is slow.',
 *     steadyState: { name: 'orders', check: () => orders.successShare() },
 *     faults: [{ target: { kind: 'circuitBreaker', name: 'gateway' }, fault: 'latency' }],
 *     abortWhen: { metric: 'circuitBreakers.gateway.failureRatePercent', above: 50 },
 *   })
 *   .run();
 * console.log(experimentText(report));
 *
 * @publicApi
 */
@Injectable()
export class ChaosService implements OnApplicationBootstrap, OnDrain, OnModuleDestroy {
  /** Sends random faults; off unless enabled here or in the module's options. */
  readonly monkey: ChaosMonkey;
  private readonly laboratory: Laboratory;

  constructor(
    @Inject(RUNTIME_TOKEN) private readonly runtime: ResilienceRuntime,
    @Inject(ResilienceService) resilience: ResilienceService,
  ) {
    const { faults: injector, policies, chaos } = runtime;
    const { environment } = policies;
    this.monkey = new ChaosMonkey(injector, chaos.monkey, environment);
    this.laboratory = new Laboratory({ injector, environment, stats: () => resilience.stats() });
  }

  onApplicationBootstrap(): void {
    this.monkey.begin();
  }

  /** A drain waits for calls under way, and need not for those that chaos keeps. */
  onDrain(): void {
    this.end();
  }

  /** Before servers close, which wait as well. */
  onModuleDestroy(): void {
    this.end();
  }

  /**
   * Starts a fault, without a restart: calls that come from now on meet it.
   *
   * @throws {@link InvalidOptionsError} naming all that is wrong with it: also a target that there is not, with the names
   *   that are near; more than its blast radius allows; production, where chaos is not allowed; and an application that
   *   shuts down.
   */
  start(fault: FaultOptions): ActiveFault {
    return this.runtime.faults.start(fault);
  }

  /** Ends a fault, also for the calls that it keeps; false where none of that id is active. */
  stop(id: string): boolean {
    return this.runtime.faults.stop(id);
  }

  /** Ends all faults, those of the monkey and of experiments included; how many there were. */
  clear(): number {
    return this.runtime.faults.clear();
  }

  /** The faults that are active, oldest first. */
  active(): readonly ActiveFault[] {
    return this.runtime.faults.active();
  }

  /** The names of the pipelines that faults can be for. */
  targets(): readonly string[] {
    return this.runtime.faults.targets;
  }

  /**
   * Prepares an experiment; `.run()` carries it out.
   *
   * @throws {@link InvalidOptionsError} naming all that is wrong with it.
   */
  experiment(options: ExperimentOptions): Experiment {
    return this.laboratory.experiment(options);
  }

  /** The last 100 experiments that have ended, oldest first, then those that have not. */
  experiments(): readonly ExperimentReport[] {
    return this.laboratory.experiments();
  }

  /**
   * Prepares a game day; `.run()` plays it.
   *
   * @throws {@link InvalidOptionsError} naming all that is wrong with it and with its experiments.
   */
  gameDay(options: GameDayOptions): GameDay {
    return this.laboratory.gameDay(options);
  }

  /** The last 100 game days that have ended, oldest first, then those that have not. */
  gameDays(): readonly GameDayReport[] {
    return this.laboratory.gameDays();
  }

  stats(): ChaosServiceStats {
    const monkey = this.monkey.stats();
    return {
      ...this.laboratory.stats(),
      activeFaults: this.active().length,
      chaosMonkeyEnabled: monkey.enabled,
      monkey,
    };
  }

  private end(): void {
    this.monkey.disable();
    this.laboratory.close('The application closes.');
    this.runtime.faults.close();
    for (const policy of this.runtime.policies.all('chaos').values()) policy.stop();
  }
}
