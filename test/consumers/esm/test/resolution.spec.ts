import { describe, expect, it } from '@jest/globals';

describe('the packed build in an ESM Jest', () => {
  it('is imported as ES modules', () => {
    expect(import.meta.resolve('nestjs-breakwater')).toMatch(/dist\/esm\/index\.js$/);
    expect(import.meta.resolve('nestjs-breakwater/testing')).toMatch(/dist\/esm\/testing\/index\.js$/);
  });
});
