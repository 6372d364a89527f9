import { describe, expect, it } from '@jest/globals';
import { crossing, metricProblems, readMetric } from '../../../lib/policies/chaos/metric.js';
import { sample, shareOf, type Steady } from '../../../lib/policies/chaos/steady-state.js';

const stats = {
  breakers: { 'pay.ments': { failures: 3, rate: undefined, state: 'closed' }, empty: {} },
  none: null,
};

const messageOf = (metric: string) =>
  metricProblems({ metric, above: 1 }, stats, 'experiment "e"', 'abortWhen').map(({ message }) => message)[0];

describe('a metric', () => {
  it.each([
    ['breakers.pay.ments.failures', 3],
    ['breakers.pay.ments.rate', undefined],
    ['breakers.gone.failures', undefined],
    ['breakers.pay.ments.failures.more', undefined],
    ['none', undefined],
    ['none.at all', undefined],
    ['breakers.pay.ments.state.0', undefined],
    ['breakers.pay.ments.rate.x', undefined],
    ['breakers.pay.ments.failures.', undefined],
    ['timeouts.pay.ments.failures', undefined],
  ])('CH-04 reads %s', async (path, expected) => {
    expect(await readMetric(path, () => stats)).toBe(expected);
  });

  it.each(['breakers.pay.ments.state', 'breakers.empty'])('CH-04 %s is no number', async (path) => {
    await expect(readMetric(path, () => stats)).rejects.toThrow(`The metric ${path} must be a number, got `);
  });

  it('CH-04 a function without a name is "the metric"', async () => {
    const text = [() => 'text'][0] as unknown as () => number;

    await expect(readMetric(text, () => stats)).rejects.toThrow(
      'The metric the metric must be a number, got string.',
    );
    expect(await readMetric([() => undefined][0] as () => undefined, () => stats)).toBeUndefined();
  });

  it.each([
    [{ above: 5 }, 5, undefined],
    [{ above: 5 }, 5.1, 'm is 5.1, above 5'],
    [{ below: 2 }, 2, undefined],
    [{ below: 2 }, 1.9, 'm is 1.9, below 2'],
    [{ above: 5, below: 2 }, 3, undefined],
    [{ above: 5 }, undefined, undefined],
    [{ below: 5 }, undefined, undefined],
    [{ above: 5 }, Number.NaN, 'm is not a number'],
  ])('CH-04 %j with %d: %s', (rule, value, expected) => {
    expect(crossing({ metric: 'm', ...rule }, value)).toBe(expected);
  });

  it.each([
    ['none', undefined],
    ['breakers.pay.ments.rate', undefined],
    [
      'breakers.pay.ments.failure',
      '"abortWhen.metric": "breakers.pay.ments.failure" leads nowhere at "failure"; did you mean "failures"?',
    ],
    [
      'breakers.somebody else',
      '"abortWhen.metric": "breakers.somebody else" leads nowhere at "somebody else"; there are pay.ments, empty.',
    ],
    [
      'breakers.empty.x',
      '"abortWhen.metric": "breakers.empty.x" leads nowhere at "x"; there are no numbers.',
    ],
    ['breakers.empty.', '"abortWhen.metric": "breakers.empty." leads nowhere at ""; there are no numbers.'],
    [
      'breakers.pay.ments.rate.x',
      '"abortWhen.metric": "breakers.pay.ments.rate.x" leads nowhere at "x"; there are no numbers.',
    ],
    [
      'breakers.pay.ments.state.0',
      '"abortWhen.metric": "breakers.pay.ments.state.0" leads nowhere at "0"; there are no numbers.',
    ],
    ['none.x', '"abortWhen.metric": "none.x" leads nowhere at "x"; there are no numbers.'],
    [
      'breakers.pay.ments.state.x',
      '"abortWhen.metric": "breakers.pay.ments.state.x" leads nowhere at "x"; there are no numbers.',
    ],
  ])('PL-07 of the path %s it says %s', (path, expected) => {
    expect(messageOf(path)).toBe(expected);
  });

  it('PL-07 names the option, and where', () => {
    const problems = metricProblems({ metric: 'gone' }, stats, 'experiment "e"', 'abortWhen');

    expect(problems.map(({ where, option }) => [where, option])).toEqual([
      ['experiment "e"', 'abortWhen'],
      ['experiment "e"', 'abortWhen.metric'],
    ]);
  });
});

describe('a steady state', () => {
  const steady = (options: Partial<Steady>): Steady => ({ name: 's', tolerance: 1, windowMs: 1, ...options });

  it.each([true, false, 0, 1, 0.5])('CH-04 a check may answer %p', async (answer) => {
    const state = steady({ check: () => answer });

    expect(await sample(state, () => stats)).toBe(answer);
    expect(shareOf(state, answer)).toBe(Number(answer));
  });

  it.each([-0.1, 1.1, 'text', undefined, null, [0.5]])('CH-04 a check may not answer %p', async (answer) => {
    const state = steady({ check: () => answer as never });

    await expect(sample(state, () => stats)).rejects.toThrow(
      `it must answer true, false or a share from 0 to 1, got ${String(answer)}`,
    );
  });

  it('CH-04 a metric holds or does not; none is neither', async () => {
    const state = steady({ metric: 'breakers.pay.ments.failures', above: 2 });

    expect(await sample(state, () => stats)).toBe(3);
    expect([shareOf(state, 3), shareOf(state, 2), shareOf(state, undefined)]).toEqual([0, 1, undefined]);
  });
});
