import type { ServerResponse } from 'node:http';
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { CallbackTimer } from '../../core/timer-entry.js';
import type { OnDrain } from '../../draining/on-drain.js';
import { TRANSITIONS } from '../../module/events/event-catalogue.js';
import { EventLog } from '../../module/events/event-log.js';
import type { ResilienceRuntime } from '../../module/resilience.runtime.js';
import { EventStream, type EventStreamOptions } from './event-stream.js';

/** How often numbers are sent, and whether it is time for a heartbeat is looked at. */
const TICK_MS = 1_000;

/**
 * The open streams of one admin module: told at once of what changes, and once a second of numbers. All of them end when
 * the application drains or closes, so that none keeps it open.
 */
@Injectable()
export class EventStreams implements OnDrain, OnModuleDestroy {
  /** What streams read: the application's log, or one of their own where that keeps nothing. */
  private source: EventLog;
  private readonly own: EventLog;
  private readonly startedAt: string;
  private readonly streams = new Set<EventStream>();
  private readonly timer = new CallbackTimer(() => this.tick());
  private stopListening: (() => void) | undefined;
  private flushing = false;
  private closed = false;

  constructor(
    private readonly runtime: ResilienceRuntime,
    private readonly log: EventLog,
    private readonly numbers: () => object,
    private readonly maxStreams: number,
  ) {
    this.startedAt = Math.floor(runtime.clock.wallTime()).toString(36);
    this.own = new EventLog(runtime, 'none');
    this.source = log;
  }

  /** Ids of events begin anew with each start, and in each log: this tells them apart. */
  get epoch(): string {
    return this.source === this.log ? this.startedAt : `${this.startedAt}s`;
  }

  /** Whether another stream may open; why not, where not. */
  get refusal(): string | undefined {
    if (this.closed) return 'The application is shutting down.';
    return this.streams.size < this.maxStreams ? undefined : `${this.maxStreams} streams are open already.`;
  }

  /** Answers with a stream of events. */
  open(response: ServerResponse, options: EventStreamOptions): void {
    const { clock, events } = this.runtime;
    if (this.streams.size === 0) this.chooseSource();
    const stream = new EventStream(response, this.epoch, options, clock.now());
    response.once('close', () => this.forget(stream));
    // Nobody waits for the answer to an error here: the connection is gone, and `close` says so.
    response.on('error', () => undefined);
    this.streams.add(stream);
    if (this.streams.size === 1) {
      this.stopListening = events.listen(() => this.flushSoon(), TRANSITIONS);
      clock.arm(this.timer, clock.now() + TICK_MS);
    }
    if (options.withNumbers) stream.sendNumbers(this.numbersText(), clock.now());
    stream.sendEvents(this.source.recent(options.limit, this.seenBy(options)), clock.now());
    // What it has not asked for it shall not get with the next one.
    stream.lastId = this.source.recent(1).at(-1)?.id ?? 0;
  }

  onDrain(): void {
    this.end();
  }

  /** Before the server closes, which waits for what is open. */
  onModuleDestroy(): void {
    this.end();
  }

  private end(): void {
    this.closed = true;
    for (const stream of this.streams) stream.end();
  }

  private forget(stream: EventStream): void {
    if (!this.streams.delete(stream) || this.streams.size > 0) return;
    this.stopListening?.();
    this.own.record('none');
    this.own.clear();
    this.runtime.clock.disarm(this.timer);
  }

  /** Before the first stream: what changes is to be seen as it happens, also where nothing is kept. */
  private chooseSource(): void {
    const isKept = this.log.recording !== 'none';
    this.source = isKept ? this.log : this.own;
    if (!isKept) this.own.record('transitions');
  }

  /** The last event that a client has seen. After a restart it has seen none. */
  private seenBy({ after }: EventStreamOptions): number {
    const [epoch, id] = (after ?? '').split('-');
    const number = Number(id);
    return epoch === this.epoch && Number.isSafeInteger(number) ? number : 0;
  }

  /** After all listeners have had the event, the log among them. */
  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    queueMicrotask(() => {
      this.flushing = false;
      this.flush();
    });
  }

  private flush(): void {
    const now = this.runtime.clock.now();
    const seenByAll = Math.min(...[...this.streams].map(({ lastId }) => lastId));
    const events = this.source.recent(Number.MAX_SAFE_INTEGER, seenByAll);
    for (const stream of this.streams) stream.sendEvents(events, now);
  }

  private tick(): void {
    const { clock } = this.runtime;
    const now = clock.now();
    // Events that are not worth a message of their own, such as refusals where the log keeps all.
    this.flush();
    let numbers: string | undefined;
    for (const stream of this.streams) {
      if (stream.withNumbers) stream.sendNumbers((numbers ??= this.numbersText()), now);
      stream.keepAlive(now);
    }
    if (this.streams.size > 0) clock.arm(this.timer, now + TICK_MS);
  }

  private numbersText(): string {
    return JSON.stringify(this.numbers());
  }
}
