import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

/** What a {@link FaultProxy} does with what it gets. */
export type Weather = 'clear' | 'black-hole';

/**
 * A TCP proxy that is as bad as a network can be, and can be changed while it runs: it waits, holds everything back (as a
 * network that drops packets, whose senders send again), resets connections, closes one half of them.
 */
export class FaultProxy {
  /** How long each piece waits, each way. */
  latencyMs = 0;
  private weather: Weather = 'clear';
  private readonly pairs = new Set<Pair>();
  private readonly server = createServer({ allowHalfOpen: true }, (client) => this.accept(client));

  private constructor(private targetPort: number) {}

  static async start(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.pairs.size;
  }

  /** In a black hole connections are accepted, and nothing goes through until it is clear again. */
  turn(weather: Weather): void {
    this.weather = weather;
    if (weather === 'clear') for (const pair of this.pairs) pair.flow();
  }

  /** Connections that are made from now on go there. */
  aim(targetPort: number): void {
    this.targetPort = targetPort;
  }

  /** Breaks every connection, towards both ends. */
  reset(): void {
    for (const pair of this.pairs) pair.reset();
  }

  /** Says to clients that no more will come, and goes on taking what they send. */
  halfClose(): void {
    for (const pair of this.pairs) pair.halfClose();
  }

  async stop(): Promise<void> {
    for (const pair of this.pairs) pair.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private accept(client: Socket): void {
    const server = connect({ port: this.targetPort, host: '127.0.0.1', allowHalfOpen: true });
    const pair = new Pair(client, server, () => ({
      held: this.weather === 'black-hole',
      waitMs: this.latencyMs,
    }));
    this.pairs.add(pair);
    pair.onEnd = () => this.pairs.delete(pair);
  }
}

/** A connection of a client, and ours to the server. */
class Pair {
  onEnd: () => void = () => {};
  private readonly ways: readonly Way[];
  private open = 2;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    conditions: () => { held: boolean; waitMs: number },
  ) {
    this.ways = [new Way(client, server, conditions), new Way(server, client, conditions)];
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.setNoDelay(true);
      socket.on('error', () => resetSocket(other));
      socket.on('close', () => {
        if (--this.open > 0) other.destroySoon();
        else this.onEnd();
      });
    }
  }

  flow(): void {
    for (const way of this.ways) way.flow();
  }

  reset(): void {
    resetSocket(this.client);
    resetSocket(this.server);
  }

  destroy(): void {
    this.client.destroy();
    this.server.destroy();
  }

  halfClose(): void {
    this.client.end();
  }
}

/** A socket that has said its last word can only be closed. */
function resetSocket(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** What goes one way, in order. */
class Way {
  private readonly pieces: { readonly piece: Buffer | undefined; readonly dueAt: number }[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    from: Socket,
    private readonly to: Socket,
    private readonly conditions: () => { held: boolean; waitMs: number },
  ) {
    from.on('data', (piece: Buffer) => this.take(piece));
    from.on('end', () => this.take(undefined));
    to.on('close', () => clearTimeout(this.timer));
  }

  flow(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (!this.conditions().held) {
      const [first] = this.pieces;
      if (first === undefined) return;
      const leftMs = first.dueAt - performance.now();
      if (leftMs > 0) {
        this.timer = setTimeout(() => this.flow(), Math.ceil(leftMs));
        return;
      }
      this.pieces.shift();
      if (first.piece === undefined) this.to.end();
      else if (this.to.writable) this.to.write(first.piece);
    }
  }

  private take(piece: Buffer | undefined): void {
    this.pieces.push({ piece, dueAt: performance.now() + this.conditions().waitMs });
    if (this.timer === undefined) this.flow();
  }
}
