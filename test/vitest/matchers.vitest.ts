// The matchers under Vitest, with the packed build. `vitest.spec.ts` runs this file.
import { CircuitBreakerPolicy, RetryPolicy } from 'nestjs-breakwater';
import { ManualClock, resilienceMatchers, type ResilienceMatchers } from 'nestjs-breakwater/testing';
import { expect, test } from 'vitest';

declare module 'vitest' {
  // oxlint-disable-next-line typescript/no-explicit-any -- as Vitest declares it
  interface Assertion<T = any> extends ResilienceMatchers<T> {}
}

expect.extend(resilienceMatchers);

test('matchers tell what policies did', async () => {
  const clock = new ManualClock();
  const breaker = new CircuitBreakerPolicy('payments', { failureThreshold: 1 }, { clock });
  const retry = new RetryPolicy('payments', { maxRetries: 1, baseDelay: '1s' }, { clock });
  expect(breaker).toBeClosed();
  const fail = () => Promise.reject(new Error('down'));
  await breaker.execute(fail).catch(() => undefined);
  expect(breaker).toBeOpen();
  expect(breaker).not.toHaveRejected();
  const retried = retry.execute(fail).catch(() => undefined);
  await clock.advance(10_000);
  await retried;
  expect(retry).toHaveRetried(1);
  expect(() => expect(breaker).toBeClosed()).toThrow(
    'expected "payments" to be closed; it is open (1 failures)',
  );
});
