import { defineOptions } from '../../core/option-table.js';

/** Which events: those that say that something is different from now on, all, or none. @publicApi */
export type EventChoice = 'transitions' | 'all' | 'none';

/** Where events go: `ResilienceModule.forRoot({ events: { … } })`. @publicApi */
export interface EventOptions {
  /**
   * What the {@link EventLog} keeps. Default `transitions`: state changes, drain phases, faults of chaos. With `all` every
   * rejected, repeated and timed-out call pays for an event.
   */
  readonly keep?: EventChoice;
  /** How many events it keeps of each policy. Default 100. */
  readonly keepPerPolicy?: number;
  /** Whether transitions of circuit breakers are written to Nest's log. Default true. */
  readonly log?: boolean;
  /**
   * What is emitted through `EventEmitter2` of `@nestjs/event-emitter`, as `resilience.<kind>.<type>`. Default `none`; else
   * the application imports `EventEmitterModule.forRoot()`.
   */
  readonly emit?: EventChoice;
}

/** The options as they are used. */
export interface EventSettings {
  readonly keep: EventChoice;
  readonly keepPerPolicy: number;
  readonly log: boolean;
  readonly emit: EventChoice;
}

const choices = ['transitions', 'all', 'none'] as const;

/** The options of events, for validation and documentation. */
export const eventsTable = defineOptions<EventOptions, EventSettings>(
  {
    name: 'keep',
    kind: 'one-of',
    values: choices,
    default: 'transitions',
    sentence:
      'What the event log keeps. With `all` every rejected, repeated and timed-out call pays for an event.',
  },
  {
    name: 'keepPerPolicy',
    kind: 'integer',
    min: 1,
    max: 10_000,
    default: 100,
    sentence: 'How many events it keeps of each policy.',
  },
  {
    name: 'log',
    kind: 'boolean',
    default: true,
    sentence: "Whether transitions of circuit breakers are written to Nest's log.",
  },
  {
    name: 'emit',
    kind: 'one-of',
    values: choices,
    default: 'none',
    sentence:
      'What is emitted through `EventEmitter2` of `@nestjs/event-emitter`, as `resilience.<kind>.<type>`.',
  },
);
