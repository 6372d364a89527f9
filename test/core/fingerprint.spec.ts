import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { fingerprintOf } from '../../lib/core/fingerprint.js';
import { IdempotencyMismatchError } from '../../lib/core/errors.js';
import { Pipeline } from '../../lib/pipeline/index.js';
import { FallbackChain, FallbackLevel } from '../../lib/policies/fallback/index.js';
import { IdempotencyPolicy } from '../../lib/policies/idempotency/index.js';
import { ManualClock } from '../../lib/testing/index.js';

const bytes = (...values: number[]) => new Uint8Array(values).buffer;

class Amount {
  readonly #cents: number;
  constructor(cents: number) {
    this.#cents = cents;
  }
  get cents() {
    return this.#cents;
  }
}

class Price {
  readonly #cents: number;
  constructor(
    readonly currency: string,
    cents: number,
  ) {
    this.#cents = cents;
  }
  get cents() {
    return this.#cents;
  }
}

class Money {
  readonly #cents: number;
  constructor(
    readonly currency: string,
    cents: number,
  ) {
    this.#cents = cents;
  }
  toJSON() {
    return { currency: this.currency, cents: this.#cents };
  }
}

const kept = new WeakMap<object, number>();

class Ticket {
  constructor(seat: number) {
    kept.set(this, seat);
  }
}

class Redacted {
  constructor(readonly secret: string) {}
  toJSON() {
    return '***';
  }
}

class Wrapped {
  readonly #value: unknown;
  constructor(value: unknown) {
    this.#value = value;
  }
  /** Whose answer has a `toJSON` as well. */
  toJSON(): unknown {
    return new Wrapped(this.#value);
  }
}

class ListOrders {}

class OrdersQuery {
  declare page?: number;
}

class Order {
  id = 1;
}

class Customer {
  id = 1;
}

const formOf = (value: string) => {
  const form = new FormData();
  form.append('q', value);
  return form;
};
const ring = (depth: number) => {
  const inner: { self?: unknown } = {};
  const outer = { inner };
  inner.self = depth === 0 ? outer : inner;
  return outer;
};
const hidden = (value: number) =>
  Object.defineProperty({ shown: 1 }, Symbol.for('gt'), { value, enumerable: true });
const extra = (value: string) => Object.assign(['a'], { raw: value });

describe('fingerprintOf', () => {
  it.each<[string, unknown, unknown]>([
    ['URLs', new URL('https://a.example/'), new URL('https://b.example/')],
    ['queries', new URLSearchParams('q=1'), new URLSearchParams('q=2')],
    ['headers', new Headers({ a: '1' }), new Headers({ a: '2' })],
    ['forms', formOf('1'), formOf('2')],
    ['buffers', bytes(1), bytes(2)],
    ['views', new DataView(bytes(1)), new DataView(bytes(2))],
    ['views of other widths', new Uint8Array([1, 0]), new Uint16Array([1])],
    ['patterns', /a/, /b/],
    ['errors', new Error('a'), new Error('b')],
    ['causes', new Error('a', { cause: 1 }), new Error('a', { cause: 2 })],
    ['errors of many', new AggregateError([1]), new AggregateError([2])],
    ['boxed numbers', Object(1), Object(2)],
    ['blobs', new Blob(['a']), new Blob(['b'])],
    ['promises', Promise.resolve(1), Promise.resolve(2)],
    ['private fields', new Amount(1), new Amount(2)],
    ['private fields beside public ones', new Price('EUR', 1), new Price('EUR', 2)],
    ['private fields that toJSON shows', new Money('EUR', 1), new Money('EUR', 2)],
    ['what a class keeps elsewhere', new Ticket(1), new Ticket(2)],
    ['what toJSON does not show', new Redacted('a'), new Redacted('b')],
    ['what toJSON wraps again', new Wrapped(1), new Wrapped(2)],
    ['objects made from others', Object.create({ a: 1 }), Object.create({ a: 2 })],
    ['what is not enumerable', Object.defineProperty({}, 'a', { value: 1 }), {}],
    ['properties with symbols', hidden(1), hidden(2)],
    ['properties of lists', extra('a'), extra('b')],
    ['sets', new Set([1]), new Set([2])],
    ['maps', new Map([['a', 1]]), new Map([['a', 2]])],
    ['classes', Order, Customer],
    ['functions', () => 1, () => 2],
    ['instances of two classes', new Order(), new Customer()],
    ['dates and their text', new Date(0), new Date(0).toISOString()],
    ['numbers and their text', 1, '1'],
    ['undefined and nothing', { a: undefined }, {}],
    ['rings of another length', ring(0), ring(1)],
  ])('ID-03 tells %s apart', (_what, a, b) => {
    expect(fingerprintOf([a])).not.toBe(fingerprintOf([b]));
    expect(fingerprintOf([{ in: [a] }])).not.toBe(fingerprintOf([{ in: [b] }]));
  });

  it.each<[string, () => unknown]>([
    ['URLs', () => new URL('https://a.example/?q=1')],
    ['queries', () => new URLSearchParams('q=1')],
    ['headers', () => new Headers({ a: '1' })],
    ['forms', () => formOf('1')],
    ['buffers', () => bytes(1, 2)],
    ['dates', () => new Date(5)],
    ['dates of another realm', () => runInNewContext('new Date(5)')],
    ['patterns', () => /a/g],
    ['errors', () => new TypeError('a', { cause: 'b' })],
    ['private fields that toJSON shows', () => new Money('EUR', 1)],
    ['data', () => Object.assign(new Order(), { lines: [{ sku: 'a' }] })],
    ['data classes without data', () => new ListOrders()],
    ['data classes with optional fields only', () => new OrdersQuery()],
    ['objects without a prototype', () => Object.assign(Object.create(null) as object, { a: 1 })],
    ['properties with symbols', () => hidden(1)],
    [
      'closures',
      () =>
        (
          () => (id: string) =>
            id
        )(),
    ],
    ['rings', () => ring(0)],
    ['signals', () => new AbortController().signal],
  ])('ID-03 %s that are equal are the same', (_what, make) => {
    expect(fingerprintOf([make()])).toBe(fingerprintOf([make()]));
  });

  it('ID-03 what hides its state equals itself', () => {
    const amount = new Amount(1);

    expect(fingerprintOf([amount])).toBe(fingerprintOf([amount]));
  });

  it('ID-03 the order of keys is no difference', () => {
    const reversed = (value: object) => Object.fromEntries(Object.entries(value).reverse());

    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        expect(fingerprintOf([reversed(value)])).toBe(fingerprintOf([{ ...value }]));
      }),
    );
  });

  it('ID-03 a key that was used with one URL is refused with another', async () => {
    const once = new IdempotencyPolicy('crawls', {}, { clock: new ManualClock() });
    const crawl = (url: string) => once.execute(() => url, { idempotencyKey: 'k1', args: [new URL(url)] });
    await crawl('https://a.example/');

    await expect(crawl('https://b.example/')).rejects.toThrow(IdempotencyMismatchError);
    expect(await crawl('https://a.example/')).toBe('https://a.example/');
  });

  it('FB-06 the answer to one URL is none to another', async () => {
    const clock = new ManualClock();
    const chain = new FallbackChain('pages', {}, { clock }).cache(FallbackLevel.LOCAL_CACHE);
    const pipeline = new Pipeline('pages', [chain], clock);
    const down = new Error('down');
    await pipeline.execute(() => 'a', { args: [new URL('https://a.example/')] });
    const failing = (url: string) => pipeline.execute(() => Promise.reject(down), { args: [new URL(url)] });

    expect(await failing('https://a.example/')).toBe('a');
    await expect(failing('https://b.example/')).rejects.toBe(down);
  });
});
