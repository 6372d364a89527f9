import { eventsOf, groupBy, type History } from './history.js';

/** SS-04: who lost a key to another changes nothing there, and fences only rise. */
export function staleViolations(history: History): string[] {
  const begun = groupBy(
    eventsOf(history, 'begun').filter(({ answer }) => answer === 'run'),
    ({ key }) => key,
  );
  const violations: string[] = [];
  for (const [key, runs] of begun) {
    for (const [i, run] of runs.entries()) {
      const before = runs.slice(0, i).filter(({ at }) => at <= run.asked);
      for (const { fence } of before) {
        if (Number(fence) >= Number(run.fence))
          violations.push(`${key}: fence ${run.fence} was given after ${fence}`);
      }
    }
  }
  for (const told of eventsOf(history, 'beat', 'completed')) {
    const successor = (begun.get(told.key) ?? []).find(
      ({ fence, at }) => Number(fence) > told.fence && at <= told.asked,
    );
    if (successor !== undefined && told.kept === true)
      violations.push(`${told.key}: ${told.worker} ${told.kind} with a fence that ${successor.worker} has`);
  }
  return violations;
}
