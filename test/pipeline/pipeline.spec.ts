import { describe, expect, it } from '@jest/globals';
import { InvalidOptionsError } from '../../lib/core/errors.js';
import { Pipeline, type PipelineSlot } from '../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../lib/policies/bulkhead/index.js';
import { RetryPolicy } from '../../lib/policies/retry/index.js';
import { TimeoutPolicy } from '../../lib/policies/timeout/index.js';
import { ManualClock } from '../../lib/testing/index.js';

function pipelineOf(order?: readonly PipelineSlot[]) {
  const clock = new ManualClock();
  const policies = [
    new TimeoutPolicy('payments', '1s', { clock }),
    new BulkheadPolicy('payments', {}, { clock }),
    new RetryPolicy('payments', {}, { clock }),
  ];
  return new Pipeline('payments', policies, clock, order);
}

const slotsOf = ({ steps }: Pipeline) => steps.map(({ slot }) => slot);

describe('Pipeline', () => {
  it('PL-01 the order is by kind, whatever the order in which policies are given', () => {
    expect(slotsOf(pipelineOf())).toEqual(['retry', 'bulkhead', 'timeout']);
  });

  it('PL-01 kinds that the order does not name stay where they are', () => {
    expect(slotsOf(pipelineOf(['retry']))).toEqual(['retry', 'bulkhead', 'timeout']);
    expect(slotsOf(pipelineOf(['bulkhead', 'retry']))).toEqual(['bulkhead', 'retry', 'timeout']);
  });

  it.each([
    [['retry', 'bulkheads'], 'did you mean "bulkhead"'],
    [['retry', 'retry'], '"order" holds "retry" twice'],
    ['retry', '"order" must be a list'],
  ])('PL-07 an order of %j is refused', (order, message) => {
    const build = () => pipelineOf(order as PipelineSlot[]);

    expect(build).toThrow(InvalidOptionsError);
    expect(build).toThrow(`pipeline "payments": `);
    expect(build).toThrow(message);
  });
});
