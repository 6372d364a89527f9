import { describe, expect, it } from '@jest/globals';
import { HttpException } from '@nestjs/common';
import { causes, codeOf, isThenable, retryAfterMsOf, statusOf } from '../../lib/core/classify.js';
import { CircuitOpenError, RetryBudgetExhaustedError } from '../../lib/core/errors.js';

const WALL = Date.UTC(2025, 0, 1, 12);

describe('causes', () => {
  it('RT-07 follows the chain of causes, each once, at most 8, and looks into nothing else', () => {
    const inner = new Error('inner');
    const outer = new Error('outer', { cause: inner });
    expect(causes(outer)).toEqual([outer, inner]);

    inner.cause = outer;
    expect(causes(outer)).toEqual([outer, inner]);

    let deep: Error = new Error('0');
    for (let i = 1; i < 20; i++) deep = new Error(String(i), { cause: deep });
    expect(causes(deep)).toHaveLength(8);

    expect(causes(undefined)).toEqual([undefined]);
    expect(causes(new AggregateError([new Error('hidden')], 'all'))).toHaveLength(1);
    expect(causes({ cause: null })).toHaveLength(1);
  });
});

describe('statusOf, codeOf', () => {
  it.each([
    ['fetch Response', new Response('', { status: 503 }), 503],
    ['statusCode of undici and request', { statusCode: 429 }, 429],
    ['axios error', Object.assign(new Error('x'), { response: { status: 502 } }), 502],
    ['response.statusCode', { response: { statusCode: 404 } }, 404],
    ['HttpException of Nest', new HttpException('gone', 410), 410],
    ['getStatus() alone', { getStatus: () => 418 }, 418],
    ['status beside garbage', { status: 'error', statusCode: 500 }, 500],
    ['gRPC-like status', { status: 14 }, undefined],
    ['text', { status: '503' }, undefined],
    ['fraction', { status: 503.5 }, undefined],
    ['too great', { status: 600 }, undefined],
    ['null', null, undefined],
    ['a string', 'status', undefined],
    ['a cause (which statusOf leaves to its caller)', new Error('x', { cause: { status: 500 } }), undefined],
  ])('RT-07 RT-17 reads the status of: %s', (_, value, status) => {
    expect(statusOf(value)).toBe(status);
  });

  it('RT-07 reads a code that is a string', () => {
    expect(codeOf(Object.assign(new Error('x'), { code: 'ECONNRESET' }))).toBe('ECONNRESET');
    expect(codeOf({ code: 14 })).toBeUndefined();
    expect(codeOf(undefined)).toBeUndefined();
  });
});

describe('retryAfterMsOf', () => {
  const axiosHeaders = { get: (name: string) => (name.toLowerCase() === 'retry-after' ? '7' : undefined) };

  it.each<[string, unknown, number | undefined]>([
    ['a Response', new Response('', { status: 503, headers: { 'Retry-After': '120' } }), 120_000],
    ['an axios error with a plain object', { response: { headers: { 'RETRY-after': '3' } } }, 3_000],
    ['an axios error with AxiosHeaders', { response: { headers: axiosHeaders } }, 7_000],
    ['an undici response', { statusCode: 503, headers: { 'retry-after': ['4', '5'] } }, 4_000],
    ['a Map', { headers: new Map([['Retry-After', '2']]) }, 2_000],
    ['a number', { headers: { 'retry-after': 1.5 } }, 1_500],
    ['a cause', new Error('x', { cause: new Response('', { headers: { 'retry-after': '1' } }) }), 1_000],
    ['an HttpException', new HttpException({ message: 'slow down', retryAfter: 9 }, 429), 9_000],
    ['a rejection of ours', new CircuitOpenError('open', { retryAfterMs: 250 }), 250],
    [
      'never',
      new CircuitOpenError('open', { retryAfterMs: Number.POSITIVE_INFINITY }),
      Number.POSITIVE_INFINITY,
    ],
    [
      'the cause of ours',
      new RetryBudgetExhaustedError('x', { cause: { headers: { 'retry-after': '6' } } }),
      6_000,
    ],
    ['padded text', { headers: { 'retry-after': ' 8 ' } }, 8_000],
    ['0', { headers: { 'retry-after': '0' } }, 0],
    ['an HTTP date', { headers: { 'retry-after': 'Wed, 01 Jan 2025 12:00:30 GMT' } }, 30_000],
    ['the date of RFC 850', { headers: { 'retry-after': 'Wednesday, 01-Jan-25 12:00:30 GMT' } }, 30_000],
    [
      'the date of asctime, which means UTC',
      { headers: { 'retry-after': 'Wed Jan  1 12:00:30 2025' } },
      30_000,
    ],
    ['a past date', { headers: { 'retry-after': 'Wed, 01 Jan 2025 11:00:00 GMT' } }, 0],
    ['a word', { headers: { 'retry-after': 'soon' } }, undefined],
    ['words with a number', { headers: { 'retry-after': 'in 5 minutes' } }, undefined],
    ['a weekday alone', { headers: { 'retry-after': 'Wed, whenever' } }, undefined],
    ['a negative number', { headers: { 'retry-after': '-5' } }, undefined],
    ['a negative number, not as text', { headers: { 'retry-after': -5 } }, undefined],
    ['an empty string', { headers: { 'retry-after': '' } }, undefined],
    ['other headers', { headers: { date: 'x' } }, undefined],
    ['a Response without', new Response(''), undefined],
    ['headers that are none', { headers: 'x' }, undefined],
    ['nothing', undefined, undefined],
  ])('RT-06 reads Retry-After from %s', (_, value, wanted) => {
    expect(retryAfterMsOf(value, WALL)).toBe(wanted);
  });
});

describe('isThenable', () => {
  it('asks for a then method, as await does', () => {
    // oxlint-disable unicorn/no-thenable -- they are what is tested
    const callable = Object.assign(() => 1, { then: () => undefined });
    expect([Promise.resolve(), { then() {} }, callable].map(isThenable)).toEqual([true, true, true]);
    expect([null, undefined, 5, 'then', { then: 5 }, () => 1].map(isThenable)).not.toContain(true);
    // oxlint-enable unicorn/no-thenable
  });
});
