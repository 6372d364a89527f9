import { describe, expect, it } from '@jest/globals';
import { CircuitOpenError, ResilienceError } from 'nestjs-breakwater';
import * as testing from 'nestjs-breakwater/testing';
import { version as nestVersion } from '@nestjs/core/package.json';
import { version as terminusVersion } from '@nestjs/terminus/package.json';

describe('the packed build in a CommonJS Jest', () => {
  it('runs against Nest 11 and Terminus 11', () => {
    expect(nestVersion).toMatch(/^11\./);
    expect(terminusVersion).toMatch(/^11\./);
  });

  it('loads every entry point through require', () => {
    expect(testing).toBeDefined();
    expect(require.resolve('nestjs-breakwater')).toMatch(/dist[\\/]cjs[\\/]index\.js$/);
    expect(require.resolve('nestjs-breakwater/testing')).toMatch(/dist[\\/]cjs[\\/]testing[\\/]index\.js$/);
  });

  it('exports errors that know their kind', () => {
    const error = new CircuitOpenError('open', { policy: 'payments', retryAfterMs: 5 });
    expect(error).toBeInstanceOf(ResilienceError);
    expect(error.code).toBe('CIRCUIT_OPEN');
    expect(error.retryAfterMs).toBe(5);
  });
});
