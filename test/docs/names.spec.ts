import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { EVENT_TYPES } from '../../lib/module/events/event-catalogue.js';
import { METRIC_FAMILIES, OTHER_METRICS } from '../../lib/observability/metrics/metric-families.js';
import { pages } from './pages.js';

const metrics = [...METRIC_FAMILIES, ...Object.values(OTHER_METRICS)].map(({ name }) => name);
const lines = readFileSync('docs/observability.md', 'utf8').split('\n');

/** Whether a line names a metric, by its whole name or behind another of its kind: `resilience_bulkhead_active`, `_queued`. */
function names(line: string, metric: string): boolean {
  if (line.includes(`\`${metric}\``)) return true;
  const [kind = ''] = /^resilience_[a-z]+/.exec(metric) ?? [];
  return line.includes(`\`${kind}_`) && line.includes(`\`${metric.slice(kind.length)}\``);
}

describe('names of metrics', () => {
  it.each(metrics)('%s stands in the list of all', (metric) => {
    expect(lines.some((line) => names(line, metric))).toBe(true);
  });

  it.each(pages())('in $path are those that are exported', ({ text }) => {
    const named = [...text.matchAll(/\bresilience_[a-z_]*[a-z]\b/g)].map(([name]) => name);

    const known = (name: string) => metrics.includes(name.replace(/_(?:sum|count|bucket)$/, ''));
    expect(named.filter((name) => !known(name) && !metrics.includes(name))).toEqual([]);
  });
});

describe('names of events', () => {
  it.each(Object.entries(EVENT_TYPES))('of %s stand in the list of all', (kind, types) => {
    const rows = lines.filter(
      (line) => line.startsWith(`| \`${kind}\``) || line.startsWith('| all policies'),
    );

    expect(types.filter((type) => !rows.some((row) => row.includes(`\`${type}\``)))).toEqual([]);
  });
});
