import { Readable } from 'node:stream';
import { describe, expect, it, jest } from '@jest/globals';
import { discard } from '../../../lib/policies/retry/discard.js';

/** One with a reader, which nobody else can cancel. */
function lockedStream(): ReadableStream {
  const stream = new ReadableStream();
  stream.getReader();
  return stream;
}

describe('a result that nobody will read', () => {
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'text'],
    ['a number', 503],
    ['a function', () => 'text'],
    ['an object', { status: 503 }],
    ['a body that is a text', { status: 503, body: 'text', data: null }],
    ['data that are an object', { status: 503, data: { rows: [] } }],
    ['a stream that somebody reads', { body: lockedStream() }],
    ['a reader of what cannot be cancelled', { body: { getReader: () => undefined } }],
    ['a pipe of what cannot be destroyed', { body: { pipe: () => undefined } }],
    ['what can be destroyed and is no stream', { body: { destroy: () => undefined } }],
  ])('RT-15 %s can still be read', (_what, value) => {
    expect(discard(value)).toBe(false);
  });

  it.each<[string, (stream: unknown) => unknown]>([
    ['by itself', (stream) => stream],
    ['as a body', (body) => ({ status: 503, body })],
    ['as data', (data) => ({ status: 503, data })],
  ])('RT-15 a stream %s is let go of', (_where, around) => {
    const cancel = jest.fn<() => void>();
    const node = new Readable();

    expect(discard(around(new ReadableStream({ cancel })))).toBe(true);
    expect(discard(around(node))).toBe(true);

    expect(cancel).toHaveBeenCalledTimes(1);
    expect(node.destroyed).toBe(true);
  });

  it('RT-15 what the stream says of it is heard by nobody, and fails nothing', async () => {
    const errors: unknown[] = [];
    const node = new Readable({ destroy: (_error, done) => done(new Error('destroyed')) });
    const web = { getReader: () => undefined, cancel: () => Promise.reject(new Error('cancelled')) };
    const broken = {
      pipe: () => undefined,
      destroy: () => {
        throw new Error('broken');
      },
    };
    process.once('uncaughtExceptionMonitor', (error) => errors.push(error));

    expect([node, web, broken].map(discard)).toEqual([true, true, false]);
    await new Promise((resolve) => setImmediate(resolve));

    expect(errors).toEqual([]);
  });
});
