import { describe, expect, it } from '@jest/globals';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { FallbackChain, FallbackLevel, type FallbackHandler } from '../../../lib/policies/fallback/index.js';
import { methodHandler } from '../../../lib/policies/fallback/method-handler.js';
import { ManualClock } from '../../../lib/testing/index.js';

/** Has a method for each way to declare what a fallback is called with. */
class Rates {
  readonly currency = 'EUR';

  none(...seen: unknown[]): unknown {
    return [this.currency, ...seen];
  }

  one(id: unknown, ...more: unknown[]): unknown {
    return [this.currency, id, ...more];
  }

  two(id: unknown, error: unknown, ...more: unknown[]): unknown {
    return [this.currency, id, error, ...more];
  }
}

describe('a method as a fallback', () => {
  it.each([
    ['none', ['a'], ['EUR', 'a', 'down']],
    ['none', ['a', 'b'], ['EUR', 'a', 'b', 'down']],
    ['one', ['a'], ['EUR', 'a', 'down']],
    ['one', ['a', 'b'], ['EUR', 'a', 'b', 'down']],
    ['two', [], ['EUR', undefined, 'down']],
    ['two', ['a'], ['EUR', 'a', 'down']],
    ['two', ['a', 'b'], ['EUR', 'a', 'down']],
  ])('FB-04 `%s`, where the caller gave %j, sees %j of its instance', async (name, args, seen) => {
    const chain = new FallbackChain('rates').register(FallbackLevel.DEFAULT, methodHandler(name));
    const pipeline = new Pipeline('rates', [chain], new ManualClock());
    const rate = pipeline.wrap(function (this: Rates, _id?: string) {
      return Promise.reject('down');
    });

    expect(await rate.apply(new Rates(), args as [string])).toEqual(seen);
  });

  it('FB-04 a method that is gone by then is an error of its level', async () => {
    const chain = new FallbackChain('rates').register(FallbackLevel.DEFAULT, methodHandler('gone'));
    const rate = new Pipeline('rates', [chain], new ManualClock()).wrap(function (this: Rates, _id?: string) {
      return Promise.reject('down');
    });

    await expect(rate.apply(new Rates(), ['a', 'b'] as unknown as [string])).rejects.toMatchObject({
      errors: ['down', expect.objectContaining({ message: expect.stringContaining('is not a function') })],
    });
  });

  it('FB-04 a handler that is no function is an error of its level', async () => {
    const handler = Object.assign(Object.create(null), { length: 5 }) as FallbackHandler;
    const chain = new FallbackChain('rates').register(FallbackLevel.DEFAULT, handler);
    const rate = new Pipeline('rates', [chain], new ManualClock()).wrap((_id: string) =>
      Promise.reject('down'),
    );

    await expect(rate('a')).rejects.toMatchObject({ errors: ['down', expect.any(TypeError)] });
  });
});
