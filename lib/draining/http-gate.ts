import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Http2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { ServedPaths } from './served-paths.js';

/** An answer to a request that is refused. */
export interface Refusal {
  readonly status: number;
  readonly retryAfter: string;
  readonly body: object;
}

type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;
type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * What draining knows of HTTP: which requests are under way, and how clients are told to go elsewhere. It listens to
 * Node's servers before any framework does, so that a request counts from its first header to the end of its response,
 * whatever becomes of it in between.
 */
export class HttpGate {
  /** Requests that were refused. */
  refused = 0;
  private readonly servers = new Set<Server>();
  private readonly sessions = new Set<Http2Session>();
  private readonly underWay = new Set<ServerResponse>();
  /** Answers of health endpoints: nobody waits for them to begin to close. */
  private readonly asides = new Set<ServerResponse>();
  /** Of connections with pipelined requests: what is to be called when they close. */
  private readonly pipelines = new WeakMap<Duplex, Set<() => void>>();
  private announced = false;
  private refusing = false;
  private whenAside: (() => void) | undefined;

  constructor(
    private readonly served: ServedPaths,
    private readonly refusal: () => Refusal,
    /** A request that was under way is over. */
    private readonly onRelease: () => void,
  ) {}

  /** Requests that are under way, health endpoints left out. */
  get inFlight(): number {
    return this.underWay.size;
  }

  get isListening(): boolean {
    return [...this.servers].some((server) => server.listening);
  }

  /** Looks at a server from now on; once is enough. */
  attach(server: Server): void {
    if (this.servers.has(server)) return;
    this.servers.add(server);
    server.prependListener('request', this.enter);
    // Of HTTP/2 servers only.
    server.on('session', (session: Http2Session) => {
      this.sessions.add(session);
      session.once('close', () => this.sessions.delete(session));
    });
    if (this.refusing) this.takeOver(server);
  }

  /** For a framework that opens servers of its own: a request that came through one of those. */
  meet(request: IncomingMessage, response: ServerResponse): void {
    const { server } = request.socket as { server?: Server };
    if (server === undefined || this.servers.has(server)) return;
    this.attach(server);
    this.enter(request, response);
  }

  /** Tells clients to use another connection next time: with each response, or once per HTTP/2 session. */
  announce(): void {
    this.announced = true;
    for (const response of this.underWay) closeAfter(response);
    for (const response of this.asides) closeAfter(response);
    for (const session of this.sessions) session.close();
  }

  /** Refuses new requests. */
  refuse(): void {
    this.refusing = true;
    // Those that were opened since.
    for (const session of this.sessions) session.close();
    for (const server of this.servers) this.takeOver(server);
  }

  /**
   * Stops listening, cuts off what is under way, and closes all connections.
   *
   * @param wait waits, within reason, for the last answers of health endpoints
   */
  async disconnect(wait: (done: Promise<void>) => Promise<void>): Promise<void> {
    for (const server of this.servers) if (server.listening) server.close();
    // Where HTTP/1 comes over an HTTP/2 server, nothing below reaches it.
    for (const response of this.underWay) if (isHttp1(response)) response.destroy();
    if (this.asides.size > 0) await wait(new Promise((resolve) => (this.whenAside = resolve)));
    for (const session of this.sessions) session.destroy();
    // A connection that never sent a request counts as busy, and would keep the server open for ever.
    for (const server of this.servers) server.closeAllConnections?.();
  }

  private readonly enter: RequestListener = (request, response) => {
    const set = this.served.has(request.url as string) ? this.asides : this.underWay;
    set.add(response);
    const leave = () => {
      followers?.delete(leave);
      if (!set.delete(response)) return;
      if (set === this.underWay) this.onRelease();
      else if (set.size === 0) this.whenAside?.();
    };
    response.once('close', leave);
    // A pipelined request whose turn never comes: its response does not hear that the socket has closed.
    const followers = response.socket === null ? this.followersOf(request.socket) : undefined;
    followers?.add(leave);
    if (this.announced) closeAfter(response);
  };

  /** One listener per connection, however many requests it has sent ahead. */
  private followersOf(socket: Duplex): Set<() => void> {
    const known = this.pipelines.get(socket);
    if (known !== undefined) return known;
    const followers = new Set<() => void>();
    this.pipelines.set(socket, followers);
    socket.once('close', () => {
      for (const leave of followers) leave();
    });
    return followers;
  }

  /** Puts ourselves in front of whoever answers requests of a server. */
  private takeOver(server: Server): void {
    const requests = server.rawListeners('request') as RequestListener[];
    server.removeAllListeners('request');
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      if (!this.served.has(request.url as string)) this.answer(response);
      else for (const listener of requests) listener.call(server, request, response);
    });
    const upgrades = server.rawListeners('upgrade') as UpgradeListener[];
    // Without a listener Node takes an upgrade for a request.
    if (upgrades.length === 0) return;
    server.removeAllListeners('upgrade');
    server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => {
      this.refused++;
      const { status, retryAfter } = this.refusal();
      const head = `HTTP/1.1 ${status} Service Unavailable\r\nRetry-After: ${retryAfter}`;
      socket.on('error', () => socket.destroy());
      socket.end(`${head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    });
  }

  private answer(response: ServerResponse): void {
    this.refused++;
    const { status, retryAfter, body } = this.refusal();
    const text = JSON.stringify(body);
    response.statusCode = status;
    response.setHeader('Retry-After', retryAfter);
    response.setHeader('Content-Type', 'application/json; charset=utf-8');
    response.setHeader('Content-Length', Buffer.byteLength(text));
    closeAfter(response);
    response.end(text);
  }
}

/** HTTP/2 has no such header: there the session says it. */
function closeAfter(response: ServerResponse): void {
  if (isHttp1(response) && !response.headersSent) response.setHeader('Connection', 'close');
}

function isHttp1(response: ServerResponse): boolean {
  return response.req.httpVersionMajor < 2;
}
