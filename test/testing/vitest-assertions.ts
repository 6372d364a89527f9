// Run by vitest.spec.ts in a process of its own: Jest and Vitest cannot both own the matchers of one.
import 'reflect-metadata';
import { JestAsymmetricMatchers, JestChaiExpect, JestExtend, type Assertion } from '@vitest/expect';
import * as chai from 'chai';
import { BulkheadPolicy } from '../../lib/policies/bulkhead/index.js';
import { CircuitBreakerPolicy } from '../../lib/policies/circuit-breaker/index.js';
import { resilienceMatchers, type ResilienceMatchers } from '../../lib/testing/index.js';

declare module '@vitest/expect' {
  // oxlint-disable-next-line typescript/no-explicit-any -- as it is declared there
  interface Matchers<T = any> extends ResilienceMatchers {}
}

// Put together as Vitest does it.
for (const part of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(part);
const expect = chai.expect as unknown as {
  <T>(actual: T): Assertion<T>;
  extend(expect: unknown, matchers: object): void;
};
expect.extend(chai.expect, resilienceMatchers);

const breaker = new CircuitBreakerPolicy('payments');
expect(breaker).toBeClosed();
breaker.forceOpen('maintenance');
await breaker.execute(() => 'fine').catch(() => undefined);

expect(breaker).toBeOpen();
expect(breaker).not.toBeHalfOpen();
expect(breaker.stats()).toHaveRejected(1);
expect(new BulkheadPolicy('reads')).not.toHaveRejected();

const mistakes = [
  () => expect(breaker).toBeClosed(),
  () => expect(breaker).not.toBeOpen(),
  () => expect('payments').toBeOpen(),
];
for (const mistake of mistakes) {
  try {
    mistake();
    process.stdout.write('nothing\n');
  } catch (error) {
    process.stdout.write(`${(error as Error).message}\n`);
  }
}
