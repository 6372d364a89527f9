import { describe, expect, it } from '@jest/globals';
import { CircuitOpenError, ResilienceError, TimeoutExceededError } from '../../lib/core/errors.js';

class PaymentsOpen extends CircuitOpenError {}
class OrdersOpen extends CircuitOpenError {}
class Own extends ResilienceError {}
class Other extends ResilienceError {}

describe('instanceof of the errors of this package', () => {
  it.each([
    ['an error is of its own class', new CircuitOpenError('open'), CircuitOpenError, true],
    ['and of the base', new CircuitOpenError('open'), ResilienceError, true],
    ['and not of another', new CircuitOpenError('open'), TimeoutExceededError, false],
    ['a subclass of a user is of what it extends', new PaymentsOpen('open'), CircuitOpenError, true],
    ['and of itself', new PaymentsOpen('open'), PaymentsOpen, true],
    ['ours is not of the subclass', new CircuitOpenError('open'), PaymentsOpen, false],
    ['two subclasses are not of each other', new PaymentsOpen('open'), OrdersOpen, false],
    ['not even those of the base', new Own('CIRCUIT_OPEN', 'own'), Other, false],
    ['what is no error of ours is none', new Error('other'), ResilienceError, false],
    ['nothing is none', null, ResilienceError, false],
  ])('%s', (_title, error, type, expected) => {
    expect(error instanceof type).toBe(expected);
  });

  it('holds across two loaded copies of the package, by the code', () => {
    const brand = Object.getOwnPropertySymbols(CircuitOpenError.prototype).find((symbol) =>
      Object.is((CircuitOpenError.prototype as unknown as Record<symbol, unknown>)[symbol], 'CIRCUIT_OPEN'),
    ) as symbol;
    const elsewhere = Object.assign(Object.create({ [brand]: 'CIRCUIT_OPEN' }) as object, {
      message: 'open',
    });

    expect([elsewhere instanceof CircuitOpenError, elsewhere instanceof ResilienceError]).toEqual([
      true,
      true,
    ]);
    expect([elsewhere instanceof TimeoutExceededError, elsewhere instanceof PaymentsOpen]).toEqual([
      false,
      false,
    ]);
  });
});
