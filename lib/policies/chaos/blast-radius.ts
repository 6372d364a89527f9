import { formatDuration } from '../../core/duration.js';
import type { OptionProblem } from '../../core/errors.js';

/**
 * How much chaos may hit at most:
 *
 * | radius      | targets   | calls | for    |
 * | ----------- | --------- | ----- | ------ |
 * | `minimal`   | 1         | 10 %  | 1 min  |
 * | `limited`   | 3         | 50 %  | 5 min  |
 * | `moderate`  | 10        | 100 % | 30 min |
 * | `extensive` | all       | 100 % | any    |
 *
 * A target is a pipeline, or a circuit breaker that is forced open and stands in none. `extensive` needs `approvedBy`.
 *
 * @publicApi
 */
export type BlastRadius = 'minimal' | 'limited' | 'moderate' | 'extensive';

/** What a radius lets through. */
export interface BlastLimits {
  readonly targets: number;
  /** Of the calls of a pipeline. */
  readonly ratePercent: number;
  readonly durationMs: number;
}

const MINUTE_MS = 60_000;

/** What somebody wants to hit. */
export interface WantedReach extends Omit<BlastLimits, 'targets'> {
  readonly pipelines: number;
  /** Circuits to be forced open that stand in none of these. */
  readonly circuits: number;
}

export const BLAST_RADII: Readonly<Record<BlastRadius, BlastLimits>> = {
  minimal: { targets: 1, ratePercent: 10, durationMs: MINUTE_MS },
  limited: { targets: 3, ratePercent: 50, durationMs: 5 * MINUTE_MS },
  moderate: { targets: 10, ratePercent: 100, durationMs: 30 * MINUTE_MS },
  extensive: {
    targets: Number.POSITIVE_INFINITY,
    ratePercent: 100,
    durationMs: Number.POSITIVE_INFINITY,
  },
};

export const DEFAULT_RADIUS: BlastRadius = 'moderate';

/** Everything that goes beyond a radius. */
export function radiusProblems(
  radius: BlastRadius,
  approvedBy: string | undefined,
  wanted: WantedReach,
  where: string,
): OptionProblem[] {
  const limits = BLAST_RADII[radius];
  const problems: OptionProblem[] = [];
  const beyond = (option: string, what: string, limit: string) => {
    const message = `${what}, and a blast radius of "${radius}" allows ${limit}; take a wider "blastRadius" or hit less.`;
    problems.push({ where, option, message });
  };
  if (radius === 'extensive' && approvedBy === undefined) {
    const message = 'A blast radius of "extensive" needs "approvedBy": who answers for it.';
    problems.push({ where, option: 'approvedBy', message });
  }
  if (wanted.pipelines + wanted.circuits > limits.targets) {
    beyond('target', `It hits ${whatIsHit(wanted)}`, `${limits.targets}`);
  }
  if (wanted.ratePercent > limits.ratePercent) {
    beyond('ratePercent', `It hits ${wanted.ratePercent} % of calls`, `${limits.ratePercent} %`);
  }
  if (wanted.durationMs > limits.durationMs) {
    beyond('duration', `It lasts ${formatDuration(wanted.durationMs)}`, formatDuration(limits.durationMs));
  }
  return problems;
}

function whatIsHit({ pipelines, circuits }: WantedReach): string {
  const parts = [pipelines > 0 && `${pipelines} pipelines`, circuits > 0 && `${circuits} circuit breakers`];
  return parts.filter(Boolean).join(' and ');
}
