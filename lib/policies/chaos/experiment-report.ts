import type { BlastRadius } from './blast-radius.js';
import type { ChaosFault } from './fault.js';

/**
 * - `scheduled`: made, and not begun;
 * - `running`: from its first look on;
 * - `completed`: it went to its end; whether the hypothesis held is in `validated`;
 * - `aborted`: it was unsteady before, a number went too far, a check failed, or somebody stopped it;
 * - `failed`: its faults could not be injected.
 *
 * @publicApi
 */
export type ExperimentState = 'scheduled' | 'running' | 'completed' | 'failed' | 'aborted';

/** From which state to which. */
export const EXPERIMENT_TRANSITIONS: Readonly<Record<ExperimentState, readonly ExperimentState[]>> = {
  scheduled: ['running', 'aborted'],
  running: ['completed', 'failed', 'aborted'],
  completed: [],
  failed: [],
  aborted: [],
};

/** When a look was taken. @publicApi */
export type ExperimentPhase = 'before' | 'during' | 'after';

/** One look at the system. @publicApi */
export interface Observation {
  readonly phase: ExperimentPhase;
  /** ISO time stamp. */
  readonly at: string;
  /** Since the experiment began. */
  readonly elapsedMs: number;
  /** The steady state, or the metric. */
  readonly name: string;
  /** Whether it was as it must be; of a steady state, within its tolerance. */
  readonly ok: boolean;
  /** What was seen. */
  readonly value?: number | boolean;
  readonly message?: string;
}

/** What one fault of an experiment did. @publicApi */
export interface InjectedFaultReport {
  readonly name: string;
  readonly fault: ChaosFault;
  readonly targets: readonly string[];
  readonly ratePercent: number;
  readonly totalCalls: number;
  readonly totalInjected: number;
}

/** What an experiment was, and what came of it; can be written as JSON. @publicApi */
export interface ExperimentReport {
  readonly name: string;
  readonly hypothesis: string | undefined;
  readonly state: ExperimentState;
  /** Why it failed or was aborted. */
  readonly reason: string | undefined;
  /**
   * Whether the steady state held throughout; `undefined` unless it was completed, and where a metric of it never had a
   * number.
   */
  readonly validated: boolean | undefined;
  readonly blastRadius: BlastRadius;
  readonly approvedBy: string | undefined;
  /** ISO time stamps. */
  readonly scheduledFor: string | undefined;
  readonly startedAt: string | undefined;
  readonly endedAt: string | undefined;
  readonly durationMs: number | undefined;
  readonly faults: readonly InjectedFaultReport[];
  readonly observations: readonly Observation[];
}
