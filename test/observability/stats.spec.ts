import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import fc from 'fast-check';
import {
  AdaptiveTimeout,
  Bulkhead,
  ChaosService,
  CircuitBreaker,
  Idempotent,
  Probe,
  RateLimit,
  ResilienceModule,
  ResilienceService,
  Retry,
  Timeout,
} from '../../lib/index.js';
import { ManualClock, seededRandom } from '../../lib/testing/index.js';

@Injectable()
class Orders {
  @CircuitBreaker('orders', {
    failureRatePercent: 50,
    window: { calls: 4 },
    minimumCalls: 2,
    openDuration: 500,
  })
  @Retry('orders', { maxRetries: 2, baseDelay: 100, budget: 'orders' })
  @Bulkhead('orders', { maxConcurrent: 1, maxQueue: 1, maxWait: 300 })
  @RateLimit('orders', { capacity: 4, refillPerSecond: 2 })
  @Timeout({ name: 'orders', duration: 250, adaptive: { minSamples: 2, min: 20 } })
  @Idempotent('orders', { key: ({ args }) => args[0] as string | undefined, onMissingKey: 'pass' })
  async place(_key: string | undefined, run: () => unknown) {
    return run();
  }
}

async function start(clock = new ManualClock()) {
  const module = await Test.createTestingModule({
    imports: [
      ResilienceModule.forRoot({
        clock,
        random: seededRandom(7),
        retryBudgets: { orders: { percent: 50, minPerSecond: 1, window: '2s' } },
        circuitBreakers: { fresh: {} },
        hedges: { fresh: {} },
        fallbacks: { fresh: { use: () => 'default' } },
        chaosPolicies: { fresh: {} },
      }),
    ],
    providers: [Orders],
  }).compile();
  const app = await module.createNestApplication().init();
  return { app, clock, orders: app.get(Orders), resilience: app.get(ResilienceService) };
}

/** The fields of the two starting systems, and where each of them is here, with its unit in its name. */
const CONTRACT = {
  circuitBreakers: {
    name: 'name',
    state: 'state',
    total_calls: 'totalCalls',
    failure_count: 'failureCount',
    success_count: 'successCount',
    failure_rate: 'failureRatePercent',
    last_open_time: 'lastOpenTime',
    last_failure_time: 'lastFailureTime',
    last_state_change: 'lastStateChange',
    'config.failure_threshold': 'config.failureThreshold',
    'config.window_seconds': 'config.windowMs',
    'config.minimum_calls': 'config.minimumCalls',
    'config.open_seconds': 'config.openDurationMs',
    'config.success_threshold': 'config.successThreshold',
  },
  retryBudgets: {
    name: 'name',
    current_retries: 'currentRetries',
    max_retries: 'maxRetries',
    budget_used: 'budgetUsedPercent',
    total_retries: 'totalRetries',
    window_seconds: 'windowMs',
    budget_remaining: 'budgetRemaining',
    total_requests: 'totalRequests',
    retry_rate_percent: 'retryRatePercent',
    budget_percent: 'budgetPercent',
    within_budget: 'withinBudget',
  },
  bulkheads: {
    name: 'name',
    current_usage: 'activeCalls',
    active_calls: 'activeCalls',
    max_concurrent: 'maxConcurrent',
    utilization: 'utilizationPercent',
    utilization_percent: 'utilizationPercent',
    total_operations: 'totalCalls',
    rejected_operations: 'rejectedCalls',
    rejected_calls: 'rejectedCalls',
    available_slots: 'availableSlots',
  },
  timeouts: {
    adaptive_enabled: 'adaptiveEnabled',
    current_timeout_ms: 'currentTimeoutMs',
    p50: 'adaptive.p50',
    p95: 'adaptive.p95',
    p99: 'adaptive.p99',
    p999: 'adaptive.p999',
    samples: 'adaptive.samples',
  },
} as const;

const DRAINING = {
  is_draining: 'isDraining',
  in_flight_requests: 'inFlightRequests',
  draining_started_at: 'drainingStartedAt',
  draining_elapsed_seconds: 'drainingElapsedMs',
  drain_timeout: 'timeoutMs',
};

const CHAOS = {
  total_experiments: 'totalExperiments',
  completed: 'experimentsByState.completed',
  validated: 'validated',
  validation_rate: 'validationRatePercent',
  chaos_monkey_enabled: 'chaosMonkeyEnabled',
  active_faults: 'activeFaults',
  scheduled_game_days: 'scheduledGameDays',
};

const HEALTH = {
  check_type: 'kind',
  healthy: 'healthy',
  timestamp: 'timestamp',
  latency_ms: 'latencyMs',
  details: 'details',
  error: 'error',
};

const GROUPS = [
  'timestamp',
  'circuitBreakers',
  'retries',
  'retryBudgets',
  'bulkheads',
  'rateLimiters',
  'timeouts',
  'fallbacks',
  'idempotencies',
  'hedges',
  'chaosPolicies',
  'draining',
  'liveFaults',
];

/** Whether a field is there: what nobody knows yet is `undefined`, under its name. */
function has(stats: unknown, path: string): boolean {
  let value = stats;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !(name in value)) return false;
    value = (value as Record<string, unknown>)[name];
  }
  return true;
}

/** The paths of all fields whose value is text that reads as a number. */
function numbersAsText(value: unknown, path = ''): string[] {
  if (typeof value === 'string') return value !== '' && Number.isFinite(Number(value)) ? [path] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => numbersAsText(inner, `${path}.${name}`));
}

describe('stats', () => {
  it('OP-01 OP-06 has every group of the starting systems, and the time', async () => {
    const { app, resilience, clock } = await start();
    const stats = resilience.stats();
    expect(Object.keys(stats).toSorted()).toEqual(GROUPS.toSorted());
    expect(stats.timestamp).toBe(new Date(clock.wallTime()).toISOString());
    await app.close();
  });

  it.each(Object.entries(CONTRACT))(
    'OP-06 %s carry each field of the starting systems',
    async (kind, fields) => {
      const { app, resilience } = await start();
      const stats = resilience.stats()[kind as keyof typeof CONTRACT]['orders'];
      const missing = Object.entries(fields).filter(([, ours]) => !has(stats, ours));
      expect(missing).toEqual([]);
      await app.close();
    },
  );

  it('OP-06 so do draining, chaos and health', async () => {
    const { app, resilience } = await start();
    const probed = await new Probe({ name: 'database', kind: 'deep' }).check(() => undefined);
    const missing = [
      ...Object.values(DRAINING).filter((path) => !has(resilience.stats().draining, path)),
      ...Object.values(CHAOS).filter((path) => !has(app.get(ChaosService).stats(), path)),
      ...Object.values(HEALTH).filter((path) => !has(probed, path)),
    ];
    expect(missing).toEqual([]);
    await app.close();
  });

  it('OP-01 every policy of every kind is there before its first call, with numbers as numbers', async () => {
    const { app, clock, orders, resilience } = await start();
    const {
      timestamp: _timestamp,
      draining: _draining,
      liveFaults: _liveFaults,
      ...kinds
    } = resilience.stats();
    for (const [kind, policies] of Object.entries(kinds)) {
      expect([kind, Object.keys(policies).length]).toEqual([kind, expect.any(Number)]);
      expect(Object.keys(policies)).not.toEqual([]);
    }

    await Promise.all([1, 2, 3].map(() => orders.place(undefined, () => 'fine').catch(() => undefined)));
    await clock.advance(1_000);

    expect(numbersAsText(resilience.stats())).toEqual([]);
    expect(resilience.stats().bulkheads['orders']).toMatchObject({ totalCalls: 2, rejectedCalls: 1 });
    await app.close();
  });

  it('OP-01 looking at an adaptive timeout delays nothing that it learns', () => {
    const learned = (look: boolean) => {
      const clock = new ManualClock();
      const timeout = new AdaptiveTimeout({ duration: '2s', minSamples: 2, min: 1, max: '2s' }, { clock });
      timeout.current();
      for (let i = 0; i < 2; i++) timeout.record(100);
      if (look) timeout.stats();
      return timeout.current();
    };
    expect(learned(true)).toBe(learned(false));
    expect(learned(true)).toBeLessThan(200);
  });

  it('OP-01 taking them changes nothing: with and without looking, the same calls end the same way', async () => {
    const step = fc.record({
      fails: fc.boolean(),
      takesMs: fc.integer({ min: 0, max: 400 }),
      thenMs: fc.integer({ min: 0, max: 600 }),
      key: fc.option(fc.constantFrom('a', 'b'), { nil: undefined }),
    });
    const property = fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
      const play = async (look: (resilience: ResilienceService) => void) => {
        const { app, clock, orders, resilience } = await start();
        const ends: string[] = [];
        for (const [number, { fails, takesMs, thenMs, key }] of steps.entries()) {
          const work = () =>
            new Promise((resolve, reject) => {
              clock.delay(takesMs, () => (fails ? reject(new Error('down')) : resolve('fine')));
            });
          orders.place(key, work).then(
            () => ends.push(`${number} fine at ${clock.now()}`),
            (error: unknown) => ends.push(`${number} ${(error as Error).message} at ${clock.now()}`),
          );
          look(resilience);
          for (let passed = 0; passed < thenMs; passed += 100) {
            await clock.advance(Math.min(100, thenMs - passed));
            look(resilience);
          }
        }
        await clock.advance(5_000);
        const { timestamp: _timestamp, ...numbers } = resilience.stats();
        await app.close();
        return { ends, numbers };
      };
      const seen = await play((resilience) => {
        resilience.stats();
        resilience.stats();
      });
      expect(seen).toEqual(await play(() => undefined));
    });
    await fc.assert(property, { numRuns: 40 });
  });
});
