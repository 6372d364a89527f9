import type { Agent } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { TimeoutExceededError } from '../../core/errors.js';
import { TimerEntry } from '../../core/timer-entry.js';

/** How long the phases of a connection may take, and whose limits they are. */
export interface SocketLimits {
  readonly policy: string;
  readonly connectMs: number;
  readonly readMs: number;
}

/** How often in a read timeout a socket is looked at; it ends so much later at most. */
const LOOKS = 8;

/**
 * Makes an agent end connections that are not there within `connectMs`, or silent for `readMs` during a request.
 *
 * @param connected - What its sockets emit when they are ready: with TLS the handshake is part of connecting.
 */
export function watchConnections<A extends Agent>(
  agent: A,
  connected: 'connect' | 'secureConnect',
  limits: SocketLimits,
  clock: Clock,
): A {
  const connect = agent.createConnection.bind(agent);
  const isIdle = (socket: Socket) =>
    Object.values(agent.freeSockets).some((sockets) => sockets?.includes(socket) === true);
  agent.createConnection = (options, callback) => {
    const socket = connect(options, callback) as Socket;
    new SocketWatch(socket, connected, limits, isIdle, clock);
    return socket;
  };
  return agent;
}

/**
 * Ends a connection that takes too long. It looks at what has come in and gone out a few times per read timeout, because
 * a socket has one timer of its own, which HTTP clients set as they like.
 */
class SocketWatch extends TimerEntry {
  private isConnected = false;
  private bytes = 0;
  private movedAt: number;

  constructor(
    private readonly socket: Socket,
    connected: 'connect' | 'secureConnect',
    private readonly limits: SocketLimits,
    private readonly isIdle: (socket: Socket) => boolean,
    private readonly clock: Clock,
  ) {
    super();
    this.movedAt = clock.now();
    clock.arm(this, this.movedAt + limits.connectMs);
    socket.once(connected, () => {
      this.isConnected = true;
      this.movedAt = this.clock.now();
      this.lookAgain();
    });
    socket.once('close', () => this.clock.disarm(this));
  }

  onDue(): void {
    if (!this.isConnected) {
      this.end('connect', this.limits.connectMs, 'took longer to connect than');
      return;
    }
    const { socket, clock, limits } = this;
    const now = clock.now();
    const bytes = socket.bytesRead + socket.bytesWritten;
    if (bytes !== this.bytes || this.isIdle(socket)) {
      this.bytes = bytes;
      this.movedAt = now;
    } else if (now - this.movedAt >= limits.readMs) {
      this.end('read', limits.readMs, 'was silent for');
      return;
    }
    this.lookAgain();
  }

  private lookAgain(): void {
    this.clock.arm(this, this.clock.now() + this.limits.readMs / LOOKS);
  }

  private end(scope: 'connect' | 'read', limitMs: number, what: string): void {
    const { policy } = this.limits;
    const message = `The connection ${what} the ${formatDuration(limitMs)} of timeout "${policy}".`;
    this.socket.destroy(new TimeoutExceededError(message, { policy }, scope, limitMs));
  }
}
