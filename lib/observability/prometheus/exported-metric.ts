import type { Metric, MetricObjectWithValues, MetricValue } from 'prom-client';

/** One line of a metric. */
export interface MetricLine {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number | undefined;
  /** What follows the metric's name, as in `_sum`. */
  readonly suffix?: string;
}

/** What a metric is called, and where its values come from. */
export interface MetricSource {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly labelNames: readonly string[];
  readonly read: () => readonly MetricLine[];
}

/**
 * A metric whose values are read when somebody scrapes, and kept nowhere else. Prometheus' own classes count for
 * themselves; of those, a registry asks no more than this.
 */
export class ExportedMetric {
  /** A registry that speaks OpenMetrics cuts `_total` off. */
  name: string;
  readonly help: string;
  readonly type: MetricSource['type'];
  readonly labelNames: readonly string[];
  readonly aggregator: 'sum' | 'average';
  private readonly lines: MetricSource['read'];

  constructor({ name, help, type, labelNames, read }: MetricSource) {
    this.name = name;
    this.help = help;
    this.type = type;
    this.labelNames = labelNames;
    this.aggregator = name.endsWith('_percent') || name.endsWith('_current_seconds') ? 'average' : 'sum';
    this.lines = read;
  }

  /** As what a registry takes. */
  static of(source: MetricSource): Metric {
    return new ExportedMetric(source) as unknown as Metric;
  }

  /** Asked by the registry, at each scrape. */
  get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    const values = this.lines().map(({ labels, value, suffix }) => ({
      labels,
      value: value ?? Number.NaN,
      ...(suffix !== undefined && { metricName: `${this.name}${suffix}` }),
    }));
    const { name, help, type, aggregator } = this;
    return Promise.resolve({ name, help, type, aggregator, values } as unknown as MetricObjectWithValues<
      MetricValue<string>
    >);
  }

  /** There is nothing to reset: the numbers belong to the policies. */
  reset(): void {}
}
