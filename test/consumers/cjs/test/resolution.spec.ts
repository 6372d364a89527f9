import { describe, expect, it } from '@jest/globals';

describe('the packed build in a CommonJS Jest', () => {
  it('is required as CommonJS', () => {
    expect(require.resolve('nestjs-breakwater')).toMatch(/dist[\\/]cjs[\\/]index\.js$/);
    expect(require.resolve('nestjs-breakwater/testing')).toMatch(/dist[\\/]cjs[\\/]testing[\\/]index\.js$/);
  });
});
