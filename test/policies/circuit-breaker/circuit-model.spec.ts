import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Call } from '../../../lib/core/call.js';
import { CircuitOpenError } from '../../../lib/core/errors.js';
import type { Admission } from '../../../lib/policies/circuit-breaker/circuit.js';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/index.js';
import { CircuitModel, type CircuitRules, type Ticket } from '../../models/circuit-model.js';
import { MODEL_RUNS, MODEL_STEPS } from '../../models/runs.js';
import { SteppedClock } from '../../models/stepped-clock.js';

class Ignored extends Error {}
const FAILURE = new Error('down');
const IGNORED = new Ignored('not ours');

const rules = fc
  .record({
    failureThreshold: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    failureRatePercent: fc.option(fc.integer({ min: 10, max: 100 }), { nil: undefined }),
    minimumCalls: fc.integer({ min: 1, max: 5 }),
    window: fc.constantFrom({ calls: 5 }, { calls: 20 }, { duration: 200 }, undefined),
    openDuration: fc.integer({ min: 1, max: 300 }),
    successThreshold: fc.integer({ min: 1, max: 4 }),
    halfOpenMaxCalls: fc.integer({ min: 1, max: 4 }),
    halfOpenMaxDuration: fc.integer({ min: 1, max: 300 }),
  })
  .map((drawn): CircuitRules => {
    // Without a window only consecutive failures can be counted; a breaker needs one rule.
    const failureRatePercent = drawn.window === undefined ? undefined : drawn.failureRatePercent;
    const failureThreshold = drawn.failureThreshold ?? (failureRatePercent === undefined ? 2 : undefined);
    return { ...drawn, failureRatePercent, failureThreshold };
  });

const step = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ do: 'begin' as const }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which: fc.nat({ max: 20 }),
      outcome: fc.constantFrom(
        'success' as const,
        'failure' as const,
        'failure' as const,
        'ignored' as const,
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat({ max: 120 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat({ max: 1_000 }) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'reset' as const }) },
);

describe('CircuitBreakerPolicy against its model', () => {
  it('CB-01 CB-02 CB-03 CB-04 CB-06 CB-07 CB-11 CB-22 any trace of calls, outcomes and time goes as in the model', () => {
    const trace = fc.array(step, MODEL_STEPS);
    const property = fc.property(rules, trace, (given, steps) => {
      const clock = new SteppedClock();
      const { failureThreshold, failureRatePercent, window, ...rest } = given;
      const breaker = new CircuitBreakerPolicy(
        'model',
        {
          ...rest,
          ...(failureThreshold !== undefined && { failureThreshold }),
          ...(failureRatePercent !== undefined && { failureRatePercent }),
          ...(window !== undefined && { window }),
          ignoreErrors: Ignored,
        },
        { clock },
      );
      const model = new CircuitModel(given);
      const running: { admission: Admission; ticket: Ticket }[] = [];
      const states: string[] = [];
      const expected: string[] = [];
      const call = new Call(() => undefined, undefined, []);

      for (const next of steps) {
        if (next.do === 'pass') clock.time += next.ms;
        else if (next.do === 'reset') {
          breaker.close();
          model.close();
        } else if (next.do === 'begin') {
          const ticket = model.begin(clock.time);
          if (ticket === undefined) expect(() => breaker.enter(call)).toThrow(CircuitOpenError);
          else running.push({ admission: breaker.enter(call) as Admission, ticket });
        } else if (running.length > 0) {
          const [ended] = running.splice(next.which % running.length, 1);
          const { admission, ticket } = ended as (typeof running)[number];
          const result = next.outcome === 'success' ? 'fine' : next.outcome === 'failure' ? FAILURE : IGNORED;
          breaker.settle(admission, call, next.outcome === 'success', result, clock.time, clock.time);
          model.end(ticket, next.outcome, clock.time);
        }
        states.push(breaker.state);
        expected.push(model.state(clock.time));
      }
      expect(states).toEqual(expected);
    });
    fc.assert(property, { numRuns: MODEL_RUNS });
  });
});
