import type { Agent } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import { TimeoutExceededError, type OptionProblem } from '../../core/errors.js';
import { propertyOf } from '../../core/property.js';
import { TimerEntry } from '../../core/timer-entry.js';

/** How long the phases of a connection may take, and whose limits they are. */
export interface SocketLimits {
  readonly policy: string;
  readonly connectMs: number;
  readonly readMs: number;
}

/** How often in a read timeout a socket is looked at; it ends so much later at most. */
const LOOKS = 8;

/** What is wrong with an agent whose connections are to be watched. */
export function agentProblems(agent: unknown, option: string, where: string): OptionProblem[] {
  if (typeof propertyOf(agent, 'createConnection') === 'function') return [];
  const message = `"${option}" must be an agent that is built on those of node:http and node:https; this one has no createConnection(), as before version 7 of agent-base and https-proxy-agent.`;
  return [{ where, option, message }];
}

/** Makes an agent end connections that are not there within `connectMs`, or silent for `readMs` during a request. */
export function watchConnections(agent: Agent, limits: SocketLimits, clock: Clock): void {
  const connect = agent.createConnection.bind(agent);
  const isIdle = (socket: Duplex) =>
    Object.values(agent.freeSockets).some((sockets) => sockets?.includes(socket as Socket) === true);
  agent.createConnection = (options, callback) => {
    let watched: Duplex | null | undefined;
    // An agent returns its socket, or hands it over later, or does both.
    const watch = (socket: Duplex | null | undefined) => {
      if (!socket || socket === watched) return;
      watched = socket;
      new SocketWatch(socket as Socket, limits, isIdle, clock).begin();
    };
    const handOver: typeof callback =
      callback &&
      ((error, socket) => {
        watch(socket);
        callback(error, socket);
      });
    const socket = connect(options, handOver);
    watch(socket);
    return socket;
  };
}

/**
 * Ends a connection that takes too long. It looks at what has come in and gone out a few times per read timeout, because
 * a socket has one timer of its own, which HTTP clients set as they like.
 */
class SocketWatch extends TimerEntry {
  private isConnected: boolean;
  private bytes = 0;
  private movedAt: number;

  constructor(
    private readonly socket: Socket,
    private readonly limits: SocketLimits,
    private readonly isIdle: (socket: Duplex) => boolean,
    private readonly clock: Clock,
  ) {
    super();
    this.movedAt = clock.now();
    this.isConnected = isReady(socket);
  }

  begin(): void {
    this.socket.once('close', () => this.clock.disarm(this));
    if (this.isConnected) return this.lookAgain();
    this.socket.once(isTls(this.socket) ? 'secureConnect' : 'connect', () => {
      this.isConnected = true;
      this.movedAt = this.clock.now();
      this.lookAgain();
    });
    this.clock.arm(this, this.movedAt + this.limits.connectMs);
  }

  onDue(): void {
    if (!this.isConnected) {
      this.end('connect', this.limits.connectMs, 'took longer to connect than');
      return;
    }
    const { socket, clock, limits } = this;
    const now = clock.now();
    const bytes = socket.bytesRead + socket.bytesWritten;
    // A paused socket waits for whoever reads the answer, and not for the server.
    if (bytes !== this.bytes || socket.isPaused() || this.isIdle(socket)) {
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

/** Whether an agent gave out a socket that is connected already, and with TLS has shaken hands: through a proxy it does. */
function isReady(socket: Socket): boolean {
  return !socket.connecting && propertyOf(socket, 'secureConnecting') !== true;
}

function isTls(socket: Socket): boolean {
  return propertyOf(socket, 'encrypted') === true;
}
