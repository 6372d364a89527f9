import { eventsOf, groupBy, type Decision, type History } from './history.js';

export interface AdmittedRules {
  readonly key: string;
  readonly perSecond: number;
  readonly burst: number;
  /** For how long borrowed units may be used. */
  readonly leaseMs: number;
  /** How many instances the rate is divided by while the store is lost. */
  readonly instances: number;
}

/**
 * SS-01: admitted in any window w ≤ rate × (w + lease) + burst, and a burst more for each time that the store forgot; what
 * an instance admits alone keeps to its share. Counted are calls that lie wholly within a window: what the store gave
 * for them it gave within it too (or a lease before).
 */
export function admittedViolations(history: History, rules: AdmittedRules): string[] {
  const { key, perSecond, burst, leaseMs, instances } = rules;
  const admitted = eventsOf(history, 'decision').filter((event) => event.key === key && event.allowed);
  const forgotten = eventsOf(history, 'forgot');
  const forgotIn = (from: number, to: number) =>
    forgotten.filter(({ asked, at }) => at >= from - leaseMs && asked <= to).length;
  const together = worstWindow(
    admitted.filter(({ local }) => !local),
    (from, to) => (perSecond * (to - from + leaseMs)) / 1_000 + burst * (1 + forgotIn(from, to)) + ROUNDING,
  );
  const shares = [
    ...groupBy(
      admitted.filter(({ local }) => local),
      ({ worker }) => worker,
    ),
  ].map(([worker, events]) => {
    const found = worstWindow(
      events,
      (from, to) =>
        (perSecond * (to - from)) / 1_000 / instances + Math.max(1, Math.floor(burst / instances)) + ROUNDING,
    );
    return found && `${worker} alone: ${found}`;
  });
  return [together && `together: ${together}`, ...shares].filter((text) => text !== undefined);
}

/** Clocks of a process and of the server need not run alike to the microsecond. */
const ROUNDING = 1;

function worstWindow(
  events: readonly Decision[],
  allowed: (from: number, to: number) => number,
): string | undefined {
  let worst = 0;
  let text: string | undefined;
  for (const { asked: from } of events) {
    let count = 0;
    for (const { asked, at } of events) {
      if (asked < from) continue;
      count++;
      const over = count - allowed(from, at);
      if (over <= worst) continue;
      worst = over;
      text = `${count} admitted within ${(at - from).toFixed(1)} ms, ${over.toFixed(1)} too many`;
    }
  }
  return text;
}
