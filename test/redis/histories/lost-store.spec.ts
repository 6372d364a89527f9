import { describe, expect, it } from '@jest/globals';
import type { Decision, Noted, Sent, Stalled, StoreFate } from './history.js';
import { lostStoreViolations, recoveryViolations } from './lost-store.js';

const rules = { timeoutMs: 100 };
const noted = (kind: Noted['kind'], at: number): Noted => ({ kind, worker: 'one', at });
const sent = (script: string, at: number): Sent => ({ kind: 'sent', worker: 'one', script, at, call: at });
const settled = (script: string, call: number, at: number): Sent => ({
  kind: 'settled',
  worker: 'one',
  script,
  at,
  call,
});
const stalled = (from: number, at: number): Stalled => ({ kind: 'stalled', worker: 'two', from, at });
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

  it('does not count for how long a process stood still', () => {
    expect(lostStoreViolations([decision(0, 1_200), stalled(500, 650)], rules)).toEqual([]);
    expect(lostStoreViolations([decision(0, 1_200), stalled(500, 550)], rules)).toHaveLength(1);
    expect(lostStoreViolations([decision(0, 1_200), stalled(1_150, 1_400)], rules)).toHaveLength(1);
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
    expect(recoveryViolations(history, rules)).toEqual([]);
    expect(recoveryViolations([noted('degraded', 200)], rules)).toEqual([]);
  });

  it('is broken where that takes longer, or never happens', () => {
    const history = [fate('out', 100), noted('degraded', 200), fate('back', 1_000)];
    const text = 'one: has not found the store 2000 ms after its return';
    expect(recoveryViolations(history, rules)).toEqual([text]);
    expect(recoveryViolations([...history, noted('recovered', 3_100)], rules)).toEqual([text]);
  });

  it('is kept where some process stood still, or a probe got no answer in time', () => {
    const history = [fate('out', 100), noted('degraded', 200), fate('back', 1_000)];
    expect(recoveryViolations([...history, stalled(1_500, 2_700), noted('recovered', 4_100)], rules)).toEqual(
      [],
    );
    const answered = [sent('check', 3_400), settled('check', 3_400, 3_405), noted('recovered', 3_410)];
    const probed = [sent('check', 1_800), ...answered];
    expect(recoveryViolations([...history, settled('check', 1_800, 1_950), ...probed], rules)).toEqual([]);
    expect(recoveryViolations([...history, settled('check', 1_800, 1_850), ...probed], rules)).toEqual([
      'one: has not found the store 2000 ms after its return',
    ]);
  });

  it('is kept where an answer was on its way when the store went', () => {
    const history = [noted('degraded', 50), sent('check', 90), fate('out', 100), noted('recovered', 101)];
    const rest = [noted('degraded', 300), fate('back', 1_000), noted('recovered', 1_200)];
    expect(recoveryViolations([...history, ...rest], rules)).toEqual([]);
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
    expect(recoveryViolations(history, rules)).toEqual(['one: found the store 1 times while it was out']);
  });
});
