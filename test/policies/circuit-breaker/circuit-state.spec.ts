import { describe, expect, it } from '@jest/globals';
import { isOpen, type CircuitState } from '../../../lib/policies/circuit-breaker/circuit-state.js';

describe('a circuit', () => {
  it.each<[CircuitState, boolean]>([
    ['closed', false],
    ['open', true],
    ['half-open', false],
    ['forced-open', true],
    ['disabled', false],
    ['meter-only', false],
  ])('CB-15 that is %s refuses all calls: %s', (state, expected) => {
    expect(isOpen(state)).toBe(expected);
  });
});
