import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Priority } from '../../../lib/core/call.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { BulkheadModel } from '../../models/bulkhead-model.js';
import { MODEL_RUNS, MODEL_STEPS } from '../../models/runs.js';
import { deferred, type Deferred } from '../deferred.js';

const rules = fc.record({
  maxConcurrent: fc.integer({ min: 1, max: 4 }),
  maxQueue: fc.integer({ min: 0, max: 6 }),
  maxWait: fc.constantFrom(50, 400),
  aging: fc.constantFrom(undefined, undefined, 30),
});

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('enter' as const), priority: fc.nat({ max: 4 }) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat({ max: 20 }),
      ok: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat({ max: 20 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('settle, abort its heir' as const), which: fc.nat({ max: 20 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat({ max: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('limit' as const), to: fc.nat({ max: 4 }) }) },
);

/** Promise jobs until a slot has passed from one call to the next and its method has started. */
const TURNS = 20;

const ascending = (ids: readonly number[]) => ids.toSorted((a, b) => a - b);

interface Running {
  readonly method: Deferred<unknown>;
  readonly caller: AbortController;
}

describe('BulkheadPolicy against its model', () => {
  it('BH-01 BH-02 BH-03 BH-04 BH-05 BH-06 BH-07 100,000 random operations go as in the model', async () => {
    const trace = fc.array(step, MODEL_STEPS);
    const property = fc.asyncProperty(rules, trace, async (given, steps) => {
      const clock = new ManualClock();
      const { aging, ...rest } = given;
      const bulkhead = new BulkheadPolicy(
        'model',
        { ...rest, ...(aging !== undefined && { aging }) },
        { clock },
      );
      const model = new BulkheadModel(given);
      const calls: Running[] = [];
      const started = new Set<number>();
      const settled = new Set<number>();
      const refused = new Set<number>();
      const seen: unknown[] = [];
      const expected: unknown[] = [];

      const enter = (priority: Priority) => {
        const id = calls.length;
        const call = { method: deferred(), caller: new AbortController() };
        calls.push(call);
        model.enter(id, priority, clock.now());
        bulkhead
          .execute(
            () => {
              started.add(id);
              return call.method.promise;
            },
            { priority, signal: call.caller.signal },
          )
          .catch(() => started.has(id) || refused.add(id));
      };
      const pick = (ids: readonly number[], which: number) => ids[which % ids.length];
      const settle = (id: number, ok: boolean) => {
        settled.add(id);
        if (ok) calls[id]?.method.resolve('fine');
        else calls[id]?.method.reject(new Error('down'));
        model.release(id, clock.now());
      };

      for (const next of steps) {
        if (next.do === 'enter') enter(next.priority);
        else if (next.do === 'settle') {
          const id = pick(model.running, next.which);
          if (id !== undefined) settle(id, next.ok);
        } else if (next.do === 'abort') {
          const id = pick([...model.running, ...model.queue.map((waiting) => waiting.id)], next.which);
          if (id === undefined) continue;
          if (!model.running.includes(id)) model.leave(id);
          calls[id]?.caller.abort(new Error('gone'));
        } else if (next.do === 'settle, abort its heir') {
          const id = pick(model.running, next.which);
          if (id === undefined) continue;
          const before = new Set(model.running);
          settle(id, true);
          const heir = model.running.find((each) => !before.has(each));
          if (heir !== undefined) {
            // Let the slot pass on, but not the heir's turn come.
            for (let turn = 0; turn < TURNS; turn++) {
              if (bulkhead.stats().queuedCalls === model.queue.length) break;
              await Promise.resolve();
            }
            calls[heir]?.caller.abort(new Error('gone'));
            model.refused.push(heir);
            model.release(heir, clock.now());
          }
        } else if (next.do === 'pass') {
          await clock.advance(next.ms);
          model.expire(clock.now());
        } else {
          bulkhead.update({ maxConcurrent: next.to });
          model.setLimit(next.to, clock.now());
        }
        for (let turn = 0; turn < TURNS; turn++) await Promise.resolve();

        const { activeCalls, queuedCalls } = bulkhead.stats();
        const inside = [...started].filter((id) => !settled.has(id));
        seen.push([activeCalls, queuedCalls, ascending(inside)]);
        expected.push([model.running.length, model.queue.length, ascending(model.running)]);
      }
      expect(seen).toEqual(expected);
      expect(ascending([...refused])).toEqual(ascending(model.refused));
    });
    await fc.assert(property, { numRuns: MODEL_RUNS });
  }, 120_000);
});
