import type { Clock } from '../../core/clock.js';
import type { EventHub, EventKind, PolicyEvent } from '../../core/events.js';
import { isObject, propertyOf } from '../../core/property.js';
import { Ring } from '../../core/ring.js';
import { TRANSITIONS } from './event-catalogue.js';
import type { EventChoice } from './events.options.js';

/** What is kept of an error. @publicApi */
export interface LoggedError {
  readonly name: string;
  readonly message: string;
  readonly code?: string | number;
}

/** What is kept of a detail of an event. @publicApi */
export type LoggedValue = string | number | boolean | null | LoggedError | readonly LoggedValue[];

/** An event as it is kept: plain data that holds nothing else alive, ready for JSON. @publicApi */
export interface LoggedEvent {
  /** Rises with each event of the application. */
  readonly id: number;
  /** When it happened: an ISO time stamp of the wall clock. */
  readonly time: string;
  readonly kind: EventKind;
  readonly policy: string;
  readonly type: string;
  readonly details: Readonly<Record<string, LoggedValue>>;
}

/** What the log needs of the application. */
export interface EventLogEnvironment {
  readonly clock: Clock;
  readonly events: EventHub;
}

/** So many policies have events in the log; beyond that, the one whose last event is oldest loses its own. */
const POLICIES = 1_000;
const TEXT_LENGTH = 500;
const LIST_LENGTH = 20;

/**
 * The last events of each policy, so that somebody who comes when it is over can still see what happened. Bounded per
 * policy and in the number of policies.
 *
 * By default it keeps transitions alone, which no call pays for; `record('all')` keeps rejections, retries and time-outs
 * too.
 *
 * @example
 * constructor(private readonly log: EventLog) {}
 * history() { return this.log.of('circuitBreaker', 'payments'); }
 *
 * @publicApi
 */
export class EventLog {
  /** By kind and name; whose last event is oldest stands first. */
  private readonly rings = new Map<string, Ring<LoggedEvent>>();
  private choice: EventChoice = 'none';
  private stop: () => void = () => undefined;
  private lastId = 0;

  constructor(
    private readonly environment: EventLogEnvironment,
    choice: EventChoice = 'transitions',
    private readonly perPolicy = 100,
  ) {
    this.record(choice);
  }

  /** What it keeps at the moment. */
  get recording(): EventChoice {
    return this.choice;
  }

  /** Keeps other events from now on; what it has stays. With `all` every rejected, repeated and timed-out call pays. */
  record(choice: EventChoice): void {
    this.stop();
    this.choice = choice;
    const add = (event: PolicyEvent) => this.add(event);
    const { events } = this.environment;
    if (choice === 'none') this.stop = () => undefined;
    else this.stop = events.listen(add, choice === 'all' ? undefined : TRANSITIONS);
  }

  /** The last events of one policy, oldest first. Of `draining` the name is `application`. */
  of(kind: EventKind, name: string): readonly LoggedEvent[] {
    return [...(this.rings.get(idOf(kind, name)) ?? [])];
  }

  /**
   * The last events of all policies, oldest first.
   *
   * @param limit - How many at most; default 100.
   * @param after - Only those with a higher `id`: what is new since the last time.
   */
  recent(limit = 100, after = 0): readonly LoggedEvent[] {
    const events = [...this.rings.values()].flatMap((ring) => [...ring].filter(({ id }) => id > after));
    return limit > 0 ? events.toSorted((a, b) => a.id - b.id).slice(-limit) : [];
  }

  /** Forgets all events; ids go on rising. */
  clear(): void {
    this.rings.clear();
  }

  private add({ kind, policy, type, at, details }: PolicyEvent): void {
    const { clock } = this.environment;
    const wallTime = clock.wallTime() - (clock.now() - at);
    const id = idOf(kind, policy);
    const ring = this.rings.get(id) ?? new Ring<LoggedEvent>(this.perPolicy);
    this.rings.delete(id);
    this.rings.set(id, ring);
    for (const oldest of this.rings.keys()) {
      if (this.rings.size <= POLICIES) break;
      this.rings.delete(oldest);
    }
    ring.push({
      id: ++this.lastId,
      time: new Date(wallTime).toISOString(),
      kind,
      policy,
      type,
      details: plainDetails(details),
    });
  }
}

function idOf(kind: EventKind, name: string): string {
  return `${kind}:${name}`;
}

/** Details as plain data: errors by what names them, long texts and lists cut. */
export function plainDetails(details: PolicyEvent['details'] = {}): Record<string, LoggedValue> {
  return Object.fromEntries(
    Object.entries(details).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, name === 'error' ? errorOf(value) : plain(value)] as const],
    ),
  );
}

function plain(value: unknown): LoggedValue {
  switch (typeof value) {
    case 'number':
    case 'boolean':
      return value;
    case 'string':
      return text(value);
    default:
      if (value === null || value === undefined) return null;
      if (Array.isArray(value)) return value.slice(0, LIST_LENGTH).map(plain);
      return value instanceof Error ? errorOf(value) : text(describe(value));
  }
}

/** People throw what they like. */
function errorOf(error: unknown): LoggedError {
  if (!isObject(error)) return { name: typeof error, message: text(describe(error)) };
  const name = read(error, 'name');
  const message = read(error, 'message');
  const code = read(error, 'code');
  return {
    name: typeof name === 'string' ? text(name) : 'Object',
    message: text(typeof message === 'string' ? message : describe(error)),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
  };
}

/** A getter of somebody's error may throw. */
function read(value: object, name: string): unknown {
  try {
    return propertyOf(value, name);
  } catch {
    return undefined;
  }
}

function describe(value: unknown): string {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}

function text(value: string): string {
  return value.length > TEXT_LENGTH ? `${value.slice(0, TEXT_LENGTH - 1)}…` : value;
}
