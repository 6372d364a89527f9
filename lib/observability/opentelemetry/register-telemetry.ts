import {
  metrics,
  trace,
  type Attributes,
  type BatchObservableCallback,
  type Meter,
  type Observable,
} from '@opentelemetry/api';
import type { EventSelection, PolicyEvent } from '../../core/events.js';
import { plainDetails } from '../../module/events/event-log.js';
import type { ResilienceService } from '../../module/resilience.service.js';
import { METRIC_FAMILIES, OTHER_METRICS } from '../metrics/metric-families.js';
import { MetricReader, type Reading, type TotalReading } from '../metrics/metric-reader.js';

const SCOPE = 'nestjs-breakwater';

/** What OpenTelemetry is told. @publicApi */
export interface TelemetryOptions {
  /** Whether the numbers of the policies are observed. Default true. */
  readonly metrics?: boolean;
  /** Where they are observed. Default: the global meter provider's, under the name of this package. */
  readonly meter?: Meter;
  /** Whether retries, rejections, time-outs, hedges and fallbacks become events of the active span. Default true. */
  readonly spanEvents?: boolean;
}

/** The events that say what happened to a call on its way. */
const OF_CALLS: EventSelection = {
  circuitBreaker: ['rejected'],
  retry: ['retried', 'budget-exhausted'],
  bulkhead: ['rejected'],
  rateLimit: ['rejected'],
  timeout: ['timed-out'],
  fallback: ['degraded', 'exhausted'],
  idempotency: ['rejected'],
  hedge: ['hedged'],
};

/**
 * Tells OpenTelemetry about the policies of an application; returns what ends that. Metrics are observed when a reader
 * collects them, and calls pay nothing for them. A span event is added in the turn in which something happens, since the
 * active span is known only there.
 *
 * @example
 * registerResilienceTelemetry(app.get(ResilienceService));
 *
 * @publicApi
 */
export function registerResilienceTelemetry(
  service: ResilienceService,
  options: TelemetryOptions = {},
): () => void {
  const stops: (() => void)[] = [];
  if (options.metrics !== false) stops.push(observe(service, options.meter ?? metrics.getMeter(SCOPE)));
  if (options.spanEvents !== false) stops.push(service.witness(addToSpan, OF_CALLS));
  return () => {
    for (const stop of stops) stop();
  };
}

/** A value and what it is observed with. */
type Observed = readonly [instrument: Observable, read: () => readonly Reading[]];

function observe(service: ResilienceService, meter: Meter): () => void {
  const reader = new MetricReader(service);
  const observed = instruments(meter, reader);
  const callback: BatchObservableCallback = (result) => {
    for (const [instrument, read] of observed)
      for (const { labels, value } of read())
        if (value !== undefined) result.observe(instrument, value, labels);
  };
  const all = observed.map(([instrument]) => instrument);
  meter.addBatchObservableCallback(callback, all);
  return () => {
    meter.removeBatchObservableCallback(callback, all);
    reader.close();
  };
}

/** The names of Prometheus without `_total`, which its exporters add themselves. */
function instruments(meter: Meter, reader: MetricReader): Observed[] {
  const counter = (name: string, description: string, unit: string) =>
    meter.createObservableCounter(name.replace(/_total$/, ''), { description, unit });
  const gauge = (name: string, description: string, unit: string) =>
    meter.createObservableGauge(name, { description, unit });
  const { budget, drainState, drainInFlight, liveFaults, liveFaultsInjected, durations } = OTHER_METRICS;
  const { storeState, storeFailures, storeCalls, instances } = OTHER_METRICS;

  /** How many, and how much together: an observed histogram is something that the API does not have. */
  const totals = (
    name: string,
    help: string,
    unit: string,
    read: () => readonly TotalReading[],
  ): Observed[] => [
    [counter(`${name}_sum`, help, unit), () => read().map(({ labels, sum }) => ({ labels, value: sum }))],
    [
      counter(`${name}_count`, help, '1'),
      () => read().map(({ labels, count }) => ({ labels, value: count })),
    ],
  ];
  const ofPolicies = METRIC_FAMILIES.flatMap((family): Observed[] => {
    const { name, help, unit, type } = family;
    if (type === 'gauge') return [[gauge(name, help, unit), () => reader.values(family)]];
    if (type === 'counter') return [[counter(name, help, unit), () => reader.values(family)]];
    return totals(name, help, unit, () => reader.sums(family));
  });
  return [
    ...ofPolicies,
    [gauge(budget.name, budget.help, '1'), () => reader.budgets()],
    [gauge(drainState.name, drainState.help, '1'), () => reader.drainState()],
    [gauge(drainInFlight.name, drainInFlight.help, '1'), () => reader.drainInFlight()],
    [gauge(liveFaults.name, liveFaults.help, '1'), () => reader.liveFaults()],
    [counter(liveFaultsInjected.name, liveFaultsInjected.help, '1'), () => reader.liveFaultsInjected()],
    [gauge(storeState.name, storeState.help, '1'), () => reader.storeState()],
    [counter(storeFailures.name, storeFailures.help, '1'), () => reader.storeFailures()],
    ...totals(storeCalls.name, storeCalls.help, 's', () => reader.storeCalls()),
    [gauge(instances.name, instances.help, '1'), () => reader.instances()],
    ...totals(durations.name, durations.help, 's', () => reader.durations()),
  ];
}

/** Names and numbers become attributes; of an error its name, message and code. A key does not: it may be a person. */
function addToSpan({ kind, policy, type, details }: PolicyEvent): void {
  const span = trace.getActiveSpan();
  if (span === undefined || !span.isRecording()) return;
  const { key: _key, error, ...others } = plainDetails(details) as Record<string, unknown>;
  const attributes: Attributes = { 'resilience.policy': policy, 'resilience.kind': kind };
  for (const [name, value] of Object.entries(others)) attributes[`resilience.${name}`] = value as string;
  if (typeof error === 'object' && error !== null) {
    const { name, message, code } = error as { name: string; message: string; code?: string };
    attributes['error.type'] = name;
    attributes['error.message'] = message;
    if (code !== undefined) attributes['error.code'] = code;
  }
  span.addEvent(`resilience.${kind}.${type}`, attributes);
}
