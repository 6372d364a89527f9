import { eventsOf, groupBy, type Held, type History } from './history.js';

export interface PermitRules {
  readonly key: string;
  readonly limit: number;
  readonly leaseMs: number;
  /** How long an operation may be under way: so much later its lease may begin. Default 0. */
  readonly timeoutMs?: number;
}

/** Orphans are freed so long after their lease. */
const GRACE_MS = 1_000;

/**
 * SS-02: what all workers believe to hold never exceeds the limit (but for one lease after the store forgot: then it may
 * have given what is still held), and the store holds nothing for those who hold nothing: neither for operations that
 * timed out nor, a lease and a second later, for the dead.
 */
export function permitViolations(history: History, rules: PermitRules): string[] {
  return [...overLimit(history, rules), ...orphans(history, rules)];
}

function overLimit(history: History, { key, limit, leaseMs }: PermitRules): string[] {
  const forgotten = eventsOf(history, 'forgot');
  const beliefs = new Map<string, Held>();
  const violations: string[] = [];
  for (const event of eventsOf(history, 'held').filter((each) => each.key === key)) {
    beliefs.set(event.worker, event);
    const live = [...beliefs.values()].filter(({ until }) => until > event.at);
    const count = live.reduce((sum, each) => sum + each.count, 0);
    const lapses = forgotten.filter(({ asked, at }) => asked <= event.at && event.at - at < leaseMs).length;
    if (count <= limit * (1 + lapses)) continue;
    const who = live.map((each) => `${each.worker} ${each.count}`).join(', ');
    violations.push(`${count} of ${limit} permits are held at ${event.at.toFixed(1)}: ${who}`);
  }
  return violations;
}

function orphans(history: History, { key, leaseMs, timeoutMs = 0 }: PermitRules): string[] {
  const graceMs = GRACE_MS + timeoutMs;
  const byWorker = groupBy(
    eventsOf(history, 'held').filter((each) => each.key === key),
    ({ worker }) => worker,
  );
  const violations: string[] = [];
  for (const sample of eventsOf(history, 'server-held').filter((each) => each.key === key)) {
    let most = 0;
    for (const events of byWorker.values()) most += mostHeld(events, sample.asked, leaseMs, graceMs);
    if (sample.held > most) {
      violations.push(
        `the store holds ${sample.held} at ${sample.asked.toFixed(1)}, where at most ${most} are somebody's`,
      );
    }
  }
  return violations;
}

/** What a worker can hold at the store: what it believes, and anything where it does not know. */
function mostHeld(events: readonly Held[], at: number, leaseMs: number, graceMs: number): number {
  const recent = events.filter(
    (event) => event.asked <= at && Math.max(event.until, event.at + leaseMs) + graceMs > at,
  );
  // An operation of which nothing was heard may have been done, or not, until its lease has ended.
  if (recent.some(({ ok }) => !ok)) return Number.POSITIVE_INFINITY;
  const last = recent.at(-1);
  return last !== undefined && last.until + graceMs > at ? last.count : 0;
}
