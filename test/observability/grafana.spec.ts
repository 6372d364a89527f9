import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { ResilienceModule, ResilienceService } from '../../lib/index.js';
import { registerResilienceMetrics } from '../../lib/observability/prometheus/index.js';

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
}

/** What a scrape adds to every series. */
const OF_SCRAPE = ['job', 'instance'];

/** The exporter's series: their labels, and which values each label has. */
async function exported(): Promise<Map<string, Map<string, Set<string>>>> {
  const module = await Test.createTestingModule({
    imports: [
      ResilienceModule.forRoot({
        callDurations: true,
        circuitBreakers: { all: {} },
        retries: { all: {} },
        bulkheads: { all: {} },
        rateLimiters: { all: {} },
        timeouts: { all: {} },
        fallbacks: { all: { use: () => 'default' } },
        idempotencies: { all: { key: () => 'k' } },
        hedges: { all: {} },
        chaosPolicies: { all: {} },
      }),
    ],
  }).compile();
  const app = await module.createNestApplication().init();
  const service = app.get(ResilienceService);
  await service.pipeline('all', { retry: 'all' }).execute(() => 'fine');
  const registry = new Registry();
  registerResilienceMetrics(service, registry);
  const text = await registry.metrics();
  await app.close();

  const series = new Map<string, Map<string, Set<string>>>();
  for (const line of text.split('\n')) {
    const [, metric, labels = ''] = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    if (metric === undefined) continue;
    const known = series.get(metric) ?? new Map<string, Set<string>>();
    series.set(metric, known);
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="([^"]*)"/g))
      known.set(label, (known.get(label) ?? new Set()).add(value));
  }
  return series;
}

describe('the Grafana board', () => {
  const board = JSON.parse(
    readFileSync(new URL('../../docs/grafana/resilience.json', import.meta.url), 'utf8'),
  ) as Dashboard;
  const targets = board.panels.flatMap(({ title, targets: own = [] }) =>
    own.map((target) => ({ title, ...target })),
  );

  it('OP-02 asks for metrics, labels and values that the exporter has, and for all of its metrics', async () => {
    const series = await exported();
    const wrong: string[] = [];
    const used = new Set<string>();
    for (const { title, expr, legendFormat } of targets) {
      const metrics = [...expr.matchAll(/(resilience_\w+)(?:\{([^}]*)\})?/g)];
      if (metrics.length === 0) wrong.push(`${title}: no metric of ours`);
      for (const [, metric = '', selector = ''] of metrics) {
        used.add(metric);
        const labels = series.get(metric);
        if (labels === undefined) {
          wrong.push(`${title}: there is no ${metric}`);
          continue;
        }
        const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label as string);
        const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '));
        for (const label of [...shown, ...grouped])
          if (!labels.has(label) && !OF_SCRAPE.includes(label))
            wrong.push(`${title}: ${metric} has no label ${label}`);
        for (const [, label = '', value = ''] of selector.matchAll(/(\w+)(?:=~|!~|!=|=)"([^"]*)"/g)) {
          if (OF_SCRAPE.includes(label)) continue;
          const values = labels.get(label);
          if (values === undefined) wrong.push(`${title}: ${metric} has no label ${label}`);
          else if (!value.startsWith('$'))
            for (const one of value.split('|'))
              if (!values.has(one)) wrong.push(`${title}: ${label} of ${metric} is never ${one}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    const unused = [...series.keys()].filter(
      (metric) => !used.has(metric) && !metric.endsWith('duration_seconds_sum'),
    );
    expect(unused).toEqual([]);
  });

  it('OP-02 names every variable that it uses, and numbers its panels once', () => {
    const variables = new Set(board.templating.list.map(({ name }) => name));
    const text = JSON.stringify(board);
    const used = [...text.matchAll(/\$\{?([a-z]\w*)/g)].map(([, name]) => name as string);
    expect(used.filter((name) => !variables.has(name))).toEqual([]);
    const ids = board.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
