import { eventsOf, laterBy, type History } from './history.js';

export interface CircuitRules {
  /** Probes of all instances together at most. */
  readonly probes: number;
  /** How long after the first instance has seen it open all have. */
  readonly everywhereMs: number;
  readonly workers: readonly string[];
}

/**
 * SS-05: no more probes than their number run at the same time on all instances; the version that the store tells only
 * rises; what one instance has seen open for all, every other has within a second.
 */
export function circuitViolations(history: History, rules: CircuitRules): string[] {
  return [...tooManyProbes(history, rules), ...fallenVersions(history), ...unseenOpens(history, rules)];
}

function tooManyProbes(history: History, { probes: limit }: CircuitRules): string[] {
  const probes = eventsOf(history, 'probed');
  return probes.flatMap((one) => {
    const beside = probes.filter(({ asked, at }) => asked <= one.asked && at > one.asked);
    return beside.length > limit
      ? [`${beside.length} of ${limit} probes run at ${one.asked.toFixed(1)}`]
      : [];
  });
}

/** Of an answer that came before another was asked for, the version is no higher. */
function fallenVersions(history: History): string[] {
  const answers = eventsOf(history, 'circuit-seen');
  const violations: string[] = [];
  for (const later of answers) {
    const before = answers.filter(({ at }) => at < later.asked);
    const highest = Math.max(0, ...before.map(({ version }) => version));
    if (later.version < highest) violations.push(`version ${later.version} follows ${highest}`);
  }
  return violations;
}

function unseenOpens(history: History, { everywhereMs, workers }: CircuitRules): string[] {
  const firsts = new Map<number, number>();
  for (const { version, open, at } of eventsOf(history, 'circuit-seen')) {
    if (open && !firsts.has(version)) firsts.set(version, at);
  }
  const end = Math.max(0, ...history.map(({ at }) => at));
  const violations: string[] = [];
  for (const [version, first] of firsts) {
    const until = laterBy(history, first, everywhereMs);
    if (end < until) continue;
    for (const worker of workers) {
      // Or a later one: then it was open for less than that.
      const seen = eventsOf(history, 'circuit-seen').some(
        (event) => event.worker === worker && event.version >= version && event.at <= until,
      );
      if (!seen) violations.push(`${worker} has not seen version ${version} within ${everywhereMs} ms`);
    }
  }
  return violations;
}
