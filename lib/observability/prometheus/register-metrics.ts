import { register, type Registry } from 'prom-client';
import type { ResilienceService } from '../../module/resilience.service.js';
import { METRIC_FAMILIES, OTHER_METRICS, type MetricFamily } from '../metrics/metric-families.js';
import { MetricReader, type DurationReading, type TotalReading } from '../metrics/metric-reader.js';
import { ExportedMetric, type MetricLine, type MetricSource } from './exported-metric.js';

/**
 * Adds the metrics of an application to a registry of your own; returns what takes them out again. Each value is read from
 * the policies when the registry is scraped: calls pay nothing. Counters never go down, not even when a policy is reset.
 *
 * @param registry - Default: prom-client's own.
 * @throws Error where the registry has metrics of these names already, as from another application in the process.
 * @example
 * registerResilienceMetrics(app.get(ResilienceService), registry);
 *
 * @publicApi
 */
export function registerResilienceMetrics(
  service: ResilienceService,
  registry: Pick<Registry, 'registerMetric' | 'removeSingleMetric' | 'getSingleMetric'> = register,
): () => void {
  const reader = new MetricReader(service);
  const sources = sourcesOf(reader);
  const taken = sources.find(({ name }) => registry.getSingleMetric(name) !== undefined);
  if (taken !== undefined) {
    reader.close();
    throw new Error(
      `The registry has a metric "${taken.name}" already: give each application in a process a registry of its own.`,
    );
  }
  for (const source of sources) registry.registerMetric(ExportedMetric.of(source));
  return () => {
    reader.close();
    for (const { name } of sources) registry.removeSingleMetric(name);
  };
}

function sourcesOf(reader: MetricReader): readonly MetricSource[] {
  const { budget, drainState, drainInFlight, liveFaults, liveFaultsInjected, durations } = OTHER_METRICS;
  const { storeState, storeFailures, storeCalls, instances } = OTHER_METRICS;
  return [
    ...METRIC_FAMILIES.map((family) => sourceOf(family, reader)),
    { ...budget, type: 'gauge', labelNames: ['name', 'kind'], read: () => reader.budgets() },
    { ...drainState, type: 'gauge', labelNames: ['state'], read: () => reader.drainState() },
    { ...drainInFlight, type: 'gauge', labelNames: [], read: () => reader.drainInFlight() },
    { ...liveFaults, type: 'gauge', labelNames: [], read: () => reader.liveFaults() },
    { ...liveFaultsInjected, type: 'counter', labelNames: [], read: () => reader.liveFaultsInjected() },
    { ...storeState, type: 'gauge', labelNames: ['state'], read: () => reader.storeState() },
    { ...storeFailures, type: 'counter', labelNames: [], read: () => reader.storeFailures() },
    { ...storeCalls, type: 'summary', labelNames: [], read: () => reader.storeCalls().flatMap(totalLines) },
    { ...instances, type: 'gauge', labelNames: [], read: () => reader.instances() },
    {
      ...durations,
      type: 'histogram',
      labelNames: ['name', 'kind'],
      read: () => reader.durations().flatMap(durationLines),
    },
  ];
}

function sourceOf(family: MetricFamily, reader: MetricReader): MetricSource {
  const { name, help, type, label } = family;
  const labelNames = label === undefined ? ['name'] : ['name', label];
  if (type === 'sum')
    return { name, help, type: 'summary', labelNames, read: () => reader.sums(family).flatMap(totalLines) };
  return { name, help, type, labelNames, read: () => reader.values(family) };
}

function totalLines({ labels, count, sum }: TotalReading): MetricLine[] {
  return [
    { labels, suffix: '_sum', value: sum },
    { labels, suffix: '_count', value: count },
  ];
}

function durationLines(reading: DurationReading): MetricLine[] {
  const { labels, count, upTo } = reading;
  const bucket = (le: string, value: number) => ({ labels: { ...labels, le }, suffix: '_bucket', value });
  return [
    ...upTo.map(({ seconds, count: value }) => bucket(String(seconds), value)),
    bucket('+Inf', count),
    ...totalLines(reading),
  ];
}
