import { describe, expect, it } from '@jest/globals';
import { formatDuration, parseDuration } from '../../lib/core/duration.js';

describe('parseDuration', () => {
  it.each([
    [250, 250],
    [0, 0],
    [0.5, 0.5],
    ['250ms', 250],
    ['1.5s', 1_500],
    ['2 min', 120_000],
    ['1h', 3_600_000],
    ['60 days', 5_184_000_000],
    ['40', 40],
  ])('reads %p as %p ms', (given, milliseconds) => {
    expect(parseDuration(given)).toBe(milliseconds);
  });

  it.each([
    [''],
    ['abc'],
    ['5 parsecs'],
    ['-5s'],
    [-1],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    ['Infinity'],
    ['9'.repeat(400)],
    [null],
    [undefined],
    [10n],
    [{}],
    [() => 5],
  ])('TO-06 finds no duration in %p', (given) => {
    expect(parseDuration(given)).toBeUndefined();
  });
});

describe('formatDuration', () => {
  it.each([
    [250, '250 ms'],
    [0, '0 ms'],
    [0.01, '0.01 ms'],
    [12.3456, '12.346 ms'],
    [1_000, '1 s'],
    [1_500, '1.5 s'],
    [1_234, '1.234 s'],
    [30_000, '30 s'],
    [61_000, '61 s'],
    [90_000, '1.5 min'],
    [120_000, '2 min'],
    [3_600_000, '1 h'],
    [129_600_000, '1.5 d'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
  ])('writes %d as %s', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });
});
