import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { describe, expect, it } from '@jest/globals';
import { fingerprintOf } from '../../lib/core/fingerprint.js';
import { letStandFor } from '../../lib/core/stand-ins.js';
import { IdempotencyMismatchError } from '../../lib/core/errors.js';
import { questionOf } from '../../lib/decorators/handler-question.js';
import { IdempotencyPolicy } from '../../lib/policies/idempotency/index.js';
import { ManualClock } from '../../lib/testing/index.js';

class OrdersController {
  place(): void {}
  cancel(): void {}
}

const { place, cancel } = OrdersController.prototype;

function contextOf(type: string, args: unknown[], handler = place) {
  const context = new ExecutionContextHost(args, OrdersController, handler);
  context.setType(type);
  letStandFor(context, questionOf);
  return context;
}

const request = (given: object = {}) => ({
  method: 'POST',
  url: '/orders',
  headers: { 'content-length': '7' },
  body: { id: 1 },
  socket: { port: Math.random() },
  ...given,
});
const http = (given?: object) => contextOf('http', [request(given), {}]);
const rpc = (data: unknown, handler = place) => contextOf('rpc', [data, { at: Math.random() }], handler);
const ws = (data: unknown) => contextOf('ws', [{ id: Math.random() }, data, 'orders']);
const graphql = (root: unknown, args: object) =>
  contextOf('graphql', [root, args, { req: Math.random() }, { path: Math.random() }]);

describe('what a handler is asked', () => {
  it.each([
    ['a request', () => http()],
    ['a request whose router has changed its URL', () => http({ url: '/', originalUrl: '/orders' })],
    ['a request without a body', () => http({ method: 'GET', headers: {}, body: undefined })],
    ['a request with a file', () => http({ file: { buffer: Buffer.from('a') } })],
    ['a message', () => rpc({ id: 1 })],
    ['an event of a socket', () => ws({ id: 1 })],
    ['a query', () => graphql(undefined, { id: 1 })],
    ['something else', () => contextOf('jobs', [{ id: 1 }])],
  ])('ID-01 %s that comes again is the same', async (_what, ask) => {
    const once = new IdempotencyPolicy('orders', { key: () => 'k1' }, { clock: new ManualClock() });
    await once.execute(() => 'receipt', { args: [ask()] });

    expect(await once.execute(() => 'again', { args: [ask()] })).toBe('receipt');
  });

  it.each([
    ['methods', http(), http({ method: 'PUT' })],
    ['URLs', http(), http({ originalUrl: '/orders?dry=1' })],
    ['bodies', http(), http({ body: { id: 2 } })],
    ['files', http({ file: { buffer: Buffer.from('a') } }), http({ file: { buffer: Buffer.from('b') } })],
    ['messages', rpc({ id: 1 }), rpc({ id: 2 })],
    ['handlers', rpc({ id: 1 }), rpc({ id: 1 }, cancel)],
    ['events of sockets', ws({ id: 1 }), ws({ id: 2 })],
    ['roots', graphql({ id: 1 }, {}), graphql({ id: 2 }, {})],
    ['arguments', graphql({}, { id: 1 }), graphql({}, { id: 2 })],
  ])('ID-03 other %s are no repetition', async (_what, first, second) => {
    const once = new IdempotencyPolicy('orders', { key: () => 'k1' }, { clock: new ManualClock() });
    await once.execute(() => 'receipt', { args: [first] });

    await expect(once.execute(() => 'again', { args: [second] })).rejects.toThrow(IdempotencyMismatchError);
  });

  it.each([{ 'content-length': '7' }, { 'transfer-encoding': 'chunked' }])(
    'ID-03 a body that nobody has read cannot be compared: %j',
    async (headers) => {
      const once = new IdempotencyPolicy('orders', { key: () => 'k1' }, { clock: new ManualClock() });
      let ran = false;

      const call = once.execute(() => (ran = true), { args: [http({ headers, body: undefined })] });

      await expect(call).rejects.toThrow(
        'Nobody has read the body of POST /orders before the interceptor, so it cannot be compared with another one: parse it before, or give the idempotency a "fingerprint".',
      );
      expect(ran).toBe(false);
    },
  );

  it('FB-06 whose answer it is nobody can tell, so that by itself it is the question of no other', () => {
    const context = http();

    expect(fingerprintOf([context])).toBe(fingerprintOf([context]));
    expect(fingerprintOf([context])).not.toBe(fingerprintOf([http()]));
  });
});
