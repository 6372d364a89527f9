import type { ServerResponse } from 'node:http';
import type { LoggedEvent } from '../../module/events/event-log.js';

/** What a client asks of a stream. */
export interface EventStreamOptions {
  /** The id of the last message that it has seen. */
  readonly after: string | undefined;
  /** How many past events it begins with, at most. */
  readonly limit: number;
  /** Whether it wants the numbers of everything, too. */
  readonly withNumbers: boolean;
  /** Headers that the framework has collected so far. */
  readonly headers?: Readonly<Record<string, number | string | string[] | undefined>>;
}

/** Proxies end what is silent for a minute. */
const HEARTBEAT_MS = 15_000;

/** A stream is let in once; after this it has to come back, past the guards. */
const MAX_AGE_MS = 15 * 60_000;

/** Who reads so slowly has lost the connection, or soon will. */
const MAX_BACKLOG_BYTES = 1_048_576;

/** One open stream of Server-Sent Events. https://html.spec.whatwg.org/multipage/server-sent-events.html */
export class EventStream {
  readonly withNumbers: boolean;
  lastId = 0;
  private sentAt: number;

  constructor(
    private readonly response: ServerResponse,
    private readonly epoch: string,
    { withNumbers, headers }: EventStreamOptions,
    private readonly openedAt: number,
  ) {
    this.withNumbers = withNumbers;
    this.sentAt = openedAt;
    for (const [name, value] of Object.entries(headers ?? {}))
      if (value !== undefined) response.setHeader(name, value);
    response.statusCode = 200;
    response.setHeader('Content-Type', 'text/event-stream; charset=utf-8');
    // Compression and reverse proxies would hold messages back.
    response.setHeader('Cache-Control', 'no-store, no-transform');
    response.setHeader('X-Accel-Buffering', 'no');
    response.flushHeaders();
    this.write('retry: 1000\n\n', openedAt);
  }

  /** Sends those that it has not had yet, oldest first. */
  sendEvents(events: readonly LoggedEvent[], now: number): void {
    for (const event of events) {
      if (event.id <= this.lastId) continue;
      this.lastId = event.id;
      this.write(`id: ${this.epoch}-${event.id}\nevent: event\ndata: ${JSON.stringify(event)}\n\n`, now);
    }
  }

  /** Left out while the last ones are still on their way: the next will be newer. */
  sendNumbers(numbers: string, now: number): void {
    if (!this.response.writableNeedDrain) this.write(`event: stats\ndata: ${numbers}\n\n`, now);
  }

  /** Says that it is still there, and ends what has been open for too long. */
  keepAlive(now: number): void {
    if (now - this.openedAt >= MAX_AGE_MS) this.end();
    else if (now - this.sentAt >= HEARTBEAT_MS) this.write(': heartbeat\n\n', now);
  }

  end(): void {
    this.response.end();
  }

  private write(message: string, now: number): void {
    if (this.response.writableEnded || this.response.destroyed) return;
    this.sentAt = now;
    this.response.write(message);
    if (this.response.writableLength > MAX_BACKLOG_BYTES) this.response.destroy();
  }
}
