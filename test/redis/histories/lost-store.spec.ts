import { describe, expect, it } from '@jest/globals';
import type { Decision, Noted, Sent, StoreFate } from './history.js';
import { lostStoreViolations, recoveryViolations } from './lost-store.js';

const rules = { timeoutMs: 100 };
const noted = (kind: Noted['kind'], at: number): Noted => ({ kind, worker: 'one', at });
const sent = (script: string, at: number): Sent => ({ kind: 'sent', worker: 'one', script, at, call: at });
const fate = (kind: StoreFate['kind'], at: number): StoreFate => ({ kind, worker: 'test', asked: at, at });
const decision = (asked: number, at: number): Decision => ({
  kind: 'decision',
  worker: 'one',
  key: 'search',
  asked,
  at,
  allowed: true,
  local: true,
});

describe('SS-06 in a history', () => {
  it('is kept by one probe at a time, with time between', () => {
    const history = [
      sent('take', 90),
      decision(90, 195),
      noted('degraded', 200),
      decision(300, 300),
      sent('check', 330),
      sent('check', 700),
      noted('recovered', 710),
      sent('take', 711),
    ];
    expect(lostStoreViolations(history, rules)).toEqual([]);
  });

  it('is broken by anything else that is sent, and by probes in a row', () => {
    expect(lostStoreViolations([noted('degraded', 200), sent('take', 300)], rules)).toEqual([
      'one: sent take while the store was lost',
    ]);
    expect(
      lostStoreViolations([noted('degraded', 200), sent('check', 400), sent('check', 420)], rules),
    ).toEqual(['one: a probe 20 ms after the last']);
  });

  it('is broken by a call that hangs, and by what nobody handled', () => {
    expect(lostStoreViolations([decision(0, 1_200)], rules)).toEqual(['one: a decision took 1200 ms']);
    expect(lostStoreViolations([{ ...noted('unhandled', 5), error: 'Error: x' }], rules)).toEqual([
      'one: nobody handled Error: x',
    ]);
  });
});

describe('SS-07 in a history', () => {
  it('is kept where the store is found within two seconds of its return', () => {
    const history = [
      fate('out', 100),
      noted('degraded', 200),
      fate('back', 1_000),
      noted('recovered', 2_900),
    ];
    expect(recoveryViolations(history)).toEqual([]);
    expect(recoveryViolations([noted('degraded', 200)])).toEqual([]);
  });

  it('is broken where that takes longer, or never happens', () => {
    const history = [fate('out', 100), noted('degraded', 200), fate('back', 1_000)];
    const text = 'one: has not found the store 2000 ms after its return';
    expect(recoveryViolations(history)).toEqual([text]);
    expect(recoveryViolations([...history, noted('recovered', 3_100)])).toEqual([text]);
  });

  it('is broken where the store is found while it is out', () => {
    const history = [
      fate('out', 100),
      noted('degraded', 200),
      noted('recovered', 500),
      noted('degraded', 600),
      fate('back', 1_000),
      noted('recovered', 1_200),
    ];
    expect(recoveryViolations(history)).toEqual(['one: found the store 1 times while it was out']);
  });
});
