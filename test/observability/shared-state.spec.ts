import 'reflect-metadata';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Registry } from 'prom-client';
import { RateLimit, ResilienceModule, ResilienceService, type SharedState } from '../../lib/index.js';
import { registerResilienceMetrics } from '../../lib/observability/prometheus/index.js';
import { MemoryState, MemoryWorld } from '../../lib/shared-state/memory-state.js';
import { StoreGuard } from '../../lib/shared-state/store-guard.js';
import { ManualClock } from '../../lib/testing/index.js';

@Injectable()
class Search {
  @RateLimit('search', { capacity: 100, refillPerSecond: 100, shared: true })
  async find() {
    return 'found';
  }
}

/** A store that can be cut off, behind the guard that a network's store has. */
function storeBehindGuard(clock: ManualClock) {
  const line = { cut: false };
  const memory = new MemoryState(new MemoryWorld(clock));
  const reach = async <T>(call: () => Promise<T>): Promise<T> => {
    if (line.cut) throw new Error('ECONNREFUSED');
    await new Promise<void>((resolve) => clock.delay(2, resolve));
    return call();
  };
  const guard = new StoreGuard({ probe: () => reach(async () => undefined) }, clock, () => 0.5);
  const state: SharedState = {
    take: (key, request, remainingMs) => guard.run(remainingMs, () => reach(() => memory.take(key, request))),
    permits: memory.permits,
    once: memory.once,
    circuit: memory.circuit,
    cache: memory.cache,
    presence: {
      beat: (ttlMs) => guard.run(undefined, () => reach(() => memory.presence.beat(ttlMs))),
      leave: () => memory.presence.leave(),
    },
    health: guard,
    close: async () => guard.close(),
  };
  return { state, line };
}

describe('a shared store, to operators', () => {
  let app: INestApplicationContext;

  afterEach(async () => {
    jest.restoreAllMocks();
    await app?.close();
  });

  it('SS-07 shows its loss and its return in events, in the log, in stats and in metrics', async () => {
    const clock = new ManualClock();
    const { state, line } = storeBehindGuard(clock);
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const log = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot({ clock, sharedState: state })],
      providers: [Search],
    }).compile();
    app = module.createNestApplication();
    const starting = app.init();
    await clock.advance(10);
    await starting;
    const resilience = app.get(ResilienceService);
    const search = app.get(Search);
    const registry = new Registry();
    registerResilienceMetrics(resilience, registry);
    const events: unknown[] = [];
    resilience.events$.subscribe(
      ({ kind, type, details }) => kind === 'sharedState' && events.push([type, details]),
    );
    const lines = async () =>
      (await registry.metrics()).split('\n').filter((one) => one.startsWith('resilience_store'));
    const find = async () => {
      const found = search.find();
      await clock.advance(2);
      return found;
    };

    await find();
    await find();
    expect(resilience.stats().sharedState).toEqual({
      instances: 1,
      lost: false,
      calls: 3,
      failures: 0,
      totalMs: 6,
    });

    line.cut = true;
    for (let i = 0; i < 4; i++) await find();
    expect(events).toEqual([['lost', { error: new Error('ECONNREFUSED') }]]);
    expect(warn.mock.calls.flat()).toContain(
      'The shared store is lost; this instance decides alone (Error: ECONNREFUSED).',
    );
    expect(await lines()).toEqual([
      'resilience_store_decisions_total{name="search",source="store"} 2',
      'resilience_store_decisions_total{name="search",source="lease"} 0',
      'resilience_store_decisions_total{name="search",source="alone"} 4',
      'resilience_store_state{state="available"} 0',
      'resilience_store_state{state="lost"} 1',
      'resilience_store_failures_total 3',
      'resilience_store_call_seconds_sum 0.006',
      'resilience_store_call_seconds_count 6',
      'resilience_store_instances 1',
    ]);

    line.cut = false;
    await clock.advance(1_000);
    expect(events).toHaveLength(2);
    expect(events[1]).toEqual(['returned', { lostForMs: expect.any(Number) }]);
    expect(log.mock.calls.flat().find((one) => String(one).includes('is back'))).toMatch(
      /^The shared store is back after \d+ ms\.$/,
    );
    expect(resilience.stats().sharedState?.lost).toBe(false);

    resilience.rateLimiter('search').reset();
    expect(resilience.rateLimiter('search').stats().shared).toEqual({ store: 0, lease: 0, alone: 0 });
    expect((await lines())[2]).toBe('resilience_store_decisions_total{name="search",source="alone"} 4');
  });
});
