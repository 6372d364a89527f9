import { describe, expect, it } from '@jest/globals';
import type { Held, HistoryEvent, ServerHeld } from './history.js';
import { permitViolations } from './permits.js';

const rules = { key: 'permits', limit: 3, leaseMs: 500 };

const held = (worker: string, at: number, count: number, more: Partial<Held> = {}): Held => ({
  kind: 'held',
  operation: 'acquire',
  worker,
  key: 'permits',
  asked: at - 1,
  at,
  ok: true,
  count,
  until: at + 499,
  ...more,
});
const sample = (at: number, count: number): ServerHeld => ({
  kind: 'server-held',
  worker: 'test',
  key: 'permits',
  asked: at,
  at: at + 1,
  held: count,
});

describe('SS-02 in a history', () => {
  it('is kept where permits are passed on, by hand or by the end of a lease', () => {
    const history = [
      held('one', 100, 2),
      held('two', 110, 1),
      held('one', 120, 0, { operation: 'release' }),
      held('three', 130, 2),
      held('one', 700, 3),
      sample(710, 3),
    ];
    expect(permitViolations(history, rules)).toEqual([]);
  });

  it('is broken by more than the limit at the same time', () => {
    expect(permitViolations([held('one', 100, 2), held('two', 110, 2)], rules)).toEqual([
      '4 of 3 permits are held at 110.0: one 2, two 2',
    ]);
  });

  it('allows as much again for one lease after the store forgot', () => {
    const forgot: HistoryEvent = { kind: 'forgot', worker: 'test', asked: 104, at: 105 };
    expect(permitViolations([held('one', 100, 3), forgot, held('two', 110, 3)], rules)).toEqual([]);
    const late = [held('one', 700, 3), held('two', 710, 3)];
    expect(permitViolations([forgot, ...late], rules)).toHaveLength(1);
  });

  it('is broken by what the store keeps for nobody, and for the dead', () => {
    const history = [held('one', 100, 2)];
    expect(permitViolations([...history, sample(1_500, 2)], rules)).toEqual([]);
    expect(permitViolations([...history, sample(1_600, 2)], rules)).toEqual([
      "the store holds 2 at 1600.0, where at most 0 are somebody's",
    ]);
    expect(permitViolations([...history, sample(200, 3)], rules)).toHaveLength(1);
  });

  it('does not know what an unanswered operation did, until its lease has ended', () => {
    const unanswered = held('one', 200, 0, { ok: false });
    expect(permitViolations([unanswered, sample(300, 3)], rules)).toEqual([]);
    expect(permitViolations([unanswered, sample(1_701, 3)], rules)).toHaveLength(1);
  });
});
