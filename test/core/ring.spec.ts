import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Ring } from '../../lib/core/ring.js';

describe('Ring', () => {
  it('holds the last items in order, and hands out what falls from it', () => {
    const sizes = fc.integer({ min: 1, max: 6 });
    const items = fc.array(fc.option(fc.nat(), { nil: undefined, freq: 5 }), { maxLength: 30 });
    const property = fc.property(sizes, items, (capacity, pushed) => {
      const ring = new Ring<number | undefined>(capacity);
      const model: (number | undefined)[] = [];
      for (const item of pushed) {
        model.push(item);
        expect(ring.push(item)).toBe(model.length > capacity ? model.shift() : undefined);
        expect([...ring]).toEqual(model);
        expect(ring.length).toBe(model.length);
        expect([-1, 0, 1, 2, 3, 4, 5, 6].map((index) => ring.at(index))).toEqual(
          [-1, 0, 1, 2, 3, 4, 5, 6].map((index) => (index < 0 ? undefined : model[index])),
        );
      }
      ring.clear();
      expect([...ring]).toEqual([]);
      for (let item = 0; item < 8; item++) ring.push(item);
      expect([...ring]).toEqual([0, 1, 2, 3, 4, 5, 6, 7].slice(-capacity));
    });
    fc.assert(property);
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses the capacity %d', (capacity) => {
    expect(() => new Ring(capacity)).toThrow(RangeError);
  });
});
