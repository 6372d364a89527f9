import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FaultProxy } from './fault-proxy.js';

describe('FaultProxy', () => {
  let echo: Server;
  let proxy: FaultProxy;
  let client: Socket;
  let received: string;

  beforeEach(async () => {
    echo = await echoing('');
    proxy = await FaultProxy.start(portOf(echo));
    client = await connected();
  });

  afterEach(async () => {
    client.destroy();
    await proxy.stop();
    echo.close();
  });

  it('passes everything on, in order', async () => {
    client.write('one ');
    client.write('two');
    await until(() => received === 'one two');
    expect(proxy.connections).toBe(1);
  });

  it('waits, each way', async () => {
    proxy.latencyMs = 40;
    const begun = performance.now();
    client.write('late');
    await until(() => received === 'late');
    expect(performance.now() - begun).toBeGreaterThanOrEqual(80);
  });

  it('holds everything back in a black hole, accepts connections there, and lets go of it afterwards', async () => {
    proxy.turn('black-hole');
    client.write('held');
    const other = connect(proxy.port, '127.0.0.1');
    await once(other, 'connect');
    await until(() => proxy.connections === 2);
    expect(received).toBe('');
    proxy.turn('clear');
    await until(() => received === 'held');
    other.destroy();
  });

  it('resets connections, and takes new ones', async () => {
    const failing = once(client, 'error');
    proxy.reset();
    const [error] = await failing;
    expect(error).toMatchObject({ code: 'ECONNRESET' });
    client = await connected();
    client.write('again');
    await until(() => received === 'again');
  });

  it('closes the half towards the client, and still takes what that sends', async () => {
    const ended = once(client, 'end');
    proxy.halfClose();
    await ended;
    expect(client.writable).toBe(true);
    expect(proxy.connections).toBe(1);
    client.end('over');
    await until(() => proxy.connections === 0);
  });

  it('goes to another server with the next connection', async () => {
    const other = await echoing('other: ');
    proxy.aim(portOf(other));
    client.destroy();
    client = await connected();
    client.write('hello');
    await until(() => received === 'other: hello');
    other.close();
  });

  async function connected(): Promise<Socket> {
    received = '';
    const socket = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('data', (piece) => (received += String(piece)));
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }
});

async function echoing(prefix: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write(prefix);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
