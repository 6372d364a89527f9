import { describe, expect, it, jest } from '@jest/globals';
import { BulkheadFullError, ResilienceError } from '../../lib/core/errors.js';
import {
  compileMatcher,
  isMatcher,
  matchDistance,
  type Matcher,
  type MatcherPart,
} from '../../lib/core/matcher.js';

class DatabaseError extends Error {}
class DeadlockError extends DatabaseError {}
class Plain {}

function wrapped(cause: unknown): Error {
  return new Error('wrapper', { cause });
}

describe('compileMatcher', () => {
  it.each<[string, Matcher, unknown, boolean]>([
    ['its class', DatabaseError, new DatabaseError(), true],
    ['a derived class', DatabaseError, new DeadlockError(), true],
    ['a base class', DeadlockError, new DatabaseError(), false],
    ['the class of a cause', DatabaseError, wrapped(wrapped(new DeadlockError())), true],
    ['Error', Error, new TypeError(), true],
    ['a class that is no error', Plain, new Plain(), true],
    ['a brand of ours', ResilienceError, new BulkheadFullError('full'), true],
    ['a predicate that says so', (error: Error) => error.message === 'x', new Error('x'), true],
    ['a predicate that does not', (error: Error) => error.message === 'x', new Error('y'), false],
    [
      'a predicate, which sees the error alone',
      (error: unknown) => error instanceof TypeError,
      wrapped(new TypeError()),
      false,
    ],
    ['a status', 503, { status: 503 }, true],
    ['another status', 503, { status: 502 }, false],
    ['the status of a cause', 503, wrapped({ response: { status: 503 } }), true],
    ['a code', 'ECONNRESET', wrapped({ code: 'ECONNRESET' }), true],
    ['a name', 'TypeError', new TypeError(), true],
    ['neither code nor name', 'ECONNRESET', new Error('ECONNRESET'), false],
    ['a message', /dead.?lock/i, wrapped(new Error('Dead-lock found')), true],
    ['another message', /dead.?lock/i, new Error('alive'), false],
    ['a thrown string', /boom/, 'boom!', true],
    ['a status in a range', { status: { from: 500, to: 599 } }, { status: 599 }, true],
    ['a status below a range', { status: { from: 500, to: 599 } }, { status: 499 }, false],
    ['no status for a range', { status: { from: 100, to: 599 } }, new Error('x'), false],
    ['a status in a list', { status: [500, 503] }, { status: 503 }, true],
    ['all fields on one link', { status: 500, code: ['A', 'B'] }, { status: 500, code: 'B' }, true],
    ['fields on different links', { status: 500, code: 'B' }, { status: 500, cause: { code: 'B' } }, false],
    ['a name among several', { name: ['AbortError', 'TimeoutError'] }, { name: 'TimeoutError' }, true],
    ['any part', [TypeError, 503, 'ECONNRESET'], { code: 'ECONNRESET' }, true],
    ['no part', [TypeError, 503, 'ECONNRESET'], new Error('x'), false],
    ['an empty list', [], new Error('x'), false],
    ['undefined', [Error, 503, 'x', /x/], undefined, false],
  ])('RT-07 matches %s', (_, matcher, error, wanted) => {
    const matches = compileMatcher(matcher);
    expect(matches(error)).toBe(wanted);
    expect(matches(error)).toBe(wanted);
  });

  it('does not remember where a global pattern stopped', () => {
    const matches = compileMatcher(/x/gy);
    expect([1, 2, 3].map(() => matches(new Error('x')))).toEqual([true, true, true]);
  });

  it('RT-13 asks a predicate once, with the call, and lets its error through', () => {
    const predicate = jest.fn((error: unknown, call: unknown) => error === call);
    const error = wrapped(new Error('cause'));

    expect(compileMatcher([predicate, DatabaseError])(error, 'call')).toBe(false);
    expect(predicate.mock.calls).toEqual([[error, 'call']]);
    const broken = compileMatcher(() => {
      throw new Error('broken predicate');
    });
    expect(() => broken(error)).toThrow('broken predicate');
  });
});

describe('matchDistance', () => {
  it.each<[MatcherPart, unknown, number | undefined]>([
    [DeadlockError, new DeadlockError(), 0],
    [DatabaseError, new DeadlockError(), 1],
    [Error, new DeadlockError(), 2],
    [TypeError, new DeadlockError(), undefined],
    [DatabaseError, wrapped(new DeadlockError()), 101],
    [() => true, new DeadlockError(), 1_000],
    [() => false, new DeadlockError(), undefined],
    [503, { status: 503 }, 1_000],
  ])('FB-04 measures %p', (part, error, distance) => {
    expect(matchDistance(part, error)).toBe(distance);
  });

  it('FB-04 measures a class of another loaded copy as farther than any of its own', () => {
    class Foreign {
      static [Symbol.hasInstance](value: unknown): boolean {
        return value instanceof DatabaseError;
      }
    }
    const distance = matchDistance(Foreign, new DatabaseError()) as number;
    expect(distance).toBeGreaterThan(10);
    expect(distance).toBeLessThan(100);
  });
});

describe('isMatcher', () => {
  it('accepts every kind of part and lists of them, and nothing else', () => {
    const parts = [Error, () => true, 503, 'ECONNRESET', /x/, { status: 503 }, { status: [1e2], name: 'x' }];
    expect(
      [...parts, parts, [], { status: { from: 500, to: 599 } }, { code: ['a'], name: undefined }].map(
        isMatcher,
      ),
    ).not.toContain(false);
    const others = [
      undefined,
      null,
      99,
      600,
      1.5,
      Number.NaN,
      '',
      true,
      {},
      { statsu: 500 },
      { status: '5xx' },
      // What it answers is always true.
      async () => false,
    ];
    expect(
      [...others, { status: { from: 599, to: 500 } }, { code: [1] }, [Error, null], [[Error]]].map(isMatcher),
    ).not.toContain(true);
  });
});
