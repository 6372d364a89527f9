import type { Measurement } from './measure.js';
import { percentile, percentOf } from './percentile.js';

/** The runs side by side, as Markdown. */
export function table(measurements: readonly Measurement[]): string {
  const rows: readonly (readonly [string, (one: Measurement) => string])[] = [
    ['requests', ({ requests }) => String(requests)],
    ['answered (availability)', ({ answered, requests }) => percentOf(answered, requests)],
    ['of these by a fallback', ({ degraded }) => String(degraded)],
    ['p50', ({ durationsMs }) => `${Math.round(percentile(durationsMs, 50))} ms`],
    ['p99', ({ durationsMs }) => `${Math.round(percentile(durationsMs, 99))} ms`],
    ['requests to the dependency', ({ dependencyRequests }) => String(dependencyRequests)],
  ];
  const cells = [
    ['', ...measurements.map(({ name }) => name)],
    ...rows.map(([title, of]) => [title, ...measurements.map(of)]),
  ];
  const widths =
    cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = cells;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(head), rule, ...body.map(line)].join('\n');
}
