import type { Duration } from '../core/duration.js';
import { defineOptions } from '../core/option-table.js';

/**
 * - `liveness`: whether the process itself works; a dependency has no place here;
 * - `readiness`: whether it can serve traffic;
 * - `deep`: whether a dependency answers, and how fast.
 *
 * @publicApi
 */
export type ProbeKind = 'liveness' | 'readiness' | 'deep';

/** Options of a health probe. @publicApi */
export interface ProbeOptions {
  readonly kind: ProbeKind;
  /** Default: `Class.method`, by the class of the instance. */
  readonly name?: string;
  /** How long after a check the next one begins. Default 5 s. */
  readonly interval?: Duration;
  /** A check that takes longer has failed; its signal aborts. Default 3 s. */
  readonly timeout?: Duration;
  /** Consecutive failures that turn the status down. Default 3. */
  readonly graceFailures?: number;
  /** A check that takes longer counts as failed. Default: no bound. */
  readonly maxLatency?: Duration;
  /** Whether its failure makes the application unready; else it only degrades it. Default true. */
  readonly critical?: boolean;
}

/** The options as a probe uses them. */
export interface ProbeSettings {
  readonly kind: ProbeKind;
  readonly name?: string;
  readonly interval: number;
  readonly timeout: number;
  readonly graceFailures: number;
  readonly maxLatency?: number;
  readonly critical: boolean;
}

/** The rows of the table below, for tables that have more. */
export const probeRows = [
  {
    name: 'kind',
    kind: 'one-of',
    values: ['liveness', 'readiness', 'deep'],
    sentence: 'What it says something about.',
  },
  {
    name: 'name',
    kind: 'string',
    optional: true,
    defaultText: '`Class.method`',
    sentence: 'Its name in answers.',
  },
  {
    name: 'interval',
    kind: 'duration',
    default: '5s',
    sentence: 'How long after a check the next one begins.',
  },
  { name: 'timeout', kind: 'duration', default: '3s', sentence: 'A check that takes longer has failed.' },
  {
    name: 'graceFailures',
    kind: 'integer',
    min: 1,
    default: 3,
    sentence: 'Consecutive failures that turn the status down; one success turns it up.',
  },
  {
    name: 'maxLatency',
    kind: 'duration',
    optional: true,
    sentence: 'A check that takes longer counts as failed.',
  },
  {
    name: 'critical',
    kind: 'boolean',
    default: true,
    sentence: 'Whether its failure makes the application unready; else it only degrades it.',
  },
] as const;

/** The options of a probe, for validation and documentation. */
export const probeTable = defineOptions<ProbeOptions, ProbeSettings>(...probeRows);
