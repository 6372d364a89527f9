import { describe, expect, it } from '@jest/globals';
import type { Begun, Told } from './history.js';
import { staleViolations } from './stale.js';

const run = (worker: string, at: number, fence = at): Begun => ({
  kind: 'begun',
  worker,
  key: 'order',
  asked: at - 1,
  at,
  fingerprint: 'same',
  answer: 'run',
  fence,
  until: at + 499,
});
const told = (kind: Told['kind'], worker: string, fence: number, at: number, kept: boolean): Told => ({
  kind,
  worker,
  key: 'order',
  asked: at - 1,
  at,
  fence,
  kept,
  until: at,
});

describe('SS-04 in a history', () => {
  it('is kept where the one who lost the key is told so', () => {
    const history = [
      run('one', 100),
      told('beat', 'one', 100, 200, true),
      run('two', 700),
      told('beat', 'one', 100, 710, false),
      told('completed', 'one', 100, 720, false),
      told('completed', 'two', 700, 730, true),
    ];
    expect(staleViolations(history)).toEqual([]);
  });

  it('is broken where the store takes what the stale owner says', () => {
    const history = [run('one', 100), run('two', 700)];
    expect(staleViolations([...history, told('completed', 'one', 100, 720, true)])).toEqual([
      'order: one completed with a fence that two has',
    ]);
    expect(staleViolations([...history, told('beat', 'one', 100, 720, true)])).toHaveLength(1);
  });

  it('is broken by a fence that does not rise', () => {
    expect(staleViolations([run('one', 100), run('two', 700, 100)])).toEqual([
      'order: fence 100 was given after 100',
    ]);
  });
});
