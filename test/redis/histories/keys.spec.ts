import { describe, expect, it } from '@jest/globals';
import { keyViolations } from './keys.js';

const name = `resilience:{shop:rateLimit:orders:${'a'.repeat(22)}}:v1`;

describe('SS-08 among the keys of a store', () => {
  it('is kept by keys that expire', () => {
    expect(keyViolations([{ name, leftMs: 5 }])).toEqual([]);
  });

  it('is broken by one that stays, and by one that says what it is about', () => {
    expect(keyViolations([{ name, leftMs: -1 }])).toEqual([`${name} never expires`]);
    const speaking = 'resilience:{shop:rateLimit:orders:alice@example.org}:v1';
    expect(keyViolations([{ name: speaking, leftMs: 5 }])).toEqual([`${speaking} is no name of ours`]);
  });
});
