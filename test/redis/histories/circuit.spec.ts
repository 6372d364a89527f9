import { describe, expect, it } from '@jest/globals';
import { circuitViolations } from './circuit.js';
import type { HistoryEvent } from './history.js';

const RULES = { probes: 2, everywhereMs: 1_000, workers: ['a', 'b'] };
const seen = (worker: string, at: number, version: number, open: boolean): HistoryEvent => ({
  kind: 'circuit-seen',
  worker,
  key: 'payments',
  asked: at - 1,
  at,
  version,
  open,
});
const probed = (worker: string, asked: number, at: number): HistoryEvent => ({
  kind: 'probed',
  worker,
  key: 'payments',
  asked,
  at,
  ok: true,
});
const END: HistoryEvent = { kind: 'recovered', worker: 'a', at: 9_000 };

describe('a history of a shared circuit', () => {
  it('SS-05 is without fault where probes, versions and views are as they should be', () => {
    const history = [
      seen('a', 10, 5, true),
      seen('b', 900, 5, true),
      probed('a', 2_000, 2_100),
      probed('b', 2_050, 2_080),
      probed('b', 2_080, 2_200),
      seen('a', 2_300, 6, false),
      END,
    ];
    expect(circuitViolations(history, RULES)).toEqual([]);
  });

  it('SS-05 shows a probe too many', () => {
    const history = [probed('a', 0, 100), probed('b', 10, 100), probed('b', 20, 30)];
    expect(circuitViolations(history, RULES)).toEqual(['3 of 2 probes run at 20.0']);
  });

  it('SS-05 shows a version that falls, and none where the two questions overlap', () => {
    expect(circuitViolations([seen('a', 10, 6, false), seen('b', 20, 5, false)], RULES)).toEqual([
      'version 5 follows 6',
    ]);
    expect(circuitViolations([seen('a', 10, 6, false), seen('b', 10.5, 5, false)], RULES)).toEqual([]);
  });

  it('SS-05 shows who has not seen it open in time', () => {
    expect(circuitViolations([seen('a', 10, 5, true), seen('b', 1_200, 5, true), END], RULES)).toEqual([
      'b has not seen version 5 within 1000 ms',
    ]);
    const stalled: HistoryEvent = { kind: 'stalled', worker: 'b', from: 300, at: 1_190 };
    const late = [seen('a', 10, 5, true), stalled, seen('b', 1_200, 5, true), END];
    expect(circuitViolations(late, RULES)).toEqual([]);
  });
});
