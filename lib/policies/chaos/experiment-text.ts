import { formatDuration } from '../../core/duration.js';
import type { ExperimentReport, Observation } from './experiment-report.js';
import type { GameDayReport } from './game-day.js';

/** A report for people. @publicApi */
export function experimentText(report: ExperimentReport): string {
  const { observations } = report;
  const lines = [
    `Experiment "${report.name}": ${outcomeOf(report)}`,
    ...(report.hypothesis === undefined ? [] : [`  Hypothesis: ${report.hypothesis}`]),
    ...(report.reason === undefined ? [] : [`  Reason: ${report.reason}`]),
    `  ${timeOf(report.startedAt, report.durationMs)}; blast radius ${report.blastRadius}${
      report.approvedBy === undefined ? '' : `, approved by ${report.approvedBy}`
    }`,
    '  Faults:',
    ...listed(
      report.faults.map(
        ({ name, fault, targets, ratePercent, totalCalls, totalInjected }) =>
          `${name}: ${fault} at ${ratePercent} % of calls of ${targets.join(', ')}; hit ${totalInjected} of ${totalCalls}`,
      ),
    ),
    '  Observations:',
    ...listed(
      (['before', 'during', 'after'] as const).flatMap((phase) => {
        const looks = observations.filter((look) => look.phase === phase);
        return looks.length === 0
          ? []
          : [`${phase}: ${summaryOf(looks)}`, ...looks.filter(isBad).map(lineOf)];
      }),
    ),
  ];
  return lines.join('\n');
}

/** The report of a game day for people. @publicApi */
export function gameDayText(report: GameDayReport): string {
  const { validated, experiments } = report;
  return [
    `Game day "${report.name}": ${report.state}; ${validated} of ${experiments.length} hypotheses held`,
    `  Scenario: ${report.scenario}`,
    ...(report.reason === undefined ? [] : [`  Reason: ${report.reason}`]),
    ...(report.participants.length === 0 ? [] : [`  Participants: ${report.participants.join(', ')}`]),
    `  ${timeOf(report.startedAt, report.durationMs)}`,
    '  Runbook:',
    ...listed(report.runbook.map(({ step, done }) => `${done ? '[x]' : '[ ]'} ${step}`)),
    '',
    ...experiments.map(experimentText),
  ].join('\n');
}

function outcomeOf({ state, validated }: ExperimentReport): string {
  if (state !== 'completed') return state;
  if (validated === undefined) return 'completed, and a metric never had a number: nobody can tell';
  return validated ? 'completed, the hypothesis held' : 'completed, the hypothesis did not hold';
}

function timeOf(startedAt: string | undefined, durationMs: number | undefined): string {
  if (startedAt === undefined) return 'Not begun';
  return `Began ${startedAt}${durationMs === undefined ? '' : `, took ${formatDuration(durationMs)}`}`;
}

function summaryOf(looks: readonly Observation[]): string {
  const bad = looks.filter(isBad).length;
  return `${looks.length} ${looks.length === 1 ? 'look' : 'looks'}, ${bad === 0 ? 'all well' : `${bad} not well`}`;
}

function isBad({ ok }: Observation): boolean {
  return !ok;
}

function lineOf({ name, elapsedMs, value, message }: Observation): string {
  const seen = value === undefined ? '' : ` (${value})`;
  return `  after ${formatDuration(elapsedMs)}, ${name}${seen}: ${message ?? ''}`;
}

function listed(lines: readonly string[]): string[] {
  return lines.length === 0 ? ['    (none)'] : lines.map((line) => `    ${line}`);
}
