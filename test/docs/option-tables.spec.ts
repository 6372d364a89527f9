import { writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { format, resolveConfig } from 'prettier';
import { optionsMarkdown, type OptionTable } from '../../lib/core/option-table.js';
import { drainingTable } from '../../lib/draining/draining.options.js';
import { probeTable } from '../../lib/health/probe.options.js';
import { healthTable } from '../../lib/health/resilience-health.options.js';
import { chaosModuleTable } from '../../lib/module/chaos-module.options.js';
import { eventsTable } from '../../lib/module/events/events.options.js';
import { moduleTable } from '../../lib/module/resilience.options.js';
import { adminTable } from '../../lib/observability/admin/admin.options.js';
import { dashboardTable } from '../../lib/observability/dashboard/dashboard.options.js';
import { prometheusTable } from '../../lib/observability/prometheus/prometheus.options.js';
import { bulkheadTable } from '../../lib/policies/bulkhead/bulkhead.options.js';
import { chaosTable } from '../../lib/policies/chaos/chaos.options.js';
import { experimentTable } from '../../lib/policies/chaos/experiment.options.js';
import { gameDayTable } from '../../lib/policies/chaos/game-day.options.js';
import { monkeyTable } from '../../lib/policies/chaos/monkey.js';
import { circuitBreakerTable } from '../../lib/policies/circuit-breaker/circuit-breaker.options.js';
import { fallbackTable } from '../../lib/policies/fallback/fallback.options.js';
import { hedgeTable } from '../../lib/policies/hedge/hedge.options.js';
import { idempotencyTable } from '../../lib/policies/idempotency/idempotency.options.js';
import { rateLimitTable } from '../../lib/policies/rate-limit/rate-limit.options.js';
import { retryBudgetTable } from '../../lib/policies/retry/retry-budget.options.js';
import { retryTable } from '../../lib/policies/retry/retry.options.js';
import { timeoutTable } from '../../lib/policies/timeout/timeout.options.js';
import { pages } from './pages.js';

/** The tables that a page may show, by what stands in its marker. */
const TABLES: Readonly<Record<string, OptionTable>> = {
  admin: adminTable,
  bulkhead: bulkheadTable,
  chaos: chaosTable,
  chaosModule: chaosModuleTable,
  circuitBreaker: circuitBreakerTable,
  dashboard: dashboardTable,
  draining: drainingTable,
  events: eventsTable,
  experiment: experimentTable,
  fallback: fallbackTable,
  fallbackLevel: { rows: fallbackTable.rows.find(({ name }) => name === 'levels')?.each?.fields?.rows ?? [] },
  gameDay: gameDayTable,
  health: healthTable,
  hedge: hedgeTable,
  idempotency: idempotencyTable,
  module: moduleTable,
  monkey: monkeyTable,
  probe: probeTable,
  prometheus: prometheusTable,
  rateLimit: rateLimitTable,
  retry: retryTable,
  retryBudget: retryBudgetTable,
  timeout: timeoutTable,
};

/** `npm run docs` sets it: pages are brought up to date, and not only compared. */
const WRITES = process.env['WRITE_DOCS'] === 'true';

const PLACE = /(<!-- options: (\w+) -->)([\s\S]*?)(<!-- \/options -->)/g;

/** Tables with the same cells are the same: how wide the columns are is the formatter's business. */
function cells(markdown: string): string[][] {
  const lines = markdown.trim().split('\n');
  return lines.map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/^-+$/, '-')));
}

function tableOf(name: string): string {
  const table = TABLES[name];
  if (table === undefined) throw new Error(`There is no table "${name}"; name it in ${import.meta.url}.`);
  return optionsMarkdown(table);
}

describe('tables of options', () => {
  const withTables = pages().filter(({ text }) => text.includes('<!-- options'));

  if (WRITES) {
    it.each(withTables)('are written to $path', async ({ path, text }) => {
      const written = text.replace(
        PLACE,
        (_, begin: string, name: string, _old, end: string) => `${begin}\n\n${tableOf(name)}\n${end}`,
      );
      const style = await resolveConfig(path);
      writeFileSync(path, await format(written, { ...style, filepath: path }));
    });
    return;
  }

  it.each(withTables)('in $path are those of the code; npm run docs writes them', ({ text }) => {
    const places = [...text.matchAll(PLACE)];
    expect(places).toHaveLength(text.split('<!-- options').length - 1);
    for (const [, , name = '', shown = ''] of places) {
      expect({ [name]: cells(shown) }).toEqual({ [name]: cells(tableOf(name)) });
    }
  });

  it.each(['circuitBreaker', 'retry', 'retryBudget', 'timeout', 'bulkhead', 'rateLimit'])(
    'of %s stands on a page',
    (name) => {
      expect(withTables.some(({ text }) => text.includes(`<!-- options: ${name} -->`))).toBe(true);
    },
  );
});
