import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { IdempotencyConflictError, IdempotencyMismatchError } from '../../../lib/core/errors.js';
import { IdempotencyPolicy } from '../../../lib/policies/idempotency/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { IdempotencyModel } from '../../models/idempotency-model.js';
import { MODEL_RUNS, MODEL_STEPS } from '../../models/runs.js';
import { deferred, type Deferred } from '../deferred.js';

const rules = fc.record({
  ttl: fc.integer({ min: 1, max: 300 }),
  maxRecords: fc.integer({ min: 1, max: 4 }),
});

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      args: fc.constantFrom(1, 1, 1, 2),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat({ max: 5 }), ok: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat({ max: 120 }) }) },
);

/** Promise jobs until a call has been answered. */
const TURNS = 15;

describe('IdempotencyPolicy against its model', () => {
  it('ID-01 ID-02 ID-03 ID-04 ID-05 any trace of calls, outcomes and time goes as in the model', async () => {
    const property = fc.asyncProperty(rules, fc.array(step, MODEL_STEPS), async (given, steps) => {
      const clock = new ManualClock();
      const once = new IdempotencyPolicy('orders', given, { clock });
      const model = new IdempotencyModel(given);
      const methods: Deferred<unknown>[] = [];
      const seen: unknown[] = [];
      const expected: unknown[] = [];

      const call = async (key: string, args: number) => {
        const id = methods.length;
        const method = deferred();
        methods.push(method);
        expected.push(model.call(id, key, args, clock.now()));
        const at = seen.push('nothing yet') - 1;
        const run = () => {
          seen[at] = 'runs';
          return method.promise;
        };
        try {
          const replayOf = await once.execute(run, { idempotencyKey: key, args: [args] });
          if (seen[at] === 'nothing yet') seen[at] = { replayOf };
        } catch (error) {
          if (error instanceof IdempotencyConflictError) seen[at] = 'conflict';
          else if (error instanceof IdempotencyMismatchError) seen[at] = 'mismatch';
        }
      };

      for (const next of steps) {
        if (next.do === 'call') void call(next.key, next.args);
        else if (next.do === 'pass') await clock.advance(next.ms);
        else if (model.running.length > 0) {
          const run = model.running[next.which % model.running.length] as (typeof model.running)[number];
          if (next.ok) methods[run.id]?.resolve(run.id);
          else methods[run.id]?.reject(new Error('declined'));
          model.settle(run, next.ok, clock.now());
        }
        for (let turn = 0; turn < TURNS; turn++) await Promise.resolve();
        const { records, running } = once.stats();
        seen.push([records, running]);
        expected.push([model.records(clock.now()), model.running.length]);
      }
      expect(seen).toEqual(expected);
    });
    await fc.assert(property, { numRuns: MODEL_RUNS });
  }, 120_000);
});
