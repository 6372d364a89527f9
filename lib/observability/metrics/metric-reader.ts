import { DURATION_BOUNDS, type CallDurationStats } from '../../core/call-durations.js';
import type { EventSelection, PolicyEvent } from '../../core/events.js';
import type { DrainPhase } from '../../draining/index.js';
import { NAMED_KINDS, POLICY_KINDS, type NamedKind } from '../../module/policy-kinds.js';
import type { SharedStateStats } from '../../module/shared-fleet.js';
import type { ResilienceService, ResilienceStats } from '../../module/resilience.service.js';
import type { RetryBudgetStats } from '../../policies/retry/index.js';
import { METRIC_FAMILIES, type MetricFamily } from './metric-families.js';
import { RisingTotals } from './rising-totals.js';

const PHASES: readonly DrainPhase[] = ['ready', 'draining', 'quiesced', 'closed'];

const STORE_STATES = ['available', 'lost'];

type Labels = Readonly<Record<string, string>>;

/** One value, of one set of labels; `undefined` where nobody knows it yet. */
export interface Reading {
  readonly labels: Labels;
  readonly value: number | undefined;
}

/** Of one set of labels: how many, and how much together. */
export interface TotalReading {
  readonly labels: Labels;
  readonly count: number;
  readonly sum: number;
}

/** Of one set of labels: how many took at most so long, by upper bound. */
export interface DurationReading extends TotalReading {
  readonly upTo: readonly { readonly seconds: number; readonly count: number }[];
}

/**
 * Reads the metrics of an application from its stats. A policy's numbers begin anew when it is reset; what a counter shows
 * does not: the reader hears of the reset before it happens, and remembers what there was.
 */
export class MetricReader {
  private readonly totals = new RisingTotals();
  private readonly stop: () => void;
  private current: ResilienceStats | undefined;

  constructor(private readonly service: ResilienceService) {
    const cleared = Object.fromEntries(NAMED_KINDS.map((kind) => [kind, ['cleared']])) as EventSelection;
    this.stop = service.witness((event) => this.remember(event), cleared);
  }

  /** Hears of resets no more. */
  close(): void {
    this.stop();
  }

  /** The values of a counter or gauge, of all policies. */
  values(family: MetricFamily): Reading[] {
    const { label } = family;
    return this.read(family).map(({ name, part, value }) => ({
      labels: label === undefined ? { name } : { name, [label]: part },
      value,
    }));
  }

  /** The values of a `sum`, of all policies. */
  sums(family: MetricFamily): TotalReading[] {
    const byName = new Map<string, Record<string, number>>();
    for (const { name, part, value = 0 } of this.read(family))
      byName.set(name, { ...byName.get(name), [part]: value });
    return [...byName].map(([name, { count = 0, sum = 0 }]) => ({ labels: { name }, count, sum }));
  }

  /** Retries that each budget allows now: those with a name, and those that retries have for themselves. */
  budgets(): Reading[] {
    const { retries, retryBudgets } = this.stats();
    const own = Object.entries(retries).flatMap(([retry, { budget }]) =>
      budget === undefined || this.drawsFromNamed(retry, budget.name) ? [] : [[budget.name, budget] as const],
    );
    return [
      ...readingsOf('own', new Map(own)),
      ...readingsOf('named', new Map(Object.entries(retryBudgets))),
    ];
  }

  drainState(): Reading[] {
    const { phase } = this.stats().draining;
    return PHASES.map((state) => ({ labels: { state }, value: state === phase ? 1 : 0 }));
  }

  drainInFlight(): Reading[] {
    return [{ labels: {}, value: this.stats().draining.inFlightRequests }];
  }

  liveFaults(): Reading[] {
    return [{ labels: {}, value: this.stats().liveFaults.activeFaults }];
  }

  liveFaultsInjected(): Reading[] {
    return [{ labels: {}, value: this.stats().liveFaults.totalInjected }];
  }

  storeState(): Reading[] {
    return this.ofStore(({ lost }) =>
      STORE_STATES.map((state) => ({ labels: { state }, value: lost === (state === 'lost') ? 1 : 0 })),
    );
  }

  storeFailures(): Reading[] {
    return this.ofStore(({ failures }) => [{ labels: {}, value: failures }]);
  }

  storeCalls(): TotalReading[] {
    return this.ofStore(({ calls, totalMs }) => [{ labels: {}, count: calls, sum: totalMs / 1_000 }]);
  }

  instances(): Reading[] {
    return this.ofStore(({ instances }) => [{ labels: {}, value: instances }]);
  }

  durations(): DurationReading[] {
    return Object.entries(this.stats().calls ?? {}).flatMap(([name, ends]) =>
      Object.entries(ends).map(([kind, { count, sumSeconds, upToSeconds }]: [string, CallDurationStats]) => ({
        labels: { name, kind },
        count,
        sum: sumSeconds,
        upTo: DURATION_BOUNDS.map((seconds) => ({ seconds, count: upToSeconds[seconds] as number })),
      })),
    );
  }

  /** Whether a retry's budget is the one that everybody finds under its name, and not one of its own called the same. */
  private drawsFromNamed(retry: string, budget: string): boolean {
    const named = this.service.find('retryBudget', budget);
    return named !== undefined && this.service.find('retry', retry)?.budget === named;
  }

  /** Nothing where there is no shared store. */
  private ofStore<R>(read: (store: SharedStateStats) => R[]): R[] {
    const { sharedState } = this.stats();
    return sharedState === undefined ? [] : read(sharedState);
  }

  private read(family: MetricFamily) {
    const policies = this.stats()[POLICY_KINDS[family.kind].plural];
    return Object.entries(policies).flatMap(([name, stats]) =>
      partsOf(family, stats).map(([part, value]) => ({
        name,
        part,
        value:
          family.type === 'gauge' || value === undefined
            ? value
            : this.totals.rise(idOf(family, name, part), value),
      })),
    );
  }

  /** Taken once for all metrics that are read in one turn, so that they agree with each other. */
  private stats(): ResilienceStats {
    if (this.current === undefined) {
      this.current = this.service.stats();
      queueMicrotask(() => (this.current = undefined));
    }
    return this.current;
  }

  private remember({ kind, policy: name }: PolicyEvent): void {
    const policy = this.service.find(kind as NamedKind, name);
    if (policy === undefined) return;
    const stats = policy.stats();
    for (const family of METRIC_FAMILIES) {
      if (family.kind !== kind || family.type === 'gauge') continue;
      for (const [part, value = 0] of partsOf(family, stats))
        this.totals.restart(idOf(family, name, part), value);
    }
    this.current = undefined;
  }
}

function readingsOf(kind: string, budgets: ReadonlyMap<string, RetryBudgetStats>): Reading[] {
  return [...budgets].map(([name, { budgetRemaining }]) => ({
    labels: { name, kind },
    value: budgetRemaining,
  }));
}

/** The values of one policy, each with what its label says. */
function partsOf(family: MetricFamily, stats: object): [part: string, value: number | undefined][] {
  const given = family.read(stats as never);
  return typeof given === 'object' ? Object.entries(given) : [['', given]];
}

function idOf({ name: metric }: MetricFamily, name: string, part: string): string {
  return JSON.stringify([metric, name, part]);
}
