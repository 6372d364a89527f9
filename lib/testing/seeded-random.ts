import type { RandomSource } from '../core/clock.js';

/**
 * Random numbers in [0, 1) that a seed repeats: the generator mulberry32 (Tommy Ettinger).
 *
 * @example
 * ```ts
 * const retry = new RetryPolicy('payments', {}, { random: seededRandom(42) });
 * ```
 *
 * @publicApi
 */
export function seededRandom(seed: number): RandomSource {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
