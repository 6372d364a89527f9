import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { StoreGuard } from '../../lib/shared-state/store-guard.js';
import { ManualClock } from '../../lib/testing/index.js';

describe('StoreGuard', () => {
  let clock = new ManualClock();
  afterEach(() => {
    jest.restoreAllMocks();
    clock = new ManualClock();
  });

  const down = () => Promise.reject(new Error('ECONNREFUSED'));
  const failure = (call: Promise<unknown>) => call.then(String, String);

  it('SS-06 SS-07 a listener that throws loses neither the callers nor the store, and is reported once', async () => {
    const warnings = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const guard = new StoreGuard({ probe: async () => undefined }, clock, () => 0);
    const heard: boolean[] = [];
    guard.onChange(() => {
      throw new Error('broken listener');
    });
    guard.onChange(async () => {
      throw new Error('broken promise');
    });
    guard.onChange((lost) => heard.push(lost));

    const calls = [1, 2, 3].map(() => failure(guard.run(undefined, down)));
    expect(await Promise.all(calls)).toEqual(calls.map(() => 'Error: ECONNREFUSED'));
    expect(guard.lost).toBe(true);

    await clock.advance(125);
    expect(guard.lost).toBe(false);
    expect(heard).toEqual([true, false]);
    expect(warnings.mock.calls).toEqual([
      ['A listener of the shared store failed: Error: broken listener', 'ResilienceWarning'],
      ['A listener of the shared store failed: Error: broken promise', 'ResilienceWarning'],
    ]);
  });

  it('SS-06 a listener that closes the guard ends the probes with it', async () => {
    const probe = jest.fn(async () => undefined);
    const guard = new StoreGuard({ probe }, clock, () => 0);
    guard.onChange(() => guard.close());

    await Promise.all([1, 2, 3].map(() => failure(guard.run(undefined, down))));
    await clock.advance(10_000);
    expect(probe).not.toHaveBeenCalled();
  });
});
