import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  CallsWindow,
  ConsecutiveWindow,
  FAILED,
  SLOW,
  TimeWindow,
  type OutcomeWindow,
} from '../../../lib/policies/circuit-breaker/sliding-window.js';
import { MODEL_RUNS, MODEL_STEPS } from '../../models/runs.js';
import { lastCalls, lastMs, type Held, type Outcome } from '../../models/window-models.js';

/** How long passes, and what is recorded then. */
const steps = fc.array(
  fc.record({
    ms: fc.oneof(fc.constant(0), fc.nat({ max: 40 }), fc.nat({ max: 1_500 })),
    failed: fc.boolean(),
    slow: fc.boolean(),
  }),
  MODEL_STEPS,
);

const flagsOf = ({ failed, slow }: Omit<Outcome, 'at'>) => (failed ? FAILED : 0) | (slow ? SLOW : 0);
/** As text: quicker to compare than as objects. */
const held = ({ calls, failures, slow }: Held) => `${calls} ${failures} ${slow}`;

describe('The windows of a circuit breaker against their models', () => {
  it('CB-11 a window of calls holds the last of them', () => {
    const property = fc.property(fc.integer({ min: 1, max: 30 }), steps, (size, trace) => {
      const window = new CallsWindow(size);
      const log: Outcome[] = [];
      const seen: string[] = [];
      const expected: string[] = [];
      for (const step of trace) {
        window.record(flagsOf(step));
        log.push({ ...step, at: 0 });
        seen.push(held(window));
        expected.push(held(lastCalls(log, size)));
      }
      expect(seen.join(', ')).toBe(expected.join(', '));
    });
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it('CB-11 a window of time holds the calls of its slices, before the origin of the clock too', () => {
    const start = fc.integer({ min: -5_000, max: 5_000 });
    const property = fc.property(fc.constantFrom(100, 1_000), start, steps, (durationMs, begin, trace) => {
      const window = new TimeWindow(durationMs);
      const log: Outcome[] = [];
      const seen: string[] = [];
      const expected: string[] = [];
      let now = begin;
      for (const { ms, ...outcome } of trace) {
        now += ms;
        window.advance(now);
        seen.push(held(window));
        expected.push(held(lastMs(log, durationMs, now)));
        window.record(flagsOf(outcome), now);
        log.push({ ...outcome, at: now });
        seen.push(held(window));
        expected.push(held(lastMs(log, durationMs, now)));
      }
      expect(seen.join(', ')).toBe(expected.join(', '));
    });
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it('CB-24 a window of time says when its last failure or slow call has left it', () => {
    const property = fc.property(fc.integer({ min: -5_000, max: 5_000 }), steps, (begin, trace) => {
      const window = new TimeWindow(1_000);
      let now = begin;
      for (const { ms, ...outcome } of trace.slice(0, 30)) window.record(flagsOf(outcome), (now += ms));
      const dirty = () => window.failures + window.slow > 0;

      const cleanAt = window.cleanAt();

      if (!dirty()) expect(cleanAt).toBe(Number.NEGATIVE_INFINITY);
      else {
        window.advance(cleanAt - 1);
        expect(dirty()).toBe(true);
        window.advance(cleanAt);
        expect(dirty()).toBe(false);
      }
    });
    fc.assert(property, { numRuns: MODEL_RUNS });
  });

  it.each([
    ['consecutive failures', (): OutcomeWindow => new ConsecutiveWindow()],
    ['calls', (): OutcomeWindow => new CallsWindow(3)],
  ])(
    'CB-24 no time cleans a window of %s, but it is clean without failures and slow calls',
    (_what, create) => {
      const cleanAfter = (...recorded: number[]) => {
        const window = create();
        for (const flags of recorded) window.record(flags, 0);
        return window.cleanAt();
      };

      expect([cleanAfter(), cleanAfter(0)]).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
      expect([cleanAfter(FAILED), cleanAfter(FAILED | SLOW)]).toEqual([
        Number.POSITIVE_INFINITY,
        Number.POSITIVE_INFINITY,
      ]);
    },
  );

  it('CB-24 a slow call alone is something that a window of calls or of time remembers', () => {
    const [calls, time] = [new CallsWindow(3), new TimeWindow(1_000)];
    calls.record(SLOW);
    time.record(SLOW, 0);

    expect([calls.cleanAt(), time.cleanAt()]).toEqual([Number.POSITIVE_INFINITY, 1_000]);
  });

  it('CB-08 counts slow ones among consecutive failures, and forgets them with these', () => {
    const window = new ConsecutiveWindow();
    for (const flags of [FAILED, FAILED | SLOW, FAILED | SLOW]) window.record(flags);
    const before = held(window);
    window.record(SLOW);

    expect(before).toBe('3 3 2');
    expect(held(window)).toBe('0 0 0');
  });

  it('CB-24 of a window of time the newest slice with a failure or a slow call says when it is clean', () => {
    const [failed, slow] = [new TimeWindow(1_000), new TimeWindow(1_000)];
    failed.record(FAILED, 0);
    failed.record(0, 100);
    slow.record(SLOW, 250);
    slow.record(0, 300);

    expect([failed.cleanAt(), slow.cleanAt()]).toEqual([1_000, 1_250]);
  });

  it('CB-11 time passes for a window that nothing was recorded in', () => {
    const window = new TimeWindow(1_000);
    window.advance(0);
    window.advance(100);

    expect(held(window)).toBe('0 0 0');
  });
});
