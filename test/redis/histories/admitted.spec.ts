import { describe, expect, it } from '@jest/globals';
import { admittedViolations } from './admitted.js';
import type { Decision, HistoryEvent } from './history.js';

const rules = { key: 'search', perSecond: 100, burst: 10, leaseMs: 0, instances: 4 };

const decision = (at: number, more: Partial<Decision> = {}): Decision => ({
  kind: 'decision',
  worker: 'one',
  key: 'search',
  asked: at - 1,
  at,
  allowed: true,
  local: false,
  ...more,
});
const many = (count: number, at: (i: number) => number, more?: Partial<Decision>) =>
  Array.from({ length: count }, (_, i) => decision(at(i), more));

describe('SS-01 in a history', () => {
  it('is kept by a burst, then the rate, whoever is admitted', () => {
    const history = [
      ...many(10, () => 1_000),
      ...many(50, (i) => 1_010 + i * 10, { worker: 'two' }),
      ...many(100, () => 1_000, { allowed: false }),
      ...many(100, () => 1_000, { key: 'other' }),
    ];
    expect(admittedViolations(history, rules)).toEqual([]);
  });

  it('is broken by a burst of several instances together, and by more than the rate', () => {
    const burst = [...many(7, () => 1_000), ...many(7, () => 1_000, { worker: 'two' })];
    expect(admittedViolations(burst, rules)).toEqual(['together: 14 admitted within 1.0 ms, 2.9 too many']);
    expect(
      admittedViolations(
        many(100, (i) => 1_000 + i * 8),
        rules,
      ),
    ).toHaveLength(1);
  });

  it('counts what is borrowed for a lease, and a burst for each time that the store forgot', () => {
    const history: HistoryEvent[] = many(20, () => 1_000);
    expect(admittedViolations(history, { ...rules, leaseMs: 100 })).toEqual([]);
    history.push({ kind: 'forgot', worker: 'test', asked: 999.5, at: 999.6 });
    expect(admittedViolations(history, rules)).toEqual([]);
    expect(admittedViolations([...history, ...many(2, () => 1_000)], rules)).toHaveLength(1);
  });

  it('holds an instance that is alone to its share', () => {
    const alone = many(3, () => 1_000, { local: true });
    expect(admittedViolations(alone, rules)).toEqual([]);
    expect(admittedViolations([...alone, ...many(1, () => 1_000, { local: true })], rules)).toEqual([
      'one alone: 4 admitted within 1.0 ms, 1.0 too many',
    ]);
  });
});
