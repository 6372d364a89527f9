import { describe, expect, it } from '@jest/globals';
import type { Answered, Begun, HistoryEvent, Told } from './history.js';
import { onceViolations } from './once.js';

const begun = (worker: string, at: number, more: Partial<Begun> = {}): Begun => ({
  kind: 'begun',
  worker,
  key: 'order',
  asked: at - 1,
  at,
  fingerprint: 'same',
  answer: 'run',
  fence: at,
  until: at + 499,
  ...more,
});
const told = (
  kind: Told['kind'],
  worker: string,
  fence: number,
  at: number,
  more: Partial<Told> = {},
): Told => ({
  kind,
  worker,
  key: 'order',
  asked: at - 1,
  at,
  fence,
  kept: true,
  until: at - 1,
  ...more,
});
const completed = (
  worker: string,
  fence: number,
  at: number,
  outcome = '+1',
  kept: boolean | undefined = true,
) => told('completed', worker, fence, at, { outcome, kept });
const replayed = (worker: string, at: number, outcome = '+1', fingerprint = 'same') =>
  begun(worker, at, { answer: 'replay', fence: undefined, outcome, fingerprint });
const answered = (worker: string, at: number, answer: string, own: boolean): Answered => ({
  kind: 'answered',
  worker,
  key: 'order',
  asked: at - 1,
  at,
  fingerprint: 'same',
  answer,
  ok: true,
  own,
});

describe('SS-03 in a history', () => {
  it('is kept by one run and its replays', () => {
    const history = [
      begun('one', 100),
      begun('two', 110, { answer: 'busy' }),
      told('beat', 'one', 100, 300, { until: 800 }),
      completed('one', 100, 700),
      answered('one', 700, '1', true),
      replayed('two', 710),
      answered('two', 710, '1', false),
      begun('three', 720, { answer: 'mismatch', fingerprint: 'other' }),
    ];
    expect(onceViolations(history)).toEqual([]);
  });

  it('is kept where another runs after a failure, and after a lease that has ended', () => {
    const failed = [begun('one', 100), told('failed', 'one', 100, 110), begun('two', 120)];
    expect(onceViolations(failed)).toEqual([]);
    const stalled = [begun('one', 100), begun('two', 650), completed('two', 650, 700)];
    expect(onceViolations([...stalled, completed('one', 100, 710, '+0', false)])).toEqual([]);
  });

  it('is broken by two runs within one lease', () => {
    expect(onceViolations([begun('one', 100), begun('two', 200)])).toEqual([
      'order: two runs beside one, whose lease has 399.0 ms left',
    ]);
    const beaten = [begun('one', 100), told('beat', 'one', 100, 400, { until: 900 }), begun('two', 700)];
    expect(onceViolations(beaten)).toHaveLength(1);
  });

  it('is broken by a run of what is done, and by two outcomes', () => {
    const again = [begun('one', 100), completed('one', 100, 120), begun('two', 130)];
    expect(onceViolations(again)).toEqual(['order: two runs what one has completed']);
    const twice = [
      begun('one', 100),
      begun('two', 650),
      completed('one', 100, 700),
      completed('two', 650, 710, '+2'),
    ];
    expect(onceViolations(twice)).toContain('order: 2 outcomes are stored');
  });

  it('is broken by replays that differ, that nobody made, or that are for other arguments', () => {
    const done = [begun('one', 100), completed('one', 100, 120)];
    expect(onceViolations([...done, replayed('two', 130), replayed('two', 140, '+1 ')])).toEqual([
      'order: replayed are +1 and +1 ',
      'order: replayed is +1 , which nobody completed',
    ]);
    expect(onceViolations([...done, replayed('two', 130, '+1', 'other')])).toEqual([
      'order: two was answered for other arguments',
    ]);
    expect(onceViolations([...done, answered('two', 130, '2', false)])).toEqual([
      'order: two was answered 2, which no run returned',
    ]);
  });

  it('begins anew where the store forgot', () => {
    const forgot: HistoryEvent = { kind: 'forgot', worker: 'test', asked: 130, at: 131 };
    const history = [begun('one', 100), completed('one', 100, 120), forgot, begun('two', 140)];
    expect(
      onceViolations([...history, completed('two', 140, 150, '+2'), replayed('one', 160, '+2')]),
    ).toEqual([]);
  });
});
